"""The group ``framebus seq``: which commands there are, and where each lives."""

from __future__ import annotations

import click

from framebus.cli.lazy import Entry, LazyGroup

COMMANDS = {
    "run": Entry("framebus.cli.seq.run:run", "Run a sequence's file."),
    "ls": Entry("framebus.cli.seq.ls:ls", "List sequences with their state."),
    "status": Entry("framebus.cli.seq.ls:status", "Tell everything about one sequence."),
    "logs": Entry("framebus.cli.seq.ls:logs", "Show what a sequence logged."),
    "stop": Entry("framebus.cli.seq.steer:stop", "Stop a sequence; again: kill it."),
    "send": Entry("framebus.cli.seq.steer:send", "Send a message to a sequence."),
    "purge": Entry("framebus.cli.seq.steer:purge", "Forget sequences that ended or were killed."),
}
"""Every command of the group."""


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    epilog="'framebus seq COMMAND --help' tells more about a command.",
)
def seq() -> None:
    """Sequences: plain Python files that calibrate and operate, seen and stopped from outside.

    Example: framebus seq run calibrate.py exposure_s=0.1
    """
