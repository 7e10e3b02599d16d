"""``framebus seq ls``, ``status`` and ``logs``."""

from __future__ import annotations

import math
from pathlib import Path

import click
from rich.text import Text

from framebus.cli import text
from framebus.cli.complete import sequence_names
from framebus.cli.output import columns, make_console, show, show_json
from framebus.errors import NotFoundError, UsageError
from framebus.pipeline.logs import follow, tail
from framebus.sequence import SequenceStatus, find, running
from framebus.sequence.session import log_of
from framebus.sequence.status import Place, as_plain
from framebus.stream.names import shm_directory

STATE_STYLES = {
    "starting": "cyan",
    "running": "green",
    "stopping": "yellow",
    "done": "dim",
    "stopped": "yellow",
    "failed": "bold white on red",
    "dead": "red",
}
"""How each state of a sequence is coloured; it is always written out too."""

_BAR = 10


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def ls(as_json: bool) -> None:
    """List sequences: those that run, and those that ended until they are purged or run again.

    A sequence is 'dead' if its process was killed.

    Example: framebus seq ls --json
    """
    known = running()
    if as_json:
        show_json([as_plain(status) for status in known])
        return
    if not known:
        show(Text(f"there is no sequence (none in {text.safe(str(shm_directory()))})"))
        return
    console = make_console()
    table = columns(
        *("name", "state", "pid", "time", "progress", "step"),
        right=("pid", "time"),
        wrapped=("step",),
        drop=("pid", "time", "step", "progress", "state"),
    )
    for status in known:
        table.add_row(
            Text(text.safe(status.name)),
            Text(status.state, STATE_STYLES.get(status.state, "")),
            Text(str(status.pid) if status.alive else "-"),
            Text(_spent(status)),
            Text(_bar(status.progress)),
            Text(text.safe(status.step or "-")),
        )
    failed = [
        Text(f"{text.safe(status.name)}: {text.safe(_error(status))}", "red")
        for status in known
        if status.error
    ]
    show(table, *failed, console=console)


@click.command()
@click.argument("name", default="", shell_complete=sequence_names)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def status(name: str, as_json: bool) -> None:
    """Tell everything about the sequence NAME, or about the only one.

    Example: framebus seq status calibrate
    """
    found = find(name)
    if as_json:
        show_json(as_plain(found))
        return
    facts = {
        "sequence": found.name,
        "state": found.state,
        "step": found.step or "-",
        "progress": _bar(found.progress),
        "message": found.message or "-",
        "process": f"{found.pid}{'' if found.alive else ' (gone)'}",
        "started": f"{text.iso_time(found.started_ns)[:19]}Z",
        "time": _spent(found),
        "file": found.file,
        "arguments": " ".join(f"{key}={value}" for key, value in found.arguments.items()) or "-",
        "log": found.log,
    }
    if found.errors:
        facts["errors"] = f"{found.errors} passed over, or tried again after"
    if found.error:
        facts["error"] = _error(found)
    style = STATE_STYLES.get(found.state, "")
    show(
        *[
            Text.assemble(f"{key:10}", (text.safe(value), style if key == "state" else ""))
            for key, value in facts.items()
        ]
    )


@click.command()
@click.argument("name", default="", shell_complete=sequence_names)
@click.option("-n", "lines", type=click.IntRange(0), default=20, show_default=True, help="How many lines.")
@click.option("-f", "--follow", "on", is_flag=True, help="Go on until the sequence has ended.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def logs(name: str, lines: int, on: bool, as_json: bool) -> None:
    """Show the last lines that the sequence NAME, or the only one, logged; also of one that was forgotten since.

    Example: framebus seq logs calibrate -f
    """
    if as_json and on:
        raise UsageError("--json and --follow exclude each other: an object has an end")
    place, path = _log(name)
    if not path.exists():
        raise NotFoundError(f"sequence '{place.name}' has no log file {path}")
    if as_json:
        show_json({"log": str(path), "lines": tail(path, lines).splitlines()})
        return

    def runs() -> bool:
        try:
            return place.read().alive
        except NotFoundError:  # forgotten meanwhile
            return False

    for piece in follow(path, runs, lines) if on else [tail(path, lines)]:
        click.echo("\n".join(map(text.safe, piece.split("\n"))), nl=False)


def _spent(status: SequenceStatus) -> str:
    return "-" if math.isnan(status.elapsed_s) else text.duration(status.elapsed_s)


def _bar(progress: float | None) -> str:
    if progress is None:
        return "-"
    full = round(progress * _BAR)
    return f"{'█' * full}{'░' * (_BAR - full)} {progress:4.0%}"


def _error(status: SequenceStatus) -> str:
    return f"{status.where}: {status.error}" if status.where else status.error


def _log(name: str) -> tuple[Place, Path]:
    """The sequence's place and log file. Raises NotFoundError: there is neither a sequence nor a log of that name."""
    try:
        found = find(name)
    except NotFoundError:
        if not name or not (kept := log_of(name).path).exists():
            raise
        return Place(name), kept
    return Place(found.name), Path(found.log)
