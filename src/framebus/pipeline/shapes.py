"""Shapes and dtypes of all streams of a pipeline, from those that are known at its start through every unit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from framebus.errors import BindingError, FramebusError, Problem
from framebus.pipeline.graph import Graph
from framebus.pipeline.loading import declaration_of
from framebus.pipeline.locate import Path
from framebus.pipeline.where import Where
from framebus.stream import open as open_stream
from framebus.stream.conf import find_conf, load_conf
from framebus.stream.names import parse
from framebus.unit.arrays import ArraySpec, resolve
from framebus.unit.declare import FunctionUnit
from framebus.unit.stage import AnyUnit

_ABOUT = re.compile(r"unit '[^']*', argument '(?P<argument>\w+)' \(\w+\): (?P<said>.*)", re.DOTALL)


@dataclass
class Existing:
    """A stream that is there already, whoever made it.

    Attributes:
        spec: its shape and dtype.
        frames: whether it has one.
        writer: pid of a process that lives and writes it, else 0.
    """

    spec: ArraySpec
    frames: bool
    writer: int = 0

    @classmethod
    def of(cls, text: str) -> Existing | None:
        """The stream of that name, also as a file of ``./conf`` that would be loaded."""
        try:
            name = parse(text)
        except FramebusError:
            return None
        if name.local:
            return None
        try:
            bare = name.name if name.path is None else str(name.path)
            with open_stream(f"@E:{bare}") as stream:
                writer = stream.handle.last_writer if stream.handle.last_writer_alive else 0
                return cls(ArraySpec(stream.shape, stream.dtype), stream.count > 0, writer)
        except (FramebusError, OSError):
            pass
        try:
            conf = None if name.path is not None or name.exists else find_conf(name.name)
            if conf is None:
                return None
            data, _ = load_conf(conf)
            return cls(ArraySpec(data.shape, data.dtype), frames=True)
        except (FramebusError, OSError):
            return None


@dataclass
class Shapes:
    """The specs of a pipeline's streams.

    Attributes:
        graph: of the pipeline.
        units: its units, those that could be imported.
        where: the places of its keys.
        specs: by the stream's key; at first those that are declared.
        existing: streams that are there and that no unit of the pipeline writes, or only a later one.
        problems: what does not fit.
    """

    graph: Graph
    units: Mapping[str, AnyUnit]
    where: Where
    specs: dict[str, ArraySpec]
    existing: Mapping[str, Existing]
    problems: list[Problem] = field(default_factory=list)

    def propagate(self) -> None:
        """Go through the units in the order in which they start."""
        fixed = dict(self.specs)
        guessed: dict[str, ArraySpec] = {}
        for name in self.graph.order:
            if name not in self.units:
                continue
            edges = [edge for edge in self.graph.edges if edge.unit == name]
            inputs: dict[str, ArraySpec] = {}
            for edge in edges:
                if edge.kind != "output":
                    spec = self.specs.get(edge.stream)
                    if spec is None and edge.stream in self.existing:
                        spec = guessed[edge.stream] = self.existing[edge.stream].spec
                    if spec is not None:
                        inputs[edge.argument] = spec
            outputs = {edge.argument: edge.stream for edge in edges if edge.kind == "output"}
            given = {argument: fixed[key] for argument, key in outputs.items() if key in fixed}
            found = self._resolve(name, inputs, given)
            for argument, key in outputs.items():
                if argument in found:
                    self.specs.setdefault(key, found[argument])
                    self._agree(name, argument, guessed.get(key), found[argument])

    def _resolve(
        self, name: str, inputs: Mapping[str, ArraySpec], given: Mapping[str, ArraySpec]
    ) -> dict[str, ArraySpec]:
        """Specs of the unit's arrays, those that can be known."""
        unit = self.units[name]
        declaration = declaration_of(unit)
        # A device's shapes method is asked once the device is open.
        asks_device = not isinstance(unit, FunctionUnit) and hasattr(unit, "shapes")
        wanted = declaration.inputs()
        try:
            if asks_device or len(inputs) < len(wanted):
                known = tuple(argument for argument in wanted if argument.name in inputs)
                resolve(declaration.name, known, inputs, {})
                return dict(given)
            return declaration.resolve(inputs, given)
        except BindingError as error:
            about = _ABOUT.fullmatch(str(error))
            said = about["said"] if about else str(error)
            path: Path = ("units", name, "streams", about["argument"]) if about else ("units", name)
            if about and about["argument"] in given:
                said = said.replace("the stream that exists is", "the stream is declared as")
            self.problems.append(self.where.problem(path, said))
            return dict(given)

    def _agree(self, name: str, argument: str, guessed: ArraySpec | None, made: ArraySpec) -> None:
        if guessed is not None and guessed != made:
            path = ("units", name, "streams", argument)
            self.problems.append(
                self.where.problem(
                    path,
                    f"the unit makes {made}, and a unit that starts before it reads the stream that exists, {guessed}; "
                    "remove that stream",
                )
            )
