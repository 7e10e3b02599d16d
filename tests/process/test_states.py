"""The state machine: which event leads where, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.errors import UsageError
from framebus.process import Event, State, transition
from framebus.process.states import TRANSITIONS

WAY_UP = [Event.INIT, Event.ENABLE, Event.RUN]
WAY_DOWN = [Event.IDLE, Event.DISABLE, Event.STOP]


def test_the_way_up_and_down() -> None:
    state = State.OFF
    seen = [state := transition(state, event) for event in WAY_UP + WAY_DOWN]
    assert seen == [State.STANDBY, State.IDLE, State.RUNNING, State.IDLE, State.STANDBY, State.OFF]


@pytest.mark.parametrize("state", State)
def test_everything_can_fail_and_what_failed_recovers_to_standby(state: State) -> None:
    assert transition(state, Event.FAIL) is State.ERROR
    assert transition(State.ERROR, Event.RECOVER) is State.STANDBY


@pytest.mark.parametrize("state", set(State) - {State.OFF})
def test_everything_can_be_stopped(state: State) -> None:
    assert transition(state, Event.STOP) is State.OFF


@given(state=st.sampled_from(State), event=st.sampled_from(Event))
def test_an_event_leads_on_or_is_refused_with_what_is_possible(state: State, event: Event) -> None:
    allowed = {*TRANSITIONS[state], Event.FAIL}
    if event in allowed:
        assert transition(state, event) in State
        return
    with pytest.raises(UsageError) as caught:
        transition(state, event)
    message = str(caught.value)
    assert f"'{event}'" in message
    assert state.name.lower() in message
    assert set(message.split("possible: ")[1].split(", ")) == {str(e) for e in allowed}


@given(events=st.lists(st.sampled_from(Event), max_size=40))
def test_only_the_way_up_leads_to_running(events: list[Event]) -> None:
    """Whatever is tried, in whatever order: a unit runs only after init, enable and run."""
    state = State.OFF
    done: list[Event] = []
    for event in events:
        try:
            state = transition(state, event)
        except UsageError:
            continue
        done = [*done, event] if state is not State.OFF else []
        if state is State.RUNNING:
            assert done[-1] is Event.RUN
            assert Event.ENABLE in done
            assert {Event.INIT, Event.RECOVER} & set(done)
        if state is State.ERROR:
            assert event is Event.FAIL
    assert state in State


def test_every_state_is_reachable_and_can_be_left() -> None:
    assert {to for edges in TRANSITIONS.values() for to in edges.values()} | {State.ERROR} == set(State)
    assert set(TRANSITIONS) == set(State)
