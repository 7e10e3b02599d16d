"""How far a command is that takes its time: a bar on standard error, where that is a terminal, and gone at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from framebus.cli.signals import signals_end_it

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["measuring", "progress_line"]

SHOWN_AFTER_S = 1.0
"""What takes less needs no bar."""
_STEP_S = 0.1
"""A bar is told no more often, as that takes longer than many a frame."""


@contextmanager
def measuring(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar once it has taken a second; SIGTERM and SIGHUP end as Ctrl-C does.

    Gives the function to call with what is done and the total.
    """
    with signals_end_it(), _bar(counted=True) as show:
        yield lambda done, total: show(title, done, total)


@contextmanager
def progress_line() -> Iterator[Callable[[str, float], None]]:
    """A bar once it has taken a second, for what has stages.

    Gives the function to call with what is being done, and which share of all is done by now.
    """
    with _bar(counted=False) as show:
        yield lambda what, share: show(what, share, 1.0)


@contextmanager
def _bar(*, counted: bool) -> Iterator[Callable[[str, float, float], None]]:
    """Gives a function of title, what is done, and the total."""
    if not sys.stderr.isatty():
        yield _tell_nobody
        return
    bar: Progress | None = None
    task = None
    due, told = time.monotonic() + SHOWN_AFTER_S, ""

    def show(title: str, done: float, total: float) -> None:
        nonlocal bar, task, due, told
        now = time.monotonic()
        if now < due and (bar is None or (title == told and done != total)):
            return
        due, told = now + _STEP_S, title
        if bar is None or task is None:
            bar = _make_bar(counted=counted)
            task = bar.add_task(title, total=total)
            bar.start()
        bar.update(task, description=title, completed=done, total=total)

    try:
        yield show
    finally:
        if bar is not None:
            bar.stop()


def _make_bar(*, counted: bool) -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    from framebus.cli.output import make_console

    console = make_console(stderr=True)
    title = TextColumn("{task.description}", markup=False)
    if counted:
        return Progress(
            title, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console, transient=True
        )
    return Progress(title, BarColumn(), TaskProgressColumn(), console=console, transient=True)


def _tell_nobody(title: str, done: float, total: float) -> None:
    del title, done, total
