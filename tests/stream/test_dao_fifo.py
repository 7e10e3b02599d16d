"""DAO's FIFO against a plain model: whoever writes, readers get each frame, or are told that they missed it."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import framebus as fb
from framebus.errors import DataError, UsageError, WaitTimeout
from framebus.stream import Stream
from framebus.stream.names import shm_directory
from support.dao_writer import DaoStream, semaphore_file

ELEMENTS = 6
SLOTS = 3
_numbers = itertools.count()


@dataclass
class Slot:
    """What the model knows of one slot."""

    count: int = 0
    pixels: list[int] = field(default_factory=lambda: [0] * ELEMENTS)
    packet: tuple[int, int, int, int] = (0, 0, 0, 0)
    frame_ids: dict[int, int] = field(default_factory=dict)


@dataclass
class Reader:
    stream: Stream
    cursor: int
    read: int = 0
    missed: int = 0


class Fifo(RuleBasedStateMachine):
    """Writers of both kinds take turns; readers of both kinds look whenever they like."""

    def __init__(self) -> None:
        super().__init__()
        self.path = shm_directory() / f"fb-test-fifo-{os.getpid()}-{next(_numbers)}-.im.shm"
        self.readers: list[Reader] = []

    @initialize(depth=st.integers(1, 5), maker=st.sampled_from(["framebus", "dao"]))
    def make(self, depth: int, maker: str) -> None:
        self.depth = depth
        if maker == "dao":
            DaoStream.create(self.path, (ELEMENTS,), "int64", depth=depth, keyword_slots=SLOTS).close()
        else:
            fb.create(
                self.path, shape=ELEMENTS, dtype="int64", history=depth, keyword_slots=SLOTS, dialect="dao"
            ).close()
        self.writer, self.dao = fb.open(self.path), DaoStream(self.path)
        self.slots = [Slot() for _ in range(depth)]
        self.last = depth - 1
        self.begun = False  # a frame in the only slot that nobody completed
        self.value = 100
        self.keywords: dict[str, int | float | str] = {}
        self.open_reader()

    # ---- the model ----

    @property
    def newest(self) -> int:
        return self.slots[self.last].count

    @property
    def next(self) -> Slot:
        return self.slots[(self.last + 1) % self.depth]

    def held(self) -> dict[int, list[int]]:
        """The frames that can be had, the oldest first."""
        if self.begun:
            return {}
        found = {s.count: s.pixels for s in self.slots if s.count and self.newest - s.count < self.depth}
        return dict(sorted(found.items()))

    def publish(self, pixels: list[int], count: int) -> None:
        slot = self.next
        slot.count, slot.pixels = count, pixels
        self.last = (self.last + 1) % self.depth
        self.begun = False

    def give_up(self, pixels: list[int]) -> None:
        self.next.pixels = pixels
        if self.depth == 1 and self.newest:
            self.begun = True
        else:
            self.next.count = 0

    def pixels(self) -> list[int]:
        self.value += 1
        return [self.value] * ELEMENTS

    # ---- writers ----

    @rule(jump=st.sampled_from([0, 0, 0, 1, 2, 7, 10**6]))
    def framebus_writes(self, jump: int) -> None:
        pixels, count = self.pixels(), self.newest + 1 + jump
        assert self.writer.write(pixels, count=count if jump else None) == count
        self.publish(pixels, count)

    @rule(n=st.integers(1, 7))
    def dao_writes(self, n: int) -> None:
        for _ in range(n):
            pixels, count = self.pixels(), self.newest + 1
            assert self.dao.write(np.array(pixels)) == count
            self.publish(pixels, count)

    @rule(n=st.integers(1, 7))
    def framebus_writes_in_place(self, n: int) -> None:
        for _ in range(n):
            previous, pixels = self.slots[self.last].pixels, self.pixels()
            with self.writer.writing() as view:
                assert not self.newest or view.tolist() == previous
                view[:] = pixels
            self.publish(pixels, self.newest + 1)

    @rule(part=st.integers(0, ELEMENTS))
    def framebus_fails_in_place(self, part: int) -> None:
        base = self.slots[self.last].pixels if self.newest else self.next.pixels
        with pytest.raises(ZeroDivisionError):
            self._fail(part)
        self.give_up([self.value] * part + base[part:])

    def _fail(self, part: int) -> None:
        self.value += 1
        with self.writer.writing() as view:
            view[:part] = self.value
            raise ZeroDivisionError

    @rule(
        packets=st.lists(st.integers(0, 2), max_size=5),
        incomplete=st.sampled_from(["raise", "drop", "publish"]),
        frame_id=st.integers(0, 2**64 - 1),
    )
    def framebus_assembles(self, packets: list[int], incomplete: str, frame_id: int) -> None:
        pixels = list(self.slots[self.last].pixels if self.newest else self.next.pixels)
        slot, complete = self.next, set(packets) == {0, 1, 2}
        parts = self.writer.assemble(3, frame_id=frame_id, incomplete=incomplete)  # type: ignore[arg-type]
        try:
            with parts:
                for packet in packets:
                    self.value += 1
                    parts.put(packet, [self.value] * 2, position=2 * packet)
                    pixels[2 * packet : 2 * packet + 2] = [self.value] * 2
                    slot.packet, slot.frame_ids[packet] = (2 * packet, 2, packet, 3), frame_id
                assert parts.missing == sorted({0, 1, 2} - set(packets))
        except DataError:
            assert incomplete == "raise"
            assert not complete
        if complete or incomplete == "publish":
            assert parts.count == self.newest + 1
            self.publish(pixels, self.newest + 1)
        else:
            assert parts.count == 0
            self.give_up(pixels)

    @rule(packets=st.permutations([0, 1, 2]), frame_id=st.integers(0, 2**64 - 1))
    def dao_assembles(self, packets: list[int], frame_id: int) -> None:
        pixels, slot = self.pixels(), self.next
        for packet in packets:
            self.dao.put_packet(np.array(pixels[:2]), 2 * packet, packet, 3, frame_id)
            slot.packet, slot.frame_ids[packet] = (2 * packet, 2, packet, 3), frame_id
        count = self.newest + 1
        assert self.dao.finish() == count
        self.publish(pixels, count)

    # ---- readers ----

    @precondition(lambda self: len(self.readers) < 4)
    @rule()
    def open_reader(self) -> None:
        self.readers.append(Reader(fb.open(self.path), self.newest))

    @rule(data=st.data(), newest=st.booleans())
    def read_next(self, data: st.DataObject, newest: bool) -> None:
        reader = data.draw(st.sampled_from(self.readers))
        coming = [count for count in self.held() if count > reader.cursor]
        if not coming:
            with pytest.raises(WaitTimeout):
                reader.stream.read_next(timeout_s=0, newest=newest)
            return
        # The oldest of a full FIFO is given once the DAO program has been quiet for a moment.
        frame = reader.stream.read_next(timeout_s=5, newest=newest)
        expected = coming[-1] if newest else coming[0]
        assert (frame.count, frame.missed) == (expected, expected - reader.cursor - 1)
        assert frame.data.tolist() == self.held()[expected]
        self._took(reader, frame.count)

    def _took(self, reader: Reader, count: int) -> None:
        reader.missed += max(0, count - reader.cursor - 1)
        reader.read += 1
        reader.cursor = count

    @rule(data=st.data())
    def read(self, data: st.DataObject) -> None:
        reader = data.draw(st.sampled_from(self.readers))
        if not self.held():
            with pytest.raises(WaitTimeout):
                reader.stream.read(timeout_s=0)
            return
        assert reader.stream.read(timeout_s=0).tolist() == self.held()[self.newest]
        self._took(reader, self.newest)

    @rule(data=st.data())
    def skip(self, data: st.DataObject) -> None:
        reader = data.draw(st.sampled_from(self.readers))
        assert reader.stream.skip_to_newest() == self.newest
        reader.cursor = self.newest

    @rule()
    def look_in_place(self) -> None:
        if not self.held():
            return
        view = self.readers[0].stream.latest(timeout_s=0)
        assert (view.count, view.data.tolist()) == (self.newest, self.held()[self.newest])
        assert view.still_valid()
        for _ in range(self.depth + 1):
            self.dao_writes(1)
            # The oldest of a DAO program's is not vouched for while that may be in the middle of the next.
            assert view.still_valid() <= (view.count in self.held())

    @rule()
    def dao_reads(self) -> None:
        """A DAO program's tail never takes a frame for another one."""
        if self.begun:
            return
        for _ in range(self.depth + 1):
            status, pixels = self.dao.next_segment()
            if status == "not ready":
                assert self.dao.tail_count == self.newest
                return
            assert pixels.tolist() == self.held().get(self.dao.tail_count, pixels.tolist())
            assert not self.dao.overwritten()

    # ---- keywords ----

    @rule(
        name=st.sampled_from("ABCDE"),
        value=st.one_of(
            st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), st.text("aé", max_size=8)
        ),
    )
    def set_keyword(self, name: str, value: float | str) -> None:
        if name not in self.keywords and len(self.keywords) == SLOTS:
            with pytest.raises(UsageError, match="slots of the stream are taken"):
                self.writer.keywords[name] = value
            return
        self.writer.keywords[name] = value
        self.keywords[name] = value

    @rule(name=st.sampled_from("ABCDE"))
    def delete_keyword(self, name: str) -> None:
        if name not in self.keywords:
            with pytest.raises(KeyError):
                del self.writer.keywords[name]
            return
        del self.writer.keywords[name]
        del self.keywords[name]

    # ---- what always holds ----

    @invariant()
    def all_that_is_held_is_given(self) -> None:
        stream, held = self.readers[0].stream, self.held()
        assert stream.count == self.dao.count == self.newest
        assert [(f.count, f.data.tolist()) for f in stream.history()] == list(held.items())
        assert stream.times()[:, 0].tolist() == list(held)

    @invariant()
    def packets_of_the_coming_frame(self) -> None:
        state, slot = self.readers[0].stream.packets(), self.next
        assert state[:4] == slot.packet
        assert state.frame_ids.tolist() == [slot.frame_ids.get(i, 0) for i in range(slot.packet[3])]

    @invariant()
    def keywords_are_the_same_for_all(self) -> None:
        assert dict(self.readers[-1].stream.keywords) == self.keywords
        assert {k[0]: k[2] for k in self.dao.keywords()} == self.keywords

    @invariant()
    def every_frame_is_read_or_missed(self) -> None:
        for reader in self.readers:
            seen = reader.stream.statistics()
            assert (seen.cursor, seen.frames_read, seen.frames_missed) == (
                reader.cursor,
                reader.read,
                reader.missed,
            )

    def teardown(self) -> None:
        if not self.readers:
            return
        for reader in self.readers:
            reader.stream.close()
        self.dao.close()
        self.writer.remove()
        assert not list(Path("/dev/shm").glob(f"{semaphore_file(self.path, 0).name[:-2]}*"))


TestFifo = pytest.mark.usefixtures("shm_dir")(Fifo.TestCase)
TestFifo.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
