"""Loops that begin together, and loops whose next run waits for Python."""

from __future__ import annotations

import numpy as np
import pytest

import framebus as fb
from framebus import _core
from framebus.errors import UsageError
from framebus.process import State
from support import units
from support.native import native
from support.waiting import until


def test_none_begins_before_all_are_there() -> None:
    stream = fb.create("image", shape=(4,))
    barrier = _core.Barrier(2)
    with (
        native(units.whole, {"image": "image", "value": "a"}, "one") as one,
        native(units.whole, {"image": "image", "value": "b"}, "two") as two,
    ):
        one.loop.start(barrier)
        until(lambda: barrier.missing == 1)
        stream.write(np.ones(4))
        assert not one.loop.wait_ready(1_000_000)
        assert not one.loop.wait_end(0)
        assert one.record.state is State.OFF
        two.loop.start(barrier)
        for made in (one, two):
            assert made.loop.wait_ready(60 * 10**9)
            assert made.record.state is State.RUNNING
            until(lambda made=made: made.record.loop_count == 1)  # type: ignore[misc]
        assert barrier.missing == 0


@pytest.mark.parametrize("by_record", [False, True])
def test_a_loop_that_is_stopped_while_it_waits_ends(by_record: bool) -> None:
    fb.create("image", shape=(4,))
    barrier = _core.Barrier(2)
    with native(units.whole, {"image": "image", "value": "a"}, "one") as one:
        one.loop.start(barrier)
        if by_record:
            one.record.stop()
        else:
            one.loop.request_stop()
        until(lambda: one.loop.wait_end(0))
        assert one.loop.failure is None
        assert one.loop.wait_ready(0)
        assert one.loop.loops == 0


def test_when_one_does_not_come_the_others_end() -> None:
    fb.create("image", shape=(4,))
    barrier = _core.Barrier(3)
    with (
        native(units.whole, {"image": "image", "value": "a"}, "one") as one,
        native(units.whole, {"image": "image", "value": "b"}, "two") as two,
    ):
        one.loop.start(barrier)
        barrier.abort()
        two.loop.start(barrier)
        for made in (one, two):
            until(lambda made=made: made.loop.wait_end(0))  # type: ignore[misc]
            assert made.loop.failure is None
            assert made.record.state is State.OFF


def test_a_barrier_is_for_somebody() -> None:
    with pytest.raises(UsageError, match="at least one loop"):
        _core.Barrier(0)


class TestGate:
    def test_an_idle_loop_runs_again_only_through_its_gate(self) -> None:
        stream = fb.create("image", shape=(4,))
        with native(units.whole, {"image": "image", "value": "value"}, "one") as one:
            one.loop.hold_gate(True)
            assert not one.loop.gate_closed
            one.loop.start()
            stream.write(np.ones(4))
            until(lambda: one.record.loop_count == 1)
            for count in (2, 3):
                one.record.pause()
                until(lambda: one.loop.state == State.IDLE)
                assert one.loop.gate_closed
                one.record.resume()
                stream.write(np.ones(4))
                assert not one.loop.wait_end(30_000_000)
                assert (one.loop.state, one.record.loop_count) == (State.IDLE, count - 1)
                one.loop.open_gate()
                until(lambda count=count: one.record.loop_count == count)
                assert one.record.state is State.RUNNING

    def test_opening_it_does_not_end_a_pause(self) -> None:
        stream = fb.create("image", shape=(4,))
        with native(units.whole, {"image": "image", "value": "value"}, "one") as one:
            one.loop.hold_gate(True)
            one.loop.start()
            one.record.pause()
            until(lambda: one.loop.gate_closed)
            one.loop.open_gate()
            stream.write(np.ones(4))
            assert not one.loop.wait_end(30_000_000)
            assert one.record.loop_count == 0
            one.record.resume()
            until(lambda: one.record.loop_count == 1)

    def test_a_closed_gate_does_not_keep_it_from_ending(self) -> None:
        fb.create("image", shape=(4,))
        with native(units.whole, {"image": "image", "value": "value"}, "one") as one:
            one.loop.hold_gate(True)
            one.loop.start()
            one.record.pause()
            until(lambda: one.loop.gate_closed)
            one.record.resume()
            one.record.stop()
            until(lambda: one.loop.wait_end(0))
            assert one.record.state is State.OFF

    def test_without_one_it_runs_at_once(self) -> None:
        fb.create("image", shape=(4,))
        with native(units.whole, {"image": "image", "value": "value"}, "one") as one:
            one.loop.start()
            with pytest.raises(UsageError, match="runs already; its gate is set up before start"):
                one.loop.hold_gate(True)
            one.record.pause()
            until(lambda: one.record.state is State.IDLE)
            one.record.resume()
            until(lambda: one.record.state is State.RUNNING)
