"""``framebus seq run``."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click

from framebus import _core
from framebus.cli import text
from framebus.cli.complete import python_files
from framebus.cli.failures import FAILED, INTERRUPTED
from framebus.cli.output import show_json
from framebus.cli.seq.view import View, lasting_outputs
from framebus.cli.signals import code_of, handling
from framebus.errors import NotFoundError, SequenceError, UsageError
from framebus.pipeline.logs import LogFile, tail
from framebus.pipeline.rundir import default_logs
from framebus.sequence import Runner, SequenceStatus
from framebus.sequence.status import Place, as_plain

_LOOK_S = 0.02


@click.command()
@click.argument("file", shell_complete=python_files)
@click.argument("arguments", nargs=-1, metavar="[ARG=VALUE]...")
@click.option("--name", default="", help="Of the sequence [default: the file's name without .py].")
@click.option("-d", "--detach", is_flag=True, help="Return when it runs; it goes on in the background.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print the last status as a JSON object, lines to stderr."
)
def run(file: str, arguments: tuple[str, ...], name: str, detach: bool, quiet: bool, as_json: bool) -> int:
    """Run the sequence in FILE: a Python file with one 'async def' that @sequence marks.

    ARG=VALUE are its arguments. Ctrl-C, SIGTERM or 'framebus seq stop' stop it: what it awaits ends, its 'finally'
    blocks run. The same again ends the process at once. Exits with 0 if it is done, 1 if it failed, 130 if it was
    stopped, 143 if SIGTERM did that.

    Example: framebus seq run calibrate.py exposure_s=0.1 --name dark
    """
    given = dict(map(_argument, arguments))
    if detach:
        if as_json:
            raise click.UsageError("--json tells how it ended, which --detach does not wait for")
        return _detached(file, arguments, name or Path(file).stem, quiet=quiet)
    with lasting_outputs():
        view = View(quiet=quiet, to_stderr=as_json)
        runner = Runner(file, given, name=name, on_change=view.change, on_line=view.line)
        with view, _signals(runner, view) as came:
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


@contextmanager
def _signals(runner: Runner, view: View) -> Iterator[list[int]]:
    """Signals that ask to end stop the sequence; a second one ends the process. Gives those that came."""
    came: list[int] = []

    def on_signal(number: int, _where: FrameType | None) -> None:
        came.append(number)
        if len(came) == 1:
            runner.stop()
            return
        if number == signal.SIGHUP:
            return  # one terminal that closes sends it twice: by the kernel, and by the shell
        for pid, _ in runner.status.programs:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
        runner.give_up()
        view.abandon()
        with contextlib.suppress(OSError):  # past Python's own file, in whose write this may have come
            os.write(2, b"framebus: error: ended before the cleanup was over\n")
        os._exit(code_of(number))

    with handling(on_signal):
        yield came


def _detached(file: str, arguments: tuple[str, ...], name: str, *, quiet: bool) -> int:
    """Run it in a process of its own; its output goes to its log."""
    place = Place(name)
    if not os.path.isfile(file):
        raise NotFoundError(f"there is no sequence file {file}")
    log = LogFile.of(default_logs("sequences"), name, 1_000_000, 2)
    os.close(log.open())
    pid = _in_background(
        [sys.executable, "-m", "framebus", "seq", "run", "--quiet", "--name", name, "--", file, *arguments],
        log.path,
    )
    while True:
        alive = _core.process_alive(pid)  # before the look: what it said before its end counts
        status = _status(place, pid)
        if status is not None and status.state != "starting":
            break
        if not alive:
            said = tail(log.path, 1).strip().removeprefix("framebus: error: ")
            raise SequenceError(said or f"it has ended without a word; {log.path} may tell why")
        time.sleep(_LOOK_S)
    if status.state == "failed":
        raise SequenceError(status.error, status.where)
    if not quiet:
        click.echo(
            f"sequence '{text.safe(name)}' is {status.state}; 'framebus seq status {text.safe(name)}' tells more"
        )
    return 0 if status.state in ("running", "done") else FAILED


def _in_background(command: list[str], log: Path) -> int:
    """Start a program that is nobody's child and writes to ``log``; returns its pid."""
    started = subprocess.run(
        ["/bin/sh", "-c", 'log=$1; shift; "$@" >>"$log" 2>&1 & echo $!', "sh", str(log), *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
        check=True,
    )
    return int(started.stdout)


def _status(place: Place, pid: int) -> SequenceStatus | None:
    """The status of that process' sequence, once there is one."""
    try:
        status = place.read()
    except NotFoundError:
        return None
    return status if status.pid == pid else None


def _plain(result: Any) -> Any:
    """The sequence's result, if JSON can hold it; else how Python writes it."""
    try:
        json.dumps(result)
    except (TypeError, ValueError):
        return repr(result)
    return result
