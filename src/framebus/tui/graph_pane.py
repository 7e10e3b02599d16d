"""The tab of the graph: stream → unit → stream, as a tree that is read downwards."""

from __future__ import annotations

import time
from collections.abc import Container, Mapping, Sequence
from typing import Any

from framebus.cli.text import rate, safe
from framebus.stream.dialects import DIALECTS
from framebus.stream.trace import TraceEntry, read_trace
from framebus.tui.columns import Column
from framebus.tui.looks import Snapshot, short_names
from framebus.tui.painted import Line
from framebus.tui.pane import Pane
from framebus.tui.sheet import Row
from framebus.tui.styles import STREAM_SIGNS, UNIT_SIGNS
from framebus.tui.units_pane import micro
from framebus.tui.watching import Watcher
from framebus.tui.wiring import FlowRow, Wires, flow_rows, wires_of

__all__ = ["GraphPane"]

_AGAIN_S = 1.0
"""How old the arrows may be: frames' traces are read for them."""
_LEGEND: Line = (
    ("  ▼ ▶ ", "rule"),
    ("frames trigger, or are written", "dim"),
    ("   ┄ ", "rule"),
    ("read as they stand", "dim"),
    ("   ↺ ", "info"),
    ("stands above", "dim"),
)
_LATENCY: Line = (
    ("  LATENCY  ", "dim"),
    ("unit: trigger to output; stream: since its first ancestor", "dim"),
)


class GraphPane(Pane):
    """What feeds what, with rates and latencies.

    Args:
        watcher: which has the streams open.
    """

    DEFAULT_CSS = "GraphPane > Painted { height: 2; min-height: 2; }"
    NAME = "graph"
    COLUMNS = (
        Column("flow", "STREAM ─▶ UNIT ─▶ STREAM", 30, weight=1, most=70),
        Column("state", "STATE", 10),
        Column("rate", "RATE", 8, right=True),
        Column("latency", "LATENCY", 8, right=True),
        Column("compute", "COMPUTE", 8, right=True),
        Column("missed", "MISSED", 7, right=True),
    )
    EMPTY = "no unit runs, so nothing is connected"
    KEYS = (("Enter", "go to it"),)

    def __init__(self, watcher: Watcher) -> None:
        super().__init__()
        self._watcher = watcher
        self._wires = Wires({}, {}, {}, {})
        self._rows: dict[str, FlowRow] = {}
        self._names: dict[str, str] = {}
        self._looked_s = -_AGAIN_S

    def show(self, snapshot: Snapshot) -> None:
        """Find the arrows anew if they are old, or if something came or went."""
        now_s = time.monotonic()
        same = snapshot.streams.keys() == self.snapshot.streams.keys()
        same = same and snapshot.units.keys() == self.snapshot.units.keys()
        if snapshot is not self.snapshot and (not same or now_s - self._looked_s > _AGAIN_S):
            self._looked_s = now_s
            self._wires = wires_of(snapshot, self._watcher.inodes(), self._trace)
            self._rows = {row.key: row for row in flow_rows(snapshot, self._wires)}
        super().show(snapshot)

    def _trace(self, name: str) -> Sequence[TraceEntry]:
        handle = self._watcher.stream(name)
        if handle is None or not DIALECTS[handle.dialect].process_trace:
            return ()
        return read_trace(handle)

    def items(self) -> Mapping[str, FlowRow]:
        """The lines of the drawing."""
        streams, units = self.snapshot.streams, self.snapshot.units
        self._names = short_names(units)
        return {
            key: row
            for key, row in self._rows.items()
            if row.kind == "reads" or row.name in (units if row.kind == "unit" else streams)
        }

    def in_sight(self) -> tuple[Container[str], Container[str]]:
        """The streams and units on the screen."""
        rows = [self._rows[key] for key in self.sheet.shown & self._rows.keys()]
        streams = {row.name for row in rows if row.kind == "stream"}
        return streams, {row.name for row in rows if row.kind == "unit"}

    def value(self, key: str, column: str) -> Any:
        """The drawing keeps its order."""
        del key, column
        return 0

    def in_trouble(self, key: str) -> bool:
        """Streams and units that are in trouble."""
        row = self._rows[key]
        if row.kind == "reads":
            return False
        looks: Mapping[str, Any] = self.snapshot.units if row.kind == "unit" else self.snapshot.streams
        return bool(looks[row.name].in_trouble)

    def row(self, key: str) -> Row:
        """A line's cells."""
        row = self._rows[key]
        if row.kind == "unit":
            return self._unit(row)
        if row.kind == "reads":
            return ((f"{row.branch}{safe(row.name)}", "dim"), *[("", "")] * 5)
        look = self.snapshot.streams[row.name]
        sign, name = STREAM_SIGNS[look.state]
        alarm = look.wrong
        if row.kind == "again":
            return ((f"{row.branch}↺ {safe(row.name)}", "info"), *[("", "")] * 5)
        latency_us = self._wires.latency_us.get(row.name, 0.0)
        return (
            (f"{row.branch}{safe(row.name)}", "bad" if alarm else "name"),
            (sign, name),
            (rate(look.rate_hz) if look.rate_hz else "-", "bad" if alarm else "" if look.rate_hz else "dim"),
            (
                micro(latency_us) if latency_us > 0 and look.rate_hz else "-",
                "good" if latency_us > 0 else "dim",
            ),
            ("", ""),
            (str(look.missed) if look.missed else "", "warn"),
        )

    def _unit(self, row: FlowRow) -> Row:
        look = self.snapshot.units[row.name]
        sign, name = UNIT_SIGNS.get(look.state, (f"? {look.state}", "info"))
        alarm = look.wrong
        plain = "bad" if alarm else ""
        return (
            (f"{row.branch}[{safe(self._names[row.name])}]", "bad" if alarm else "info"),
            (sign, name),
            (rate(look.rate_hz) if look.rate_hz else "-", plain),
            (micro(look.latency_us), plain),
            (micro(look.compute_us), plain),
            (str(look.missed) if look.missed else "", "warn"),
        )

    def details(self, key: str) -> Sequence[Line]:
        """What the lines mean."""
        del key
        return [_LEGEND, _LATENCY]

    def target(self) -> tuple[str, str] | None:
        """The tab, and the row there, of what the cursor is on."""
        row = self._rows.get(self.sheet.cursor_key or "")
        if row is None or row.kind == "reads":
            return None
        return ("units" if row.kind == "unit" else "streams"), row.name
