"""The signals that end a program end what it does first, and its exit code says which it was."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

from framebus.cli.failures import silence

__all__ = ["Signals", "code_of", "signals_end_it", "signals_wait"]

_NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def code_of(number: int) -> int:
    """The exit code of a command that a signal ended, as a shell reports it: SIGINT 130, SIGTERM 143, SIGHUP 129."""
    return 128 + number


@dataclass(slots=True)
class Signals:
    """The one that has come; 0: none has. Somebody's code may keep the KeyboardInterrupt to itself."""

    came: int = 0


@contextlib.contextmanager
def signals_end_it() -> Iterator[Signals]:
    """The signals that end a program raise KeyboardInterrupt, once; a second one does what it does by nature.

    A second SIGHUP does nothing: one terminal that closes sends it twice, by the kernel and by the shell. What nobody
    within keeps to itself becomes the exit code of that signal. One that was ignored before (``nohup``) stays so.
    """
    seen = Signals()

    def end(number: int, _frame: FrameType | None) -> None:
        seen.came = number
        for each in _NUMBERS:
            signal.signal(each, signal.SIG_IGN if number == each == signal.SIGHUP else signal.SIG_DFL)
        raise KeyboardInterrupt

    before = {
        number: signal.signal(number, end)
        for number in _NUMBERS
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield seen
    except KeyboardInterrupt:
        if seen.came in (0, signal.SIGINT):
            raise  # the line on which ^C stands is ended where that becomes the exit code
        for output in (sys.stdout, sys.stderr):
            try:
                output.flush()
            except OSError:  # its terminal is gone
                silence(output)
        raise SystemExit(code_of(seen.came)) from None
    finally:
        for number, former in before.items():
            signal.signal(number, former)


@contextlib.contextmanager
def signals_wait() -> Iterator[Callable[[], None]]:
    """What handlers do with the signals that end a program is done later: when the function that this gives is called.

    At the end of the block it is called in any case.
    """
    came: list[int] = []
    before = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in _NUMBERS
        if callable(signal.getsignal(number))
    }

    def release() -> None:
        while before:
            signal.signal(*before.popitem())
        while came:
            signal.raise_signal(came.pop(0))

    try:
        yield release
    finally:
        release()
