"""The page's code runs."""

from __future__ import annotations

import sys
from pathlib import Path

from support.processes import Spawner

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "events.py"


def test_the_example_runs(spawn: Spawner) -> None:
    process = spawn(command=[sys.executable, "-W", "error", str(EXAMPLE)])
    assert process.wait() == 0, process.errors
    assert process.lines[:3] == [
        "0 stream 'wfs': frame 1 {'count': 1}",
        "loop.gain = 0.5",
        f"stream 'wfs': live, process {process.pid}",
    ]
    assert process.lines[-2].startswith("stream 'wfs': frame 101 (")
    assert process.lines[-1] == "101 0.5"
