"""``Painted``: a widget that is lines of spans, and redraws only what changed of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from framebus.tui.styles import style

__all__ = ["Drawn", "Line", "Painted", "Span", "clipped", "fit", "width_of"]

Span = tuple[str, str]
"""A text and the name of its style."""
Line = tuple[Span, ...]


def width_of(text: str) -> int:
    """Columns that a text takes."""
    return len(text) if text.isascii() else cell_len(text)


def fit(text: str, width: int, right: bool = False) -> str:
    """The text in exactly ``width`` columns; what is cut off is told by ``…``."""
    length = len(text) if text.isascii() else cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…" if width > 0 else ""
    blank = " " * (width - length)
    return blank + text if right else text + blank


def clipped(line: Line, width: int) -> Line:
    """The line in at most ``width`` columns; what is cut off is told by ``…``."""
    if sum(width_of(text) for text, _ in line) <= width:
        return line
    found: list[Span] = []
    left = width
    for n, (text, name) in enumerate(line):
        wide = width_of(text)
        if wide > left or (wide == left and any(text for text, _ in line[n + 1 :])):
            found.append((fit(text + " ", left), name))  # longer than the room, whatever it is
            break
        found.append((text, name))
        left -= wide
    return tuple(found)


@lru_cache(maxsize=8192)  # of a table most cells stay as they are
def _segment(text: str, name: str, over: str) -> Segment:
    """A span as Rich has it; ``over``: the background that is laid over it, unless it has one of its own."""
    own = style(name)
    return Segment(text, own + style(over) if over and own.bgcolor is None else own)


class Drawn(Widget):
    """Shows lines of spans, without border or padding.

    Textual looks for those, and for a dozen other things that these lines have none of, at every line of every drawing;
    and it asks for all lines where one has changed. Here each is turned into segments once, until it is another object.
    """

    FILLS: ClassVar[bool] = False
    """Whether each line is exactly as wide as the widget."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - textual's word
        super().__init__(id=id, classes=classes)
        self._strips: dict[int, tuple[Line, int, Strip]] = {}

    def line(self, y: int) -> Line:
        """What is to be on a line."""
        raise NotImplementedError

    def background(self, y: int) -> str:
        """The name of a style of which the background is laid over a line; "": none."""
        del y
        return ""

    def render_line(self, y: int) -> Strip:
        """Textual's: a line of the screen."""
        return self._strip(y, self.size.width)

    def _strip(self, y: int, width: int) -> Strip:
        line = self.line(y)
        kept = self._strips.get(y)
        if kept is None or kept[0] is not line or kept[1] != width:
            over = self.background(y)
            found = [_segment(text, name, over) for text, name in line if text]
            strip = Strip(found, width) if self.FILLS else Strip(found).adjust_cell_length(width)
            kept = self._strips[y] = (line, width, strip)
        return kept[2]

    def render_lines(self, crop: Region) -> list[Strip]:
        """Textual's: lines of the screen."""
        width = self.size.width
        strips = [self._strip(y, width) for y in crop.line_range]
        if filters := self.get_line_filters():
            background = self.background_colors[1]
            for each in filters:
                strips = [strip.apply_filter(each, background) for strip in strips]
        return [strip.crop(*crop.column_span) for strip in strips]


class Painted(Drawn):
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
        width, height = self.size
        old, self._lines = self._lines, [clipped(line, width) for line in lines] if width else list(lines)
        lines = list(self._lines)
        regions = []
        for y in range(max(len(old), len(lines))):
            before, after = (old[y] if y < len(old) else ()), (lines[y] if y < len(lines) else ())
            if before == after:
                if y < len(lines):
                    self._lines[y] = before  # the very object: it is drawn already
                continue
            x = _first_difference(before, after)
            if y < height and x < width:
                regions.append(Region(x, y, width - x, 1))
        if regions:
            self.refresh(*regions)

    def line(self, y: int) -> Line:
        """What is to be on a line."""
        return self._lines[y] if y < len(self._lines) else ()

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
