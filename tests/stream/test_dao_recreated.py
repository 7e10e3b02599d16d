"""DAO streams that are made anew: in place, as DAO's library does, or in a new file; and their removal."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.errors import StreamExists, StreamRecreated, WaitTimeout
from support.dao_writer import SEMAPHORES, DaoStream, semaphore_file
from support.processes import Spawned, Spawner

READER = """
    import sys
    import framebus as fb
    from framebus.errors import FramebusError
    path, wait, mode, spin = sys.argv[1:]
    s = fb.open(path)
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
SHAPE = (2, 3)


@pytest.fixture
def path(shm_dir: Path, dao_name: str) -> Path:
    return shm_dir / f"{dao_name}.im.shm"


def make(
    by: str, path: Path, shape: tuple[int, ...] = SHAPE, dtype: str = "int32", made: int = 0, depth: int = 2
) -> None:
    if by == "dao":
        DaoStream.create(path, shape, dtype, depth=depth, keywords=[("MADE", "L", made, "")]).close()
    else:
        dialect = "isio" if by == "isio" else "dao"
        fb.create(
            path, shape=shape, dtype=dtype, history=depth, keywords={"MADE": made}, dialect=dialect
        ).close()


def write(by: str, path: Path, value: int) -> None:
    if by == "dao":
        with DaoStream(path) as d:
            d.write(np.full(d.shape, value))
    else:
        with fb.open(path) as s:
            s.write(np.full(s.shape, value))


def waiting_readers(spawn: Spawner, path: Path) -> list[Spawned]:
    kinds = [("read_next", "auto"), ("wait_newer", "semaphore"), ("read", "poll")]
    started = [spawn(READER, str(path), *kind, "0") for kind in kinds]
    for process in started:
        process.expect("ready")
    return started


# ---- followed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "then"), [("dao", "dao"), ("framebus", "dao"), ("dao", "framebus")])
def test_waiting_readers_follow_to_a_stream_of_the_same_shape(
    first: str, then: str, path: Path, spawn: Spawner
) -> None:
    make(first, path, made=1)
    waiting = waiting_readers(spawn, path)
    make(then, path, made=2)
    write(then, path, 41)
    for process in waiting:
        assert process.expect("got") == "got 1 41 1 2"
    for process in waiting[:-1]:
        process.kill()
    assert waiting[-1].wait() == 0


@pytest.mark.parametrize("depth", [1, 3])
def test_a_stream_of_another_depth_is_followed(depth: int, path: Path) -> None:
    make("dao", path, depth=2)
    reader, writer = fb.open(path), fb.open(path)
    write("dao", path, 1)
    assert reader.read_next().count == 1
    make("dao", path, depth=depth)
    for n in range(1, 6):
        assert writer.write(np.full(SHAPE, n)) == n
    held = [(f.count, f.data[0, 0]) for f in reader.frames(depth)]
    assert held == [(n, n) for n in range(6 - depth, 6)]
    assert reader.history_length == (depth if depth > 1 else 0)
    assert (reader.statistics().recreated, writer.statistics().recreated) == (1, 1)


@pytest.mark.parametrize("shape", [(3, 2), (6,), (2, 3, 1), (40, 50), (1,)])
@pytest.mark.parametrize("by", ["dao", "framebus"])
def test_readers_are_told_of_another_shape(by: str, shape: tuple[int, ...], path: Path) -> None:
    make(by, path)
    write(by, path, 1)
    handles = [fb.open(path) for _ in range(5)]
    for handle in handles:
        handle.skip_to_newest()
    make(by, path, shape)
    for use in (handles[0].read_next, handles[1].read, handles[2].latest, handles[3].wait_newer):
        with pytest.raises(StreamRecreated, match="was made anew with another shape or dtype"):
            use(timeout_s=60)
    with pytest.raises(StreamRecreated, match="was made anew with another shape or dtype"):
        handles[4].write(np.zeros(SHAPE, np.int32))
    assert fb.open(path).count == 0


def test_another_dtype_is_another_stream(path: Path) -> None:
    make("dao", path)
    reader = fb.open(path)
    make("dao", path, dtype="float32")
    with pytest.raises(StreamRecreated, match="another shape or dtype"):
        reader.read_next()


@pytest.mark.parametrize(("first", "then"), [("dao", "isio"), ("framebus", "isio"), ("isio", "framebus")])
def test_a_stream_of_the_other_format_is_followed(first: str, then: str, path: Path) -> None:
    make(first, path, made=1)
    reader, writer = fb.open(path), fb.open(path)
    write(first, path, 1)
    assert reader.read_next().data[0, 0] == 1
    make(then, path, made=2)
    assert writer.write(np.full(SHAPE, 2)) == 1
    frame = reader.read_next()
    assert (frame.count, frame.data[0, 0], reader.keywords["MADE"]) == (1, 2, 2)


def test_frames_that_dao_made_anew_in_place_are_whole_and_in_order(path: Path) -> None:
    """One maker after the other in the same file; a handle reads on, and never gives a frame of an earlier one."""
    make("dao", path, (64,), "int64")
    reader = fb.open(path)
    for made in range(1, 41):
        with DaoStream.create(path, (64,), "int64", depth=1 + made % 4) as d:
            for n in range(1 + made % 3):
                d.write(np.full(64, made * 1000 + n))
                frame = reader.read_next()
                assert set(frame.data) == {made * 1000 + n}
                assert (frame.count, frame.missed) == (n + 1, 0)
    assert reader.statistics().recreated == 40


# ---- in place, with users in the middle of something -------------------------------------------------------

SURVIVOR = """
    import sys
    import framebus as fb
    from framebus.errors import FramebusError
    s = fb.open(sys.argv[1])
    view = s.latest()
    print("ready")
    input()
    for use in sys.argv[2:]:
        print("next", use)
        try:
            eval(use)
        except FramebusError as error:
            print("told", type(error).__name__)
    print("alive")
"""
USES = [
    "s.header()",
    "dict(s.keywords)",
    "s.keywords.set('NEW', 1)",
    "s.packets()",
    "s.history()",
    "s.times()",
    "view.still_valid()",
    "view.data.sum()",
    "(s.statistics(), repr(s), s.count, s.skip_to_newest())",
    "s.handle.put(view.data[:1], 0, 0, 2, 0)",
    "s.read(timeout_s=0.1)",
    "s.header()",
    "s.remove()",
]


def test_a_handle_of_a_stream_that_became_smaller_ends_no_process(path: Path, spawn: Spawner) -> None:
    """What the old file had beyond the new one's end is gone; the kernel tells who touches it by a signal."""
    with DaoStream.create(path, (5000,), "int64", depth=8) as d:
        for n in range(10):
            d.write(np.full(5000, n))
    process = spawn(SURVIVOR, str(path), *USES)
    process.expect("ready")
    make("dao", path, (1,), depth=1)
    process.send()
    status = process.wait()
    assert status == 0, (process.lines[-1:], signal.Signals(-status).name if status < 0 else process.errors)
    process.expect("alive")
    assert not fb.open(path).history()


@pytest.mark.parametrize(("mode", "spin"), [("poll", "0"), ("auto", "inf")])
def test_a_reader_that_looks_all_the_time_survives(mode: str, spin: str, path: Path, spawn: Spawner) -> None:
    """For a moment the file is empty, whoever looks at it."""
    make("dao", path, (5000,), "int64", depth=3)
    reader = spawn(READER, str(path), "read_next", mode, spin)
    reader.expect("ready")
    for made in range(1, 41):
        make("dao", path, (5000,), "int64", depth=3, made=made)
        write("dao", path, made)
        reader.expect(f"got 1 {made} ")


def test_a_view_of_the_old_stream_is_not_valid_in_the_new_one(path: Path) -> None:
    """Though a frame of the same count lies in the same slot."""
    make("dao", path)
    write("dao", path, 1)
    view = fb.open(path).latest()
    assert view.still_valid()
    make("dao", path)
    assert not view.still_valid()
    write("dao", path, 1)
    assert not view.still_valid()


@pytest.mark.parametrize("shape", [SHAPE, (40, 50)])
def test_frame_begun_before_the_stream_is_made_anew_in_place_is_lost(
    shape: tuple[int, ...], path: Path
) -> None:
    """It has no file any more; above all it is not a frame of the new stream."""
    make("dao", path, depth=1)
    s = fb.open(path)

    def write() -> None:
        with s.writing() as view:
            view[0] = 7
            make("dao", path, shape, depth=1)

    with pytest.raises(StreamRecreated, match="made anew by another program"):
        write()
    assert fb.open(path).count == 0
    if shape == SHAPE:
        assert s.write(np.full(SHAPE, 2)) == 1
        assert (fb.open(path).read() == 2).all()


def test_packets_of_a_frame_begun_before_the_stream_is_made_anew_in_place(path: Path) -> None:
    make("dao", path, depth=2)
    s = fb.open(path)

    def assemble() -> None:
        with s.assemble(2) as parts:
            parts.put(0, [1, 1, 1], position=0)
            make("dao", path, depth=2)
            parts.put(1, [1, 1, 1], position=3)

    with pytest.raises(StreamRecreated, match="made anew by another program"):
        assemble()
    assert fb.open(path).count == 0


def test_dao_maker_that_takes_its_time(path: Path) -> None:
    """The file has its size before its header, and its header before its semaphores: until then nothing is there."""
    make("dao", path)
    write("dao", path, 1)
    reader = fb.open(path)
    reader.skip_to_newest()
    make("dao", path, made=2)
    complete = path.read_bytes()
    for cut in (80, 96, 112, 120, 4296):
        with path.open("r+b") as file:
            file.write(complete[:cut] + bytes(len(complete) - cut))
        with pytest.raises(WaitTimeout):
            reader.read_next(timeout_s=0.001)
    with path.open("r+b") as file:  # the number of semaphores comes when all else is there
        file.write(complete[:148] + bytes(2) + complete[150:])
    with pytest.raises(WaitTimeout):
        reader.read_next(timeout_s=0.001)
    with path.open("r+b") as file:
        file.write(complete)
    write("dao", path, 2)
    frame = reader.read_next()
    assert (frame.count, frame.data[0, 0], reader.keywords["MADE"]) == (1, 2, 2)


# ---- the end -----------------------------------------------------------------------------------------------


def semaphores_of(path: Path) -> list[str]:
    return sorted(file.name for file in Path("/dev/shm").glob(f"{semaphore_file(path, 0).name[:-2]}*"))


def test_removal_takes_the_semaphores_along(path: Path) -> None:
    s = fb.create(path, shape=SHAPE, dialect="dao")
    assert len(semaphores_of(path)) == SEMAPHORES + 1
    reader = fb.open(path)
    s.remove()
    assert not path.exists()
    assert semaphores_of(path) == []
    with pytest.raises(WaitTimeout, match=r"; the stream was removed$"):
        reader.read_next(timeout_s=0.01)
    again = fb.create(path, shape=SHAPE, dialect="dao")
    again.write(np.ones(SHAPE))
    assert reader.read_next().count == 1


@pytest.mark.parametrize("missing", [0, 3, 9])
def test_removal_finds_semaphores_behind_a_missing_one(missing: int, path: Path) -> None:
    s = fb.create(path, shape=SHAPE, dialect="dao")
    semaphore_file(path, missing).unlink()
    s.remove()
    assert semaphores_of(path) == []


def test_a_stream_of_the_other_format_takes_no_semaphores_over(path: Path) -> None:
    fb.create(path, shape=SHAPE, dialect="dao")
    fb.create(path, shape=SHAPE).remove()
    assert semaphores_of(path) == []


def test_a_stream_that_was_to_be_new_leaves_nothing(shm_dir: Path, dao_name: str) -> None:
    with fb.create(dao_name, shape=SHAPE), pytest.raises(StreamExists):
        fb.create(f"@N:{dao_name}", shape=SHAPE, dialect="dao")
    assert semaphores_of(shm_dir / f"{dao_name}.im.shm") == []


def test_of_two_handles_only_the_current_one_removes(path: Path) -> None:
    """What was made anew in place is another stream, with the same semaphores."""
    make("dao", path)
    old = fb.open(path)
    make("dao", path)
    old.remove()
    assert path.exists()
    assert len(semaphores_of(path)) == SEMAPHORES + 1
    fb.open(path).remove()
    assert semaphores_of(path) == []
