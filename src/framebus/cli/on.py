"""``framebus on``."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING, Any

import click

from framebus.cli import text
from framebus.cli.complete import condition_names
from framebus.cli.failures import FAILED
from framebus.cli.seconds import seconds
from framebus.cli.signals import signals_end_it, signals_wait
from framebus.cli.wait import TIMED_OUT, tell_absent
from framebus.errors import WaitTimeout

if TYPE_CHECKING:
    from framebus.events import Occurrence

_PATIENCE_S = 5.0
"""How long a command may take to end after SIGTERM, in s, before it is killed."""

_LOOK_S = 0.02


@click.command()
@click.argument("condition", shell_complete=condition_names)
@click.argument("command", metavar="-- COMMAND [ARGS]...", nargs=-1, type=click.UNPROCESSED, required=True)
@click.option(
    "--every", "every_s", type=seconds, default="0", help="Run it at most every so often: 100ms, 2s ..."
)
@click.option("--count", type=click.IntRange(1), help="End after so many runs. [default: go on]")
@click.option(
    "--timeout",
    "timeout_s",
    type=seconds,
    help="End when nothing happens for so long. [default: wait for ever]",
)
def on(
    condition: str, command: tuple[str, ...], every_s: float, count: int | None, timeout_s: float | None
) -> int:
    """Run COMMAND whenever CONDITION comes true ('framebus wait --help' lists conditions); Ctrl-C ends it.

    Never two at once: what happens while COMMAND runs, or sooner than --every, leads to one more run afterwards, for
    the newest event; how many were skipped is said at the end. COMMAND learns from its environment what happened:
    FRAMEBUS_EVENT (the condition), FRAMEBUS_TIME_NS, FRAMEBUS_SKIPPED (since its last run), and FRAMEBUS_STREAM and
    FRAMEBUS_COUNT; or FRAMEBUS_PARAM, FRAMEBUS_VALUE and FRAMEBUS_BEFORE; or FRAMEBUS_UNIT (FRAMEBUS_PIPELINE),
    FRAMEBUS_STATE, FRAMEBUS_BEFORE and FRAMEBUS_PID.

    Exit code: 0, also after Ctrl-C and SIGTERM unless there is a --count; 1 if a run of COMMAND failed, 124 after
    --timeout.

    Example: framebus on stream:wfs --every 100ms -- sh -c 'echo $FRAMEBUS_COUNT'
    """
    from framebus.events import Occurrences

    runs, failed, code = 0, 0, 0
    with signals_end_it(), Occurrences(condition, every_s=every_s) as occurrences:
        if occurrences.absent:
            tell_absent(occurrences.absent)
        try:
            while count is None or runs < count:
                occurrence = occurrences.next(timeout_s)
                status = _run(command, occurrence)
                runs += 1
                if status:
                    failed += 1
                    click.echo(f"framebus: {_ending(command[0], status)}", err=True)
        except WaitTimeout as error:
            click.echo(f"framebus: {text.safe(str(error))}", err=True)
            code = TIMED_OUT
        except KeyboardInterrupt:
            if count is not None:
                raise
        finally:
            _summary(condition, runs, failed, occurrences.skipped)
    return code or (FAILED if failed else 0)


def environment(occurrence: Occurrence) -> dict[str, str]:
    """What a command is told of the event that it runs for, as environment variables."""
    from framebus.params.text import to_text

    values = occurrence.values
    told: dict[str, Any] = {
        "EVENT": str(occurrence.condition),
        "TIME_NS": occurrence.time_ns,
        "SKIPPED": occurrence.skipped,
    }
    if "parameter" not in values:
        told[occurrence.condition.kind.upper()] = occurrence.condition.name
    for key, value in values.items():
        told["PARAM" if key == "parameter" else key.upper()] = "" if value is None else value
    return {f"FRAMEBUS_{key}": to_text(value) for key, value in told.items()}


def _run(command: tuple[str, ...], occurrence: Occurrence) -> int:
    """Run it to its end; returns its exit status, negative for a signal. Whatever ends us ends it before."""
    with (
        signals_wait() as release,  # until there is something to end
        subprocess.Popen(
            command,
            env={**os.environ, **environment(occurrence)},
            start_new_session=True,  # so that it and all that it starts can be told to end
        ) as process,
    ):
        try:
            release()
            _wait(process)
            return process.wait()
        except BaseException:
            _end(process)
            raise


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Sleep until it ends, in short sleeps: a signal that comes just before one begins is served after it."""
    descriptor = os.pidfd_open(process.pid)
    try:
        while not select.select([descriptor], [], [], 1.0)[0]:
            pass
    finally:
        os.close(descriptor)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command and what it started; what has not ended in time is killed."""
    until = time.monotonic() + _PATIENCE_S
    with contextlib.suppress(ProcessLookupError):  # all are gone
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < until:
            process.poll()  # a zombie is still one of its group
            os.killpg(process.pid, 0)
            time.sleep(_LOOK_S)
        os.killpg(process.pid, signal.SIGKILL)


def _ending(program: str, status: int) -> str:
    said = f"was ended by signal {-status}" if status < 0 else f"failed with exit code {status}"
    return f"{text.safe(program)} {said}"


def _summary(condition: str, runs: int, failed: int, skipped: int) -> None:
    parts = [f"{runs} run{'' if runs == 1 else 's'}"]
    parts += [f"{failed} failed"] if failed else []
    parts += [f"{skipped} event{'' if skipped == 1 else 's'} skipped"] if skipped else []
    if failed or skipped:
        click.echo(f"framebus: {text.safe(condition)}: {', '.join(parts)}", err=True)
