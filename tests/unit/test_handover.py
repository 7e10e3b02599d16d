"""One loop takes over from another: no frame is lost without being counted, and outputs go on from where they were."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest

import framebus as fb
from framebus import _core
from framebus.errors import UnitError, UsageError
from framebus.process import ProcessRecord, State
from framebus.stream import Stream
from framebus.unit import Array, In, Out, Stage, unit
from support import units
from support.native import native
from support.processes import Spawner
from support.waiting import until

WIRING = {"image": "image", "value": "value"}


def image(history: int = 0) -> Stream:
    return fb.create("image", shape=(4,), history=history)


@unit
def tally(image: In, value: units.Two) -> None:
    """How many frames its stream has seen, whoever computed them; the last frame's value."""
    value[0] += 1
    value[1] = image[0]


def write(stream: Stream, *values: float) -> None:
    for value in values:
        stream.write(np.full(4, value))


class TestFrames:
    def test_the_successor_goes_on_from_the_last_frame_and_output(self) -> None:
        stream = image()
        with native(tally, WIRING, "first") as first, native(tally, WIRING, "second") as second:
            first.loop.start()
            with fb.open("value") as value:
                write(stream, 10)
                assert value.read_next(timeout_s=60).data.tolist() == [1, 10]
                second.succeed(first)
                second.loop.start()
                assert first.record.state is State.OFF
                assert second.record.state is State.RUNNING
                write(stream, 11)
                assert value.read_next(timeout_s=60).data.tolist() == [2, 11]
            until(lambda: second.record.loop_count == 1)
            assert (first.record.loop_count, first.record.missed, second.record.missed) == (1, 0, 0)
            assert not first.loop.failure

    @pytest.mark.parametrize("every_frame", [False, True])
    def test_frames_that_come_between_are_computed_or_counted(self, every_frame: bool) -> None:
        """The predecessor is told to stop and ends; frames come before the successor is there."""
        stream = image(history=8)
        options = {"every_frame": every_frame}
        with (
            native(tally, WIRING, "first", **options) as first,
            native(tally, WIRING, "second", **options) as second,
        ):
            first.loop.start()
            write(stream, 1)
            until(lambda: first.record.loop_count == 1)
            first.record.stop()
            until(lambda: first.record.state is State.OFF)
            write(stream, 2, 3, 4)
            second.succeed(first)
            second.loop.start()
            until(lambda: second.record.loop_count + second.record.missed == 3)
            assert second.record.missed == (0 if every_frame else 2)
            assert second.record.timings()["trigger_count"][-1] == 4

    def test_a_frame_that_the_predecessor_is_computing_is_its_own(self) -> None:
        stream, entered, leave = image(), threading.Event(), threading.Event()

        @unit(compiled=False)
        def slow(image: In, value: units.Two) -> None:
            entered.set()
            assert leave.wait(60)
            value[:] = 1, image[0]

        with native(slow, WIRING, "first") as first, native(tally, WIRING, "second") as second:
            first.loop.start()
            write(stream, 1)
            assert entered.wait(60)
            second.succeed(first)
            starting = threading.Thread(target=second.loop.start)
            starting.start()
            until(lambda: first.record.control == "stop")
            write(stream, 2)
            assert second.record.state is State.OFF
            leave.set()
            starting.join()
            until(lambda: second.record.loop_count == 1)
            assert first.record.loop_count == 1
            assert second.record.missed == 0
            with fb.open("value") as value:
                assert value.read().tolist() == [2, 2]

    def test_of_another_stream_it_starts_with_what_comes(self) -> None:
        stream, other = image(), fb.create("other", shape=(4,))
        with (
            native(tally, WIRING, "first") as first,
            native(tally, {**WIRING, "image": "other"}, "second") as second,
        ):
            first.loop.start()
            write(stream, 1, 2)
            until(lambda: first.record.timings()["trigger_count"].tolist()[-1:] == [2])
            write(other, 1, 2, 3)
            second.succeed(first)
            second.loop.start()
            write(other, 4)
            until(lambda: second.record.loop_count == 1)
            assert second.record.missed == 0
            assert second.record.timings()["trigger_count"].tolist() == [4]

    def test_frames_of_a_stream_that_was_made_anew_meanwhile_are_its_own(self) -> None:
        """The predecessor ended; its trigger got a new file, in which all frames are still to be computed."""
        stream = image()
        with native(tally, WIRING, "first") as first:
            first.loop.start()
            write(stream, 1)
            until(lambda: first.record.loop_count == 1)
            first.record.stop()
            until(lambda: first.record.state is State.OFF)
            write(image(), 2, 3, 4)
            with native(tally, WIRING, "second") as second:
                second.succeed(first)
                second.loop.start()
                until(lambda: second.record.loop_count == 1)
                assert second.record.missed == 2

    def test_one_that_never_computed_leaves_nothing(self) -> None:
        stream = image()
        with native(tally, WIRING, "first") as first, native(tally, WIRING, "second") as second:
            first.loop.start()
            second.succeed(first)
            second.loop.start()
            write(stream, 1)
            until(lambda: second.record.loop_count == 1)
            assert second.record.missed == 0

    def test_fused_loops(self) -> None:
        @unit
        def twice(
            value: Annotated[In, Array((2,))], result: Annotated[Out, Array((1,), dtype="float64")]
        ) -> None:
            result[0] += value[1]

        def stages(name: str) -> list[Stage]:
            return [
                Stage(tally, WIRING, name=f"{name}_a"),
                Stage(twice, {"value": "value", "result": "result"}, name=f"{name}_b"),
            ]

        stream = image()
        with native(stages("first")) as first, native(stages("second")) as second:
            first.loop.start()
            write(stream, 1)
            until(lambda: first.records[1].loop_count == 1)
            second.succeed(first)
            second.loop.start()
            write(stream, 2)
            until(lambda: second.records[1].loop_count == 1)
            with fb.open("result") as result:
                assert result.read()[0] == 3
            assert [record.state for record in first.records] == [State.OFF, State.OFF]
            assert second.record.missed == 0


class TestClock:
    def test_the_grid_of_ticks_goes_on(self) -> None:
        options = {"trigger": "delay", "period_s": 1e-3}
        with native(units.ticks, {"value": "value"}, "first", **options) as first:
            first.loop.start()
            until(lambda: first.record.loop_count > 10)
            with native(units.ticks, {"value": "value"}, "second", **options) as second:
                second.succeed(first)
                second.loop.start()
                until(lambda: second.record.loop_count > 10)
                second.loop.request_stop()
                second.loop.join()
                before, after = first.record.timings()[-1], second.record.timings()[0]
                passed = int(after["tick_ns"] - before["tick_ns"])
                assert passed == (1 + int(after["missed"])) * 1_000_000
                with fb.open("value") as value:
                    assert value.read()[0] == first.record.loop_count + second.record.loop_count

    @pytest.mark.parametrize("tick_ns", [2**62, 2**63 - 1, -1, -(2**63)])
    def test_a_tick_that_cannot_have_been_is_not_gone_on_from(self, tick_ns: int) -> None:
        """A damaged record, or one from before the machine was started anew."""
        options = {"trigger": "delay", "period_s": 1e-3}
        with (
            native(units.ticks, {"value": "value"}, "first", **options) as first,
            native(units.ticks, {"value": "value"}, "second", **options) as second,
        ):
            first.record.core.stamp(0, 0, 1, 2, 0, 0, tick_ns)
            second.succeed(first)
            second.loop.start()
            until(lambda: second.record.loop_count > 10)
            assert second.record.missed < 10**9

    def test_a_long_period_does_not_delay_it(self) -> None:
        options = {"trigger": "delay", "period_s": 1e6}
        with (
            native(units.ticks, {"value": "value"}, "first", **options) as first,
            native(units.ticks, {"value": "value"}, "second", **options) as second,
        ):
            first.loop.start()
            until(lambda: first.record.loop_count == 1)
            second.succeed(first)
            second.loop.start()
            assert second.record.state is State.RUNNING
            assert second.record.loop_count == 0, "its tick is not due for long"


class TestPredecessor:
    def test_what_was_paused_stays_paused(self) -> None:
        stream = image()
        with native(tally, WIRING, "first") as first, native(tally, WIRING, "second") as second:
            first.loop.start()
            first.record.pause()
            until(lambda: first.record.state is State.IDLE)
            second.succeed(first)
            second.loop.start()
            until(lambda: second.record.state is State.IDLE)
            write(stream, 1)
            second.record.resume()
            until(lambda: second.record.loop_count == 1)

    def test_one_that_failed(self) -> None:
        stream = image()
        wiring = {**WIRING, "value": "result"}
        with (
            native(units.limited, wiring, "first") as first,
            native(units.limited, wiring, "second") as second,
        ):
            first.loop.start()
            write(stream, 1)
            until(lambda: first.record.loop_count == 1)
            write(stream, 150)
            until(lambda: first.record.state is State.ERROR)
            write(stream, 2)
            second.succeed(first)
            second.loop.start()
            until(lambda: second.record.loop_count == 1)
            assert second.record.missed == 1, "the frame that it failed on"

    def test_one_that_was_killed(self, spawn: Spawner) -> None:
        stream = image()
        process = spawn(
            """
            from framebus.unit import Stage, start
            from support.units import whole
            loop = start(Stage(whole, {"image": "image", "value": "value"}))
            print("started")
            input()
            """
        )
        process.expect("started")
        with ProcessRecord.open("whole") as record:
            write(stream, 1)
            until(lambda: record.loop_count == 1)
            process.kill()
            write(stream, 2, 3, 4)
            with native(units.whole, WIRING, "second") as second:
                second.loop.succeed([record.core])
                second.loop.start()
                until(lambda: second.record.loop_count == 1)
                assert second.record.missed == 2

    def test_fused_ones_that_were_killed_between_publishing_and_stamping(self, spawn: Spawner) -> None:
        """The frames lie in the streams, and no record says that anybody computed them."""
        stream = image()
        process = spawn(
            """
            from framebus.unit import start
            from support.units import fused_pair
            loop = start(fused_pair())
            print("started")
            input()
            """
        )
        process.expect("started")
        with contextlib.ExitStack() as opened:
            records = [opened.enter_context(ProcessRecord.open(name)) for name in ("whole", "scale")]
            write(stream, 1)
            until(lambda: records[1].loop_count == 1)
            process.kill()
            process.wait()
            value = opened.enter_context(fb.open("value"))
            value.write(np.full(1, 2.0))  # what the loop published last
            write(stream, 2)
            second = opened.enter_context(native(units.fused_pair()))
            second.loop.succeed([record.core for record in records])
            second.loop.start()
            until(lambda: second.records[1].loop_count == 2)
            first, inner = second.records
            assert (first.loop_count, first.missed) == (2, 0)
            assert value.count == 3, "the second frame was published twice"
            assert (inner.loop_count, inner.missed) == (2, 1)

    def test_separate_ones_that_are_fused_from_now_on(self) -> None:
        """What the first had published and the second had not computed yet is lost to it, and counted."""
        stream = image()
        first, second = units.fused_pair()
        with native([first]) as ahead, native([second]) as behind:
            ahead.loop.start()
            behind.loop.start()
            with fb.open("value") as value:
                write(stream, 1)
                until(lambda: behind.record.loop_count == 1)
                behind.record.stop()
                until(lambda: behind.record.state is State.OFF)
                for number in (2, 3):
                    write(stream, number)
                    until(lambda number=number: value.count == number)  # type: ignore[misc]
                ahead.record.stop()
                until(lambda: ahead.record.state is State.OFF)
                with native(units.fused_pair()) as fused:
                    fused.succeed(ahead, behind)
                    fused.loop.start()
                    assert fused.records[1].missed == 2
                    write(stream, 4)
                    until(lambda: fused.records[1].loop_count == 2)
                    assert [record.missed for record in fused.records] == [0, 2]

    def test_one_that_does_not_end_its_frame(self) -> None:
        stream, leave = image(), threading.Event()
        entered = threading.Event()

        @unit(compiled=False)
        def stuck(image: In, value: units.Two) -> None:
            entered.set()
            assert leave.wait(60)

        with native(stuck, WIRING, "first") as first, native(tally, WIRING, "second") as second:
            first.loop.start()
            write(stream, 1)
            assert entered.wait(60)
            second.succeed(first, patience_ns=20_000_000)
            with pytest.raises(
                UnitError,
                match=rf"cannot take over from unit 'first' of process {os.getpid()}: .* after 20 ms it neither",
            ):
                second.loop.start()
            assert second.record.state is State.ERROR
            assert "cannot take over from unit 'first'" in second.record.message
            assert second.loop.wait_end(0)
            leave.set()

    @pytest.mark.parametrize("by_record", [False, True])
    def test_a_successor_that_is_stopped_while_it_waits(self, by_record: bool) -> None:
        stream, entered, leave = image(), threading.Event(), threading.Event()

        @unit(compiled=False)
        def stuck(image: In, value: units.Two) -> None:
            entered.set()
            assert leave.wait(60)

        with native(stuck, WIRING, "first") as first, native(tally, WIRING, "second") as second:
            first.loop.start()
            write(stream, 1)
            assert entered.wait(60)
            second.succeed(first)
            starting = threading.Thread(target=second.loop.start)
            starting.start()
            until(lambda: first.record.control == "stop")
            if by_record:
                second.record.stop()
            else:
                second.loop.request_stop()
            starting.join()
            assert second.loop.failure is None
            assert second.record.state is State.OFF
            leave.set()

    def test_what_cannot_be_succeeded(self) -> None:
        image()
        with native(tally, WIRING, "first") as first:
            with pytest.raises(UsageError, match="a loop cannot succeed itself"):
                first.succeed(first)
            first.loop.start()
            with pytest.raises(UsageError, match=r"runs already; predecessors are named before start"):
                first.succeed()

    def test_nobody_cannot_be_succeeded(self) -> None:
        with pytest.raises(UsageError, match="a predecessor is a process record"):
            _core.Loop().succeed([None])  # type: ignore[list-item]

    def test_one_that_may_only_be_read(self, spawn: Spawner, shm_dir: Path) -> None:
        image()
        shm_dir.chmod(0o777)
        process = spawn(
            """
            import os
            from framebus import _core
            from framebus.errors import UsageError
            from framebus.process import ProcessRecord
            if os.getuid() == 0:
                os.setuid(65534)
            try:
                _core.Loop().succeed([ProcessRecord.open("first").core])
            except UsageError as error:
                print("refused", error)
            """
        )
        with native(tally, WIRING, "first") as first:
            first.record.path.chmod(0o444)
            assert "'first' may only be read by this user" in process.expect("refused")
            assert process.wait() == 0


CAMERA = """
import sys
from framebus.unit import LoopOptions, Stage, start
from support.units import ticks
stage = Stage(ticks, {"value": "image"}, name="camera", history=int(sys.argv[1]))
with start(stage, LoopOptions(trigger="delay", period_s=1e-3)):
    print("runs")
    input()
"""
UNIT = """
import sys
from framebus import _core
from framebus.process import ProcessRecord
from framebus.unit import LoopOptions, Stage
from framebus.unit.bind import Taking
from framebus.unit.loop import start_together
from support.units import whole
pid = int(sys.argv[2])
taking = Taking(predecessor=(pid, _core.process_start_ticks(pid)) if pid else None)
stage = Stage(whole, {"image": "image", "value": "value"}, history=4096)
(loop,) = start_together([([stage], LoopOptions(every_frame=sys.argv[1] == "True"))], taking)
print("runs")
loop.wait()
"""


@pytest.mark.parametrize("every_frame", [False, True])
def test_processes_that_replace_each_other_behind_a_camera(spawn: Spawner, every_frame: bool) -> None:
    """Every frame of a camera at 1 kHz is computed by one of them, or counted as missed by it."""
    camera = spawn(CAMERA, "1000" if every_frame else "0")
    camera.expect("runs")
    pid, seen = 0, []
    for _ in range(4):
        process = spawn(UNIT, str(every_frame), str(pid))
        process.expect("runs")
        record = ProcessRecord.open(f"whole.{process.pid}")
        before = record.loop_count
        until(lambda record=record, before=before: record.loop_count > before + 20)  # type: ignore[misc]
        seen.append((process, record))
        if pid:
            assert seen[-2][0].wait() == 0
        pid = process.pid
    seen[-1][1].stop()
    assert seen[-1][0].wait() == 0
    last = [int(record.timings(1)["trigger_count"][0]) for _, record in seen]
    counted = [record.loop_count + record.missed for _, record in seen]  # counts go on from one to the next
    for i in range(1, len(seen)):
        assert counted[i] - counted[i - 1] == last[i] - last[i - 1]
    if every_frame:
        assert sum(record.missed for _, record in seen) == 0
        with fb.open("value") as value:
            computed = [int(frame.data[0]) for frame in value.history()]
        assert computed == list(range(computed[0], computed[0] + len(computed)))
    for _, record in seen:
        record.close()
    camera.send()
    assert camera.wait() == 0
