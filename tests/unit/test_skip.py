"""Units that have nothing to publish for a frame, and say so."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pytest

import framebus as fb
from framebus.unit import SKIP, Array, FunctionUnit, In, LoopOptions, Out, Stage, start, unit
from framebus.unit import State as Memory
from support import units
from support.waiting import until, until_computed

Sum = Annotated[Out, Array((1,), dtype="float64")]
Memo = Annotated[Memory, Array((1,), dtype="int64")]


@unit
def sum_of_three(image: In, value: Sum, seen: Memo) -> int:
    """The sum of the first elements of three frames."""
    value[0] = image.flat[0] if seen[0] % 3 == 0 else value[0] + image.flat[0]
    seen[0] += 1
    return 0 if seen[0] % 3 == 0 else SKIP


@unit(compiled=False)
def plain_sum_of_three(image: In, value: Sum, seen: Memo) -> int:
    """As ``sum_of_three``, in the interpreter."""
    value[0] = image.flat[0] if seen[0] % 3 == 0 else value[0] + image.flat[0]
    seen[0] += 1
    return 0 if seen[0] % 3 == 0 else SKIP


@unit
def every_other(image: In, value: Sum, seen: Memo) -> int | None:
    """Nothing is returned for a good frame."""
    value[0] = image.flat[0]
    seen[0] += 1
    if seen[0] % 2:
        return SKIP
    return None


BOTH = pytest.mark.parametrize("made", [sum_of_three, plain_sum_of_three], ids=lambda made: made.name)


@BOTH
@pytest.mark.parametrize("shape", [(4,), (128, 128)])
def test_only_what_is_meant_to_be_seen_is_published(made: FunctionUnit, shape: tuple[int, ...]) -> None:
    stream = fb.create("image", shape=shape, history=16)
    with (
        start(Stage(made, {"image": "image", "value": "value"}), LoopOptions(every_frame=True)) as loop,
        fb.open("value") as value,
    ):
        record = loop.record
        for count in range(1, 10):
            stream.write(np.full(shape, count))
            until(lambda count=count: record.loop_count == count)  # type: ignore[misc]
            assert value.count == count // 3
        assert value.read()[0] == 7 + 8 + 9
        assert value.trace()[0].trigger_count == 9
        until(lambda: record.skipped == 6)
        assert (record.errors, record.missed, loop.loops) == (0, 0, 9)
        assert record.timings()["trigger_count"].tolist() == list(range(1, 10))


def test_large_frames_that_are_read_in_place_are_taken_once() -> None:
    """What a skipped call left in the unit's own array is no frame of its stream."""
    shape = (128, 128)
    stream = fb.create("image", shape=shape)
    with start(Stage(sum_of_three, {"image": "image", "value": "value"})) as loop, fb.open("value") as value:
        for count in range(1, 31):
            stream.write(np.full(shape, count))
            until(lambda count=count: loop.record.loop_count == count)  # type: ignore[misc]
            if count % 3 == 0:
                assert value.read()[0] == 3 * count - 3


def test_beside_nothing_returned() -> None:
    stream = fb.create("image", shape=(4,))
    with start(Stage(every_other, {"image": "image", "value": "value"})) as loop, fb.open("value") as value:
        for count in range(1, 5):
            stream.write(np.full(4, count))
            until(lambda count=count: loop.record.loop_count == count)  # type: ignore[misc]
        assert (value.count, loop.record.skipped) == (2, 2)


@BOTH
def test_units_behind_it_in_the_loop_do_not_run(made: FunctionUnit) -> None:
    stream = fb.create("image", shape=(4,), history=16)
    stages = [
        Stage(units.scale, {"image": "image", "result": "twice"}),
        Stage(made, {"image": "twice", "value": "sum"}),
        Stage(units.whole, {"image": "sum", "value": "value"}),
    ]
    with (
        start(stages, LoopOptions(every_frame=True)) as loop,
        fb.open("twice") as twice,
        fb.open("value") as value,
    ):
        for count in range(1, 8):
            stream.write(np.full(4, count))
        until_computed(twice, 7)
        until(lambda: loop.loops == 7)
        assert [record.loop_count for record in loop.records] == [7, 7, 2]
        assert [record.skipped for record in loop.records] == [0, 5, 0]
        assert value.read()[0] == 2 * (4 + 5 + 6)
        assert value.count == 2


def test_once() -> None:
    fb.create("image", shape=(4,)).write(np.ones(4))
    loop = start(Stage(every_other, {"image": "image", "value": "value"}), LoopOptions(trigger="once"))
    loop.wait(60)
    assert loop.loops == 1
    with fb.open("value") as value:
        assert value.count == 0


def test_called_in_python_it_is_a_number() -> None:
    value, seen = np.zeros(1), np.zeros(1, np.int64)
    assert sum_of_three(np.ones(4, np.float32), value, seen) == SKIP == 2**30
