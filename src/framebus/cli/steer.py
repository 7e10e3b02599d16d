"""Commands to single units: ``restart``, ``replace``, ``pause``, ``step``, ``resume``, ``logs``.

A unit is named ``unit``, or ``pipeline/unit`` where several pipelines have one of that name.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from framebus.cli import text
from framebus.cli.complete import installed_unit_names, log_names, unit_names
from framebus.cli.output import show_json
from framebus.cli.waiting import waiting
from framebus.errors import NotFoundError, UsageError
from framebus.pipeline.control import Controller
from framebus.pipeline.logs import follow, tail
from framebus.pipeline.rundir import default_logs
from framebus.pipeline.running import UnitStatus, find_unit, of_pipeline
from framebus.process import ProcessRecord


@click.command()
@click.argument("unit", shell_complete=unit_names)
def restart(unit: str) -> None:
    """End the process of UNIT and start it anew; returns when it is ready.

    Units that share the process go along. Parameters keep the values that they were tuned to.

    Example: framebus restart slopes
    """
    found = _supervised(unit)
    with waiting(f"unit '{text.safe(found.unit)}' restarts"):
        Controller(found.pipeline).restart(found.unit)
    click.echo(f"unit '{text.safe(found.unit)}' runs again")


@click.command()
@click.argument("unit", shell_complete=unit_names)
@click.option(
    "--use",
    required=True,
    metavar="CODE",
    shell_complete=installed_unit_names,
    help="package.module:function or /path/file.py:function.",
)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="A parameter's value.")
def replace(unit: str, use: str, settings: tuple[str, ...]) -> None:
    """Put other code in the place of UNIT while it runs.

    The new unit is compiled and warmed before the old one stops; at most one frame is skipped, and counted. If that
    fails, the old one goes on. Units that share the process are taken over in the same way.

    Example: framebus replace slopes --use my.package:better_slopes --set threshold=4
    """
    from framebus.pipeline.read import variable

    found = _supervised(unit)
    with waiting(f"unit '{text.safe(found.unit)}' becomes {text.safe(use)}"):
        Controller(found.pipeline).replace(found.unit, use, dict(map(variable, settings)))
    click.echo(f"unit '{text.safe(found.unit)}' is now {text.safe(use)}")


@click.command()
@click.argument("units", nargs=-1, required=True, shell_complete=unit_names)
def pause(units: tuple[str, ...]) -> None:
    """Let UNITS wait before their next frame.

    Example: framebus pause camera
    """
    _each(units, ProcessRecord.pause)


@click.command()
@click.argument("units", nargs=-1, required=True, shell_complete=unit_names)
@click.option("-n", "frames", type=click.IntRange(1), default=1, show_default=True, help="How many frames.")
def step(units: tuple[str, ...], frames: int) -> None:
    """Let UNITS do some frames and then pause.

    Example: framebus step camera -n 10
    """
    _each(units, lambda record: record.step(frames))


@click.command()
@click.argument("units", nargs=-1, required=True, shell_complete=unit_names)
def resume(units: tuple[str, ...]) -> None:
    """Let paused UNITS run again.

    Example: framebus resume camera
    """
    _each(units, ProcessRecord.resume)


@click.command()
@click.argument("unit", shell_complete=log_names)
@click.option(
    "-f", "--follow", "go_on", is_flag=True, help="Go on with what it prints, until the pipeline is down."
)
@click.option("-n", "lines", type=click.IntRange(0), default=20, show_default=True, help="How many lines.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def logs(unit: str, go_on: bool, lines: int, as_json: bool) -> None:
    """Show what the process of UNIT printed last: the unit, and those that share its process.

    After the pipeline went down, PIPELINE/UNIT finds logs that lie in the usual folder. PIPELINE/supervisor shows what
    the supervisor said.

    Example: framebus logs slopes --follow
    """
    if as_json and go_on:
        raise UsageError("--json and --follow exclude each other: an object has an end")
    path, going = _log_of(unit)
    if not path.exists():
        raise NotFoundError(f"there is no log {path}; units have one when a pipeline runs them")
    if as_json:
        show_json({"log": str(path), "lines": tail(path, lines).splitlines()})
        return
    for piece in follow(path, going, lines) if go_on else [tail(path, lines)]:
        click.echo(piece, nl=False)


def _log_of(unit: str) -> tuple[Path, Callable[[], bool]]:
    """A unit's log, and whether more may come."""
    pipeline, _, name = unit.rpartition("/")
    if name == "supervisor" and pipeline:
        try:
            controller = Controller(pipeline)
        except NotFoundError:
            return default_logs(pipeline) / "supervisor.log", lambda: False
        return _folder(controller.status(), pipeline) / "supervisor.log", lambda: controller.run_dir.exists
    try:
        found = _supervised(unit)
    except NotFoundError:
        if not pipeline:
            raise
        return default_logs(pipeline) / f"{name}.log", lambda: False
    controller = Controller(found.pipeline)
    process = controller.status()["processes"][found.process]
    return Path(process["log"]), lambda: controller.run_dir.exists


def _folder(status: dict[str, Any], pipeline: str) -> Path:
    paths = [Path(process["log"]).parent for process in status["processes"].values()]
    return paths[0] if paths else default_logs(pipeline)


def _supervised(unit: str) -> UnitStatus:
    return of_pipeline(find_unit(unit))


def _each(units: tuple[str, ...], act: Callable[[ProcessRecord], object]) -> None:
    """Act on all, once all are found."""
    opened = [find_unit(unit).record() for unit in units]
    for record in opened:
        with record:
            act(record)
