"""The terminal itself: what it can draw, how large it is, and its screen lent and given back whatever happens."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import struct
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FrameType
from typing import Literal

from framebus.cli.signals import signals_end_it
from framebus.ops.graphics import Depth

__all__ = ["Graphics", "Size", "TerminalKind", "find_graphics", "screen", "size", "understand"]

Graphics = Literal["kitty", "sixel", "blocks"]

ANSWER_S = 0.3
"""How long a terminal may take to say what it can; over a slow line half blocks are drawn."""

_QUERY = "\x1b_Gi=72,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\\x1b[16t\x1b[c"
"""Does it know kitty's graphics, how large is a character, what is it: the last one every terminal answers."""
_DUMB = ("", "dumb", "linux", "cons25")
"""Terminals that would print the question."""
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"
_CELL = (16, 8)


@dataclass(frozen=True, slots=True)
class TerminalKind:
    """What a terminal draws with.

    Attributes:
        graphics: how pixels are drawn.
        depth: how colours are told; None for none at all.
        cell: height and width of a character in pixels, as it says or a guess.
    """

    graphics: Graphics = "blocks"
    depth: Depth | None = None
    cell: tuple[int, int] = _CELL


@dataclass(frozen=True, slots=True)
class Size:
    """Columns and rows of the terminal."""

    columns: int
    rows: int


def size() -> Size:
    """Of the terminal that is standard output; 80 by 24 where there is none, or it says nothing."""
    try:
        columns, rows = os.get_terminal_size(sys.stdout.fileno())
    except (OSError, ValueError):
        return Size(80, 24)
    return Size(columns or 80, rows or 24)


def find_graphics(wanted: str, environ: Mapping[str, str] = os.environ) -> TerminalKind:
    """What to draw with: what was wanted, or the best that the terminal has.

    Args:
        wanted: ``auto``, or one of ``kitty``, ``sixel``, ``blocks``, which is then taken without asking.
        environ: the environment.
    """
    if environ.get("NO_COLOR") and wanted == "auto":
        return TerminalKind()
    if not sys.stdout.isatty():
        return TerminalKind() if wanted == "auto" else TerminalKind(_graphics(wanted), "true")
    depth = _depth(environ)
    if wanted != "auto":
        return TerminalKind(_graphics(wanted), depth or "true", _cell_by_window() or _CELL)
    if depth is None or environ.get("TERM", "") in _DUMB:
        return TerminalKind(depth=depth)
    answer = _ask() if sys.stdin.isatty() else ""
    graphics, cell = understand(answer)
    return TerminalKind(graphics, depth, _cell_by_window() or cell or _CELL)


def understand(answer: str) -> tuple[Graphics, tuple[int, int] | None]:
    """What a terminal's answer to the question says: its graphics, and the size of a character if it told."""
    size_told = re.search(r"\x1b\[6;(\d+);(\d+)t", answer)
    cell = (int(size_told[1]), int(size_told[2])) if size_told else None
    if cell is not None and 0 in cell:
        cell = None
    if "\x1b_Gi=72;OK" in answer:
        return "kitty", cell
    attributes = re.search(r"\x1b\[\?([\d;]*)c", answer)
    if attributes and "4" in attributes[1].split(";")[1:]:
        return "sixel", cell
    return "blocks", cell


def _graphics(wanted: str) -> Graphics:
    return "kitty" if wanted == "kitty" else "sixel" if wanted == "sixel" else "blocks"


def _depth(environ: Mapping[str, str]) -> Depth | None:
    if environ.get("NO_COLOR") or environ.get("TERM", "") in ("", "dumb"):
        return None
    return "true" if environ.get("COLORTERM") in ("truecolor", "24bit") else "256"


def _cell_by_window() -> tuple[int, int] | None:
    """Height and width of a character as the kernel was told them."""
    try:
        told = fcntl.ioctl(sys.stdout.fileno(), termios.TIOCGWINSZ, bytes(8))
    except OSError:
        return None
    rows, columns, width, height = struct.unpack("HHHH", told)
    return (
        (height // rows, width // columns)
        if rows and columns and width >= columns and height >= rows
        else None
    )


def _ask() -> str:
    """Ask the terminal, and read what it answers for a moment; what somebody typed meanwhile is lost."""
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    answer = b""
    try:
        tty.setraw(keyboard, termios.TCSANOW)
        sys.stdout.write(_QUERY)
        sys.stdout.flush()
        deadline = time.monotonic() + ANSWER_S
        while not re.search(rb"\x1b\[\?[\d;]*c", answer):
            if not select.select([keyboard], [], [], max(0.0, deadline - time.monotonic()))[0]:
                break
            answer += os.read(keyboard, 1024)
    finally:
        termios.tcsetattr(keyboard, termios.TCSAFLUSH, before)
    return answer.decode("ascii", errors="replace")


@contextlib.contextmanager
def screen(farewell: str = "", renewed: Callable[[], None] = lambda: None) -> Iterator[None]:
    """The whole screen for a while, without cursor and echo; then the terminal is as it was.

    Given back too when Ctrl-C, SIGTERM or SIGHUP end the program, and while Ctrl-Z suspends it.

    Args:
        farewell: what to write before the screen is given back: to remove what a clear does not.
        renewed: called when the screen is ours again, and empty.
    """
    keyboard = sys.stdin.fileno() if sys.stdin.isatty() else None
    before = termios.tcgetattr(keyboard) if keyboard is not None else None

    def enter() -> None:
        if keyboard is not None:
            tty.setcbreak(keyboard, termios.TCSANOW)
        _write(_ENTER)

    def leave() -> None:
        _write(farewell + _LEAVE)
        if keyboard is not None and before is not None:
            with contextlib.suppress(termios.error):  # nor does that
                termios.tcsetattr(keyboard, termios.TCSADRAIN, before)

    def suspend(_number: int, _frame: FrameType | None) -> None:
        leave()
        os.kill(os.getpid(), signal.SIGSTOP)  # goes on here when the shell continues us
        enter()
        renewed()

    with signals_end_it():
        former = signal.signal(signal.SIGTSTP, suspend)
        try:
            enter()
            yield
        finally:
            leave()
            signal.signal(signal.SIGTSTP, former)


def _write(text: str) -> None:
    with contextlib.suppress(OSError):  # a terminal that was closed needs nothing any more
        sys.stdout.write(text)
        sys.stdout.flush()
