"""``Sheet``: a table that asks only for the rows on the screen, and redraws only the cells that changed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import ClassVar, NamedTuple

from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.message import Message

from framebus.tui.columns import GAP, Column, laid_out
from framebus.tui.line_editor import LineEditor
from framebus.tui.notices import report
from framebus.tui.painted import Drawn, Line, Span, fit

__all__ = ["Row", "Sheet"]

Row = Sequence[Span]
"""A cell for each column: its text and its style."""


class _Edit(NamedTuple):
    """A cell that is being edited."""

    key: str
    column: int
    editor: LineEditor


class Sheet(Drawn, can_focus=True):
    """A table with a cursor on one row.

    Args:
        columns: of the table.
        empty: what to show where there are no rows.

    Attributes:
        opened: called when Enter is pressed on the cursor's row, or when it is clicked twice.
        typed: called with a row and a text when a cell's editing is ended with Enter. Both are called, not sent as
            messages: what the next key does depends on them, and it may be waiting already.
    """

    DEFAULT_CSS = "Sheet { height: 1fr; }"
    FILLS = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home", "move(-1000000)", show=False),
        Binding("end", "move(1000000)", show=False),
    ]

    class Picked(Message):
        """The cursor is on another row."""

    class HeadClicked(Message):
        """A column's title was clicked."""

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    class Editing(Message):
        """A cell's editing began or ended."""

    def __init__(self, columns: Sequence[Column], empty: str = "", *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self.columns, self.empty = columns, empty
        self.opened: Callable[[], None] = lambda: None
        self.typed: Callable[[str, str], None] = lambda _key, _text: None
        self.sorted_by, self.descending = "", False
        self.tails = False  # whether the cursor keeps to the last row
        self._keys: list[str] = []
        self._row_of: Callable[[str], Row] = lambda _key: ()
        self._cursor, self._top = 0, 0
        self._edit: _Edit | None = None
        self._drawn: dict[int, Line] = {}
        self._wanted: dict[int, Line] = {}
        self._width, self._height = 0, 0  # textual works them out anew whenever it is asked
        self._arranged: tuple[int, list[tuple[int, int, int]]] | None = None

    # ---- what it shows ---------------------------------------------------------------------------------------------

    def show(self, keys: Sequence[str], row_of: Callable[[str], Row]) -> None:
        """Show these rows; the cursor stays on its row, wherever that is now."""
        at = self.cursor_key
        last = not self._keys or self._cursor == len(self._keys) - 1
        self._keys, self._row_of = list(keys), row_of
        if self.tails and last:
            self._cursor = len(self._keys) - 1
        elif at is not None and not (self._cursor < len(self._keys) and self._keys[self._cursor] == at):
            try:
                self._cursor = self._keys.index(at)
            except ValueError:
                self._leave_edit()
        self._clamp()
        self.update()

    def update(self) -> None:
        """Redraw the cells whose content is another than what was drawn."""
        if not self._width:
            return
        regions: list[Region] = []
        starts = self._starts()
        for y in range(self._height):
            line, old = self._line(y), self._drawn.get(y)
            if old == line:
                self._wanted[y] = old  # the very object: it is drawn already
                continue
            self._wanted[y] = line
            if old is not None:
                _add(regions, _changed(old, line, starts, y))
        if regions:
            self.refresh(*regions)

    @property
    def keys(self) -> Sequence[str]:
        """The rows from top to bottom."""
        return self._keys

    @property
    def shown(self) -> frozenset[str]:
        """The rows on the screen."""
        return frozenset(self._keys[self._top : self._top + max(0, self._height - 1)])

    @property
    def cursor_key(self) -> str | None:
        """The row that the cursor is on."""
        return self._keys[self._cursor] if 0 <= self._cursor < len(self._keys) else None

    def pick(self, key: str) -> bool:
        """Put the cursor on a row; False if there is no such row."""
        if key not in self._keys:
            return False
        self._to(self._keys.index(key))
        return True

    def cells(self, key: str) -> Row:
        """What a row shows."""
        return self._row_of(key)

    # ---- drawing ---------------------------------------------------------------------------------------------------

    def _widths(self) -> list[tuple[int, int, int]]:
        """Index and width of each column that is shown, and the blanks behind it."""
        width = self._width - 1  # the right edge shows where in the table we are
        if self._arranged is None or self._arranged[0] != width:
            shown = laid_out(self.columns, width)
            last = len(shown) - 1
            found = [(i, wide, GAP if n < last else 0) for n, (i, wide) in enumerate(shown)]
            self._arranged = (width, found)
        return self._arranged[1]

    def _line(self, y: int) -> Line:
        """What is to be on a line of the screen, as spans; the last span marks the cursor."""
        if y == 0:
            return self._head()
        index = self._top + y - 1
        edge = self._edge(y)
        if index >= len(self._keys):
            said = self.empty if not self._keys and y == 2 else ""
            return ((fit(f"  {said}", self._width - 1), "dim"), edge, ("", ""))
        key = self._keys[index]
        spans: list[Span] = []
        row = self._row_of(key)
        edited = self._edit.column if self._edit is not None and self._edit.key == key else -1
        for i, width, gap in self._widths():
            if i == edited and self._edit is not None:
                spans += [*self._edit.editor.spans(width), (" " * gap, "")]
            else:
                text, name = row[i]
                spans.append((_cell(text, width, self.columns[i].right, gap), name))
        spans += [(" " * (self._width - 1 - self._used()), ""), edge]
        mark = ("cursor" if self.has_focus else "away") if index == self._cursor else ""
        return (*spans, ("", mark))

    def _head(self) -> Line:
        spans: list[Span] = []
        for i, width, gap in self._widths():
            column = self.columns[i]
            chosen = column.key == self.sorted_by
            title = column.title + (("▼" if self.descending else "▲") if chosen else "")
            spans.append((_cell(title, width, column.right, gap), "sorted" if chosen else "head"))
        return (*spans, (" " * (self._width - self._used()), "head"), ("", ""))

    def _starts(self) -> list[int]:
        """Where each span of a row begins: cells with the gaps behind them, what is left, the edge, the end."""
        ends = accumulate(width + gap for _, width, gap in self._widths())
        return [0, *ends, self._width - 1, self._width]

    def _used(self) -> int:
        """What the columns take of the width."""
        return sum(width + gap for _, width, gap in self._widths())

    def _edge(self, y: int) -> Span:
        """A piece of the bar at the right edge, where the rows do not fit."""
        rows, there = self._height - 1, len(self._keys)
        if there <= max(0, rows):
            return (" ", "")
        size = max(1, rows * rows // there)
        first = round((rows - size) * self._top / max(1, there - rows))
        return ("┃", "dim") if first <= y - 1 < first + size else ("│", "faint")

    def line(self, y: int) -> Line:
        """What is to be on a line of the screen."""
        if y == 0 and (self._width, self._height) != self.size:
            self._sized()  # the event comes after the first drawing
        line = self._wanted.get(y)
        if line is None:
            try:
                line = self._wanted[y] = self._line(y)
            except Exception as error:  # noqa: BLE001 - one line that cannot be drawn must not end the program
                report(self, error)
                line = ((" " * self._width, ""), ("", ""))
        self._drawn[y] = line
        return line

    def background(self, y: int) -> str:
        """The cursor's row has one."""
        return self._drawn[y][-1][1]

    # ---- keys and mouse --------------------------------------------------------------------------------------------

    def action_move(self, rows: int) -> None:
        """Move the cursor."""
        self._to(self._cursor + rows)

    def action_page(self, pages: int) -> None:
        """Move the cursor by what fits on the screen."""
        self._to(self._cursor + pages * max(1, self._height - 2))

    def take(self, event: events.Key) -> bool:
        """Take a key, if it is one of this table's; while a cell is edited, all are."""
        if self._edit is None:
            if event.key != "enter":
                return False
            self.opened()
        elif event.key == "enter":
            self.typed(self._edit.key, self._edit.editor.text)
        elif event.key == "escape":
            self.end_edit()
        elif self._edit.editor.key(event.key, event.character):
            self.update()
        return True

    def on_paste(self, event: events.Paste) -> None:
        """A text that is pasted goes into the cell that is edited."""
        if self._edit is not None:
            event.stop()
            self._edit.editor.insert(event.text)
            self.update()

    def on_click(self, event: events.Click) -> None:
        """A click picks a row, a second one opens it; on a title it sorts."""
        if event.y == 0:
            x = 0
            for i, width, gap in self._widths():
                if x <= event.x < x + width + gap:
                    self.post_message(self.HeadClicked(self.columns[i].key))
                x += width + gap
            return
        index = self._top + event.y - 1
        if index < len(self._keys):
            self._to(index)
            if event.chain == 2:
                self.opened()

    def on_mouse_scroll_down(self) -> None:
        """The wheel moves the cursor."""
        self._to(self._cursor + 3)

    def on_mouse_scroll_up(self) -> None:
        """The wheel moves the cursor."""
        self._to(self._cursor - 3)

    def on_focus(self) -> None:
        """The cursor's row is brighter while the keys come here."""
        self.update()

    def on_blur(self) -> None:
        """The cursor's row is brighter while the keys come here."""
        self.update()

    def on_resize(self) -> None:
        """All is drawn anew."""
        self._sized()
        self.refresh()

    # ---- editing ---------------------------------------------------------------------------------------------------

    @property
    def editing(self) -> str | None:
        """The row of which a cell is edited."""
        return None if self._edit is None else self._edit.key

    def edit(self, column: str, text: str) -> None:
        """Let a cell of the cursor's row be edited; ``typed`` is called when that is done."""
        key = self.cursor_key
        if key is not None:
            index = next(i for i, each in enumerate(self.columns) if each.key == column)
            self._edit = _Edit(key, index, LineEditor(text))
            self.update()
            self.post_message(self.Editing())

    def end_edit(self) -> None:
        """No cell is edited any more."""
        self._leave_edit()
        self.update()
        self.post_message(self.Picked())

    def _leave_edit(self) -> None:
        if self._edit is not None:
            self._edit = None
            self.post_message(self.Editing())

    # ---- inside ----------------------------------------------------------------------------------------------------

    def _to(self, index: int) -> None:
        before = self.cursor_key
        self._cursor = index
        self._leave_edit()
        self._clamp()
        self.update()
        if self.cursor_key != before:
            self.post_message(self.Picked())

    def _sized(self) -> None:
        self._width, self._height = self.size
        self._drawn.clear()
        self._wanted.clear()
        self._clamp()

    def _clamp(self) -> None:
        rows = max(1, self._height - 1)
        self._cursor = max(0, min(self._cursor, len(self._keys) - 1))
        self._top = max(min(self._top, self._cursor, len(self._keys) - rows), self._cursor - rows + 1, 0)


@lru_cache(maxsize=8192)  # most cells stay as they are
def _cell(text: str, width: int, right: bool, gap: int) -> str:
    return fit(text, width, right) + " " * gap


def _changed(before: Line, after: Line, starts: Sequence[int], y: int) -> Region:
    """Where two drawings of a line differ: from the first cell that does to the last.

    Args:
        before, after: the drawings.
        starts: where each of their spans begins, and where the last ends.
        y: the line.
    """
    width = starts[-1]
    last = len(after) - 1
    if len(before) != len(after) or before[last] != after[last] or last + 1 != len(starts):
        return Region(0, y, width, 1)
    first = 0
    while first < last and before[first] == after[first]:
        first += 1
    while last > first and before[last] == after[last]:
        last -= 1
    return Region(starts[first], y, max(1, starts[last + 1] - starts[first]), 1)


def _add(regions: list[Region], region: Region) -> None:
    """One more, or the one above made larger: the fewer there are, the quicker they are drawn."""
    if regions:
        above = regions[-1]
        if above.bottom == region.y:
            x, right = min(above.x, region.x), max(above.right, region.right)
            if (right - x) <= max(above.width, region.width) * 2:
                regions[-1] = Region(x, above.y, right - x, above.height + 1)
                return
    regions.append(region)
