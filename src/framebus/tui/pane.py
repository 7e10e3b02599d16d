"""What all tabs have in common: a table that can be sorted and filtered, and details of the row with the cursor."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from framebus.tui.columns import Column
from framebus.tui.looks import Snapshot
from framebus.tui.notices import noticed
from framebus.tui.painted import Line, Painted, fit
from framebus.tui.sheet import Row, Sheet

__all__ = ["Pane", "rule", "wrapped"]

_ROOM = 14
"""A tab of fewer lines has rows alone."""


class Pane(Vertical):
    """One tab.

    Attributes:
        filter: what the user typed: rows that do not have it in them are left out.
        trouble: whether only rows that are in trouble are shown.
    """

    DEFAULT_CSS = """
    Pane { height: 1fr; }
    Pane > Painted { height: 38%; min-height: 8; }
    """

    class KeysChanged(Message):
        """Other keys count now: a cell's editing began or ended."""

    NAME: ClassVar[str] = ""
    COLUMNS: ClassVar[Sequence[Column]] = ()
    KEYS: ClassVar[Sequence[tuple[str, str]]] = ()
    SORTABLE: ClassVar[Sequence[str]] = ()
    DESCENDING: ClassVar[frozenset[str]] = frozenset()
    """Columns that are sorted from the largest down at first."""
    EMPTY: ClassVar[str] = ""
    GROWS: ClassVar[bool] = False
    """Whether details take the room that the rows leave."""
    TROUBLE: ClassVar[bool] = True
    """Whether rows can be in trouble."""

    def __init__(self) -> None:
        super().__init__(id=self.NAME)
        self.filter, self.trouble = "", False
        self.sheet = Sheet(self.COLUMNS, self.EMPTY)
        self.sheet.opened, self.sheet.typed = self.opened, self.typed
        self.detail = Painted()
        self.snapshot = Snapshot(0, {}, {}, {})
        self._items: Mapping[str, Any] = {}

    def compose(self) -> ComposeResult:
        """Textual's: what it consists of."""
        yield self.sheet
        yield self.detail

    # ---- what a tab says -------------------------------------------------------------------------------------------

    def items(self) -> Mapping[str, Any]:
        """What the rows are about, by their keys, unsorted."""
        raise NotImplementedError

    def row(self, key: str) -> Row:
        """A row's cells."""
        raise NotImplementedError

    def value(self, key: str, column: str) -> Any:
        """What a row is sorted by."""
        raise NotImplementedError

    def in_trouble(self, key: str) -> bool:
        """Whether a row is shown when only trouble is asked for."""
        del key
        return True

    def words(self, key: str) -> str:
        """What a filter looks for in a row."""
        return key

    def details(self, key: str) -> Sequence[Line]:
        """What is shown of the row with the cursor."""
        raise NotImplementedError

    def opened(self) -> None:
        """Enter was pressed on the row with the cursor, or it was clicked twice."""

    def typed(self, key: str, text: str) -> None:
        """A cell's editing was ended with Enter."""

    def filtered(self) -> None:
        """Another filter counts, and its rows are shown."""

    def in_sight(self) -> tuple[Container[str], Container[str]]:
        """The streams and units (by their keys) that are to be looked at at every tick, since they are seen here."""
        return (), ()

    # ---- showing ---------------------------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        """Show this snapshot."""
        self.snapshot = snapshot
        self._items = self.items()
        self.rearrange()

    def rearrange(self) -> None:
        """Sort and filter anew, and redraw what changed."""
        self.sheet.show(self._arranged(), self.row)
        self._share_room()
        self.show_details()

    def _share_room(self) -> None:
        """Details have the room that the rows leave, within bounds; there are none where rows need all of it."""
        there = self.size.height
        self.detail.display = not 0 < there < _ROOM
        if there and self.GROWS:
            left = there - len(self._items) - 2
            height = max(8, there * 38 // 100, min(left, there * 68 // 100))
            if self.detail.styles.height is None or self.detail.styles.height.value != height:
                self.detail.styles.height = height

    def _arranged(self) -> list[str]:
        keys = [key for key in self._items if self.passes(key)]
        column = self.sheet.sorted_by
        if column:
            keys.sort(key=lambda key: self.value(key, column), reverse=self.sheet.descending)
        if not keys:
            asked = "in trouble" if self.trouble else f"matches '{self.filter}'"
            hidden = self._items and (self.trouble or self.filter)
            self.sheet.empty = f"nothing {asked}; Esc shows all" if hidden else self.EMPTY
        return keys

    def passes(self, key: str) -> bool:
        """Whether the filter shows a row."""
        return not (self.trouble and not self.in_trouble(key)) and self.matches(self.words(key))

    def matches(self, words: str) -> bool:
        """Whether the filter lets these words through."""
        wanted, words = self.filter.strip().lower(), words.lower()
        if any(sign in wanted for sign in "*?["):
            return any(fnmatchcase(word, wanted) for word in words.split())
        return wanted in words

    def show_details(self) -> None:
        """Bring the details up to date."""
        key = self.sheet.cursor_key
        self.detail.paint(self.details(key) if key is not None and key in self._items else [])

    @noticed
    def on_sheet_picked(self) -> None:
        """Another row, other details."""
        self.show_details()

    def on_sheet_editing(self) -> None:
        """Hand it on: textual stops a message at the widget in whose handler it was made."""
        self.post_message(self.KeysChanged())

    # ---- sorting ---------------------------------------------------------------------------------------------------

    def sort_next(self) -> None:
        """Sort by the next column; behind the last one, as the rows come."""
        if self.SORTABLE:
            order = ["", *self.SORTABLE]
            at = order.index(self.sheet.sorted_by) if self.sheet.sorted_by in order else 0
            self._sort(order[(at + 1) % len(order)])

    def reverse(self) -> None:
        """Turn the order round."""
        self.sheet.descending = not self.sheet.descending
        self.rearrange()

    @noticed
    def on_sheet_head_clicked(self, event: Sheet.HeadClicked) -> None:
        """Sort by the column that was clicked; the other way round if it is sorted by that already."""
        if event.column in self.SORTABLE:
            if event.column == self.sheet.sorted_by:
                self.reverse()
            else:
                self._sort(event.column)

    def _sort(self, column: str) -> None:
        self.sheet.sorted_by, self.sheet.descending = column, column in self.DESCENDING
        self.rearrange()


def rule(title: str, note: str, width: int) -> Line:
    """The line above details: a name, and what it is."""
    head = f"── {title} "
    rest = f" {note} " if note else ""
    text = fit(rest, max(0, min(len(rest), width - len(head) - 2)))
    return ((head, "strong"), (text, "dim"), ("─" * max(0, width - len(head) - len(text)), "rule"))


def wrapped(text: str, width: int, name: str, lines: int) -> list[Line]:
    """A text in at most so many lines of at most that width."""
    import textwrap

    found: list[Line] = []
    for paragraph in text.splitlines():
        found += [((line, name),) for line in textwrap.wrap(paragraph, max(10, width)) or [""]]
    if len(found) > lines > 0:
        last = found[lines - 1][0][0]
        found = [*found[: lines - 1], ((fit(last + "…", min(width, len(last) + 1)), name),)]
    return found[: max(0, lines)]
