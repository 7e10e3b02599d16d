"""A pipeline built in Python: add units, say where each runs, start, watch, stop."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Self

from framebus.errors import UnitError, UsageError
from framebus.params import Params
from framebus.pipeline.hosted import HostedProcess
from framebus.process import ProcessRecord
from framebus.unit import FunctionUnit, Loop, LoopOptions, Stage, load_unit, start
from framebus.unit.bind import AnyUnit
from framebus.unit.device import Unit

START_S = 120.0
"""How long a process may take to start, compiling its units included, in s."""


@dataclass
class Node:
    """One unit of a pipeline: what it is bound to and where it runs.

    Attributes:
        stage: the unit with its streams, parameters and name.
        options: how its loop is triggered; of fused units the first one's count.
        process: units of the same process name share a process; ``""`` is the process that starts the pipeline.
        fuse: units of one process with the same name here are fused in one loop, in the order of addition.
    """

    stage: Stage
    options: LoopOptions
    process: str
    fuse: str


@dataclass
class Pipeline:
    """Units that run together.

    ::

        with fb.Pipeline("loop") as pipeline:
            pipeline.add(centroids, streams={"pixels": "wfs", ...})
            pipeline.add(reconstruct, streams={"slopes": "slopes", ...})
            pipeline.start()

    Placement is the two arguments ``process`` and ``fuse`` of ``add``; the units know nothing of it.
    """

    name: str = "pipeline"
    nodes: list[Node] = field(default_factory=list)
    _processes: list[HostedProcess] = field(default_factory=list, repr=False)
    _loops: list[Loop] = field(default_factory=list, repr=False)

    def add(
        self,
        unit: AnyUnit | str,
        *,
        streams: Mapping[str, str],
        parameters: Mapping[str, Any] | None = None,
        name: str = "",
        history: int | Mapping[str, int] = 0,
        options: LoopOptions | None = None,
        process: str | None = None,
        fuse: str | None = None,
    ) -> Self:
        """Add a unit, after those whose outputs it reads.

        Args:
            unit: the unit, or ``"package.module:function"``.
            streams: stream name for every input and output.
            parameters: values that differ from the declared defaults.
            name: under which it runs; its own name by default. Unique in the pipeline.
            history: how many past frames its output streams keep: a number for all, or one by argument name.
            options: trigger, CPU, priority, spinning.
            process: process that it runs in: its own by default, ``""`` for the one that starts the pipeline.
            fuse: loop that it shares; its own by default.

        Raises:
            UsageError: the name is taken. NotFoundError: the unit cannot be found.
        """
        loaded = load_unit(unit) if isinstance(unit, str) else unit
        stage = Stage(loaded, dict(streams), dict(parameters or {}), name, history)
        if any(node.stage.label == stage.label for node in self.nodes):
            raise UsageError(
                f"pipeline '{self.name}' has a unit '{stage.label}' already; give this one another name"
            )
        where = stage.label if process is None else process
        if where and not isinstance(loaded, FunctionUnit | type):
            raise UsageError(
                f"unit '{stage.label}' is an object of this process; run it here (process='') or add its class"
            )
        self.nodes.append(Node(stage, options or LoopOptions(), where, stage.label if fuse is None else fuse))
        return self

    def start(self, *, timeout_s: float = START_S) -> Self:
        """Start everything, in order of addition. If anything cannot start, all is stopped again.

        Raises:
            UnitError, BindingError, UsageError, StreamNotFound: says which unit and why.
        """
        if self._processes or self._loops:
            raise UsageError(f"pipeline '{self.name}' runs already")
        try:
            for process, loops in self._groups().items():
                if process:
                    hosted = HostedProcess(process, {"loops": [_plan(nodes) for nodes in loops]})
                    self._processes.append(hosted)
                    hosted.wait_ready(timeout_s)
                else:
                    for nodes in loops:
                        self._loops.append(start([node.stage for node in nodes], nodes[0].options))
        except BaseException:
            self._end()
            raise
        return self

    def _groups(self) -> dict[str, list[list[Node]]]:
        groups: dict[str, dict[str, list[Node]]] = {}
        for node in self.nodes:
            groups.setdefault(node.process, {}).setdefault(node.fuse, []).append(node)
        return {process: list(loops.values()) for process, loops in groups.items()}

    def records(self) -> dict[str, ProcessRecord]:
        """Open process records by unit name; the caller closes them."""
        pids = {process.name: process.pid for process in self._processes}
        records = {}
        for node in self.nodes:
            label = node.stage.label
            if node.process:
                records[label] = ProcessRecord.open(f"{label}.{pids[node.process]}")
            else:
                records[label] = ProcessRecord.open(label)
        return records

    def params(self, name: str) -> Params:
        """Open the live parameters of a unit; the caller closes them."""
        return Params.open(name)

    def check(self) -> None:
        """Raises UnitError if a process or loop has ended."""
        for process in self._processes:
            if not process.running:
                raise UnitError(f"process '{process.name}' has ended: {process.said() or 'it said nothing'}")
        for loop in self._loops:
            if not loop.running:
                loop.stop()
                raise UnitError(f"loop '{loop.record.unit}' has ended")

    def stop(self) -> None:
        """Stop everything in reverse order. Streams stay.

        Raises:
            UnitError: something had failed; the message says what.
        """
        said = self._end()
        if said:
            raise UnitError("\n".join(said))

    def _end(self) -> list[str]:
        said = []
        for loop in reversed(self._loops):
            try:
                loop.stop()
            except UnitError as error:
                said.append(str(error))
        said += [text for process in reversed(self._processes) if (text := process.end())]
        self._loops.clear()
        self._processes.clear()
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
        else:
            self._end()


def _plan(nodes: list[Node]) -> dict[str, Any]:
    """The JSON form of one loop."""
    options = asdict(nodes[0].options)
    if math.isinf(options["spin_us"]):
        options["spin_us"] = 1e16  # JSON has no infinity; the loop takes this for one
    return {"options": options, "stages": [_stage_plan(node.stage) for node in nodes]}


def _stage_plan(stage: Stage) -> dict[str, Any]:
    unit = stage.unit
    declaration = unit if isinstance(unit, FunctionUnit) else unit.declaration
    assert isinstance(unit, FunctionUnit) or (isinstance(unit, type) and issubclass(unit, Unit))
    return {
        "use": declaration.use,
        "streams": dict(stage.streams),
        "parameters": dict(stage.parameters),
        "name": stage.name,
        "history": dict(stage.history) if isinstance(stage.history, Mapping) else stage.history,
    }
