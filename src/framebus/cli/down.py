"""``framebus down``."""

from __future__ import annotations

import os

import click

from framebus.cli import text
from framebus.cli.complete import pipeline_names
from framebus.cli.waiting import waiting
from framebus.errors import NotFoundError, UsageError
from framebus.pipeline.control import Controller
from framebus.pipeline.rundir import RunDir
from framebus.pipeline.running import find_unit


@click.command()
@click.argument("pipeline", required=False, shell_complete=pipeline_names)
def down(pipeline: str | None) -> None:
    """End a pipeline and remove all that it made: PIPELINE is its name or its file; none needed if only one runs.

    Units end in reverse order, in the time that the file gives them (5 s); what has not ended then is killed. Works
    too if its supervisor was killed.

    Example: framebus down loop
    """
    name = pipeline
    if name is not None and (name.endswith(".toml") or os.sep in name):
        from framebus.pipeline.read import read_plan

        name = read_plan(name).name
    if name is None or not RunDir(name).remove_stale():
        controller = _controller(name)
        name = controller.name
        with waiting(f"pipeline '{text.safe(name)}' goes down"):
            controller.down()
    click.echo(f"pipeline '{text.safe(name)}' is down")


def _controller(name: str | None) -> Controller:
    """The pipeline's. Raises NotFoundError, UsageError: as ``Controller``; a unit of that name is told of."""
    try:
        return Controller(name)
    except NotFoundError as error:
        try:
            unit = find_unit(name or "")
        except (NotFoundError, UsageError):
            raise error from None
        if unit.pipeline:
            advice = f"is of pipeline '{unit.pipeline}', which 'framebus down {unit.pipeline}' ends"
        else:
            advice = f"runs by itself: 'framebus send {name} stop' ends it"
        raise NotFoundError(f"{error}; unit '{name}' {advice}") from None
