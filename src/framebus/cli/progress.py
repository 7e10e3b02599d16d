"""How far a command is that takes its time."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

TERMINATED = 143
"""As a shell reports a program that SIGTERM ended."""


@contextmanager
def measuring(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error, once it has taken a second and if that is a terminal; SIGTERM ends as Ctrl-C does.

    Gives the function to call with what is done and the total.
    """
    import time

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task(title, total=None)
    began, shown = time.monotonic(), False

    def report(done: int, total: int) -> None:
        nonlocal shown
        if not shown and sys.stderr.isatty() and time.monotonic() - began > 1.0:
            bar.start()
            shown = True
        bar.update(task, completed=done, total=total)

    def end(number: int, where: FrameType | None) -> None:
        del number, where
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield report
    finally:
        if shown:
            bar.stop()
        signal.signal(signal.SIGTERM, before)
