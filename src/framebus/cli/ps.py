"""``framebus ps``."""

from __future__ import annotations

import click
from rich.text import Text

from framebus.cli import text
from framebus.cli.output import make_console, show, show_json
from framebus.cli.unit_table import messages, unit_table
from framebus.errors import NotFoundError
from framebus.events.plain import unit_plain
from framebus.pipeline.control import Controller
from framebus.pipeline.rundir import run_dirs
from framebus.pipeline.running import running
from framebus.stream.names import shm_directory


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def ps(as_json: bool) -> None:
    """List the units that run: those of pipelines as PIPELINE/UNIT, and those that belong to none.

    A unit is 'dead' if its process was killed and nobody starts it again.

    Example: framebus ps --json
    """
    units = running()
    if as_json:
        show_json([unit_plain(unit) for unit in units])
        return
    lost = [Text(line, "red") for found in run_dirs() if (line := _unattended(found.name))]
    if not units:
        show(Text(f"no unit runs (none in {text.safe(str(shm_directory()))})"), *lost)
        return
    console = make_console()
    show(
        unit_table(units, console.width, pipelines=True),
        *messages(units, console.width),
        *lost,
        console=console,
    )


def _unattended(name: str) -> str:
    """What to do about a pipeline that nobody looks after just now; empty if somebody does."""
    try:
        controller = Controller(name)
    except NotFoundError:  # it was taken down meanwhile
        return ""
    said = f"pipeline '{text.safe(name)}'"
    if not controller.supervised:
        return f"{said} has no supervisor; 'framebus up' takes it up, 'framebus down' ends it"
    if pid := controller.suspended:
        return f"{said}: its supervisor (process {pid}) is suspended; 'kill -CONT {pid}' lets it go on"
    return ""
