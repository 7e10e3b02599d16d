from __future__ import annotations

import sys
from pathlib import Path

from support.processes import Spawner

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "shwfs_slopes.py"


def test_the_example_measures_the_real_frames_and_draws_them(
    shared_data: Path, tmp_path: Path, spawn: Spawner
) -> None:
    frames = [str(shared_data / "shwfs" / f"{name}.fits") for name in ("reference", "aberrated", "dark")]
    picture = tmp_path / "slopes.png"
    command = [
        sys.executable,
        str(EXAMPLE),
        frames[0],
        frames[1],
        "--dark",
        frames[2],
        "--output",
        str(picture),
    ]
    process = spawn(command=command)
    assert process.wait() == 0, process.errors
    assert process.lines[0].startswith("127 sub-apertures, pitch 40.3")
    assert picture.read_bytes().startswith(b"\x89PNG")
