"""Several units in one loop: the same frames as apart, every output published, and ancestries that tell the truth."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

import framebus as fb
from framebus.errors import UnitError
from framebus.process import ProcessRecord, State
from framebus.stream import Stream
from framebus.unit import In, LoopOptions, Out, Stage, start, unit
from support import units
from support.processes import Spawner
from support.units import One
from support.waiting import until, until_computed

FRAMES = 20


def chain() -> list[Stage]:
    """Compiled, compiled with a static input, interpreted."""
    return [
        Stage(units.scale, {"image": "image", "result": "first"}, {"gain": 3.0}, history=FRAMES),
        Stage(units.add, {"image": "first", "offset": "offset", "result": "second"}, history=FRAMES),
        Stage(units.plain_scale, {"image": "second", "result": "third"}, {"gain": 0.5}, history=FRAMES),
    ]


OUTPUTS = ("first", "second", "third")


@pytest.fixture
def image() -> Stream:
    with fb.create("offset", shape=(8,)) as offset:
        offset.write(np.arange(8))
    return fb.create("image", shape=(8,), history=FRAMES)


def run(image: Stream, groups: Sequence[Sequence[Stage]]) -> dict[str, list[list[Any]]]:
    """What the outputs' histories hold after some frames: data, acquisition time and ancestry of each."""
    rng = np.random.default_rng(7)
    found: dict[str, list[list[Any]]] = {name: [] for name in OUTPUTS}
    with ExitStack() as stack:
        for stages in groups:
            stack.enter_context(start(stages))
        outputs = {name: stack.enter_context(fb.open(name)) for name in OUTPUTS}
        inodes = {stream.handle.inode: name for name, stream in {"image": image, **outputs}.items()}
        for number in range(1, FRAMES + 1):
            image.write(rng.random(8, np.float32), acquisition_ns=number * 1000)
            until(lambda: all(stream.count == number for stream in outputs.values()))  # noqa: B023
            for name, stream in outputs.items():
                (frame,) = stream.history(1)
                trace = [
                    (inodes.get(e.trigger_inode, ""), e.trigger_count, e.trigger_mode) for e in stream.trace()
                ]
                times = [e.processing_start_ns for e in stream.trace()]
                assert times == sorted(times, reverse=True)
                found[name].append([frame.data.tolist(), frame.acquisition_ns, trace])
    return found


def test_as_apart(image: Stream) -> None:
    stages = chain()
    fused = run(image, [stages])
    for name in OUTPUTS:
        fb.open(name).remove()
    with fb.create("image", shape=(8,), history=FRAMES) as again:
        apart = run(again, [[stage] for stage in stages])
    assert fused == apart
    for number, (data, acquisition_ns, trace) in enumerate(fused["third"], 1):
        assert acquisition_ns == number * 1000
        assert trace == [("second", number, 1), ("first", number, 1), ("image", number, 1), ("", 0, 0)]
        first = np.array(fused["first"][number - 1][0], np.float32)
        np.testing.assert_array_equal(data, np.float32(0.5) * (first + np.arange(8, dtype=np.float32)))
    assert fused["first"][4][2] == [("image", 5, 1), ("", 0, 0)]


def test_any_two_may_be_fused(image: Stream) -> None:
    first, second, third = chain()
    found = run(image, [[first, second], [third]])
    assert found["third"][9][2] == [("second", 10, 1), ("first", 10, 1), ("image", 10, 1), ("", 0, 0)]


def test_ancestry_follows_the_first_input(image: Stream) -> None:
    @unit
    def split(image: In, left: Out, right: Out) -> None:
        for i in range(image.size):
            left[i], right[i] = image[i], -image[i]

    stages = [
        Stage(split, {"image": "image", "left": "left", "right": "right"}),
        Stage(units.scale, {"image": "right", "result": "middle"}),
        # Triggered by the first unit's output, past the second one's, which it reads as well.
        Stage(units.add, {"image": "left", "offset": "middle", "result": "sum"}),
    ]
    with start(stages) as loop, fb.open("sum") as total, fb.open("left") as left, fb.open("right") as right:
        for number in (1, 2, 3):
            image.write(np.full(8, number))
            assert total.read_next(timeout_s=60).data.tolist() == [-number] * 8
            inodes = [entry.trigger_inode for entry in total.trace()]
            assert inodes == [left.handle.inode, image.handle.inode, 0]
            assert [entry.trigger_count for entry in total.trace()] == [number, number, 0]
            with fb.open("middle") as middle:
                middle.wait_newer(number - 1, timeout_s=60)  # the last unit's output was published first
                assert [entry.trigger_inode for entry in middle.trace()] == [
                    right.handle.inode,
                    image.handle.inode,
                    0,
                ]
        assert [record.trigger for record in loop.records] == ["image", "right", "left"]


def test_a_unit_without_input_may_come_along(image: Stream) -> None:
    stages = [
        Stage(units.scale, {"image": "image", "result": "first"}),
        Stage(units.ticks, {"value": "ticks"}),
    ]
    with start(stages), fb.open("ticks") as ticks:
        image.write(np.zeros(8))
        assert ticks.read_next(timeout_s=60).data[0] == 1
        assert [entry.trigger_inode for entry in ticks.trace()] == [0]


def test_feedback_within_a_loop(image: Stream) -> None:
    """A unit reads what a later one put out the last time."""
    fb.create("back", shape=(8,)).write(np.zeros(8))
    stages = [
        Stage(units.add, {"image": "image", "offset": "back", "result": "sum"}),
        Stage(units.scale, {"image": "sum", "result": "back"}, {"gain": 0.5}),
    ]
    with start(stages), fb.open("sum") as total:
        for expected in (1, 1.5, 1.75):
            image.write(np.ones(8))
            assert total.read_next(timeout_s=60).data[0] == expected


def test_each_frame_is_computed_once_however_often_it_was_torn(spawn: Spawner) -> None:
    writer = spawn(
        """
        import numpy as np
        import framebus as fb
        stream = fb.create("image", shape=(128, 128))
        pixels = np.empty((128, 128), "float32")
        print("made")
        input()
        for count in range(1, 5001):
            pixels.fill(count)
            stream.write(pixels)
        input()
        """
    )
    writer.expect("made")
    stages = [
        Stage(units.counting, {"image": "image", "value": "value"}, history=5000),
        Stage(units.plain_scale, {"image": "value", "result": "twice"}, history=5000),
    ]
    with start(stages) as loop, fb.open("value") as value, fb.open("twice") as twice:
        writer.send()
        until_computed(value, 5000)
        records = [ProcessRecord.open(record.path) for record in loop.records]
        loop.stop()
        done = records[0].loop_count
        assert [record.loop_count for record in records] == [done, done]
        assert done + records[0].missed == 5000
        assert records[1].missed == 0
        first, second = (np.array([f.data for f in stream.history()]) for stream in (value, twice))
        assert first[:, 1].tolist() == list(range(1, done + 1))
        np.testing.assert_array_equal(second, 2 * first)
        for record in records:
            record.close()
    writer.send()
    assert writer.wait() == 0


def test_clock(image: Stream) -> None:
    stages = [
        Stage(units.ticks, {"value": "ticks"}, history=64),
        Stage(units.plain_scale, {"image": "ticks", "result": "twice"}, history=64),
    ]
    with start(stages, LoopOptions(trigger="delay", period_s=1e-3)) as loop, fb.open("twice") as twice:
        until(lambda: twice.count >= 20)
        assert twice.trace()[-1].trigger_mode == 4
        assert [record.trigger for record in loop.records] == ["delay", "ticks"]


class TestFailure:
    STAGES = (
        Stage(units.scale, {"image": "image", "result": "first"}, {"gain": 1.0}),
        Stage(units.limited, {"image": "first", "value": "second"}),
        Stage(units.plain_scale, {"image": "second", "result": "third"}),
    )

    def test_in_the_middle(self, image: Stream) -> None:
        """What came before it is published, as apart; what comes after it is not computed."""
        loop = start(self.STAGES)
        with fb.open("first") as first, fb.open("second") as second, fb.open("third") as third:
            image.write(np.ones(8))
            assert third.read_next(timeout_s=60).data[0] == 2
            image.write(np.full(8, 150))
            with pytest.raises(UnitError, match="unit 'limited' failed: returned 7"):
                loop.wait(60)
            assert [stream.count for stream in (first, second, third)] == [2, 1, 1]
            assert first.read()[0] == 150
            assert second.read()[0] == 1
        with ProcessRecord.open("limited") as record:
            assert record.state is State.ERROR
            assert record.loop_count == 1
        assert loop.loops == 2

    def test_exception_of_a_compiled_unit_that_reads_a_linked_array(self, image: Stream) -> None:
        loop = start(self.STAGES)
        image.write(np.full(8, 500))
        with pytest.raises(UnitError, match="unit 'limited' failed: ValueError: far too large"):
            loop.wait(60)

    def test_only_the_record_of_what_failed_stays(self, image: Stream) -> None:
        loop = start(self.STAGES)
        image.write(np.full(8, 500))
        with pytest.raises(UnitError):
            loop.wait(60)
        names = sorted(path.name.partition(".")[0] for path in image.path.parent.glob("*.proc.fb"))
        assert names == ["limited"]


def test_any_record_holds_all(image: Stream) -> None:
    with start(chain()) as loop, fb.open("third") as third:
        middle = loop.records[1]
        middle.pause()
        until(lambda: all(record.state is State.IDLE for record in loop.records))
        image.write(np.zeros(8))
        image.write(np.ones(8))
        middle.step()
        assert third.read_next(timeout_s=60).count == 1
        until(lambda: middle.control == "pause" and middle.state is State.IDLE)
        assert [record.loop_count for record in loop.records] == [1, 1, 1]
        assert loop.records[0].missed == 1
        middle.resume()
        until(lambda: loop.records[0].state is State.RUNNING)
        image.write(np.ones(8))
        assert third.read_next(timeout_s=60).count == 2
        loop.records[2].stop()
        loop.wait(60)


def test_one_value(image: Stream) -> None:
    """A linked array may have another shape and dtype than the trigger."""

    @unit
    def mean(image: In, value: One) -> None:
        value[0] = image.mean()

    stages = [
        Stage(mean, {"image": "image", "value": "mean"}),
        Stage(units.scale, {"image": "@S:mean", "result": "twice"}),
    ]
    with start(stages), fb.open("twice") as twice:
        image.write(np.arange(8))
        frame = twice.read_next(timeout_s=60)
        assert frame.data.dtype == np.float64
        assert frame.data.tolist() == [7.0]
