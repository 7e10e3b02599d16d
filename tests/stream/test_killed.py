"""Writers that are killed in the middle of a frame: nobody ever reads the half of it, and the next writer recovers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.errors import WaitTimeout
from support.c_writer import CStream
from support.processes import Spawner

IN_PLACE = """
    import numpy as np
    import framebus as fb
    s = fb.open("image")
    for n in range(1, 4):
        s.write(np.full(s.shape, n))
    with s.writing() as view:
        view[:4] = 99
        print("half")
        input()
"""
AS_C = """
    import os, sys
    import numpy as np
    from support.c_writer import CStream
    c = CStream(os.environ["MILK_SHM_DIR"] + "/image.im.shm")
    for n in range(1, 4):
        c.write(np.full(8, n))
    print("whole")
    input()
    c.begin()
    c.store(np.full(8, 99), part=0.5 if sys.argv[1] == "pixels" else 1)
    if sys.argv[1] == "slot":
        c.fill_slot(part=0.5)
    elif sys.argv[1] == "index":
        c.fill_slot()
    print("half")
    input()
"""


def check_readers(history: int, marked: bool, pid: int) -> fb.Stream:
    """What every kind of read gives while the half frame of a dead writer stands there."""
    fresh = fb.open("image")
    if not history:
        assert fresh.history() == []
        for read in (fresh.read, fresh.latest):
            with pytest.raises(
                WaitTimeout, match=rf"count 3, .* \(pid {pid}\) is dead, and a frame was begun and not"
            ):
                read(timeout_s=0)
        return fresh
    assert fresh.read().tolist() == [3] * 8
    latest = fresh.latest()
    assert (latest.count, latest.data.tolist(), latest.still_valid()) == (3, [3] * 8, True)
    depth = min(3, history - (not marked))
    assert [(f.count, set(f.data)) for f in fresh.history()] == [(n, {n}) for n in range(4 - depth, 4)]
    return fresh


@pytest.mark.parametrize("history", [0, 2, 5])
def test_killed_while_writing_in_place(history: int, spawn: Spawner) -> None:
    s = fb.create("image", shape=8, dtype="int64", history=history)
    reader = fb.open("image")
    writer = spawn(IN_PLACE)
    writer.expect("half")
    writer.kill()
    fresh = check_readers(history, True, writer.pid)
    if history:
        first = 4 - min(history, 3)
        assert [(f.count, set(f.data)) for f in reader.frames(4 - first)] == [
            (n, {n}) for n in range(first, 4)
        ]
    with pytest.raises(WaitTimeout, match="a frame was begun and not finished"):
        reader.read_next(timeout_s=0)
    s.write(np.full(8, 4))
    for r in (reader, fresh):
        frame = r.read_next()
        assert (frame.count, frame.data.tolist()) == (4, [4] * 8)
        assert (r.read() == 4).all()
    assert reader.statistics().frames_read - 1 + reader.statistics().frames_missed == 4
    assert s.header()["write"] == 0


@pytest.mark.parametrize(
    ("history", "at"), [(0, "pixels"), (2, "pixels"), (2, "slot"), (5, "pixels"), (5, "slot")]
)
@pytest.mark.parametrize("then", ["framebus", "c"])
def test_c_writer_killed_amid_a_frame(
    then: str, history: int, at: str, shm_dir: Path, spawn: Spawner
) -> None:
    CStream.create(shm_dir / "image.im.shm", (8,), "int64", history=history).close()
    reader = fb.open("image")
    writer = spawn(AS_C, at)
    writer.send()
    writer.expect("half")
    writer.kill()
    fresh = check_readers(history, False, writer.pid)
    if history:
        first = 4 - min(history - 1, 3)
        assert [(f.count, set(f.data)) for f in reader.frames(4 - first)] == [
            (n, {n}) for n in range(first, 4)
        ]
    with pytest.raises(WaitTimeout, match="a frame was begun and not finished"):
        reader.read_next(timeout_s=0)
    with CStream(shm_dir / "image.im.shm") as c:
        write = c.write if then == "c" else fb.open("image").write
        for n in range(4, 7):
            write(np.full(8, n))
            for r in (reader, fresh):
                frame = r.read_next()
                assert (frame.count, frame.data.tolist()) == (n, [n] * 8)
                assert (r.read() == n).all()
                assert all(set(f.data) == {f.count} for f in r.history())
    assert reader.statistics().frames_read - 3 + reader.statistics().frames_missed == 6


@pytest.mark.parametrize("then", ["framebus", "c"])
def test_killed_between_filling_a_slot_and_counting_it(then: str, shm_dir: Path, spawn: Spawner) -> None:
    """From then on the history stands one slot ahead of the counter; no frame may be taken for its neighbour."""
    CStream.create(shm_dir / "image.im.shm", (8,), "int64", history=6).close()
    reader = fb.open("image")
    writer = spawn(AS_C, "index")
    writer.expect("whole")
    assert [(f.count, set(f.data)) for f in reader.frames(3)] == [(n, {n}) for n in range(1, 4)]
    writer.send()
    writer.expect("half")
    writer.kill()
    late = fb.open("image")
    # Whether the newest slot holds frame 3, or the one that was never counted, nobody can know.
    assert late.history() == []
    received = lost = 0
    with CStream(shm_dir / "image.im.shm") as c:
        write = c.write if then == "c" else fb.open("image").write
        for n in range(4, 60):
            write(np.full(8, n))
            late.handle.oldest()  # it looks on as well
            try:
                frame = reader.read_next(timeout_s=0)
            except WaitTimeout:
                assert n < 24, "by then the new order is certain"
                continue
            received += 1
            lost += frame.missed
            assert set(frame.data) == {frame.count}
            assert received + lost == frame.count - 3
            if n > 30:
                assert all(set(f.data) == {f.count} for f in reader.history() + late.history())
    assert late.read_next(timeout_s=5).data[0] == late.statistics().cursor
