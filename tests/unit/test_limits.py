"""Limits of period and compute time, acted upon by the loop itself."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import framebus as fb
from framebus.process import ProcessRecord, State
from framebus.stream import Stream
from framebus.unit import FunctionUnit, In, Stage, start, unit
from support import units
from support.waiting import until

WIRING = {"image": "image", "value": "value"}
NEVER_US = 1e12


def lingering(compute_s: float) -> FunctionUnit:
    @unit(compiled=False)
    def linger(image: In, value: units.One) -> None:
        threading.Event().wait(compute_s)
        value[0] = image.flat[0]

    return linger


def compute(stream: Stream, record: ProcessRecord, frames: int = 1) -> None:
    for _ in range(frames):
        done = record.loop_count
        stream.write(np.zeros(4))
        until(lambda done=done: record.loop_count == done + 1)  # type: ignore[misc]


def test_within_its_limits_a_unit_raises_no_alarm() -> None:
    stream = fb.create("image", shape=(4,))
    with start(Stage(units.whole, WIRING)) as loop:
        loop.record.set_limits(period_us=NEVER_US, compute_us=NEVER_US)
        compute(stream, loop.record, 5)
        assert (loop.record.alarms, loop.record.last_alarm, loop.record.last_alarm_ns) == (0, "", 0)


def test_a_long_computation_is_counted_and_told() -> None:
    stream = fb.create("image", shape=(4,))
    with start(Stage(lingering(0.002), WIRING)) as loop:
        compute(stream, loop.record)
        assert loop.record.alarms == 0
        with ProcessRecord.open("linger") as other:  # any process may set them
            other.set_limits(compute_us=1000)
            compute(stream, loop.record, 3)
            until(lambda: other.alarms == 3)
            last = other.timings()[-1]
            took = (int(last["end_ns"]) - int(last["start_ns"])) // 100
            assert (
                other.last_alarm
                == f"compute time {took // 10}.{took % 10} µs is above its limit of 1000.0 µs (loop 4)"
            )
            assert other.last_alarm_ns >= int(last["end_ns"])
            assert (other.state, other.message) == (State.RUNNING, "")
            other.set_limits()
            compute(stream, loop.record, 2)
            assert other.alarms == 3


def test_a_late_frame_is_counted_and_a_pause_is_no_period() -> None:
    stream = fb.create("image", shape=(4,))
    with start(Stage(units.whole, WIRING)) as loop:
        record = loop.record
        compute(stream, record)
        record.set_limits(period_us=1e-3)
        compute(stream, record)
        until(lambda: record.alarms == 1)
        assert record.last_alarm.startswith("period ")
        record.pause()
        until(lambda: record.state is State.IDLE)
        record.resume()
        until(lambda: record.state is State.RUNNING)
        compute(stream, record)
        assert record.alarms == 1
        compute(stream, record)
        until(lambda: record.alarms == 2)


@pytest.mark.parametrize("command", ["run", "step"])
def test_above_its_limit_a_unit_pauses_if_that_is_asked_for(command: str) -> None:
    stream = fb.create("image", shape=(4,))
    with start(Stage(units.whole, WIRING)) as loop, fb.open("value") as value:
        record = loop.record
        if command == "step":
            record.step(10)
        record.set_limits(compute_us=1e-3, action="pause")
        stream.write(np.zeros(4))
        until(lambda: record.state is State.IDLE)
        assert (record.control, record.alarms) == ("pause", 1)
        assert record.message == f"paused: {record.last_alarm}"
        assert value.count == 1, "the frame itself is good"
        record.resume()
        stream.write(np.ones(4))
        until(lambda: record.alarms == 2 and record.state is State.IDLE)


def test_a_unit_that_was_told_to_stop_stops() -> None:
    """Stopping is stronger than a pause."""
    stream, entered, leave = fb.create("image", shape=(4,)), threading.Event(), threading.Event()

    @unit(compiled=False)
    def gated(image: In, value: units.One) -> None:
        entered.set()
        assert leave.wait(60)

    loop = start(Stage(gated, WIRING))
    with ProcessRecord.open("gated") as record:
        record.set_limits(compute_us=1e-3, action="pause")
        stream.write(np.zeros(4))
        assert entered.wait(60)
        record.stop()
        leave.set()
        loop.wait(60)
        assert (record.alarms, record.control, record.message) == (1, "stop", "")


def test_each_unit_of_a_fused_loop_has_its_own() -> None:
    stream = fb.create("image", shape=(4,))
    stages = [
        Stage(units.scale, {"image": "image", "result": "twice"}, name="a"),
        Stage(units.scale, {"image": "twice", "result": "result"}, name="b"),
    ]
    with start(stages) as loop:
        first, second = loop.records
        second.set_limits(compute_us=1e-3, action="pause")
        stream.write(np.zeros(4))
        until(lambda: first.state is State.IDLE and second.state is State.IDLE)
        assert (first.alarms, second.alarms) == (0, 1)
        assert (first.control, second.control) == ("run", "pause")
