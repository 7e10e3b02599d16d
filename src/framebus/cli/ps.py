"""``framebus ps``."""

from __future__ import annotations

import click
from rich.text import Text

from framebus.cli import text
from framebus.cli.output import make_console, show, show_json
from framebus.cli.unit_table import as_plain, messages, unit_table
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
        show_json([as_plain(unit) for unit in units])
        return
    lost = [
        Text(
            f"pipeline '{text.safe(found.name)}' has no supervisor; 'framebus up' takes it up, 'framebus down' ends it",
            "red",
        )
        for found in run_dirs()
        if not Controller(found.name).supervised
    ]
    if not units:
        show(Text(f"no unit runs (none in {text.safe(str(shm_directory()))})"), *lost)
        return
    console = make_console()
    show(unit_table(units, pipelines=True), *messages(units, console.width), *lost, console=console)
