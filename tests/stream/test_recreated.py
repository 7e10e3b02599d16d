"""Streams that are made anew or removed under the eyes of their users."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.errors import StreamRecreated, WaitTimeout
from support.c_writer import CStream
from support.processes import Spawned, Spawner

READER = """
    import sys
    import framebus as fb
    from framebus.errors import FramebusError
    wait, mode, spin = sys.argv[1:]
    s = fb.open("image")
    s.wake_mode = mode
    options = {} if wait == "read" else {"spin_us": float(spin)}
    print("ready")
    try:
        while True:
            got = getattr(s, wait)(timeout_s=60, **options)
            value = s.read() if wait == "wait_newer" else got.data if wait == "read_next" else got
            print("got", s.count, value.flat[0], s.statistics().recreated, s.keywords.get("MADE"))
            if wait == "read":
                break
    except FramebusError as error:
        print(type(error).__name__, error)
"""


def make(by: str, path: Path, shape: tuple[int, ...], dtype: str = "int32", made: int = 0) -> None:
    if by == "framebus":
        fb.create("image", shape=shape, dtype=dtype, keywords={"MADE": made}).close()
    else:
        CStream.create(path, shape, dtype, keywords=[("MADE", "L", made, "")]).close()


def write(by: str, path: Path, value: int) -> None:
    if by == "framebus":
        with fb.open("image") as s:
            s.write(np.full(s.shape, value, s.dtype))
    else:
        with CStream(path) as c:
            c.write(np.full(tuple(reversed(c.size)), value, c.dtype))


def readers(spawn: Spawner) -> list[Spawned]:
    """Waiting in every way that there is."""
    kinds = [("read_next", mode, "0") for mode in ("auto", "futex", "semaphore", "poll")]
    kinds += [("read_next", "auto", "inf"), ("wait_newer", "auto", "0"), ("read", "auto", "0")]
    started = [spawn(READER, *kind) for kind in kinds]
    for process in started:
        process.expect("ready")
    return started


@pytest.mark.parametrize("then", ["framebus", "c"])
@pytest.mark.parametrize("first", ["framebus", "c"])
def test_waiting_readers_follow_to_a_stream_of_the_same_shape(
    first: str, then: str, shm_dir: Path, spawn: Spawner
) -> None:
    path = shm_dir / "image.im.shm"
    make(first, path, (2, 3), made=1)
    waiting = readers(spawn)
    make(then, path, (2, 3), made=2)
    write(then, path, 41)
    for process in waiting:
        assert process.expect("got") == "got 1 41 1 2"
    for process in waiting[:-1]:
        process.kill()
    assert waiting[-1].wait() == 0


@pytest.mark.parametrize("shape", [(3, 2), (6,), (2, 3, 1)])
@pytest.mark.parametrize("by", ["framebus", "c"])
def test_waiting_readers_are_told_of_another_shape(
    by: str, shape: tuple[int, ...], shm_dir: Path, spawn: Spawner
) -> None:
    path = shm_dir / "image.im.shm"
    make(by, path, (2, 3))
    waiting = readers(spawn)
    make(by, path, shape)
    for process in waiting:
        said = process.expect("StreamRecreated")
        assert "was made anew with another shape or dtype; close this handle and open it again" in said
        assert process.wait() == 0


def test_another_dtype_is_another_stream(shm_dir: Path) -> None:
    make("framebus", shm_dir / "image.im.shm", (2, 3))
    reader, writer = fb.open("image"), fb.open("image")
    make("framebus", shm_dir / "image.im.shm", (2, 3), "float32")
    for use in (reader.read_next, reader.read, reader.latest, reader.wait_newer):
        with pytest.raises(StreamRecreated, match="another shape or dtype"):
            use()
    with pytest.raises(StreamRecreated, match="another shape or dtype"):
        writer.write(np.zeros((2, 3), np.int32))


@pytest.mark.parametrize("by", ["framebus", "c"])
def test_a_reader_that_never_waits_is_not_left_with_the_old_stream(by: str, shm_dir: Path) -> None:
    """``read`` and ``latest`` find a frame at once; all the same they look where the name leads, now and then."""
    path = shm_dir / "image.im.shm"
    make(by, path, (2, 3))
    write(by, path, 1)
    readers = [fb.open("image"), fb.open("image")]
    assert [readers[0].read()[0, 0], readers[1].latest().data[0, 0]] == [1, 1]
    make(by, path, (2, 3))
    write(by, path, 2)
    while readers[0].read()[0, 0] != 2:
        pass
    while readers[1].latest().data[0, 0] != 2:
        pass
    assert [r.statistics().recreated for r in readers] == [1, 1]


@pytest.mark.parametrize("by", ["framebus", "c"])
def test_writers_follow(by: str, shm_dir: Path) -> None:
    path = shm_dir / "image.im.shm"
    make("framebus", path, (2, 3))
    writer = fb.open("image")
    writer.write(np.full((2, 3), 1))
    make(by, path, (2, 3))
    reader = fb.open("image")
    while reader.count == 0:
        writer.write(np.full((2, 3), 2))
    assert reader.read()[0, 0] == 2
    assert writer.statistics().recreated == 1
    with writer.writing() as view:
        view[...] = 3
    assert reader.read()[0, 0] == 3


def test_frame_begun_before_the_stream_is_made_anew_goes_to_the_old_one(shm_dir: Path) -> None:
    s = fb.create("image", shape=3)
    with s.writing() as view:
        fb.create("image", shape=3)
        view[...] = 1
    assert fb.open("image").count == 0
    s.write([2, 2, 2])
    assert fb.open("image").read().tolist() == [2, 2, 2]


def test_unread_frames_come_before_those_of_the_new_stream() -> None:
    old = fb.create("image", shape=1, dtype="int32", history=8)
    reader = fb.open("image")
    for n in range(3):
        old.write([n])
    new = fb.create("image", shape=1, dtype="int32", history=8)
    for n in range(3, 6):
        new.write([n])
    seen = [(f.count, f.missed, f.data[0]) for f in reader.frames(6)]
    assert seen == [(1, 0, 0), (2, 0, 1), (3, 0, 2), (1, 0, 3), (2, 0, 4), (3, 0, 5)]


def test_frames_of_the_new_stream_that_nobody_can_have_are_missed() -> None:
    fb.create("image", shape=1, dtype="int32")
    reader = fb.open("image")
    new = fb.create("image", shape=1, dtype="int32")
    for n in range(5):
        new.write([n])
    frame = reader.read_next()
    assert (frame.count, frame.missed) == (5, 4)


@pytest.mark.parametrize("way", ["wait_newer", "read", "latest"])
def test_frames_left_behind_in_the_old_stream_are_missed_however_the_reader_left_it(way: str) -> None:
    old = fb.create("image", shape=1, dtype="int32", history=8)
    reader = fb.open("image")
    for n in range(3):
        old.write([n])
    fb.create("image", shape=1, dtype="int32").write([3])
    if way == "wait_newer":
        assert reader.wait_newer(3) == 1
    elif way == "latest":
        while reader.latest().data[0] != 3:
            pass
    else:
        while reader.read()[0] != 3:
            pass
        assert reader.statistics().frames_missed == 3
        return
    frame = reader.read_next()
    assert (frame.count, frame.missed) == (1, 3)


def test_skipping_to_the_newest_skips_what_was_left_behind() -> None:
    old = fb.create("image", shape=1, dtype="int32")
    reader = fb.open("image")
    old.write([1])
    new = fb.create("image", shape=1, dtype="int32")
    new.write([2])
    reader.wait_newer(1)
    reader.skip_to_newest()
    new.write([3])
    assert reader.read_next().missed == 0


def test_a_look_that_waits_for_a_new_stream_keeps_no_cursor_of_the_old_one() -> None:
    """A slice is written into the newest frame, for which it may have to wait; nothing is read by that."""
    old = fb.create("image", shape=1, dtype="int32")
    reader = fb.open("image")
    for n in range(3):
        old.write([n])
    assert reader.read_next().count == 3
    old.handle.begin_write()  # no whole frame any more
    looking = threading.Thread(
        target=lambda: reader.handle.read_newest(np.empty(1, "int32"), 60 * 10**9, keep_cursor=True)
    )
    looking.start()
    new = fb.create("image", shape=1, dtype="int32")
    for n in range(5):
        new.write([n])
    looking.join()
    frame = reader.read_next()
    assert (frame.count, frame.missed) == (5, 4)


def test_the_first_frame_of_the_new_stream_wakes(spawn: Spawner) -> None:
    """Whoever waits for it does not sleep beyond it, whichever stream is the one waited on."""
    fb.create("image", shape=(2, 3), dtype="int32")
    process = spawn(READER, "read_next", "auto", "0")
    process.expect("ready")
    new = fb.create("image", shape=(2, 3), dtype="int32", keywords={"MADE": 7})
    for value in range(1, 4):
        new.write(np.full((2, 3), value))
        assert process.expect("got").startswith(f"got {value} {value} 1 ")


def test_made_anew_many_times_while_read(spawn: Spawner, shm_dir: Path) -> None:
    """One process makes the stream anew without end; readers follow, and no frame is ever of two makings."""
    fb.create("image", shape=(64,), dtype="int64")
    maker = spawn("""
        import numpy as np
        import framebus as fb
        print("ready")
        input()
        for made in range(1, 201):
            with fb.create("image", shape=64, dtype="int64", history=made % 3, keywords={"MADE": made}) as s:
                for n in range(1 + made % 4):
                    s.write(np.full(64, made * 1000 + n))
        print("done")
    """)
    maker.expect("ready")
    reader = fb.open("image")
    maker.send()
    last = 0
    while last < 200_000:
        frame = reader.read_next(timeout_s=60)
        assert len(set(frame.data)) == 1
        assert frame.data[0] >= last
        assert frame.data[0] % 1000 == frame.count - 1
        last = int(frame.data[0])
    assert maker.wait() == 0
    assert reader.statistics().recreated > 0


def test_c_maker_that_takes_its_time(shm_dir: Path) -> None:
    """A C program's new file has its name before it is complete: until then the old stream stays what it was."""
    path = shm_dir / "image.im.shm"
    make("c", path, (2, 3))
    write("c", path, 1)
    reader = fb.open("image")
    complete = path.read_bytes()
    path.unlink()
    for part in (b"", complete[:100], bytes(len(complete)), bytes(32) + complete[32:]):
        path.write_bytes(part)
        with pytest.raises(WaitTimeout):
            reader.read_next(timeout_s=0.001)
        assert reader.read()[0, 0] == 1
    with path.open("r+b") as file:
        file.write(complete[:32])
    write("c", path, 2)
    frame = reader.read_next()
    assert (frame.count, frame.data[0, 0]) == (2, 2)


@pytest.mark.parametrize("mode", ["auto", "futex", "semaphore", "poll"])
def test_removed_while_waiting(mode: str, spawn: Spawner) -> None:
    """A reader goes on waiting for a stream of the name; nothing spins meanwhile."""
    s = fb.create("image", shape=(2, 3), dtype="int32")
    process = spawn(READER, "read_next", mode, "0")
    process.expect("ready")
    s.remove()
    fb.create("image", shape=(2, 3), dtype="int32", keywords={"MADE": 7}).write(np.full((2, 3), 5))
    assert process.expect("got") == "got 1 5 1 7"


def test_waiting_for_a_removed_stream_is_done_asleep(spawn: Spawner) -> None:
    s = fb.create("image", shape=3)
    process = spawn("""
        import resource
        import framebus as fb
        from framebus.errors import WaitTimeout
        s = fb.open("image")
        print("ready")
        input()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
        try:
            s.read_next(timeout_s=0.2)
        except WaitTimeout as error:
            print("timeout", error)
        print("slept", resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before)
    """)
    process.expect("ready")
    s.remove()
    process.send()
    assert process.expect("timeout").endswith("; the stream was removed")
    assert int(process.expect("slept").split()[1]) > 5


def test_a_writer_whose_name_went_to_something_else_is_told(shm_dir: Path) -> None:
    s = fb.create("image", shape=(2, 3))
    s.path.unlink()
    s.path.write_bytes(b"no stream at all")
    frame = np.zeros((2, 3), np.float32)

    def write_on() -> None:
        while True:  # for a moment it may be one that is being made
            s.write(frame)

    with pytest.raises(StreamRecreated, match="replaced by a file that is no stream"):
        write_on()
    s.path.unlink()
    again = fb.create("image", shape=(2, 3))
    assert s.write(frame) == again.count == 1


SHORTENED = """
    import os, sys
    import numpy as np
    import framebus as fb
    path, dialect, history, how = sys.argv[1:]
    s = fb.create(path, shape=(64, 64), dialect=dialect, history=int(history))
    reader = fb.open(path)
    for n in range(1, 9):
        s.write(np.full((64, 64), n))
    if how == "loop":
        from framebus.unit import Stage, start
        from framebus.unit.copying import copy
        from framebus.process import State
        loop = start(Stage(copy, {"source": path, "target": "twin"}))
    os.truncate(path, 0 if how != "half" else os.path.getsize(path) // 2)
    for read in (reader.read, lambda timeout_s: reader.read_next(timeout_s=timeout_s, spin_us=float("inf")).data):
        try:
            data = read(timeout_s=0.2)
            assert how == "half" and data.min() == data.max() > 0, data
        except TimeoutError as error:
            print(error)
    if how == "loop":
        assert loop.record.state is State.RUNNING, loop.record.state
        loop.stop()
        fb.open("twin").remove()
    again = fb.create(path, shape=(64, 64), dialect=dialect)
    again.write(np.full((64, 64), 77))
    assert reader.read_next(timeout_s=5.0).data[0, 0] == 77
    again.remove()
    print("lives")
"""


@pytest.mark.parametrize("how", ["empty", "half", "loop"])
@pytest.mark.parametrize("history", [0, 4])
@pytest.mark.parametrize("dialect", ["isio", "dao"])
def test_a_file_that_is_shortened_ends_nobody(
    dialect: str, history: int, how: str, shm_dir: Path, dao_name: str, spawn: Spawner
) -> None:
    program = spawn(SHORTENED, str(shm_dir / f"{dao_name}.im.shm"), dialect, str(history), how)
    program.expect("lives")
