"""What is laid over the dashboard: a unit's log, and the help."""

from __future__ import annotations

import os
import textwrap
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from framebus.cli.text import safe
from framebus.pipeline.logs import tail
from framebus.tui.bars import KeyBar
from framebus.tui.columns import Column
from framebus.tui.help_text import help_lines
from framebus.tui.painted import Line, Painted
from framebus.tui.sheet import Row, Sheet

__all__ = ["HelpScreen", "LogScreen"]

_LINES = 2000
_LOOK_S = 0.5


class LogScreen(Screen[None]):
    """The end of a log file, followed as it grows.

    Args:
        title: what it is the log of.
        path: of the file.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,l", "app.pop_screen", show=False)]

    def __init__(self, title: str, path: str) -> None:
        super().__init__()
        self._path = path
        self._lines: dict[str, str] = {}
        self._stamp = (0, 0)
        self._title, self._where = f" {title}  ", safe(path)
        self.sheet = Sheet([Column("text", "LOG", 10, weight=1)], "the log is empty")
        self.sheet.tails = True
        self._bar, self._keys = Painted(), KeyBar([("Esc", "back")])
        self._bar.styles.height = 1

    def compose(self) -> ComposeResult:
        """Textual's: what it consists of."""
        yield self._bar
        yield self.sheet
        yield self._keys

    def on_mount(self) -> None:
        """Read the file, and look again now and then."""
        self._keys.tell((("↑↓", "scroll"), ("End", "follow")))
        self.set_interval(_LOOK_S, self._look)
        self.call_after_refresh(self._look)
        self.sheet.focus()

    def on_resize(self) -> None:
        """Lines are wrapped anew."""
        self._stamp = (0, 0)
        room = max(1, self.size.width - len(self._title))
        # Of a long path its end tells more.
        where = self._where if len(self._where) <= room else "…" + self._where[-(room - 1) :]
        self._bar.paint([(((self._title + where).ljust(self.size.width), "bar strong"),)])
        self._keys.tell((("↑↓", "scroll"), ("End", "follow")))

    def _look(self) -> None:
        try:
            status = os.stat(self._path)
        except OSError:
            self.sheet.empty = "there is no such file (any more)"
            self.sheet.update()
            return
        stamp = (status.st_size, status.st_mtime_ns)
        if stamp == self._stamp or not self.sheet.size.width:
            return
        first = self._stamp == (0, 0)
        self._stamp = stamp
        width = self.sheet.size.width - 1
        text = [safe(line.expandtabs(4)) for line in tail(Path(self._path), _LINES).splitlines()]
        wrapped = [piece for line in text for piece in textwrap.wrap(line, width) or [""]]
        self._lines = {str(i): line for i, line in enumerate(wrapped)}
        self.sheet.show(list(self._lines), self._row)
        if first:
            self.sheet.action_move(len(self._lines))

    def _row(self, key: str) -> Row:
        line = self._lines[key]
        lowered = line.lower()
        bad = "error" in lowered or "traceback" in lowered
        return ((line, "bad" if bad else ""),)


class HelpScreen(Screen[None]):
    """What the keys do and what the signs mean."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark", "app.pop_screen", show=False)]

    def __init__(self) -> None:
        super().__init__()
        self.sheet = Sheet([Column("text", "HELP", 10, weight=1)])
        self._keys = KeyBar([("Esc", "back")])

    def compose(self) -> ComposeResult:
        """Textual's: what it consists of."""
        yield self.sheet
        yield self._keys

    def on_mount(self) -> None:
        """Let the keys scroll it."""
        self.sheet.focus()

    def on_resize(self) -> None:
        """The text and the keys have the width of the screen."""
        lines: dict[str, Line] = {str(i): line for i, line in enumerate(help_lines(self.size.width - 1))}
        self.sheet.show(list(lines), lambda key: lines[key])
        self._keys.tell((("↑↓", "scroll"),))
