"""The examples of milk's page on Python (docs/guide/python.md of milk-org/milk), as they stand but for the import."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import framebus as fb
from support.processes import Spawner
from support.waiting import asleep_at, once_asleep, until

THEIRS = "from pyMilk.interfacing.isio_shmlib import SHM"
OURS = "from framebus.compat.pymilk import SHM"

READING = """\
from pyMilk.interfacing.isio_shmlib import SHM

# Connect to existing shared memory stream
shm = SHM("mystream")

# Read the current frame as a numpy array
frame = shm.get_data()
print(frame.shape, frame.dtype)
"""

WRITING = """\
import numpy as np
from pyMilk.interfacing.isio_shmlib import SHM

# Create a new 128x128 float32 stream
shm = SHM(
    "pystream",
    data=np.zeros((128, 128), dtype=np.float32),
)

# Write new data
new_frame = np.random.randn(128, 128).astype(np.float32)
shm.set_data(new_frame)
"""

WAITING = """\
# Block until a new frame arrives (semaphore-based)
frame = shm.get_data(check=True)
"""

METADATA = """\
# Get stream dimensions
print(shm.mtdata["size"])

# Get frame counter
print(shm.mtdata["cnt0"])

# Get keywords
keywords = shm.get_keywords()
for kw in keywords:
    print(kw["name"], kw["value"])
"""

NUMPY = """\
import numpy as np
from pyMilk.interfacing.isio_shmlib import SHM

shm = SHM("wfs_image")
frame = shm.get_data()

# Compute statistics
print(f"Mean: {np.mean(frame):.2f}")
print(f"RMS:  {np.std(frame):.4f}")
print(f"Max:  {np.max(frame):.2f}")

# Apply processing
from scipy.ndimage import median_filter
filtered = median_filter(frame, size=3)
"""

LOOP = """\
import numpy as np
from pyMilk.interfacing.isio_shmlib import SHM

shm_in = SHM("wfs_raw")
cnt = 0
running_mean = None

while True:
    frame = shm_in.get_data(check=True)
    if running_mean is None:
        running_mean = frame.astype(np.float64)
    else:
        running_mean = 0.99 * running_mean + \\
            0.01 * frame
    cnt += 1
    if cnt % 100 == 0:
        print(f"Frame {cnt}, "
              f"mean={np.mean(running_mean):.2f}")
"""


def run(source: str, names: dict[str, Any]) -> list[str]:
    """What the example prints."""
    with redirect_stdout(io.StringIO()) as said:
        exec(compile(source.replace(THEIRS, OURS), "milk's page", "exec"), names)
    return said.getvalue().splitlines()


@pytest.fixture
def names() -> Iterator[dict[str, Any]]:
    """What one example leaves for the next."""
    kept: dict[str, Any] = {}
    yield kept
    kept.clear()


def test_reading(names: dict[str, Any]) -> None:
    fb.create("mystream", shape=(4, 6), dtype="uint16").write(np.arange(24).reshape(4, 6))
    assert run(READING, names) == ["(4, 6) uint16"]
    assert names["frame"].tolist() == np.arange(24).reshape(4, 6).tolist()


def test_writing_then_waiting_then_metadata(names: dict[str, Any], shm_dir: Path) -> None:
    assert run(WRITING, names) == []
    stream = fb.open("pystream")
    assert (stream.count, stream.shape, stream.dtype.name) == (2, (128, 128), "float32")
    np.testing.assert_array_equal(stream.read(), names["new_frame"])

    thread = once_asleep(shm_dir / "pystream.im.shm", lambda: stream.write(np.full((128, 128), 7)))
    assert run(WAITING, names) == []
    thread.join()
    assert set(names["frame"].flat) == {7}

    stream.keywords["FRATE"] = 1000.0
    stream.keywords["FILTER"] = "H"
    assert run(METADATA, names) == ["[128, 128]", "3", "FRATE 1000.0", "FILTER H"]


def test_with_numpy(names: dict[str, Any]) -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    image = np.arange(12, dtype=np.float32).reshape(3, 4)
    fb.create("wfs_image", shape=(3, 4)).write(image)
    assert run(NUMPY, names) == ["Mean: 5.50", "RMS:  3.4521", "Max:  11.00"]
    np.testing.assert_array_equal(names["filtered"], ndimage.median_filter(image, size=3))


def test_the_loop(spawn: Spawner, shm_dir: Path) -> None:
    stream = fb.create("wfs_raw", shape=(2, 3), dtype="uint16")
    stream.write(np.full((2, 3), 5))
    script = spawn(LOOP.replace(THEIRS, OURS))
    for _ in range(200):  # each when the script waits for it
        until(lambda: asleep_at(shm_dir / "wfs_raw.im.shm") == stream.count or not script.running)
        stream.write(np.full((2, 3), 5))
    assert script.expect("Frame 100") == "Frame 100, mean=5.00"
    assert script.expect("Frame 200") == "Frame 200, mean=5.00"
