"""Events: one way to tell a unit what to do, and every way to be refused."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus import _core
from framebus.errors import UsageError
from framebus.process import Event, Limits, ProcessRecord, State
from framebus.process.states import TRANSITIONS
from support.processes import Spawner

BY_COMMAND = {Event.RUN: "run", Event.IDLE: "pause", Event.STOP: "stop"}
BY_MAIL = [Event.INIT, Event.ENABLE, Event.DISABLE, Event.RECOVER]


@pytest.fixture
def record() -> Iterator[ProcessRecord]:
    with ProcessRecord.create("unit") as made:
        yield made


def state_before(event: Event) -> State:
    return next(state for state, edges in TRANSITIONS.items() if event in edges)


def test_events_have_the_numbers_of_the_record() -> None:
    assert [event.number for event in Event] == list(range(1, 9))


@pytest.mark.parametrize(("event", "command"), BY_COMMAND.items())
def test_run_idle_and_stop_are_commands(record: ProcessRecord, event: Event, command: str) -> None:
    record.core.set_state(state_before(event))
    if event is Event.RUN:
        record.pause()
    with ProcessRecord.open("unit") as other:
        other.send(event)
    assert record.control == command
    assert record.take_event() is None


@pytest.mark.parametrize("event", BY_MAIL)
def test_the_others_wait_until_they_are_taken(record: ProcessRecord, event: Event) -> None:
    record.core.set_state(state_before(event))
    record.serve_events()
    with ProcessRecord.open("unit") as other:
        assert other.serves_events
        other.send(event)
        with pytest.raises(UsageError, match="has not taken the event before this one yet"):
            other.send(event)
        assert record.take_event() is event
        assert record.take_event() is None
        other.send(event)
        assert record.take_event() is event
    assert record.control == "run"


@pytest.mark.parametrize("event", BY_MAIL)
def test_nobody_may_be_there_to_take_them(record: ProcessRecord, event: Event) -> None:
    record.core.set_state(state_before(event))
    assert not record.serves_events
    with pytest.raises(UsageError, match=r"unit 'unit' takes no events: .*start it again"):
        record.send(event)
    record.serve_events()
    record.serve_events(False)
    with pytest.raises(UsageError, match="takes no events"):
        record.send(event)
    assert record.take_event() is None


@given(state=st.sampled_from(State), event=st.sampled_from(Event))
def test_what_the_state_does_not_allow_is_refused(state: State, event: Event) -> None:
    with ProcessRecord.create("any") as record:
        record.serve_events()
        record.core.set_state(state)
        if event is Event.FAIL:
            with pytest.raises(UsageError, match="event 'fail' is the unit's own"):
                record.send(event)
        elif event in TRANSITIONS[state]:
            record.send(event)
        else:
            with pytest.raises(
                UsageError, match=f"event '{event}' is not possible in state {state.name.lower()}; poss"
            ):
                record.send(event)
            assert (record.take_event(), record.control) == (None, "run")
        record.core.set_state(State.OFF)
        record.remove()


def test_what_is_no_event_or_no_limit_is_refused(record: ProcessRecord) -> None:
    with pytest.raises(UsageError, match="unit 'unit': there is no event 'go'; there are: init, enable, run"):
        record.send("go")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"cannot step 1\.5 frames"):
        record.step(1.5)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="limit period_us is '3', expected µs above 0"):
        record.set_limits(period_us="3")  # type: ignore[arg-type]


def test_a_dead_process_takes_none(spawn: Spawner) -> None:
    process = spawn("""
        from framebus.process import ProcessRecord, State
        r = ProcessRecord.create("unit")
        r.serve_events()
        r.core.set_state(State.IDLE)
        print("ready")
        input()
    """)
    process.expect("ready")
    with ProcessRecord.open("unit") as record:
        process.kill()
        with pytest.raises(
            UsageError, match=rf"cannot send event 'run' to unit 'unit': its process {process.pid} is d"
        ):
            record.send(Event.RUN)
        for act in (record.serve_events, record.take_event, record.core.reset_control):
            with pytest.raises(UsageError, match=f"belongs to process {process.pid}"):
                act()


def test_only_known_events_are_posted(record: ProcessRecord) -> None:
    record.serve_events()
    for number in (0, 9):
        with pytest.raises(UsageError, match=f"no event {number}"):
            record.core.post_event(number)


def _wait(record: ProcessRecord, seen: int, found: list[int]) -> None:
    found.append(record.wait_activity(seen, 60))


def test_whoever_waits_is_woken_by_all_that_happens(record: ProcessRecord) -> None:
    record.serve_events()
    happens: list[Callable[[], object]] = [
        lambda: record.core.set_state(State.IDLE),
        record.pause,
        lambda: record.send(Event.DISABLE),
        record.core.reset_control,
        lambda: record.fail("broken"),
    ]
    for act in happens:
        seen = record.activity
        assert record.wait_activity(seen, 0.0) == seen
        found: list[int] = []
        waiter = threading.Thread(target=_wait, args=(record, seen, found))
        waiter.start()
        act()
        waiter.join()
        assert found[0] != seen
        assert record.wait_activity(seen, 60) == record.activity


def test_a_unit_that_starts_anew_forgets_what_it_was_told(record: ProcessRecord) -> None:
    record.stop()
    record.core.reset_control()
    assert record.control == "run"
    record.pause()
    assert record.control == "pause"


class TestLimits:
    def test_anybody_sets_them(self, record: ProcessRecord) -> None:
        assert record.limits == Limits()
        with ProcessRecord.open("unit") as other:
            other.set_limits(period_us=1500, compute_us=0.5, action="pause")
            assert other.limits == record.limits == Limits(1500.0, 0.5, "pause")
            other.set_limits(compute_us=2)
            assert record.limits == Limits(compute_us=2.0)

    def test_stamps_are_compared_with_them(self, record: ProcessRecord) -> None:
        stamp = record.core.stamp
        record.set_limits(period_us=10, compute_us=5)
        stamp(1, 0, 1_000_000, 1_005_000)
        stamp(2, 0, 1_010_000, 1_015_000)
        assert record.alarms == 0, "what is not above a limit is within it"
        stamp(3, 0, 1_020_001, 1_025_001)
        assert record.last_alarm == "period 10.0 µs is above its limit of 10.0 µs (loop 3)"
        before_ns = _core.realtime_ns()
        stamp(4, 0, 1_030_001, 1_036_101)
        assert record.last_alarm == "compute time 6.1 µs is above its limit of 5.0 µs (loop 4)"
        assert record.alarms == 2
        assert record.last_alarm_ns >= before_ns
        stamp(5, 0, 2_000_000, 3_000_000)
        assert record.alarms == 4, "one for each limit"
        record.set_limits(compute_us=0.01)
        stamp(6, 0, 4_000_000, 4_000_410)
        assert record.last_alarm == "compute time 410 ns is above its limit of 10 ns (loop 6)"

    @pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
    @pytest.mark.parametrize("name", ["period_us", "compute_us"])
    def test_impossible_ones_are_refused(self, record: ProcessRecord, name: str, limit: float) -> None:
        with pytest.raises(
            UsageError, match=f"unit 'unit': limit {name} is {limit}, expected µs above 0, or None"
        ):
            record.set_limits(**{name: limit})  # type: ignore[arg-type]
        assert record.limits == Limits()

    def test_an_unknown_action_is_refused(self, record: ProcessRecord) -> None:
        with pytest.raises(UsageError, match="a limit's action is 'explode'; expected 'alarm' or 'pause'"):
            record.set_limits(period_us=1, action="explode")  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="a limit is negative"):
            record.core.set_limits(-1, 0, False)


def test_refusals_are_lines(record: ProcessRecord) -> None:
    assert record.refusals == []
    record.core.set_refusals("CPU 99: no such CPU\npriority 80: not permitted")
    with ProcessRecord.open("unit") as other:
        assert other.refusals == ["CPU 99: no such CPU", "priority 80: not permitted"]
    record.core.set_refusals("x" * 2000)
    assert len(record.refusals[0]) == 1023
    record.core.set_refusals("")
    assert record.refusals == []


def test_what_was_skipped_is_counted(record: ProcessRecord) -> None:
    record.core.note_skipped()
    record.core.note_skipped()
    assert record.skipped == 2
