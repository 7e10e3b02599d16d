"""What ``framebus seq run`` shows of a sequence, for as long as somebody looks."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from framebus.cli import text
from framebus.cli.failures import silence
from framebus.cli.output import make_console
from framebus.sequence import SequenceStatus

__all__ = ["View", "lasting_outputs"]

_RESET = b"\r\x1b[2K\x1b[?25h"
"""Clears the line of the bar and shows the cursor again."""


class _Lasting:
    """An output that becomes quiet when nobody reads it any more: a sequence goes on, and so does its cleanup."""

    def __init__(self, output: TextIO) -> None:
        self._output = output

    def write(self, said: str) -> int:
        """Write, if anybody reads it."""
        try:
            self._output.write(said)
        except OSError:
            silence(self._output)
        return len(said)

    def flush(self) -> None:
        """Write what is kept back, likewise."""
        try:
            self._output.flush()
        except OSError:
            silence(self._output)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._output, name)


@contextmanager
def lasting_outputs() -> Iterator[None]:
    """A terminal that closes, or a reader that leaves, makes standard output and error quiet and is no error."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, _Lasting(output)) for output in before)
    try:
        yield
    finally:
        for output in (sys.stdout, sys.stderr):
            output.flush()
        sys.stdout, sys.stderr = before


class View:
    """What is shown of a sequence: its lines, and on a terminal below them a bar of the step.

    Args:
        quiet: nothing of that.
        to_stderr: the lines go to standard error.
    """

    def __init__(self, *, quiet: bool, to_stderr: bool) -> None:
        self._console = make_console(stderr=to_stderr)
        self._quiet = quiet
        self._bar: Progress | None = None
        if not quiet and self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(20),
                TextColumn("{task.fields[share]}", markup=False),
                TimeElapsedColumn(),
                console=self._console,
                transient=True,
                refresh_per_second=8,
            )
            self._task = self._bar.add_task("", total=None, share="")

    def __enter__(self) -> View:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def abandon(self) -> None:
        """Leave the terminal as it was, from a signal handler: without the locks that what it interrupted may hold."""
        if self._bar is not None:
            with contextlib.suppress(OSError):
                os.write(self._console.file.fileno(), _RESET)

    def change(self, status: SequenceStatus) -> None:
        """The status has changed."""
        if self._bar is None:
            return
        room = max(20, self._console.width - 42)
        said = status.step or status.state
        share = status.progress
        self._bar.update(
            self._task,
            description=text.safe(said if len(said) <= room else f"{said[: room - 1]}…"),
            total=None if share is None else 1.0,
            completed=share or 0.0,
            share="" if share is None else f"{share:4.0%}",
        )

    def line(self, line: str) -> None:
        """It has logged a line."""
        if not self._quiet:
            self._console.print(f"{time.strftime('%H:%M:%S')} {text.safe(line)}", soft_wrap=True)

    def last(self, status: SequenceStatus) -> None:
        """It has ended."""
        spent = text.duration(status.elapsed_s)
        self._console.print(
            f"sequence '{text.safe(status.name)}' is {status.state} after {spent}", soft_wrap=True
        )
