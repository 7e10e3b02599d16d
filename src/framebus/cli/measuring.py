"""A line on the terminal that tells how far something that takes long has come."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

__all__ = ["progress_line"]


@contextlib.contextmanager
def progress_line() -> Iterator[Callable[[str, float], None]]:
    """Gives a function that is told what is being done, and which share of it is; it shows nothing but on a terminal.

    The line is on standard error, and gone at the end.
    """
    if not sys.stderr.isatty():
        yield _tell_nobody
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    console = Console(stderr=True, color_system=None if os.environ.get("NO_COLOR") else "auto")
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda what, share: progress.update(task, description=what, completed=share)


def _tell_nobody(what: str, share: float) -> None:
    del what, share
