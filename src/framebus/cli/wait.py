"""``framebus wait``."""

from __future__ import annotations

import click

from framebus.cli import text
from framebus.cli.complete import condition_names
from framebus.cli.seconds import seconds
from framebus.cli.waiting import waiting
from framebus.errors import UsageError, WaitTimeout

FIRST = 10
"""Exit code when the first of several conditions fired; the second has the next, and so on."""

TIMED_OUT = 124
"""Exit code when nothing did in time, as ``timeout`` of coreutils has it."""

_MOST = TIMED_OUT - FIRST


@click.command()
@click.argument("conditions", metavar="CONDITION...", nargs=-1, required=True, shell_complete=condition_names)
@click.option("--any/--all", "any_", default=True, help="Wait for one of them (the default), or for all.")
@click.option(
    "--timeout", "timeout_s", type=seconds, help="How long to wait at most: 5, 100ms ... [default: for ever]"
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of what fired.")
def wait(conditions: tuple[str, ...], any_: bool, timeout_s: float | None, as_json: bool) -> int:
    """Wait until a CONDITION comes true, and print what did.

    \b
    stream:wfs              a newer frame
    stream:wfs>=1000        its counter says so (also >)
    stream:wfs=live         its state, as 'framebus ls' has it, or gone
    param:loop.gain         a change (also of a whole set: param:loop)
    param:loop.gain>=0.5    its value (=, !=, <, <=, >, >=)
    unit:slopes             a change of its state
    unit:slopes=running     its state, as 'framebus ps' has it, or gone (=, !=)
    pipeline:ao=ready       starting, ready, failed, stopping, unsupervised, gone

    What is not there yet is waited for, too. Exit code: 0 for a single condition and for --all; with --any 10 if the
    first fired, 11 if the second did, and so on; 124 if nothing did in time.

    Example: framebus wait unit:slopes=running 'param:loop.gain>=0.5' --all --timeout 5
    """  # noqa: D301 - click wants the character itself, which keeps the lines of the list
    from framebus.events import wait_for

    if len(conditions) > _MOST:
        raise UsageError(f"{len(conditions)} conditions; there are exit codes for {_MOST}")
    try:
        with waiting("waiting for " + text.safe(conditions[0]) + " ..." * (len(conditions) > 1)):
            fired = wait_for(
                conditions, mode="any" if any_ else "all", timeout_s=timeout_s, on_absent=tell_absent
            )
    except WaitTimeout as error:
        click.echo(f"framebus: {text.safe(str(error))}", err=True)
        return TIMED_OUT
    if as_json:
        from framebus.cli.output import show_json

        show_json(
            [
                {
                    "index": each.index,
                    "condition": str(each.condition),
                    "time_ns": each.time_ns,
                    **each.values,
                }
                for each in fired
            ]
        )
    else:
        for each in fired:
            click.echo(text.safe(str(each)))
    return FIRST + fired[0].index if any_ and len(conditions) > 1 else 0


def tell_absent(absent: str) -> None:
    """Say at once what is not there: it may be a misspelt name."""
    click.echo(f"framebus: waiting: {text.safe(absent)}", err=True)
