"""The states of a unit and the events that lead from one to another."""

from __future__ import annotations

from enum import IntEnum, StrEnum

from framebus.errors import UsageError

__all__ = ["TRANSITIONS", "Event", "State", "sendable", "transition"]


class State(IntEnum):
    """Where a unit is in its life; the numbers are those of the record."""

    OFF = 0
    """Nothing is set up."""
    STANDBY = 1
    """Set up, its resources not yet taken."""
    IDLE = 2
    """Ready: bound, compiled, not looping."""
    RUNNING = 3
    """Its loop takes frames."""
    ERROR = 4
    """It failed; the record's message says how."""


class Event(StrEnum):
    """What leads from state to state."""

    INIT = "init"
    ENABLE = "enable"
    RUN = "run"
    IDLE = "idle"
    DISABLE = "disable"
    STOP = "stop"
    FAIL = "fail"
    RECOVER = "recover"

    @property
    def number(self) -> int:
        """How the record's event word says it: 1 to 8."""
        return list(Event).index(self) + 1


TRANSITIONS: dict[State, dict[Event, State]] = {
    State.OFF: {Event.INIT: State.STANDBY},
    State.STANDBY: {Event.ENABLE: State.IDLE, Event.STOP: State.OFF},
    State.IDLE: {Event.RUN: State.RUNNING, Event.DISABLE: State.STANDBY, Event.STOP: State.OFF},
    State.RUNNING: {Event.IDLE: State.IDLE, Event.STOP: State.OFF},
    # Back to standby and not to idle: what failed may have been the resources that 'enable' takes.
    State.ERROR: {Event.RECOVER: State.STANDBY, Event.STOP: State.OFF},
}
"""All edges but one: ``fail`` leads to ``ERROR`` from every state."""


def transition(state: State, event: Event) -> State:
    """The state that ``event`` leads to from ``state``.

    Raises:
        UsageError: that event is not possible in that state; the message lists those that are.
    """
    if event is Event.FAIL:
        return State.ERROR
    allowed = TRANSITIONS[state]
    if event not in allowed:
        raise UsageError(
            f"event '{event}' is not possible in state {state.name.lower()}; "
            f"possible: {', '.join([*allowed, Event.FAIL])}"
        )
    return allowed[event]


def sendable(unit: str, state: State, event: Event | str) -> Event:
    """The event, if others may send it to that unit in that state.

    Raises:
        UsageError: there is no such event, it is the unit's own, or it is not possible now.
    """
    if event not in list(Event):
        raise UsageError(f"unit '{unit}': there is no event {event!r}; there are: {', '.join(Event)}")
    if event == Event.FAIL:
        raise UsageError(f"unit '{unit}': event 'fail' is the unit's own; to end it send 'stop'")
    possible = TRANSITIONS[state]
    if event not in possible:
        raise UsageError(
            f"unit '{unit}': event '{event}' is not possible in state {state.name.lower()}; "
            f"possible: {', '.join(possible)}"
        )
    return Event(event)
