"""Everything that is wrong with a pipeline, told before anything of it starts."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from framebus.errors import FramebusError, NameFormatError, ParameterError, Problem, UsageError
from framebus.params import read_sets
from framebus.pipeline.convert import option_values
from framebus.pipeline.graph import Edge, Graph
from framebus.pipeline.loading import declaration_of, load_units, loop_of, process_of
from framebus.pipeline.locate import Path
from framebus.pipeline.order import cycles
from framebus.pipeline.plan import OPTION_KEYS, PipelinePlan, StreamPlan, UnitPlan
from framebus.pipeline.shapes import Existing, Shapes
from framebus.pipeline.streams import declared_spec, source_arrays
from framebus.pipeline.where import Where
from framebus.stream.datatypes import datatype_code
from framebus.stream.dialects import check_datatype, find_dialect
from framebus.stream.keywords import encode_all
from framebus.stream.names import check_name, near, parse, require
from framebus.unit.arrays import ArraySpec, Role
from framebus.unit.device import Unit
from framebus.unit.options import LoopOptions
from framebus.unit.stage import AnyUnit

_INPUT_NAMES = ["S", "L", "E", "type", "path"]
_OUTPUT_NAMES = ["S", "L", "E", "N", "path"]


def check_plan(
    plan: PipelinePlan, where: Where | None = None, units: Mapping[str, AnyUnit] | None = None
) -> list[Problem]:
    """All problems of a pipeline: names, wiring, shapes, parameters, order, placement. Imports its units.

    Nothing is started or made. What depends on the moment (streams of others that it reads) is looked at as it is now.

    Args:
        plan: of the pipeline.
        where: the places of its keys, for files (``read_file`` gives them).
        units: units that need not be imported, by name.

    Returns:
        The problems, in the order of the file; none if the pipeline can start.
    """
    return Checked(plan, where, units).problems


class Checked:
    """A plan that was checked.

    Attributes:
        problems: what is wrong, in the order of the file.
        units: its units, those that could be imported.
        graph: what feeds what.
        specs: shape and dtype of every stream for which they can be known, by key.
    """

    def __init__(
        self, plan: PipelinePlan, where: Where | None = None, units: Mapping[str, AnyUnit] | None = None
    ) -> None:
        self.plan = plan
        self.where = where or Where()
        self.problems: list[Problem] = []
        self.specs: dict[str, ArraySpec] = {}
        self._filled: set[str] = set()
        self._sourced: dict[str, str] = {}
        self._unknown: list[str] = []  # prefixes of sources that failed
        self._waiting: list[list[str]] = []
        if plan.name:
            self._name((), plan.name, "name")
        self._check_supervision()
        self._check_streams()
        self._check_sources()
        self.units, unloadable = load_units(plan, where, units)
        self.problems += unloadable
        for name in plan.units:
            self._check_unit(name)
        self._check_parameters_file()
        if not plan.units:
            self._tell(("units",), "the pipeline has no units")
        self.graph = Graph.of(plan, self.units, self._sourced)
        self._existing = self._look()
        self._check_loops()
        self._check_depends_on()
        self._check_processes()
        self._check_wiring()
        self._check_shapes()
        self.problems.sort(key=lambda problem: (problem.file, problem.line))

    def _tell(self, path: Path, message: str) -> None:
        self.problems.append(self.where.problem(path, message))

    def _name(self, path: Path, name: str, key: str) -> None:
        try:
            check_name(name)
        except NameFormatError as error:
            said = str(error).removeprefix("stream name ")
            self._tell((*path, key) if key else path, said)

    # ---- what needs no unit ----------------------------------------------------------------------------------------

    def _check_supervision(self) -> None:
        keeping = self.plan.supervision
        least = {"restart_limit": 0, "log_files": 0, "log_bytes": 1, "backoff_s": 0}
        for field in msgspec.structs.fields(type(keeping)):
            value = getattr(keeping, field.name)
            if not isinstance(value, int | float):
                continue
            low = least.get(field.name)
            good = value >= low if low is not None else value > 0
            if not good or not math.isfinite(value):
                wanted = f"{low} or more" if low is not None else "a number above 0"
                self._tell(("supervision", field.name), f"it is {value}, expected {wanted}")

    def _check_streams(self) -> None:
        for name, stream in self.plan.streams.items():
            path: Path = ("streams", name)
            self._name(path, name, "")
            if stream.fill is not None or stream.file is not None:
                self._filled.add(name)
            if not 0 <= stream.history < 2**31:
                self._tell((*path, "history"), f"it is {stream.history}, expected 0 or more")
            try:
                encode_all(stream.keywords)
            except (FramebusError, TypeError, ValueError) as error:
                self._tell((*path, "keywords"), str(error))
            try:
                spec = declared_spec(stream)
            except (FramebusError, OSError) as error:
                self._tell(self._blamed(path, stream), str(error))
                continue
            self.specs[name] = spec
            try:
                check_datatype(find_dialect(stream.dialect), datatype_code(spec.dtype))
            except FramebusError as error:
                self._tell((*path, "dialect"), str(error))
            self._check_value((*path, "fill"), stream.fill, spec)
            self._check_value((*path, "on_down"), stream.on_down, spec)
            found = Existing.of(name)
            if found is not None and found.writer and found.spec != spec and not self._written(name):
                self._tell(
                    path,
                    f"process {found.writer} writes a stream of that name that is {found.spec}, and {spec} is declared",
                )

    def _written(self, name: str) -> bool:
        return any(name in unit.streams.values() for unit in self.plan.units.values())

    def _blamed(self, path: Path, stream: StreamPlan) -> Path:
        """The key that a declared stream's trouble is about."""
        if stream.file is not None:
            return (*path, "file")
        try:
            declared_spec(StreamPlan(shape=(1,), dtype=stream.dtype))
        except FramebusError:
            return (*path, "dtype")
        return path if stream.shape is None else (*path, "shape")

    def _check_value(self, path: Path, value: float | str | None, spec: ArraySpec) -> None:
        if value is None or isinstance(value, str) or spec.dtype.kind not in "iu":
            return
        limits = np.iinfo(spec.dtype)
        if not (float(value).is_integer() and limits.min <= value <= limits.max):
            self._tell(path, f"it is {value}, which the stream's dtype {spec.dtype.name} cannot hold")

    def _check_sources(self) -> None:
        for title, source in self.plan.sources.items():
            path: Path = ("sources", title)
            if not 0 <= source.history < 2**31:
                self._tell((*path, "history"), f"it is {source.history}, expected 0 or more")
            try:
                arrays = source_arrays(source)
            except (FramebusError, OSError) as error:
                self._tell((*path, "use"), str(error))
                self._unknown.append(source.prefix)
                continue
            for name, array in arrays.items():
                self._name(path, name, "")
                if name in self.plan.streams:
                    self._tell(path, f"it makes stream '{name}', which is declared under 'streams', too")
                elif name in self._sourced:
                    self._tell(path, f"it makes stream '{name}', as source '{self._sourced[name]}' does")
                self._sourced.setdefault(name, title)
                self.specs.setdefault(name, ArraySpec(array.shape, array.dtype))
                self._filled.add(name)

    # ---- one unit --------------------------------------------------------------------------------------------------

    def _check_unit(self, name: str) -> None:
        unit = self.plan.units[name]
        path: Path = ("units", name)
        self._name(path, name, "")
        if unit.process:
            self._name(path, unit.process, "process")
        self._check_options(path, unit)
        self._check_limits(path, unit)
        if name not in self.units:
            return
        loaded = self.units[name]
        declaration = declaration_of(loaded)
        self._check_arguments(path, unit, loaded)
        self._check_parameters(path, unit, loaded)
        if unit.trigger == "stream" and not declaration.inputs() and self._is_first(name):
            self._tell(
                (*path, "trigger"),
                "the unit has no input whose frames could trigger it; expected 'delay', 'once' or 'free'",
            )

    def _is_first(self, name: str) -> bool:
        loop = loop_of(self.plan, name)
        return next(other for other in self.plan.units if loop_of(self.plan, other) == loop) == name

    def _check_options(self, path: Path, unit: UnitPlan) -> None:
        for key, value in option_values(unit).items():
            given = {key: value}
            if key == "trigger":
                given["period_s"] = 1.0
            try:
                if key != "period_s":
                    LoopOptions(**given)
                elif unit.trigger == "delay":
                    LoopOptions(trigger="delay", period_s=value)
                elif value != 0:
                    raise UsageError(f"it is {value}, and only the trigger 'delay' has a period")
            except UsageError as error:
                self._tell((*path, "wait" if key == "spin_us" else key), str(error))
        node = unit.numa_node
        if node is not None and node >= 0 and not os.path.isdir(f"/sys/devices/system/node/node{node}"):
            self._tell((*path, "numa_node"), f"this machine has no NUMA node {node}")

    def _check_limits(self, path: Path, unit: UnitPlan) -> None:
        if unit.limits is None:
            return
        for key in ("period_us", "compute_us"):
            limit = getattr(unit.limits, key)
            if limit is not None and not 1e-3 <= limit <= 1e15:
                self._tell((*path, "limits", key), f"it is {limit}, expected µs above 0")
        if unit.limits.period_us is None and unit.limits.compute_us is None:
            self._tell((*path, "limits"), "it limits nothing; give 'period_us' or 'compute_us'")

    def _check_arguments(self, path: Path, unit: UnitPlan, loaded: AnyUnit) -> None:
        declaration = declaration_of(loaded)
        arguments = {a.name: a for a in (*declaration.inputs(), *declaration.outputs())}
        missing = [name for name in arguments if name not in unit.streams]
        for name in missing:
            what = "input" if arguments[name].role is Role.IN else "output"
            self._tell((*path, "streams"), f"no stream is given for {what} '{name}'")
        for name, stream in unit.streams.items():
            key = (*path, "streams", name)
            if name not in arguments:
                self._tell(key, f"the unit has no stream argument '{name}'{near(name, missing or arguments)}")
                continue
            allowed = _INPUT_NAMES if arguments[name].role is Role.IN else _OUTPUT_NAMES
            try:
                require(parse(stream), allowed=allowed, context=f"{arguments[name].role.value} of a unit")
            except NameFormatError as error:
                self._tell(key, str(error))
        outputs = [argument.name for argument in declaration.outputs()]
        lengths = unit.history if isinstance(unit.history, dict) else {"": unit.history}
        for name, length in lengths.items():
            key = (*path, "history", name) if name else (*path, "history")
            if name and name not in outputs:
                self._tell(key, f"'{name}' is no output of the unit{near(name, outputs)}")
            if not 0 <= length < 2**31:
                self._tell(key, f"it is {length}, expected 0 or more")

    def _check_parameters(self, path: Path, unit: UnitPlan, loaded: AnyUnit) -> None:
        declaration = declaration_of(loaded)
        values: dict[str, Any] = {parameter.name: parameter.default for parameter in declaration.parameters}
        good = True
        for name, value in unit.parameters.items():
            key = (*path, "parameters", name)
            if name not in values:
                self._tell(key, f"the unit has no parameter '{name}'{near(name, values)}")
                continue
            try:
                values[name] = declaration.parameter(name).check(value)
            except ParameterError as error:
                good = False
                self._tell(key, str(error).removeprefix("parameter "))
        # That of a class is a method, which needs the open device.
        check = (
            None
            if isinstance(loaded, type)
            else loaded.checks()
            if isinstance(loaded, Unit)
            else loaded.checks
        )
        if good and check is not None:
            for name, said in check.findings(values).items():
                self._tell((*path, "parameters", name), said)

    def _check_parameters_file(self) -> None:
        file, key = self.plan.supervision.parameters_file, ("supervision", "parameters_file")
        if file is None or not os.path.exists(file):
            return
        try:
            saved = read_sets(file)
        except (FramebusError, OSError) as error:
            self._tell(key, str(error))
            return
        for name, values in saved.items():
            known = declaration_of(self.units[name]).parameters if name in self.units else []
            checks = {parameter.name: parameter.check for parameter in known}
            for parameter, value in values.items() if name in self.units else []:
                at = f"{file}: [{name}]"
                if parameter not in checks:
                    said = f"the unit has no parameter '{parameter}'{near(parameter, checks)}"
                    self._tell(key, f"{at}: {said}; remove it there")
                    continue
                try:
                    checks[parameter](value)
                except ParameterError as error:
                    self._tell(key, f"{at}: {str(error).removeprefix('parameter ')}; correct it there")

    # ---- what units have in common ---------------------------------------------------------------------------------

    def _check_loops(self) -> None:
        plan = self.plan
        fused: dict[str, str] = {}
        for name, unit in plan.units.items():
            if unit.fuse is None:
                continue
            process = process_of(plan, name)
            other = fused.setdefault(unit.fuse, name)
            if process_of(plan, other) != process:
                self._tell(
                    ("units", name, "fuse"),
                    f"units '{other}' and '{name}' are to be fused, and run in processes "
                    f"'{process_of(plan, other)}' and '{process}'; give both the same 'process'",
                )
        for loops in self.graph.processes.values():
            for loop in loops:
                self._check_fused(loop)

    def _check_fused(self, loop: list[str]) -> None:
        first = self.plan.units[loop[0]]
        usual = UnitPlan(use="")
        earlier: set[str] = set()
        for name in loop:
            unit = self.plan.units[name]
            edges = self._edges(name)
            if name != loop[0]:
                for key in OPTION_KEYS:
                    if getattr(unit, key) not in (getattr(usual, key), getattr(first, key)):
                        self._tell(
                            ("units", name, key),
                            f"the loop's first unit '{loop[0]}' says it for all that are fused; leave it out here",
                        )
                trigger = next((edge for edge in edges if edge.kind == "trigger"), None)
                if trigger is not None and trigger.stream not in earlier:
                    self._tell(
                        ("units", name, "streams", trigger.argument),
                        f"stream '{trigger.stream}' is no output of a unit before it in loop '{unit.fuse}', so its "
                        "frames could not trigger the unit; fuse units in the order in which they feed each other",
                    )
                if name in self.units and not declaration_of(self.units[name]).inputs():
                    self._tell(
                        ("units", name, "fuse"),
                        "the unit has no input, so nothing triggers it after another unit; let it stand first",
                    )
            earlier |= {edge.stream for edge in edges if edge.kind == "output"}

    def _edges(self, name: str) -> list[Edge]:
        return [edge for edge in self.graph.edges if edge.unit == name]

    def _check_depends_on(self) -> None:
        names = list(self.plan.units)
        before: dict[str, list[str]] = {}
        for name, unit in self.plan.units.items():
            before[name] = [other for other in unit.depends_on if other in names]
            for i, other in enumerate(unit.depends_on):
                if other not in names:
                    path = ("units", name, "depends_on", i)
                    self._tell(path, f"there is no unit '{other}'{near(other, names)}")
        self._waiting = cycles(before)
        for cycle in self._waiting:
            around = " → ".join([*cycle, cycle[0]])
            self._tell(
                ("units", cycle[0], "depends_on"), f"units wait for each other: {around}; none can start"
            )

    def _check_processes(self) -> None:
        for cycle in [] if self._unknown or self._waiting else cycles(self.graph.after):
            streams = sorted(
                edge.stream
                for edge in self.graph.edges
                if edge.kind != "output"
                and edge.stream not in self.graph.made
                and process_of(self.plan, edge.unit) in cycle
                and any(
                    process_of(self.plan, writer) in cycle
                    and process_of(self.plan, writer) != process_of(self.plan, edge.unit)
                    for writer in self.graph.writers(edge.stream)
                )
            )
            self._tell(
                ("units",),
                f"processes {' and '.join(map(repr, cycle))} wait for each other's streams ({', '.join(streams)}), so "
                "that none can start first; declare one of these under 'streams'",
            )

    # ---- wiring ----------------------------------------------------------------------------------------------------

    def _look(self) -> dict[str, Existing]:
        """Streams that are read, neither declared nor surely made before by a unit of the pipeline, and there."""
        found = {}
        for name, unit in self.plan.units.items():
            for edge in self._edges(name):
                if edge.kind != "output" and edge.stream not in found:
                    existing = Existing.of(unit.streams[edge.argument])
                    if existing is not None:
                        found[edge.stream] = existing
        return found

    def _check_wiring(self) -> None:
        writers: dict[str, Edge] = {}
        for edge in self.graph.edges:
            path = ("units", edge.unit, "streams", edge.argument)
            if edge.kind == "output":
                other = writers.setdefault(edge.stream, edge)
                if other is not edge:
                    self._tell(
                        path,
                        f"stream '{edge.stream}' is output '{other.argument}' of unit '{other.unit}' already; a stream "
                        "has one writer",
                    )
                continue
            if any(edge.stream.startswith(prefix) for prefix in self._unknown):
                continue  # a source that failed may be what makes it
            written = self.graph.writers(edge.stream)
            if not written and edge.stream not in self.graph.made and edge.stream not in self._existing:
                self._tell(
                    path, f"nobody writes stream '{edge.stream}', and it does not exist{self._near(edge)}"
                )
            elif edge.kind == "read" and not self._has_frame(edge, written):
                self._tell(path, self._no_frame(edge, written))
        for cycle in cycles(self.graph.feeds(triggers_only=True)):
            trigger = next(e for e in self._edges(cycle[0]) if e.kind == "trigger")
            around = f"trigger each other without end: {' → '.join([*cycle[::-1], cycle[-1]])}"
            said = f"units {around}" if len(cycle) > 1 else f"unit '{cycle[0]}' triggers itself without end"
            self._tell(
                ("units", cycle[0], "streams", trigger.argument),
                f"{said}; let one of them run by a clock (trigger = 'delay') and read this stream as it stands",
            )

    def _near(self, edge: Edge) -> str:
        known = [stream for stream in self.graph.streams() if stream != edge.stream]
        known = [stream for stream in known if stream in self.graph.made or self.graph.writers(stream)]
        return near(edge.stream, known, otherwise="declare it under 'streams', or start first what writes it")

    def _has_frame(self, edge: Edge, written: list[str]) -> bool:
        """Whether the stream has a frame when the unit is bound to it, or may have."""
        if edge.stream in self._filled:
            return True
        existing = self._existing.get(edge.stream)
        if existing is not None and existing.frames:
            return True
        place = self.graph.order.index
        return any(place(writer) < place(edge.unit) for writer in written)

    def _no_frame(self, edge: Edge, written: list[str]) -> str:
        said = f"stream '{edge.stream}' has no frame at the start, and the unit reads it as it stands"
        if written:
            said += f" (unit '{written[0]}' writes it, which starts later)" if written[0] != edge.unit else ""
        if edge.stream in self.plan.streams:
            return f"{said}; give 'streams.{edge.stream}' a 'fill' or a 'file'"
        return f"{said}; declare it under 'streams' with a 'fill'"

    def _check_shapes(self) -> None:
        shapes = Shapes(self.graph, self.units, self.where, self.specs, self._existing)
        shapes.propagate()
        self.problems += shapes.problems
