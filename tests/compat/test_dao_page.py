"""The quick start of DAO's own page, as it stands but for the import, and scripts in its idiom."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import framebus as fb
from framebus.compat import dao
from framebus.errors import StreamNotFound
from support.processes import Spawner

QUICK_START = """\
import dao
import numpy as np
# Create a shared memory block
shm = dao.shm('/tmp/mydata.im.shm', np.zeros([1024, 1024], dtype=np.uint16))
# Write data from one process
shm.set_data(my_camera_image)
# Read from another process
data = shm.get_data()
"""
READER = """
    from framebus.compat import dao
    shm = dao.shm('/tmp/mydata.im.shm')
    data = shm.get_data()
    print("read", data.shape, data.dtype, int(data.astype(int).sum()), shm.get_counter())
"""


@pytest.fixture
def mydata() -> Iterator[Path]:
    """The page's own file."""
    path = Path("/tmp/mydata.im.shm")
    if path.exists():
        pytest.skip(
            f"{path} is there: it may be somebody's; remove it ('framebus rm {path}') if it is nobody's"
        )
    yield path
    with suppress(StreamNotFound):
        fb.open(path).remove()


def run(source: str, names: dict[str, Any]) -> None:
    exec(
        compile(source.replace("import dao\n", "from framebus.compat import dao\n"), "DAO's page", "exec"),
        names,
    )


def test_the_quick_start(mydata: Path, spawn: Spawner) -> None:
    image = np.random.default_rng(1).poisson(1000, (1024, 1024)).astype(np.uint16)
    names: dict[str, Any] = {"my_camera_image": image}
    run(QUICK_START, names)
    np.testing.assert_array_equal(names["data"], image)
    assert names["data"].dtype == np.uint16
    reader = spawn(READER)
    assert reader.expect("read") == f"read (1024, 1024) uint16 {image.astype(int).sum()} 2"
    names.clear()


# A matrix-vector product that follows its matrix, as DAO's scripts are written; paths and frames from the command line.
MVM = """
import sys
import dao
import numpy as np
mShm = dao.shm(sys.argv[1] + '-matrix.im.shm')
vShm = dao.shm(sys.argv[1] + '-vector.im.shm')
oShm = dao.shm(sys.argv[1] + '-output.im.shm', np.zeros((2, 1), dtype=np.float32))
mCounter = mShm.get_counter()
m = mShm.get_data()
print('ready')
while True:
    v = vShm.get_data(check=True, semNb=1)
    if mCounter != mShm.get_counter():
        mCounter = mShm.get_counter()
        m = mShm.get_data()
        print('matrix updated')
    oShm.set_data(np.matmul(m, v[:3]))
"""


def test_a_matrix_vector_product(shm_dir: Path, dao_name: str, spawn: Spawner) -> None:
    base = str(shm_dir / dao_name)
    matrix = dao.shm(f"{base}-matrix.im.shm", np.array([[1, 2, 3], [4, 5, 6]], np.float32))
    vector = dao.shm(f"{base}-vector.im.shm", np.zeros((4, 1), np.float32))
    script = spawn(MVM.replace("import dao\n", "from framebus.compat import dao\n"), base)
    script.expect("ready")
    output = dao.shm(f"{base}-output.im.shm")
    vector.set_data(np.array([1, 0, 1, 9], np.float32))
    assert output.get_data(check=True).ravel().tolist() == [4, 10]
    matrix.set_data(matrix.get_data() * 2)
    vector.set_data(np.array([0, 0, 1, 9], np.float32))
    assert script.expect("matrix") == "matrix updated"
    assert output.get_data(check=True).ravel().tolist() == [6, 12]
    assert output.get_counter() == 3
    script.kill()


# A camera's frames taken in order, as long as the FIFO holds them.
RECORDER = """
import sys
import dao
shm = dao.shm(sys.argv[1])
print('ready')
input()
while True:
    status, data = shm.get_data_next()
    if status == dao.shm.DAO_NOTREADY:
        break
    print('frame', status, data[0, 0])
print('last', shm.get_history(num_items=4)[:, 0, 0].tolist())
"""


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (3, [(dao.DAO_SUCCESS, 1), (dao.DAO_SUCCESS, 2), (dao.DAO_SUCCESS, 3)]),
        (8, [(dao.DAO_SUCCESS, n) for n in range(1, 9)]),
        (9, [(dao.DAO_OVERWRITE, 9)]),
    ],
    ids=["not full", "exactly full", "lapped"],
)
def test_a_recorder_of_frames_in_order(
    written: int, said: list[tuple[int, int]], shm_dir: Path, dao_name: str, spawn: Spawner
) -> None:
    path = shm_dir / f"{dao_name}.im.shm"
    camera = dao.shm(path, np.zeros((2, 2), np.uint16), depth=8)
    script = spawn(RECORDER.replace("import dao\n", "from framebus.compat import dao\n"), str(path))
    script.expect("ready")
    for n in range(1, written + 1):
        camera.set_data(np.full((2, 2), n, np.uint16))
    script.send()
    assert script.expect("last") == f"last {list(range(written - 3, written + 1))}"
    assert script.lines[1:-1] == [f"frame {status} {value}" for status, value in said]
    assert script.wait() == 0
