"""A terminal with a screen that a test can read: what a person would see, whatever way it was drawn."""

from __future__ import annotations

import os
import re
import select
import time
from collections.abc import Callable, Sequence

from support.terminal import Terminal

TIMEOUT_S = 60.0
"""Far longer than anything takes, so that only a hang fails."""

_ESCAPE = re.compile(
    r"\x1b(?:\[([0-?]*)([ -/]*)([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[=>78]|P[^\x1b]*\x1b\\)"
)
_IGNORED = frozenset("hluptqc")
"""Modes and questions, which this terminal leaves without an answer, as simple ones do."""


class Display(Terminal):
    """A program in a terminal, and the characters on its screen; colours are left out.

    It knows what programs send that address the cursor and draw over what is there. Anything else fails the test.

    Attributes:
        styles: the numbers of all colours and emphases that were sent, such as ``1`` for bold.
    """

    def __init__(
        self, command: Sequence[str], *, columns: int = 80, rows: int = 24, no_colour: bool = False
    ) -> None:
        super().__init__(
            command,
            columns=columns,
            rows=rows,
            TERM="tmux-256color",
            COLORTERM=None,
            NO_COLOR="1" if no_colour else None,
        )
        self.columns, self.rows = columns, rows
        self._cells = [[" "] * columns for _ in range(rows)]
        self._x, self._y = 0, 0
        self._left = b""
        self.styles: set[str] = set()

    @property
    def screen(self) -> str:
        """The lines of the screen, without blanks at their ends."""
        return "\n".join("".join(line).rstrip() for line in self._cells)

    def until(self, condition: Callable[[str], bool], timeout_s: float = TIMEOUT_S) -> str:
        """Return the screen once ``condition(screen)`` is true and all that was sent is drawn.

        Raises:
            AssertionError: it does not become so; with the screen.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            ready = select.select([self._leader], [], [], 0.05)[0]
            if ready:
                read = os.read(self._leader, 65536)
                assert read, f"it ended; the screen:\n{self.screen}"
                self._draw(read)
            elif condition(self.screen):
                return self.screen
            assert time.monotonic() < deadline, f"it does not come to that; the screen:\n{self.screen}"

    def shows(self, *texts: str) -> str:
        """Return the screen once it has all of the texts."""
        return self.until(lambda screen: all(text in screen for text in texts))

    def _draw(self, data: bytes) -> None:
        data = self._left + data
        text = data.decode(errors="ignore")
        cut = len(text.encode())  # a character of which a part has come is kept, like such an escape
        last = text.rfind("\x1b")
        if last >= 0 and not _ESCAPE.match(text, last):
            text, cut = text[:last], len(text[:last].encode())
        self._left = data[cut:]
        at = 0
        while at < len(text):
            found = _ESCAPE.match(text, at)
            if found is not None:
                self._obey(found)
                at = found.end()
            else:
                self._put(text[at])
                at += 1

    def _obey(self, escape: re.Match[str]) -> None:
        arguments, _, kind = escape.groups()
        if kind == "H":
            y, _, x = (arguments or "1;1").partition(";")
            self._y, self._x = int(y or 1) - 1, int(x or 1) - 1
        elif kind == "J" and arguments == "2":
            self._cells = [[" "] * self.columns for _ in range(self.rows)]
        elif kind == "m":
            self.styles.update((arguments or "0").split(";"))
        elif kind is not None and kind not in _IGNORED:
            raise AssertionError(f"this terminal does not know {escape.group()!r}")

    def _put(self, character: str) -> None:
        if character == "\r":
            self._x = 0
        elif character == "\n":
            self._y += 1
        else:
            assert character.isprintable(), f"this terminal does not know {character!r}"
            assert max(self._x - self.columns, self._y - self.rows) < 0, f"{character!r} is beyond the edge"
            self._cells[self._y][self._x] = character
            self._x += 1
