"""``Painted``: a widget that is lines of spans, and redraws only what changed of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from framebus.tui.styles import style

__all__ = ["Line", "Painted", "Span", "fit", "segments", "width_of"]

Span = tuple[str, str]
"""A text and the name of its style."""
Line = tuple[Span, ...]


def width_of(text: str) -> int:
    """Columns that a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, width: int, right: bool = False) -> str:
    """The text in exactly ``width`` columns; what is cut off is told by ``…``."""
    length = width_of(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 0 else ""
    blank = " " * (width - length)
    return blank + text if right else text + blank


def segments(line: Iterable[Span]) -> list[Segment]:
    """The line as Rich has it."""
    return [Segment(text, style(name)) for text, name in line if text]


class Painted(Widget):
    """Shows lines; each is redrawn from its first span that differs to its end."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - textual's word
        super().__init__(id=id, classes=classes)
        self._lines: list[Line] = []

    @property
    def lines(self) -> Sequence[Line]:
        """What it shows."""
        return self._lines

    def paint(self, lines: Sequence[Line]) -> None:
        """Show these lines instead."""
        old, self._lines = self._lines, list(lines)
        for y in range(max(len(old), len(lines))):
            before, after = (old[y] if y < len(old) else ()), (lines[y] if y < len(lines) else ())
            if before != after:
                x = _first_difference(before, after)
                if y < self.size.height and x < self.size.width:
                    self.refresh(Region(x, y, self.size.width - x, 1))

    def render_line(self, y: int) -> Strip:
        """Textual's: a line of the screen."""
        line = self._lines[y] if y < len(self._lines) else ()
        return Strip(segments(line)).adjust_cell_length(self.size.width)

    def text(self) -> str:
        """What it shows, without styles."""
        return "\n".join("".join(text for text, _ in line) for line in self._lines)


def _first_difference(before: Line, after: Line) -> int:
    column = 0
    for old, new in zip(before, after, strict=False):
        if old != new:
            break
        column += width_of(old[0])
    return column
