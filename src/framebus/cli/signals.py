"""The signals that end a program end what it does first."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType

__all__ = ["Signals", "signals_end_it"]


@dataclass(slots=True)
class Signals:
    """Whether one has come: somebody's code may keep the KeyboardInterrupt to itself."""

    came: bool = False


@contextlib.contextmanager
def signals_end_it() -> Iterator[Signals]:
    """The signals that end a program raise KeyboardInterrupt, once; a second one does what it does by nature."""
    seen = Signals()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        seen.came = True
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield seen
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
