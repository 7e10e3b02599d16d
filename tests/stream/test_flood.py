"""Writers as fast as they can go: no frame is ever torn, none is ever lost without being counted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.stream import Frame
from support.c_writer import CStream
from support.processes import Spawned, Spawner

WRITER = """
    import os, sys
    import numpy as np
    import framebus as fb
    from support.c_writer import CStream
    how, size, n = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    path = os.environ["MILK_SHM_DIR"] + "/image.im.shm"
    s, c, frame = fb.open("image"), CStream(path), np.empty(size, np.int64)
    if how == "in place":
        def write(frame, s=s):
            with s.writing() as view:
                view[:] = frame
    else:
        write = {"framebus": s.write, "c": c.write, "c unflagged": lambda f: c.write(f, flagged=False)}[how]
    print("ready")
    input()
    for k in range(1, n + 1):
        frame.fill(k)
        write(frame)
    print("done")
"""
# Pixels of a frame, and how many of them are written: some lie in a cache line or two, some take longer to copy than
# the interpreter's share of a time slice.
SMALL, LARGE = (16, 20_000), (40_000, 1_000)


def start(spawn: Spawner, path: Path, how: str, size: int, n: int, history: int) -> Spawned:
    if how.startswith("c"):
        CStream.create(path, (size,), "int64", history=history).close()
    else:
        fb.create("image", shape=size, dtype="int64", history=history)
    process = spawn(WRITER, how, str(size), str(n))
    process.expect("ready")
    return process


def whole(frame: Frame) -> bool:
    """Every frame is filled with its own count."""
    return bool((frame.data == frame.count).all())


# Without a history the flag is what tells a whole frame, so only writers that set it are to be had.
@pytest.mark.parametrize(
    ("how", "history"),
    [
        ("framebus", 0),
        ("framebus", 1),
        ("framebus", 2),
        ("framebus", 64),
        ("in place", 0),
        ("in place", 16),
        ("c", 0),
        ("c", 1),
        ("c", 2),
        ("c", 16),
        ("c unflagged", 2),
        ("c unflagged", 3),
        ("c unflagged", 64),
    ],
)
@pytest.mark.parametrize(("size", "n"), [SMALL, LARGE], ids=["small", "large"])
def test_readers_get_whole_frames_in_order_and_know_what_they_missed(
    how: str, history: int, size: int, n: int, shm_dir: Path, spawn: Spawner
) -> None:
    if how.startswith("c"):
        n //= 4  # the imitation in Python is slow
    writer = start(spawn, shm_dir / "image.im.shm", how, size, n, history)
    reader = fb.open("image")
    writer.send()
    received = missed = last = 0
    while last < n:
        frame = reader.read_next(timeout_s=60)
        assert whole(frame)
        assert frame.count == last + 1 + frame.missed
        last = frame.count
        received += 1
        missed += frame.missed
    assert received + missed == n
    statistics = reader.statistics()
    assert (statistics.frames_read, statistics.frames_missed) == (received, missed)
    assert writer.wait() == 0, writer.errors


@pytest.mark.parametrize(("how", "history"), [("framebus", 0), ("framebus", 8), ("c", 0), ("c unflagged", 8)])
@pytest.mark.parametrize(("size", "n"), [SMALL, LARGE], ids=["small", "large"])
def test_every_other_way_to_read_gives_whole_frames(
    how: str, history: int, size: int, n: int, shm_dir: Path, spawn: Spawner
) -> None:
    n //= 4 if how.startswith("c") else 1
    writer = start(spawn, shm_dir / "image.im.shm", how, size, n, history)
    reader = fb.open("image")
    out = np.empty(size, np.int64)
    writer.send()
    last = expired = 0
    while last < n:
        data = reader.read(out, timeout_s=60)
        assert data[0] >= last
        last = int(data[0])
        assert (data == last).all()
        view = reader.latest(timeout_s=60)
        copy = view.data.copy()
        if view.still_valid():
            assert (copy == view.count).all()
            assert view.count >= last
        else:
            expired += 1
        held = reader.history()
        assert all(whole(frame) for frame in held)
        counts = [frame.count for frame in held]
        assert counts == sorted(set(counts))
        if reader.count > reader.statistics().cursor:
            assert whole(reader.read_next(newest=True, timeout_s=60))
    assert writer.wait() == 0, writer.errors
    assert expired <= n


@pytest.mark.parametrize("history", [0, 1, 2, 7, 150])
@pytest.mark.parametrize("how", ["framebus", "c", "c unflagged"])
def test_reader_100_times_slower_than_the_writer(how: str, history: int, shm_dir: Path) -> None:
    CStream.create(shm_dir / "image.im.shm", (16,), "int64", history=history).close()
    reader, s = fb.open("image"), fb.open("image")
    delivered = missed = last = 0
    with CStream(shm_dir / "image.im.shm") as c:
        for n in range(1, 5001):
            if how == "framebus":
                s.write(np.full(16, n))
            else:
                c.write(np.full(16, n), flagged=how == "c")
            if n % 100 == 0:
                frame = reader.read_next(timeout_s=0)
                assert whole(frame)
                delivered += 1
                missed += frame.missed
                last = frame.count
                assert delivered + missed == last <= n
        while last < 5000:
            frame = reader.read_next(timeout_s=0)
            assert whole(frame)
            last = frame.count
            delivered += 1
            missed += frame.missed
    assert delivered + missed == 5000


@pytest.mark.parametrize("history", [0, 32])
def test_reader_that_does_much_with_each_frame(history: int, shm_dir: Path, spawn: Spawner) -> None:
    n = 20_000
    writer = start(spawn, shm_dir / "image.im.shm", "framebus", 16, n, history)
    reader = fb.open("image")
    work = np.random.default_rng(0).random(20_000)
    writer.send()
    received = 0
    for frame in reader.frames(timeout_s=60):
        assert whole(frame)
        received += 1
        if frame.count == n:
            break
        np.sort(work)
    assert received + reader.statistics().frames_missed == n


NURSERY = """
    import mmap, os, sys, traceback
    import numpy as np
    import framebus as fb
    n, readers, paced = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    s = fb.create("image", shape=16, dtype="int64", history=64)
    # Each reader says here how far it is.
    board = np.frombuffer(mmap.mmap(-1, 64 * readers), np.int64).reshape(readers, 8)[:, 0]
    children = []
    for i in range(readers):
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                reader = fb.open("image")
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
        # Readers get time to go on; one that failed has said why. The fastest may have all frames and have ended.
        os.sched_yield()
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            assert status == 0, "a reader failed"
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


@pytest.mark.parametrize("paced", [1, 0])
def test_32_readers(paced: int, spawn: Spawner) -> None:
    """All of them get every frame if the writer never laps them; if it does, all of them account for every one."""
    nursery = spawn(NURSERY, "3000", "32", str(paced))
    assert nursery.wait() == 0, nursery.errors


def test_sixty_readers_of_a_c_writer(shm_dir: Path, spawn: Spawner) -> None:
    """More than there are semaphores, and none of them is woken by a futex."""
    source = NURSERY.replace(
        's = fb.create("image", shape=16, dtype="int64", history=64)',
        "from support.c_writer import CStream\n"
        '    s = CStream.create(os.environ["MILK_SHM_DIR"] + "/image.im.shm", (16,), "int64", history=64)',
    )
    nursery = spawn(source, "500", "60", "1")
    assert nursery.wait() == 0, nursery.errors
