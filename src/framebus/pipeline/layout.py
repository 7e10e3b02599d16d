"""Where everything of a drawing of a pipeline stands, in rows and columns; ``drawing`` and ``svg`` draw it.

Processes stand below each other in the order in which they start, a row for each unit and for each stream that it reads
or writes. A stream runs along a rail from who writes it to all who read it: beside the boxes on the right where
that is further down, on the left where it goes back up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from framebus.pipeline.graph import Edge, Graph, Kind
from framebus.pipeline.plan import UnitPlan
from framebus.unit.arrays import ArraySpec

Side = Literal["right", "left"]
RowKind = Literal["process", "unit", "port", "end", "gap"]


@dataclass
class Row:
    """One line of the drawing.

    Attributes:
        kind: head of a process, unit, port (a stream of the unit above), end of a process, or the gap between two.
        text: name of the process, unit or stream.
        note: what stands at the right of it.
        port: of a port: what the unit does with the stream.
        fused: of a unit or port: where it stands in its loop, if that has several units.
        separated: of a unit: it begins a loop, and is not the first of its process.
    """

    kind: RowKind
    text: str = ""
    note: str = ""
    port: Kind | None = None
    fused: Literal["", "first", "inside", "last"] = ""
    separated: bool = False


@dataclass
class Rail:
    """A stream's way beside the boxes.

    Attributes:
        stream: its key.
        side: of the boxes.
        writer: row of the port that writes it.
        readers: rows of the ports that read it, and whether these frames trigger.
        column: from the boxes outwards, from 0.
    """

    stream: str
    side: Side
    writer: int
    readers: dict[int, bool]
    column: int = 0

    @property
    def first(self) -> int:
        """The topmost row."""
        return min(self.writer, *self.readers)

    @property
    def last(self) -> int:
        """The lowest row."""
        return max(self.writer, *self.readers)

    @property
    def triggers(self) -> bool:
        """Whether it triggers anybody."""
        return any(self.readers.values())


@dataclass
class Layout:
    """A drawing in rows and columns.

    Attributes:
        name: of the pipeline.
        rows: from top to bottom.
        rails: the streams that connect them.
    """

    name: str
    rows: list[Row] = field(default_factory=list)
    rails: list[Rail] = field(default_factory=list)

    @classmethod
    def of(cls, graph: Graph, specs: Mapping[str, ArraySpec] | None = None) -> Layout:
        """The layout of a graph. ``specs``: shapes and dtypes of streams, by key, those that are known."""
        builder = _Builder(graph, specs or {})
        layout = cls(graph.plan.name, builder.rows, builder.rails())
        for side in ("right", "left"):
            _assign_columns([rail for rail in layout.rails if rail.side == side])
        return layout

    def columns(self, side: Side) -> int:
        """How many columns of rails there are on a side."""
        return max((rail.column + 1 for rail in self.rails if rail.side == side), default=0)


class _Builder:
    """The rows of a graph, and where its ports stand."""

    def __init__(self, graph: Graph, specs: Mapping[str, ArraySpec]) -> None:
        self.graph = graph
        self.specs = specs
        self.rows: list[Row] = []
        self.ports: list[tuple[int, Edge]] = []
        for process, loops in graph.processes.items():
            if self.rows:
                self.rows.append(Row("gap"))
            self.rows.append(Row("process", process))
            for i, loop in enumerate(loops):
                self._loop(loop, separated=i > 0)
            self.rows.append(Row("end"))

    def _loop(self, loop: list[str], separated: bool) -> None:
        begin = len(self.rows)
        for name in loop:
            note = trigger_text(self.graph.plan.units[name]) if name == loop[0] else ""
            self.rows.append(Row("unit", name, note, separated=separated and name == loop[0]))
            edges = [edge for edge in self.graph.edges if edge.unit == name]
            for edge in sorted(edges, key=lambda edge: ("trigger", "read", "output").index(edge.kind)):
                self.ports.append((len(self.rows), edge))
                self.rows.append(Row("port", edge.stream, self._note(edge), edge.kind))
        if len(loop) > 1:
            for row in self.rows[begin:]:
                row.fused = "inside"
            self.rows[begin].fused, self.rows[-1].fused = "first", "last"

    def _note(self, edge: Edge) -> str:
        spec = self.specs.get(edge.stream)
        shape = f"{'×'.join(map(str, spec.shape))} {spec.dtype.name}" if spec is not None else ""
        if edge.kind == "output":
            return shape
        if self.graph.writers(edge.stream):
            return ""
        return shape if edge.stream in self.graph.made else f"{shape} from outside".strip()

    def rails(self) -> list[Rail]:
        """A rail for every stream that a unit writes and another one, or itself, reads; one for each side."""
        rails = []
        for row, edge in self.ports:
            if edge.kind != "output":
                continue
            readers = {
                other: found.kind == "trigger"
                for other, found in self.ports
                if found.kind != "output" and found.stream == edge.stream
            }
            below = {other: triggers for other, triggers in readers.items() if other > row}
            above = {other: triggers for other, triggers in readers.items() if other < row}
            if below:
                rails.append(Rail(edge.stream, "right", row, below))
            if above:
                rails.append(Rail(edge.stream, "left", row, above))
        return rails


def trigger_text(unit: UnitPlan) -> str:
    """When a loop runs whose first unit this is; nothing for the usual, frames of its first input."""
    if unit.trigger == "delay":
        period = unit.period_s
        for scale, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
            if period >= scale:
                return f"every {period / scale:.4g} {name}"
        return f"every {period:g} s"
    return {"once": "once", "free": "without a pause"}.get(unit.trigger, "")


def _assign_columns(rails: list[Rail]) -> None:
    """Short rails near the boxes; two share a column where they do not meet."""
    taken: list[list[Rail]] = []
    for rail in sorted(rails, key=lambda rail: (rail.last - rail.first, rail.first)):
        for column, others in enumerate(taken):
            if all(rail.last < other.first or rail.first > other.last for other in others):
                rail.column = column
                others.append(rail)
                break
        else:
            rail.column = len(taken)
            taken.append([rail])
