"""Units and streams as a graph: who feeds whom, in which order they start, what shares a process and a loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from framebus.errors import NameFormatError, PipelineError
from framebus.pipeline.loading import declaration_of, load_units, loop_of, process_of, stream_key
from framebus.pipeline.order import Item, sort
from framebus.pipeline.plan import PipelinePlan
from framebus.unit.stage import AnyUnit

Kind = Literal["output", "trigger", "read"]


@dataclass(frozen=True)
class Edge:
    """An arrow between a unit and a stream.

    Attributes:
        unit: name of the unit.
        stream: the stream's key: its name as a rule (see ``stream_key``).
        argument: of the unit.
        kind: ``output`` (unit to stream), ``trigger`` (the stream's frames trigger the unit) or ``read`` (the unit
            reads the stream as it stands).
    """

    unit: str
    stream: str
    argument: str
    kind: Kind


@dataclass
class Graph:
    """What feeds what.

    Attributes:
        plan: of the pipeline.
        edges: in the order of units and their arguments.
        made: keys of streams that are there before the units: those that the file declares.
        order: units in the order in which they start: who makes a stream before who reads it, then ``depends_on``;
            the order of the plan breaks ties and cycles.
        processes: the loops of every process, each a list of its units; all in the order in which they start.
        after: by process, those that must be ready before it starts.
    """

    plan: PipelinePlan
    edges: list[Edge] = field(default_factory=list)
    made: frozenset[str] = frozenset()
    order: list[str] = field(default_factory=list)
    processes: dict[str, list[list[str]]] = field(default_factory=dict)
    after: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        plan: PipelinePlan,
        units: Mapping[str, AnyUnit] | None = None,
        made: Iterable[str] | None = None,
    ) -> Graph:
        """The graph of a plan.

        Args:
            plan: of the pipeline.
            units: its units, if they are imported already; those that are missing have no edges then.
            made: streams that its sources make. By default the sources are asked, which computes them if they were not.

        Raises:
            PipelineError: a unit cannot be imported, or a source fails.
        """
        if units is None:
            units, problems = load_units(plan)
            if problems:
                raise PipelineError(problems)
        if made is None:
            from framebus.pipeline.streams import source_arrays

            made = [name for source in plan.sources.values() for name in source_arrays(source)]
        graph = cls(plan, _edges(plan, units), frozenset(_keys([*plan.streams, *made])))
        graph._arrange()
        return graph

    def streams(self) -> list[str]:
        """Keys of all streams: those that are declared, then in the order in which units start and name them."""
        rank = {name: i for i, name in enumerate(self.order)}
        edges = sorted(self.edges, key=lambda edge: rank[edge.unit])
        return list(dict.fromkeys([*sorted(self.made), *(edge.stream for edge in edges)]))

    def writers(self, stream: str) -> list[str]:
        """Units that write a stream."""
        return [edge.unit for edge in self.edges if edge.stream == stream and edge.kind == "output"]

    def feeds(self, triggers_only: bool = False) -> dict[str, list[str]]:
        """By unit, the units whose outputs it reads, or is triggered by."""
        fed: dict[str, list[str]] = {name: [] for name in self.plan.units}
        for edge in self.edges:
            if edge.kind == "trigger" or (edge.kind == "read" and not triggers_only):
                fed[edge.unit] += self.writers(edge.stream)
        return fed

    # ---- order -----------------------------------------------------------------------------------------------------

    def _arrange(self) -> None:
        plan = self.plan
        loops: dict[tuple[str, str], list[str]] = {}
        for name in plan.units:
            loops.setdefault(loop_of(plan, name), []).append(name)
        needed, wished = self._before()

        def between(of: Callable[[str], Item], pairs: Iterable[tuple[str, str]]) -> set[tuple[Item, Item]]:
            return {(of(a), of(b)) for a, b in pairs if of(a) != of(b)}

        def loop(name: str) -> tuple[str, str]:
            return loop_of(plan, name)

        def process(name: str) -> str:
            return process_of(plan, name)

        in_order = sort(loops, between(loop, needed), between(loop, wished))
        self.order = [name for found in in_order for name in loops[found]]
        after = between(process, needed)
        names = list(dict.fromkeys(process(name) for name in self.order))
        names = sort(names, after, between(process, wished))
        self.processes = {name: [loops[found] for found in in_order if found[0] == name] for name in names}
        self.after = {name: [other for other in names if (other, name) in after] for name in names}

    def _before(self) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
        """Pairs of units (earlier, later): those that must be, and those that would be good."""
        needed: set[tuple[str, str]] = set()
        wished: set[tuple[str, str]] = set()
        for edge in self.edges:
            if edge.kind != "output":
                pairs = {(writer, edge.unit) for writer in self.writers(edge.stream)}
                wished |= pairs
                if edge.stream not in self.made:  # else it is there before both
                    needed |= pairs
        for name, unit in self.plan.units.items():
            needed |= {(other, name) for other in unit.depends_on if other in self.plan.units}
        return needed, wished


def _edges(plan: PipelinePlan, units: Mapping[str, AnyUnit]) -> list[Edge]:
    edges = []
    loops: set[tuple[str, str]] = set()
    for name, unit in plan.units.items():
        loop = loop_of(plan, name)
        first = loop not in loops
        loops.add(loop)
        if name not in units:
            continue
        declaration = declaration_of(units[name])
        inputs, outputs = declaration.inputs(), declaration.outputs()
        for argument in (*inputs, *outputs):
            if (text := unit.streams.get(argument.name)) is None:
                continue
            kind: Kind = "output" if argument in outputs else "read"
            if inputs and argument is inputs[0] and (not first or unit.trigger == "stream"):
                kind = "trigger"
            keys = _keys([text], process_of(plan, name))
            edges += [Edge(name, key, argument.name, kind) for key in keys]
    return edges


def _keys(names: Iterable[str], process: str = "") -> list[str]:
    keys = []
    for name in names:
        try:
            keys.append(stream_key(name, process))
        except NameFormatError:
            continue  # told by the check
    return keys
