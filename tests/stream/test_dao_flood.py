"""Writers of DAO streams as fast as they can go: no frame is torn, mistaken for another, or lost uncounted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.stream import Frame
from support.dao_writer import DaoStream
from support.processes import Spawned, Spawner

# Pixels of a frame and how many of them are written by the C program: within some cache lines, and longer to copy than
# the interpreter's share of a time slice.
SMALL, LARGE = (16, 200_000), (40_000, 2_000)

FRAMEBUS = """
    import sys
    import numpy as np
    import framebus as fb
    how, path, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
    s = fb.open(path)
    frame = np.empty(s.shape, np.int64)
    half = frame.size // 2
    print("ready")
    input()
    for k in range(1, n + 1):
        frame.fill(k)
        if how == "write":
            s.write(frame)
        elif how == "in place":
            with s.writing() as view:
                view[:] = frame
        else:
            with s.assemble(2, frame_id=k) as parts:
                parts.put(0, frame[:half], 0)
                parts.put(1, frame[half:], half)
    print("done")
"""


@pytest.fixture
def path(shm_dir: Path, dao_name: str) -> Path:
    return shm_dir / f"{dao_name}.im.shm"


def mistaken(frame: Frame, depth: int) -> bool:
    """Whether a frame is torn, or another than its count says.

    A DAO program that is interrupted between clearing ``write`` and counting leaves the next frame under the count of
    the last one. With a single slot there is nothing by which a reader could know.
    """
    value = frame.data[0]
    if (frame.data != value).any():
        return True
    return value != frame.count if depth > 1 else value not in (frame.count, frame.count + 1)


Start = Callable[[int, int, int], Spawned]


@pytest.fixture
def start_c(path: Path, dao_flood: str, spawn: Spawner) -> Start:
    """Start the C program: size of a frame, how many of them, depth."""

    def start(size: int, n: int, depth: int) -> Spawned:
        DaoStream.create(path, (size,), "int64", depth=depth).close()
        process = spawn(command=[dao_flood, str(path), str(n)])
        process.expect("ready")
        return process

    return start


def take_all(reader: fb.Stream, n: int, depth: int, spin_us: float = 0) -> None:
    """Read on to frame ``n``."""
    received = missed = last = 0
    while last < n:
        frame = reader.read_next(timeout_s=60, spin_us=spin_us)
        assert not mistaken(frame, depth), (frame.count, set(frame.data.tolist()))
        assert frame.count == last + 1 + frame.missed
        last = frame.count
        received += 1
        missed += frame.missed
    assert received + missed == n
    statistics = reader.statistics()
    assert (statistics.frames_read, statistics.frames_missed) == (received, missed)


@pytest.mark.parametrize("depth", [1, 2, 8])
@pytest.mark.parametrize(("size", "n"), [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("spin_us", [0, float("inf")], ids=["sleeping", "spinning"])
def test_readers_of_a_dao_program_get_whole_frames_in_order(
    size: int, n: int, depth: int, spin_us: float, start_c: Start, path: Path
) -> None:
    writer = start_c(size, n, depth)
    reader = fb.open(path)
    writer.send()
    take_all(reader, n, depth, spin_us)
    assert writer.wait() == 0, writer.errors


@pytest.mark.parametrize("depth", [1, 2, 8])
@pytest.mark.parametrize(("size", "n"), [SMALL, LARGE], ids=["small", "large"])
def test_every_other_way_to_read_a_dao_program(
    size: int, n: int, depth: int, start_c: Start, path: Path
) -> None:
    writer = start_c(size, n, depth)
    reader = fb.open(path)
    out = np.empty(size, np.int64)
    writer.send()
    last = 0
    while last < n:
        data = reader.read(out, timeout_s=60)
        count = reader.statistics().cursor
        assert count >= last
        last = count
        assert not mistaken(Frame(data, count, 0, 0, 0), depth)
        view = reader.latest(timeout_s=60)
        copy = view.data.copy()
        if view.still_valid() and depth > 1:
            assert not mistaken(Frame(copy, view.count, 0, 0, 0), depth)
        held = reader.history()
        assert [f.count for f in held if mistaken(f, depth)] == []
        counts = [f.count for f in held]
        assert counts == sorted(set(counts))
        assert len(counts) <= depth
        times = reader.times()
        assert (np.diff(times[:, 0]) > 0).all()
    assert writer.wait() == 0, writer.errors


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize(
    ("how", "size", "n"),
    [("write", 16, 10_000), ("write", 40_000, 500), ("in place", 16, 5_000), ("packets", 16, 2_000)],
)
def test_readers_of_framebus_writers(
    how: str, size: int, n: int, depth: int, path: Path, spawn: Spawner
) -> None:
    fb.create(path, shape=size, dtype="int64", history=depth, dialect="dao").close()
    writer = spawn(FRAMEBUS, how, str(path), str(n))
    writer.expect("ready")
    reader = fb.open(path)
    writer.send()
    received = missed = last = 0
    while last < n:
        frame = reader.read_next(timeout_s=60)
        assert set(frame.data.tolist()) == {frame.count}
        assert frame.count == last + 1 + frame.missed
        last = frame.count
        received += 1
        missed += frame.missed
    assert received + missed == n
    assert [set(f.data.tolist()) for f in reader.history()] == [{k} for k in range(n - depth + 1, n + 1)]
    assert writer.wait() == 0, writer.errors


DAO_TAIL = """
    import sys
    import numpy as np
    from support.dao_writer import DaoStream
    n, depth = int(sys.argv[2]), int(sys.argv[3])
    with DaoStream(sys.argv[1]) as d:
        print("ready")
        last = got = lapped = 0
        skipped = False
        while last < n:
            status, pixels = d.next_segment()
            if status == "not ready":
                d.wait(3, 0.05)
                continue
            count = d.tail_count
            if d.overwritten():  # while it was copied
                skipped = True
                continue
            assert (pixels == pixels[0]).all(), (count, set(pixels))
            assert pixels[0] in (count, count + depth), (count, pixels[0])
            assert count > last, (count, last)
            assert status == "overwritten" or skipped or count == last + 1, (count, last)
            skipped = False
            lapped += status == "overwritten"
            last, got = count, got + 1
        print("read", got, lapped)
"""


@pytest.mark.parametrize("depth", [2, 8])
def test_daos_own_readers_of_framebus_writers(depth: int, path: Path, spawn: Spawner) -> None:
    """By DAO's rules: the next segment if its count is the next, else the newest; and what DAO checks afterwards."""
    n = 5_000
    fb.create(path, shape=16, dtype="int64", history=depth, dialect="dao").close()
    reader, writer = (
        spawn(DAO_TAIL, str(path), str(n), str(depth)),
        spawn(FRAMEBUS, "write", str(path), str(n)),
    )
    reader.expect("ready")
    writer.expect("ready")
    writer.send()
    reader.expect("read")
    assert reader.wait() == 0
    assert writer.wait() == 0


NURSERY = """
    import mmap, os, sys, traceback
    import numpy as np
    import framebus as fb
    from support.dao_writer import DaoStream
    how, path, n, readers, paced = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
    if how == "dao":
        s = DaoStream.create(path, (16,), "int64", depth=64)
    else:
        s = fb.create(path, shape=16, dtype="int64", history=64, dialect="dao")
    board = np.frombuffer(mmap.mmap(-1, 64 * readers), np.int64).reshape(readers, 8)[:, 0]
    children = []
    for i in range(readers):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                reader = fb.open(path)
                board[i] = 1
                received = 0
                while reader.statistics().cursor < n:
                    frame = reader.read_next(timeout_s=60)
                    assert (frame.data == frame.count).all(), (frame, s.count, reader.statistics())
                    received += 1
                    board[i] = frame.count + 1
                seen = reader.statistics()
                assert received + seen.frames_missed == n, (received, seen)
                assert not paced or seen.frames_missed == 0, seen
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        children.append(pid)
    def fine():
        os.sched_yield()
        pid, status = os.waitpid(-1, os.WNOHANG) if children else (0, 0)
        assert not (pid and status), "a reader failed"
        if pid:  # done with the last frame already
            children.remove(pid)

    while not board.all():
        fine()
    frame = np.empty(16, np.int64)
    for k in range(1, n + 1):
        frame.fill(k)
        s.write(frame)
        while paced and board.min() < k - 60:
            fine()
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
"""


@pytest.mark.parametrize(
    ("how", "n", "readers", "paced"),
    [("framebus", 1000, 12, 1), ("framebus", 1000, 12, 0), ("dao", 200, 12, 1)],
)
def test_many_readers(how: str, n: int, readers: int, paced: int, path: Path, spawn: Spawner) -> None:
    """All get every frame if the writer never laps them; if it does, all account for every one."""
    nursery = spawn(NURSERY, how, str(path), str(n), str(readers), str(paced))
    assert nursery.wait() == 0, nursery.errors


@pytest.mark.stress
@pytest.mark.parametrize("depth", [1, 2, 64])
@pytest.mark.parametrize("size", [16, 4_000])
def test_a_long_flood(size: int, depth: int, stress: bool, start_c: Start, path: Path) -> None:
    n = (20_000_000 if stress else 100_000) // (1 + size // 200)
    writer = start_c(size, n, depth)
    readers = [fb.open(path) for _ in range(2)]
    writer.send()
    take_all(readers[0], n, depth)
    assert not mistaken(readers[1].read_next(timeout_s=60, newest=True), depth)
    assert writer.wait() == 0, writer.errors
