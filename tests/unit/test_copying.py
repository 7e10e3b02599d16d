"""Streams that are handed on, within a file format and from one to the other: nothing of a frame changes on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import framebus as fb
from framebus.errors import NameFormatError, UsageError
from framebus.stream import Stream
from framebus.unit import In, LoopOptions, Out, Stage, start, unit
from framebus.unit.copying import copy, make_target
from support import units
from support.waiting import until

FRAMES = 12
PATHS = [("isio", "dao"), ("dao", "isio"), ("isio", "isio"), ("dao", "dao")]
STAMP = 1_700_000_000_000_000_000


def frame_of(count: int, shape: tuple[int, ...] = (3, 5)) -> np.ndarray[Any, Any]:
    return np.full(shape, count, np.int32)


@pytest.fixture
def streams(dao_name: str, request: pytest.FixtureRequest) -> Iterator[tuple[Stream, Stream]]:
    """A source that has some frames already, and its target, of the formats that the test asks for."""
    source_dialect, target_dialect = request.param
    with ExitStack() as stack:
        source = fb.create(
            f"{dao_name}a",
            shape=(3, 5),
            dtype="int32",
            dialect=source_dialect,
            history=FRAMES,
            keywords={"RATE": (1000.0, "Hz"), "ID": "camera one"},
        )
        stack.callback(source.remove)
        for count in range(1, 6):
            source.write(frame_of(count))
        target = make_target(source, f"{dao_name}b", dialect=target_dialect)
        stack.callback(target.remove)
        yield source, target


def handed_on(stages: list[Stage], source: Stream, target: Stream) -> None:
    """Frames keep their pixels, their counts and their times, also where some never came to the copy."""
    with start(stages, LoopOptions(every_frame=True)) as loop:
        for count in range(6, 6 + FRAMES):
            source.write(frame_of(count), acquisition_ns=STAMP + count)
            frame = target.read_next()
            assert frame.data.tolist() == frame_of(count).tolist()
            assert (frame.count, frame.acquisition_ns) == (count, STAMP + count)
            assert frame.missed == (5 if count == 6 else 0), "those from before the copy began"
        source.write(frame_of(99), count=40)
        frame = target.read_next()
        assert (frame.count, frame.missed, frame.data[0, 0]) == (40, 22, 99)
        until(lambda: loop.record.loop_count == FRAMES + 1)


@pytest.mark.parametrize("streams", PATHS, indirect=True, ids="->".join)
def test_counts_and_times_are_kept(streams: tuple[Stream, Stream]) -> None:
    source, target = streams
    handed_on([Stage(copy, {"source": source.name, "target": target.name})], source, target)


@pytest.mark.parametrize("streams", PATHS[:2], indirect=True, ids="->".join)
def test_fused_with_other_units(streams: tuple[Stream, Stream], dao_name: str) -> None:
    source, target = streams
    stages = [
        Stage(copy, {"source": source.name, "target": f"{dao_name}c"}, name="first"),
        Stage(copy, {"source": f"{dao_name}c", "target": target.name}, name="second"),
        Stage(units.scale, {"image": target.name, "result": "tripled"}, {"gain": 3.0}),
    ]
    handed_on(stages, source, target)
    with fb.open("tripled") as tripled:
        # A unit that does not carry counts for itself, and knows the count of what it was made from.
        assert tripled.read().tolist() == (3 * frame_of(99)).tolist()
        assert (tripled.count, tripled.trace()[0].trigger_count) == (FRAMES + 1, 40)


def keywords_of(stream: Stream) -> dict[str, Any]:
    """Those that are there while another process removes some."""
    return {name: value for name in stream.keywords if (value := stream.keywords.get(name)) is not None}


@pytest.mark.parametrize("streams", PATHS, indirect=True, ids="->".join)
def test_keywords_follow(streams: tuple[Stream, Stream]) -> None:
    source, target = streams
    target.keywords.set("OWN", 7, "of the copy itself")
    assert dict(target.keywords) == {"RATE": 1000.0, "ID": "camera one", "OWN": 7}
    with start(Stage(copy, {"source": source.name, "target": target.name})):
        source.keywords["RATE"] = 500.0
        source.keywords.set("GAIN", 3, "of the amplifier")
        del source.keywords["ID"]
        until(lambda: keywords_of(target) == {"RATE": 500.0, "GAIN": 3, "OWN": 7})
        assert target.keywords.comment("RATE") == "Hz"
        assert target.keywords.comment("GAIN") == "of the amplifier"
        del source.keywords["GAIN"]
        until(lambda: keywords_of(target) == {"RATE": 500.0, "OWN": 7})


@pytest.mark.parametrize("streams", PATHS[:2], indirect=True, ids="->".join)
def test_more_keywords_than_there_is_room_for_are_told(streams: tuple[Stream, Stream]) -> None:
    source, target = streams
    small = fb.create(target.name, shape=(3, 5), dtype="int32", keyword_slots=1, dialect=target.dialect.name)
    with start(Stage(copy, {"source": source.name, "target": small.name})) as loop:
        until(lambda: "too few keyword slots" in loop.record.message)
        source.write(frame_of(6))
        assert small.read_next().count == 6
        assert dict(small.keywords) == {"RATE": 1000.0}
    small.close()


@pytest.mark.parametrize("streams", PATHS[:2], indirect=True, ids="->".join)
def test_a_source_that_counts_anew_does_not_stop_the_copy(streams: tuple[Stream, Stream]) -> None:
    source, target = streams
    with start(Stage(copy, {"source": source.name, "target": target.name})):
        source.write(frame_of(6))
        assert target.read_next().count == 6
        anew = fb.create(source.name, shape=(3, 5), dtype="int32", dialect=source.dialect.name)
        until(lambda: anew.write(frame_of(1)) and target.count > 6)
        frame = target.read_next()
        assert (frame.count, frame.data[0, 0]) == (7, 1)
        anew.close()


def test_what_a_copy_misses_its_readers_miss(dao_name: str) -> None:
    with (
        fb.create("fast", shape=(3, 5), dtype="int32") as source,
        make_target(source, f"{dao_name}slow", history=4) as target,
    ):
        for count in range(1, 4):
            source.write(frame_of(count))
        options = LoopOptions(trigger="once")
        with start(Stage(copy, {"source": "fast", "target": target.name}), options) as loop:
            loop.wait(60.0)
        assert [(f.count, f.data[0, 0]) for f in target.history()] == [(3, 3)]
        assert target.read_next().missed == 2
        target.remove()


class TestTarget:
    def test_is_of_the_other_format_unless_told(self, dao_name: str) -> None:
        with fb.create(f"{dao_name}isio", shape=2, keywords={"A": (1, "one")}, history=5) as source:
            target = make_target(source, f"{dao_name}x")
            assert (target.dialect.name, target.history_length, target.dtype) == ("dao", 5, source.dtype)
            assert (dict(target.keywords), target.keywords.comment("A")) == ({"A": 1}, "one")
            back = make_target(target, f"{dao_name}y", history=0)
            assert (back.dialect.name, back.history_length) == ("isio", 0)
            target.remove()

    def test_that_fits_is_gone_on_with(self, dao_name: str) -> None:
        with fb.create("source", shape=2) as source:
            for _ in range(3):
                source.write([1, 2])
            first = make_target(source, f"{dao_name}x")
            first.write([3, 4], count=2)
            assert make_target(source, f"{dao_name}x").count == 2
            first.write([3, 4], count=9)
            anew = make_target(source, f"{dao_name}x")
            assert (anew.count, anew.dialect.name) == (0, "dao"), "the source's counts could not go on in it"
            anew.remove()

    def test_that_does_not_fit_is_made_anew(self, dao_name: str) -> None:
        with fb.create("source", shape=2, history=4) as source:
            fb.create("x", shape=3).close()
            assert make_target(source, "x").shape == (2,)
            assert make_target(source, "x", dialect="isio", history=6).history_length == 6

    def test_cannot_be_the_source(self, shm_dir: Path) -> None:
        with fb.create("source", shape=2) as source:
            for name in ("source", str(shm_dir / "source.im.shm")):
                with pytest.raises(UsageError, match="is the stream that is to be copied"):
                    make_target(source, name)

    def test_must_be_a_whole_stream_of_a_dtype_that_the_format_has(self) -> None:
        with fb.create("source", shape=2, dtype="float16") as source:
            with pytest.raises(UsageError, match="no float16"):
                make_target(source, "x", dialect="dao")
            with pytest.raises(NameFormatError, match="slice"):
                make_target(source, "x[0]")


def test_a_unit_of_ones_own_carries() -> None:
    with (
        fb.create("source", shape=4, keywords={"RATE": 1.0}) as source,
        start(Stage(negated, {"source": "source", "target": "target"})),
        fb.open("target") as target,
    ):
        source.write([1, 2, 3, 4], count=7)
        assert target.read_next().data.tolist() == [-1, -2, -3, -4]
        assert target.count == 7
        until(lambda: dict(target.keywords) == {"RATE": 1.0})


@unit(carries=True)
def negated(source: In, target: Out) -> None:
    """Target = -source."""
    for i in range(source.size):
        target[i] = -source[i]


def test_what_has_no_input_cannot_carry() -> None:
    with pytest.raises(UsageError, match="has no input whose counts it could carry"):

        @unit(carries=True)
        def made(target: Out) -> None:
            target[0] = 1
