"""What a terminal shows while a command waits for others: a bar on standard error, and gone at the end."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from framebus.cli.progress import SHOWN_AFTER_S

__all__ = ["waiting"]

_FRAME_S = 0.1


@contextmanager
def waiting(title: str, lasts_s: float | None = None) -> Iterator[None]:
    """A bar once the body has taken a second, where standard error is a terminal; it has a thread of its own.

    Args:
        title: what is waited for; shown as it stands.
        lasts_s: how many seconds it takes. None: nobody knows; the bar moves, and the time that has passed is told.
    """
    if not sys.stderr.isatty() or (lasts_s is not None and lasts_s <= SHOWN_AFTER_S):
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=_show, args=(title, lasts_s, over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _show(title: str, lasts_s: float | None, over: threading.Event) -> None:
    began = time.monotonic()
    if over.wait(SHOWN_AFTER_S):
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from framebus.cli.output import make_console

    console = make_console(stderr=True)
    clock = TimeElapsedColumn() if lasts_s is None else TimeRemainingColumn()
    bar = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        clock,
        console=console,
        auto_refresh=False,
        transient=True,
    )
    task = bar.add_task(title, total=lasts_s)
    with bar:
        while not over.wait(_FRAME_S):
            bar.update(task, completed=time.monotonic() - began, refresh=True)
