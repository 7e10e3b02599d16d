"""``framebus seq run``."""

from __future__ import annotations

import json
from typing import Any

import click

from framebus.cli import text
from framebus.cli.complete import sequence_files
from framebus.cli.failures import FAILED, INTERRUPTED
from framebus.cli.output import show_json
from framebus.cli.seq.view import View, lasting_outputs
from framebus.cli.shipped import sequence_file
from framebus.cli.signals import code_of, signals_end_it
from framebus.errors import SequenceError, UsageError
from framebus.sequence import Runner, SequenceStatus, start
from framebus.sequence.runner import signals_stop
from framebus.sequence.status import as_plain


@click.command()
@click.argument("file", shell_complete=sequence_files)
@click.argument("arguments", nargs=-1, metavar="[ARG=VALUE]...")
@click.option("--name", default="", help="Of the sequence [default: the file's name without .py].")
@click.option("-d", "--detach", is_flag=True, help="Return when it runs; it goes on in the background.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the last status as a JSON object, lines to stderr."
)
def run(file: str, arguments: tuple[str, ...], name: str, detach: bool, quiet: bool, as_json: bool) -> int:
    """Run the sequence in FILE: a Python file with one 'async def' that @sequence marks.

    'framebus seq run calibrate' runs the one that comes with the package: it calibrates the demonstration.

    ARG=VALUE are its arguments. Ctrl-C, SIGTERM or 'framebus seq stop' stop it: what it awaits ends, its 'finally'
    blocks run. The same again ends the process at once. Exits with 0 if it is done, 1 if it failed, 130 if it was
    stopped, 143 if SIGTERM did that.

    Example: framebus seq run calibrate.py exposure_s=0.1 --name dark
    """
    given = dict(map(_argument, arguments))
    file = sequence_file(file)
    if detach:
        if as_json:
            raise click.UsageError("--json tells how it ended, which --detach does not wait for")
        with signals_end_it():
            status = start(file, given, name=name)
        return _started(status, quiet=quiet)
    with lasting_outputs():
        view = View(quiet=quiet, to_stderr=as_json)
        runner = Runner(file, given, name=name, on_change=view.change, on_line=view.line)
        with view, signals_stop(runner, view.abandon) as came:
            status = runner.run()
        if as_json:
            show_json({**as_plain(status), "result": _plain(runner.result)})
        elif not quiet:
            view.last(status)
    if status.state != "stopped":
        return 0
    return code_of(came[0]) if came else INTERRUPTED


def _argument(given: str) -> tuple[str, str]:
    name, sign, value = given.partition("=")
    if not sign or not name.isidentifier():
        raise UsageError(f"{given!r}: expected ARG=VALUE")
    return name, value


def _started(status: SequenceStatus, *, quiet: bool) -> int:
    """Say how a sequence began; returns the exit code.

    Raises:
        SequenceError: it has failed already.
    """
    if status.state == "failed":
        raise SequenceError(status.error, status.where)
    name = text.safe(status.name)
    if not quiet:
        click.echo(f"sequence '{name}' is {status.state}; 'framebus seq status {name}' tells more")
    return 0 if status.state in ("running", "done") else FAILED


def _plain(result: Any) -> Any:
    """The sequence's result, if JSON can hold it; else how Python writes it."""
    try:
        json.dumps(result)
    except (TypeError, ValueError):
        return repr(result)
    return result
