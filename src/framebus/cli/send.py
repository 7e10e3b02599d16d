"""``framebus send``: an event to a unit, the same way as from Python."""

from __future__ import annotations

import time

import click

from framebus.cli import text
from framebus.cli.complete import unit_names
from framebus.cli.output import show_json
from framebus.cli.seconds import seconds
from framebus.errors import UnitError, WaitTimeout
from framebus.pipeline.running import find_unit
from framebus.process import Event, ProcessRecord, State, transition
from framebus.process.states import sendable

EVENTS = [event.value for event in Event if event is not Event.FAIL]


@click.command()
@click.argument("unit", shell_complete=unit_names)
@click.argument("event", metavar="EVENT", type=click.Choice(EVENTS))
@click.option(
    "--timeout",
    "timeout_s",
    type=seconds,
    default="60",
    show_default=True,
    help="How long to wait: 60, 500ms ...",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def send(unit: str, event: str, timeout_s: float, as_json: bool) -> None:
    """Send EVENT to UNIT, and wait until it has done it.

    \b
    init     off -> standby         idle     running -> idle
    enable   standby -> idle        disable  idle -> standby
    run      idle -> running        stop     -> off
    recover  error -> standby

    'disable' gives devices and streams back, 'enable' takes them again. 'recover' is for units that stay after a
    failure: those of pipelines with restart = "never".

    Example: framebus send camera disable
    """  # noqa: D301 - click wants the character itself
    with find_unit(unit).record() as record:
        before = record.state
        wanted = transition(before, sendable(record.unit, before, event))
        record.send(Event(event))
        state = _wait(record, before, wanted, timeout_s)
        if state is State.ERROR:
            raise UnitError(f"unit '{record.unit}' failed on '{event}': {record.message}")
        if as_json:
            show_json({"unit": record.unit, "before": before.name.lower(), "after": state.name.lower()})
        else:
            click.echo(f"{text.safe(record.unit)}: {before.name.lower()} -> {state.name.lower()}")


def _wait(record: ProcessRecord, before: State, wanted: State, timeout_s: float) -> State:
    """Wait until the unit is in the state that was wanted, or in error; a process that has ended is off."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen = record.activity
        state = record.state
        if state in (wanted, State.ERROR) and (state is not before or wanted is before):
            return state
        if not record.alive:
            if wanted is State.OFF:
                return State.OFF
            raise UnitError(
                f"the process of unit '{record.unit}' has ended: {record.message or 'it said nothing'}"
            )
        left = deadline - time.monotonic()
        if left <= 0:
            raise WaitTimeout(
                f"unit '{record.unit}' is still {state.name.lower()} after {timeout_s:g} s; the event stays with it"
            )
        record.wait_activity(seen, min(left, 0.1))
