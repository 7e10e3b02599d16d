"""The tab of parameters: a tree whose values are edited in place."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from framebus.cli.text import safe
from framebus.errors import FramebusError
from framebus.params import ParamInfo, Value
from framebus.params.text import from_text
from framebus.tui.columns import Column
from framebus.tui.entry import as_typed, limits_text
from framebus.tui.looks import Snapshot
from framebus.tui.notices import noticed
from framebus.tui.painted import Line
from framebus.tui.pane import Pane, rule, wrapped
from framebus.tui.param_watch import ParamWatch, SetLook
from framebus.tui.sheet import Row
from framebus.tui.watching import PARAMETERS, Watcher

__all__ = ["ParamsPane"]

_FRESH_S = 2.0
"""How long a value is marked after it changed."""


class _Node(NamedTuple):
    """A line of the tree.

    Attributes:
        set: name of the set.
        group: of a group, the names' part that its entries share, with its dot; else "".
        entry: name of the parameter; "" for a set or a group.
        depth: how far it is indented.
    """

    set: str
    group: str
    entry: str
    depth: int


class ParamsPane(Pane):
    """Parameters by set and group: value, unit, limits, description; Enter edits.

    Args:
        watcher: which lists the sets.
    """

    NAME = "parameters"
    COLUMNS = (
        Column("name", "PARAMETER", 22, weight=2, most=36),
        Column("value", "VALUE", 14, weight=1, most=24),
        Column("unit", "UNIT", 6, rank=1),
        Column("limits", "LIMITS", 13, rank=2),
        Column("description", "DESCRIPTION", 14, weight=4, rank=3),
    )
    EMPTY = "no parameters; units have some once they run"
    KEYS = (("Enter", "edit"), ("←→", "fold"), ("d", "default"))
    TROUBLE = False

    def __init__(self, watcher: Watcher) -> None:
        super().__init__()
        self._watcher, self._watch = watcher, ParamWatch(watcher.folder.path)
        self._sets: dict[str, SetLook] = {}
        self._seen: dict[str, SetLook] = {}
        self._tree_lines: dict[str, _Node] = {}
        self._folded: set[str] = set()
        self._fresh: dict[tuple[str, str], float] = {}
        self._errors: dict[str, str] = {}
        self._edited = ""  # what stood in the cell that is edited

    def close(self) -> None:
        """Give the sets' handles back."""
        self._watch.close()

    # ---- the tree --------------------------------------------------------------------------------------------------

    def show(self, snapshot: Snapshot) -> None:
        """Look at the sets as well: only while this tab is open is it worth it."""
        if snapshot is not self.snapshot:
            self._sets = self._watch.look(self._watcher.folder.files(PARAMETERS))
            self._mark_changes()
        super().show(snapshot)

    def _mark_changes(self) -> None:
        now_s = time.monotonic()
        for name, look in self._sets.items():
            old = self._seen.get(name)
            if old is None or old is look:
                continue
            for entry, each in look.entries.items():
                before = old.entries.get(entry)
                if before is not None and before.value != each.value and not each.spec.status:
                    self._fresh[name, entry] = now_s
        self._seen = dict(self._sets)
        self._fresh = {key: then for key, then in self._fresh.items() if now_s - then < _FRESH_S}

    def items(self) -> Mapping[str, _Node]:
        """The lines of the tree from top to bottom; what is folded is left out, unless a filter looks for it."""
        nodes: dict[str, _Node] = {}
        for name, look in self._sets.items():
            nodes[f"{name}:"] = _Node(name, "", "", 0)
            if not self._hidden(f"{name}:"):
                self._add_entries(nodes, look)
        self._tree_lines = nodes
        return nodes

    def _add_entries(self, nodes: dict[str, _Node], look: SetLook) -> None:
        groups: dict[str, list[str]] = {}
        for entry in look.entries:
            groups.setdefault(entry.rpartition(".")[0], []).append(entry)
        for group, entries in groups.items():
            depth = 1
            if group:
                key = f"{look.name}:{group}."
                nodes[key] = _Node(look.name, f"{group}.", "", 1)
                depth = 2
                if self._hidden(key):
                    continue
            for entry in entries:
                nodes[f"{look.name}:{entry}"] = _Node(look.name, "", entry, depth)

    def _hidden(self, key: str) -> bool:
        return key in self._folded and not self.filter

    def words(self, key: str) -> str:
        """A set's line stays while one of its entries does."""
        node = self._tree_lines[key]
        if not node.entry:
            own = [each for each in self._tree_lines.values() if each.entry and each.set == node.set]
            inside = [each for each in own if each.entry.startswith(node.group)]
            return " ".join(f"{each.set}:{each.entry} {self._of(each).spec.description}" for each in inside)
        return f"{key} {self._of(node).spec.description}"

    def _of(self, node: _Node) -> ParamInfo:
        return self._sets[node.set].entries[node.entry]

    def filtered(self) -> None:
        """Put the cursor on the first entry that is looked for: by its name, or else by what is said of it."""
        entries = [key for key in self.sheet.keys if self._tree_lines[key].entry]
        named = (key for key in entries if self.matches(self._tree_lines[key].entry))
        if (first := next(named, next(iter(entries), None))) is not None:
            self.sheet.pick(first)

    def value(self, key: str, column: str) -> Any:
        """The tree keeps its order."""
        del key, column
        return 0

    # ---- rows ------------------------------------------------------------------------------------------------------

    def row(self, key: str) -> Row:
        """A line's cells."""
        node = self._tree_lines[key]
        indent = "  " * node.depth
        if not node.entry:
            return self._heading(key, node, indent)
        look = self._of(node)
        spec = look.spec
        name = node.entry.rpartition(".")[2]
        if error := self._errors.get(key):
            about = (f"✖ {error}", "bad")
        elif look.finding:
            about = (f"▲ {safe(look.finding)}", "warn")
        else:
            about = (safe(spec.description), "dim")
        fresh = (node.set, node.entry) in self._fresh
        changed = look.value != spec.default
        value_style = "changed" if fresh else "dim" if spec.status else "strong" if changed else ""
        return (
            (f"{indent}{name}", "bad" if key in self._errors else "dim" if spec.status else "name"),
            (_shown(look), value_style),
            (safe(spec.unit), "dim"),
            (limits_text(spec), "dim"),
            about,
        )

    def _heading(self, key: str, node: _Node, indent: str) -> Row:
        sign = "▸" if self._hidden(key) else "▾"
        if node.group:
            return ((f"{indent}{sign} {node.group[:-1]}", "info"), *[("", "")] * 4)
        look = self._sets[node.set]
        if look.error:
            return (
                (f"✖ {safe(node.set)}", "alarm"),
                ("BAD", "alarm"),
                ("", ""),
                ("", ""),
                (safe(look.error), "bad"),
            )
        used = f"process {look.user_pid}" if look.user_pid else "no unit runs with it"
        return ((f"{sign} {safe(node.set)}", "info"), ("", ""), ("", ""), ("", ""), (used, "faint"))

    def details(self, key: str) -> Sequence[Line]:
        """All about the entry, and what was wrong with what was typed."""
        node = self._tree_lines[key]
        width, lines = self.detail.size.width, self.detail.size.height - 1
        if not node.entry:
            bad = self._sets[node.set].error
            said = wrapped(safe(bad), width, "bad", lines) if bad else []
            return [rule(safe(node.set) + (f" {node.group[:-1]}" if node.group else ""), "", width), *said]
        look = self._of(node)
        spec = look.spec
        flags = [word for word, on in _flags(look) if on]
        found: list[Line] = []
        if error := self._errors.get(key):
            found += wrapped(f"✖ {error}", width, "bad", 3)
        if look.finding:
            found += wrapped(f"▲ the unit says: {safe(look.finding)}", width, "warn", 2)
        found += wrapped(safe(spec.description), width, "", 2)
        default = safe(as_typed(spec.type, spec.default))
        limits = f", {limits_text(spec)}" if limits_text(spec) else ""
        found.append((("type ", "dim"), (f"{spec.type}{limits} {safe(spec.unit)}".rstrip(), "")))
        found.append(
            (
                ("default ", "dim"),
                (default, ""),
                ("  written ", "dim"),
                (f"{look.changes} time{'' if look.changes == 1 else 's'}", ""),
            )
        )
        if flags:
            found.append((("; ".join(flags), "info"),))
        found += wrapped(safe(spec.help), width, "dim", max(0, lines - len(found)))
        return [rule(f"{safe(node.set)} {node.entry}", _shown(look), width), *found[:lines]]

    # ---- keys ------------------------------------------------------------------------------------------------------

    @noticed
    def opened(self) -> None:
        """Enter edits a value, and folds a set or a group."""
        key = self.sheet.cursor_key
        if key is None:
            return
        node = self._tree_lines[key]
        if not node.entry:
            self.fold(None)
            return
        look = self._of(node)
        if look.spec.status:
            self._errors[key] = "a status: only the unit itself writes it"
            self.rearrange()
            return
        self._errors.pop(key, None)
        self._edit(
            look, not look.value if look.spec.type == "onoff" else look.value
        )  # the other is what is wanted

    def _edit(self, look: ParamInfo, proposed: Value) -> None:
        kind = look.spec.type
        self._edited = as_typed(kind, look.value)
        self.sheet.edit("value", as_typed(kind, proposed))

    @noticed
    def typed(self, key: str, text: str) -> None:
        """Write what was typed, if it is not what was there when it began.

        What is wrong with it is told on its line, where editing goes on.
        """
        node = self._tree_lines.get(key)
        if node is None:
            return
        try:
            if text != self._edited:
                self._watch.write(node.set, node.entry, from_text(self._of(node).spec.type, text))
        except (FramebusError, KeyError) as error:
            said = "the set is gone" if isinstance(error, KeyError) else str(error)
            said = said.removeprefix(f"parameter set '{node.set}': ").removeprefix("= ")
            self._errors[key] = safe(" ".join(said.split()))
            self.rearrange()
            return
        self._errors.pop(key, None)
        self.sheet.end_edit()
        self._sets = self._watch.look(self._watcher.folder.files(PARAMETERS))
        self._mark_changes()
        super().show(self.snapshot)

    def to_default(self) -> None:
        """Put the default into the value's editor: Enter sets it."""
        key = self.sheet.cursor_key
        if key is not None and (node := self._tree_lines[key]).entry and not self._of(node).spec.status:
            look = self._of(node)
            self._errors.pop(key, None)
            self._edit(look, look.spec.default)

    @noticed
    def on_sheet_picked(self) -> None:
        """What was wrong with a value is forgotten when its editing ends."""
        editing = self.sheet.editing
        self._errors = {key: said for key, said in self._errors.items() if key == editing}
        self.rearrange()

    def fold(self, folded: bool | None) -> None:
        """Fold the set or group that the cursor is on or in, unfold it, or (None) the one or the other."""
        key = self.sheet.cursor_key
        if key is None:
            return
        node = self._tree_lines[key]
        if node.entry:
            if folded is False:
                return
            group = f"{node.set}:{node.entry.rpartition('.')[0]}."
            key = group if group in self._tree_lines else f"{node.set}:"
            self.sheet.pick(key)
            return
        fold = key not in self._folded if folded is None else folded
        self._folded = self._folded | {key} if fold else self._folded - {key}
        super().show(self.snapshot)


def _shown(look: ParamInfo) -> str:
    return safe(as_typed(look.spec.type, look.value))


def _flags(look: ParamInfo) -> tuple[tuple[str, bool], ...]:
    spec = look.spec
    return (
        ("a status: only the unit writes it", spec.status),
        ("takes effect at the unit's next start", spec.restart),
        ("fixed while a unit runs with it", not spec.live and not spec.status),
        ("not saved into files", not spec.saved),
    )
