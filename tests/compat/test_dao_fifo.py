"""DAO's FIFO as its documentation and its C library define it, in plain NumPy; ``dao.shm`` does the same."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from framebus.compat import dao
from support.dao_writer import DaoStream

Array = npt.NDArray[np.int32]
SHAPE = (2, 3)


def numbered(n: int) -> Array:
    return np.arange(n, n + 6, dtype=np.int32).reshape(SHAPE)


class Fifo:
    """The shared side: slots that are filled in turn, each with the count of its frame."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.frames = np.zeros((depth, *SHAPE), np.int32)
        self.counts = np.zeros(depth, np.int64)
        self.last = depth - 1

    def write(self, frame: Array) -> None:
        count = self.counts[self.last] + 1
        self.last = (self.last + 1) % self.depth
        self.frames[self.last] = frame
        self.counts[self.last] = count

    def newest(self) -> Array:
        frame: Array = self.frames[self.last]
        return frame

    def history(self, n: int) -> Array:
        return self.frames[[(self.last - back) % self.depth for back in reversed(range(n))]]


class Tail:
    """The reader's side: the slot that was read last, and its count then."""

    def __init__(self, fifo: Fifo) -> None:
        self.fifo = fifo
        self.reset()

    def reset(self) -> None:
        self.slot, self.count = self.fifo.last, self.fifo.counts[self.fifo.last]

    def next(self) -> tuple[int, Array | None]:
        fifo = self.fifo
        if self.slot == fifo.last and self.count == fifo.counts[fifo.last]:
            return -3, None
        self.slot, self.count = (self.slot + 1) % fifo.depth, self.count + 1
        if fifo.counts[self.slot] == self.count:
            return 0, fifo.frames[self.slot]
        self.reset()
        return -2, fifo.newest()

    def overwritten(self) -> int:
        return 0 if self.fifo.counts[self.slot] == self.count else -2


def check_next(found: tuple[int, npt.NDArray[np.int32] | None], expected: tuple[int, Array | None]) -> None:
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])


class Machine(RuleBasedStateMachine):
    """A writer and a reader, each with its handle; the reader opens anew now and then."""

    folder: Path
    names: itertools.count[int]
    prefix: str
    foreign: bool

    @initialize(depth=st.integers(1, 5), written=st.integers(0, 7))
    def make(self, depth: int, written: int) -> None:
        self.path = self.folder / f"{self.prefix}{next(self.names)}.im.shm"
        self.fifo = Fifo(depth)
        self.number = 0
        self.theirs: DaoStream | None = None
        self.writer: dao.shm | None = None
        if self.foreign:
            self.theirs = DaoStream.create(self.path, SHAPE, np.int32, depth=depth)
        else:
            self.tail = Tail(self.fifo)
            self.writer = dao.shm(self.path, numbered(0), depth=depth)
            self.fifo.write(numbered(0))
            check_next(self.writer.get_data_next(), self.tail.next())  # its own first frame
        for _ in range(written):
            self.write()
        self.reader = dao.shm(self.path)
        self.tail = Tail(self.fifo)

    @rule()
    def write(self) -> None:
        self.number += 10
        if self.theirs is not None:
            self.theirs.write(numbered(self.number))
        else:
            assert self.writer is not None
            self.writer.set_data(numbered(self.number))
        self.fifo.write(numbered(self.number))

    @rule(extra=st.integers(-1, 1))
    def fill(self, extra: int) -> None:
        """One less than the FIFO holds, exactly as many, one more."""
        for _ in range(self.fifo.depth + extra):
            self.write()

    @rule()
    def next(self) -> None:
        check_next(self.reader.get_data_next(), self.tail.next())

    @rule()
    def drain(self) -> None:
        while True:
            expected = self.tail.next()
            check_next(self.reader.get_data_next(), expected)
            if expected[0] == dao.DAO_NOTREADY:
                break

    @rule()
    def reset_tail(self) -> None:
        assert self.reader.reset_tail() == dao.DAO_SUCCESS
        self.tail.reset()

    @rule()
    def open_anew(self) -> None:
        self.reader.close()
        self.reader = dao.shm(self.path)
        self.tail = Tail(self.fifo)

    @rule(data=st.data())
    def history(self, data: st.DataObject) -> None:
        n = data.draw(st.integers(1, self.fifo.depth))
        np.testing.assert_array_equal(self.reader.get_history(n), self.fifo.history(n))

    @rule(index=st.integers(-12, 12))
    def arbitrary(self, index: int) -> None:
        expected = self.fifo.frames[index % self.fifo.depth]
        np.testing.assert_array_equal(self.reader.get_data_arbitrary(index), expected)
        metadata = self.reader.get_meta_data(index)
        assert metadata["cnt0"] == self.fifo.counts[index % self.fifo.depth]

    @rule()
    def metadata(self) -> None:
        metadata = self.reader.get_meta_data()
        assert metadata["cnt0"] == self.fifo.counts[self.fifo.last]
        assert (metadata["fifo_size"], metadata["fifo_last_written"]) == (self.fifo.depth, self.fifo.last)

    @invariant()
    def newest_and_overwritten(self) -> None:
        if hasattr(self, "reader"):
            np.testing.assert_array_equal(self.reader.get_data(), self.fifo.newest())
            assert self.reader.get_counter() == self.fifo.counts[self.fifo.last]
            assert self.reader.check_segment_overwrite() == self.tail.overwritten()

    def teardown(self) -> None:
        if hasattr(self, "reader"):
            for handle in (self.reader, self.writer, self.theirs):
                if handle is not None:
                    handle.close()
            dao.shm(self.path).stream.remove()


@pytest.mark.parametrize("foreign", [False, True], ids=["framebus writes", "DAO writes"])
def test_fifo_is_that_of_a_plain_model(foreign: bool, shm_dir: Path, dao_name: str) -> None:
    made = type(
        "Here",
        (Machine,),
        {"folder": shm_dir, "prefix": dao_name, "names": itertools.count(), "foreign": foreign},
    )
    run_state_machine_as_test(
        made, settings=settings(deadline=None, max_examples=40, stateful_step_count=25, print_blob=True)
    )


# ---- the corners, each by itself -----------------------------------------------------------------------------------


@pytest.fixture
def path(shm_dir: Path, dao_name: str) -> Path:
    return shm_dir / f"{dao_name}.im.shm"


def both(path: Path, depth: int) -> tuple[dao.shm, dao.shm]:
    """A writer whose stream has one frame, and a reader that was there before it."""
    with DaoStream.create(path, SHAPE, np.int32, depth=depth):
        reader = dao.shm(path)
    return dao.shm(path), reader


def test_a_reader_of_a_stream_that_was_never_written_is_not_ready(path: Path) -> None:
    writer, reader = both(path, 3)
    assert reader.get_data_next() == (dao.DAO_NOTREADY, None)
    assert reader.check_segment_overwrite() == dao.DAO_SUCCESS
    np.testing.assert_array_equal(reader.get_data(), np.zeros(SHAPE, np.int32))
    writer.set_data(numbered(1))
    check_next(reader.get_data_next(), (dao.DAO_SUCCESS, numbered(1)))
    assert reader.get_data_next() == (dao.DAO_NOTREADY, None)


def test_a_fifo_that_is_exactly_full_loses_nothing(path: Path) -> None:
    writer, reader = both(path, 3)
    for n in (1, 2, 3):
        writer.set_data(numbered(n))
    assert reader.check_segment_overwrite() == dao.DAO_OVERWRITE  # the slot of the tail, not what comes next
    for n in (1, 2, 3):
        check_next(reader.get_data_next(), (dao.DAO_SUCCESS, numbered(n)))


def test_a_reader_that_is_lapped_goes_on_with_the_newest(path: Path) -> None:
    writer, reader = both(path, 3)
    for n in (1, 2, 3, 4):
        writer.set_data(numbered(n))
    check_next(reader.get_data_next(), (dao.DAO_OVERWRITE, numbered(4)))
    assert reader.get_data_next() == (dao.DAO_NOTREADY, None)
    writer.set_data(numbered(5))
    check_next(reader.get_data_next(), (dao.DAO_SUCCESS, numbered(5)))


def test_without_a_fifo_every_frame_but_the_next_is_an_overwrite(path: Path) -> None:
    writer, reader = both(path, 1)
    writer.set_data(numbered(1))
    check_next(reader.get_data_next(), (dao.DAO_SUCCESS, numbered(1)))
    writer.set_data(numbered(2))
    writer.set_data(numbered(3))
    check_next(reader.get_data_next(), (dao.DAO_OVERWRITE, numbered(3)))


def test_tails_are_their_handles_own(path: Path) -> None:
    writer, first = both(path, 4)
    second = first.twin()
    for n in (1, 2):
        writer.set_data(numbered(n))
    assert [first.get_data_next()[0] for _ in range(3)] == [0, 0, -3]
    assert [second.get_data_next()[0] for _ in range(3)] == [0, 0, -3]


def test_reading_the_newest_leaves_the_tail_alone(path: Path) -> None:
    writer, reader = both(path, 4)
    for n in (1, 2, 3):
        writer.set_data(numbered(n))
        reader.get_data(check=True)
        reader.get_history(4)
    check_next(reader.get_data_next(), (dao.DAO_SUCCESS, numbered(1)))


def test_a_slot_that_is_being_filled_counts_as_overwritten_and_its_frame_is_waited_for(path: Path) -> None:
    writer, reader = both(path, 2)
    for n in (1, 2):
        writer.set_data(numbered(n))
    check_next(reader.get_data_next(), (dao.DAO_SUCCESS, numbered(1)))
    assert reader.check_segment_overwrite() == dao.DAO_SUCCESS
    with DaoStream(path) as theirs:
        theirs.write_until("store", numbered(3))  # over frame 1
        assert reader.check_segment_overwrite() == dao.DAO_OVERWRITE
        check_next(reader.get_data_next(), (dao.DAO_SUCCESS, numbered(2)))
        np.testing.assert_array_equal(reader.get_history(1), [numbered(2)])
        for step in ("clear_write", "advance", "stamp", "count_frame", "post"):
            getattr(theirs, step)()
    np.testing.assert_array_equal(reader.get_data_arbitrary(0), numbered(3))
    check_next(reader.get_data_next(), (dao.DAO_SUCCESS, numbered(3)))
