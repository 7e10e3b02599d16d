"""Writers of DAO streams that die between any two steps of a frame: nobody reads the half of it, the next goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

import framebus as fb
from framebus.errors import WaitTimeout
from framebus.stream import Frame, Stream
from support.dao_writer import ATIME, CNT0, FIFO_LAST, HEADER, STEPS, WRITE, DaoStream, Step
from support.processes import Spawner

FB_BUSY, FB_COUNT = 105, 196
"""framebus' mark on a slot that it is changing, and the last count that it published (of slot 0)."""

Kind = Literal["framebus", "dao"]
SIZE = 8
HALF_A_FRAME = 99


def full(value: int) -> np.ndarray:
    return np.full(SIZE, value)


def die_as_dao(d: DaoStream, at: Step | Literal["half"]) -> None:
    """A DAO program that ends after this step of a frame."""
    if at == "half":
        d.begin()
        d.store(full(HALF_A_FRAME), part=0.5)
    else:
        d.write_until(at, full(HALF_A_FRAME))


def die_as_framebus(d: DaoStream, at: Step | Literal["half"]) -> None:
    """A writer of framebus that ends after the same step: it leaves its mark, and says what it is about to count."""
    slot, count = d.next_slot, d.count + 1
    d.view[slot * HEADER + FB_BUSY] = 1 + count % 255
    die_as_dao(d, "stamp" if at == "count_frame" else at)
    if at in ("stamp", "count_frame"):
        d.u32[FB_COUNT // 4] = count
    if at == "count_frame":
        d.u64[(slot * HEADER + CNT0) // 8] = count


def wholes(frames: list[Frame]) -> list[tuple[int, set[int]]]:
    return [(f.count, set(f.data.tolist())) for f in frames]


@pytest.fixture
def path(shm_dir: Path, dao_name: str) -> Path:
    return shm_dir / f"{dao_name}.im.shm"


def prepared(path: Path, depth: int, first: Kind) -> None:
    """A stream of that depth in which three frames were written, each full of its own count."""
    if first == "dao":
        with DaoStream.create(path, (SIZE,), "int64", depth=depth) as d:
            for n in range(1, 4):
                d.write(full(n))
    else:
        with fb.create(path, shape=SIZE, dtype="int64", history=depth, dialect="dao") as s:
            for n in range(1, 4):
                s.write(full(n))


def check_half(path: Path, depth: int, at: str) -> None:
    """What every kind of read gives while the half frame stands there."""
    fresh = fb.open(path)
    if depth == 1:
        assert fresh.history() == []
        for read in (fresh.read, fresh.latest):
            with pytest.raises(WaitTimeout, match=r"count 3, .*, and a frame was begun and not finished$"):
                read(timeout_s=0)
    else:
        assert fresh.count == 3
        assert set(fresh.read()) == {3}
        latest = fresh.latest()
        assert (latest.count, set(latest.data), latest.still_valid()) == (3, {3}, True)
        assert wholes(fresh.history()) == [(n, {n}) for n in range(max(1, 5 - depth), 4)], at
        assert fresh.times()[:, 0].tolist() == list(range(max(1, 5 - depth), 4))
    fresh.skip_to_newest()
    with pytest.raises(WaitTimeout, match="no new frame"):
        fresh.read_next(timeout_s=0)
    fresh.close()


def check_goes_on(then: Kind, path: Path, readers: list[Stream], first: int) -> None:
    """A next writer's frames all arrive, at readers that were there and at new ones."""
    depth = max(1, readers[0].history_length)
    with DaoStream(path) as d, fb.open(path) as s:
        for n in range(first, first + 2 * depth + 3):
            assert (s.write if then == "framebus" else d.write)(full(n)) == n
            for reader in readers:
                frame = reader.read_next(timeout_s=0)
                assert (frame.count, set(frame.data)) == (n, {n})
                assert set(reader.read(timeout_s=0)) == {n}
                assert all(held == {count} for count, held in wholes(reader.history()))
            with fb.open(path) as late:
                assert set(late.read(timeout_s=0)) == {n}
            assert (d.count, d.pixels().tolist()) == (n, [n] * SIZE)
        assert wholes(readers[0].history()) == [(k, {k}) for k in range(n - depth + 1, n + 1)]
        assert not any(d.writing(slot) for slot in range(depth))


IN_FRAME: list[Step | Literal["half"]] = ["begin", "half", "store"]


@pytest.mark.parametrize("then", ["framebus", "dao"])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("at", IN_FRAME)
@pytest.mark.parametrize("kind", ["framebus", "dao"])
def test_half_a_frame(kind: Kind, at: Step | Literal["half"], depth: int, then: Kind, path: Path) -> None:
    prepared(path, depth, kind)
    reader = fb.open(path)
    with DaoStream(path) as d:
        (die_as_dao if kind == "dao" else die_as_framebus)(d, at)
    check_half(path, depth, at)
    check_goes_on(then, path, [reader, fb.open(path)], 4)
    assert reader.statistics().frames_missed == 0


# Behind these a slot looks as if it still held the frame whose count it has.
UNCOUNTED: list[Step] = ["clear_write", "advance", "stamp"]


@pytest.mark.parametrize("depth", [2, 4])
@pytest.mark.parametrize("at", UNCOUNTED)
@pytest.mark.parametrize("newest_is", ["framebus", "dao"])
@pytest.mark.parametrize("kind", ["framebus", "dao"])
def test_frame_that_was_never_counted(kind: Kind, newest_is: Kind, at: Step, depth: int, path: Path) -> None:
    """Nobody takes its pixels for another frame's. (Of a DAO program's that shows once the FIFO has moved.)"""
    prepared(path, depth, kind)
    with fb.open(path) as s, DaoStream(path) as d:
        for n in range(4, 4 + depth):
            (d.write if newest_is == "dao" else s.write)(full(n))
        (die_as_dao if kind == "dao" else die_as_framebus)(d, at)
    reader = fb.open(path)
    assert reader.count == n
    assert set(reader.read()) == {n}
    if kind == "framebus" or at != "clear_write":
        held = wholes(reader.history())
        assert held == [(k, {k}) for k in range(n - depth + 2, n + 1)]
        assert reader.times()[:, 0].tolist() == [k for k, _ in held]
        reader.handle.cursor = 0
        assert wholes(list(reader.frames(len(held), timeout_s=0))) == held
        view = reader.latest()
        assert (view.count, set(view.data), view.still_valid()) == (n, {n}, True)


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("at", UNCOUNTED)
@pytest.mark.parametrize("kind", ["framebus", "dao"])
def test_framebus_goes_on_after_a_frame_that_was_never_counted(
    kind: Kind, at: Step, depth: int, path: Path
) -> None:
    prepared(path, depth, kind)
    reader = fb.open(path)
    with DaoStream(path) as d:
        (die_as_dao if kind == "dao" else die_as_framebus)(d, at)
    with fb.open(path) as s:
        for n in range(4, 4 + 3 * depth):
            assert s.write(full(n)) == n
            frame = reader.read_next(timeout_s=0)
            assert (frame.count, frame.missed, set(frame.data)) == (n, 0, {n})
            assert all(held == {count} for count, held in wholes(reader.history()) if count > 3)
        assert wholes(reader.history()) == [(k, {k}) for k in range(n - depth + 1, n + 1)]


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("at", UNCOUNTED)
@pytest.mark.parametrize("kind", ["framebus", "dao"])
def test_dao_goes_on_after_a_frame_that_was_never_counted(
    kind: Kind, at: Step, depth: int, path: Path
) -> None:
    """Its counter may fall back by the FIFO's depth then; all the same every frame from there on arrives, in order."""
    prepared(path, depth, kind)
    reader = fb.open(path)
    with DaoStream(path) as d:
        (die_as_dao if kind == "dao" else die_as_framebus)(d, at)
        written = [1000 + n for n in range(3 * depth)]
        for value in written:
            d.write(full(value))
            assert set(reader.read(timeout_s=0)) == {value}
            assert reader.count == d.count
        readers = reader, fb.open(path)
        for value in (5000, 5001, 5002):
            d.write(full(value))
            for each in readers:
                frame = each.read_next(timeout_s=0)
                assert (frame.count, frame.missed, set(frame.data)) == (d.count, 0, {value})


@pytest.mark.parametrize("then", ["framebus", "dao"])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("kind", ["framebus", "dao"])
def test_frame_that_was_counted_and_not_announced(kind: Kind, depth: int, then: Kind, path: Path) -> None:
    prepared(path, depth, kind)
    with DaoStream(path) as d:
        (die_as_dao if kind == "dao" else die_as_framebus)(d, "count_frame")
        assert d.count == 4
    reader = fb.open(path)
    assert reader.count == 4
    if kind == "dao":
        assert set(reader.read(timeout_s=0)) == {HALF_A_FRAME}
    with DaoStream(path) as d, fb.open(path) as s:
        for n in range(5, 5 + 2 * depth):
            assert (s.write if then == "framebus" else d.write)(full(n)) == n
            frame = reader.read_next(timeout_s=0)
            assert (frame.count, set(frame.data)) == (n, {n})
    assert wholes(reader.history()) == [(k, {k}) for k in range(n - depth + 1, n + 1)]


# ---- real deaths -------------------------------------------------------------------------------------------

VICTIM = """
    import sys
    import numpy as np
    import framebus as fb
    from support.dao_writer import DaoStream
    path, how = sys.argv[1:]
    if how == "dao":
        d = DaoStream(path)
        d.begin()
        d.store(np.full(8, 99), part=0.5)
    else:
        s = fb.open(path)
        s.handle.begin_write()
        if how == "packets":
            s.handle.put(np.full(4, 99), 0, 0, 2, 4711)
    print("half")
    input()
"""


@pytest.mark.parametrize("then", ["framebus", "dao"])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("how", ["dao", "in place", "packets"])
def test_killed_amid_a_frame(how: str, depth: int, then: Kind, path: Path, spawn: Spawner) -> None:
    prepared(path, depth, "dao" if how == "dao" else "framebus")
    reader = fb.open(path)
    victim = spawn(VICTIM, str(path), how)
    victim.expect("half")
    victim.kill()
    check_half(path, depth, how)
    check_goes_on(then, path, [reader, fb.open(path)], 4)


def test_steps_are_daos() -> None:
    """The imitation's steps are the ones that are tried here; the two words of framebus lie between DAO's fields."""
    assert set(STEPS) == {"begin", "store", *UNCOUNTED, "count_frame", "post"}
    assert not {FB_BUSY, FB_COUNT} & {ATIME, CNT0, WRITE, FIFO_LAST}


@pytest.fixture(params=["framebus", "dao"])
def next_writer(request: pytest.FixtureRequest) -> Callable[[Path, int], None]:
    def write(path: Path, value: int) -> None:
        if request.param == "framebus":
            with fb.open(path) as s:
                s.write(full(value))
        else:
            with DaoStream(path) as d:
                d.write(full(value))

    return write


def fail_to_write(s: Stream) -> None:
    with s.writing() as view:
        view[:3] = HALF_A_FRAME
        raise ZeroDivisionError


@pytest.mark.parametrize("depth", [1, 3])
def test_frame_that_was_given_up(depth: int, path: Path, next_writer: Callable[[Path, int], None]) -> None:
    """``writing`` whose block raises, and ``assemble`` that drops: the next writer's frame is there at once."""
    s = fb.create(path, shape=SIZE, dtype="int64", history=depth, dialect="dao")
    reader = fb.open(path)
    for n in range(1, 10):
        if n % 2:
            with pytest.raises(ZeroDivisionError):
                fail_to_write(s)
        else:
            with s.assemble(2, incomplete="drop") as parts:
                parts.put(1, [HALF_A_FRAME], position=5)
        next_writer(path, n)
        frame = reader.read_next(timeout_s=0)
        assert (frame.count, frame.missed, set(frame.data)) == (n, 0, {n})
        assert all(held == {count} for count, held in wholes(reader.history()))
