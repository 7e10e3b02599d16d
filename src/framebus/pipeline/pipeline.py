"""A pipeline built in Python: add units, say where each runs, start, watch, stop."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Self

from framebus.errors import NotFoundError, UnitError, UsageError
from framebus.params import Params
from framebus.pipeline.hosted import HostedProcess
from framebus.process import ProcessRecord
from framebus.unit import FunctionUnit, Loop, LoopOptions, Stage, load_unit, start
from framebus.unit.bind import initial_values
from framebus.unit.load import refuse_while_importing
from framebus.unit.stage import AnyUnit

START_S = 120.0
"""How long a loop in another process may take to start, compiling its units included, in s."""


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
    _processes: dict[str, HostedProcess] = field(default_factory=dict, repr=False)
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
            options: trigger, CPU, priority, spinning; of fused units the first one has them.
            process: process that it runs in: its own by default, ``""`` for the one that starts the pipeline.
            fuse: loop that it shares; its own by default.

        Raises:
            UsageError: the name is taken, the unit cannot run there, or the pipeline runs.
            NotFoundError: the unit cannot be found.
        """
        if self._processes or self._loops:
            raise UsageError(f"pipeline '{self.name}' runs; stop it before adding units")
        loaded = load_unit(unit) if isinstance(unit, str) else unit
        stage = Stage(loaded, dict(streams), dict(parameters or {}), name, history)
        if any(node.stage.label == stage.label for node in self.nodes):
            raise UsageError(
                f"pipeline '{self.name}' has a unit '{stage.label}' already; give this one another name"
            )
        where = stage.label if process is None else process
        loop = stage.label if fuse is None else fuse
        _check_place(stage, where)
        if options is not None and any((node.process, node.fuse) == (where, loop) for node in self.nodes):
            raise UsageError(
                f"unit '{stage.label}' shares loop '{loop}', whose first unit has the options; leave them out"
            )
        self.nodes.append(Node(stage, options or LoopOptions(), where, loop))
        return self

    def start(self, *, timeout_s: float = START_S) -> Self:
        """Start everything, in order of addition. If anything cannot start, all is stopped again.

        Raises:
            BindingError, ParameterError, UsageError, NotFoundError, UnitError: which unit and why, wherever it runs.
        """
        refuse_while_importing("start a pipeline")
        if self._processes or self._loops:
            raise UsageError(f"pipeline '{self.name}' runs already")
        try:
            for name in dict.fromkeys(node.process for node in self.nodes if node.process):
                self._processes[name] = HostedProcess(name)  # all at once: they load while others start
            for nodes in self._groups():
                if nodes[0].process:
                    self._processes[nodes[0].process].begin(_plan(nodes), timeout_s)
                else:
                    self._loops.append(start([node.stage for node in nodes], nodes[0].options))
            for process in self._processes.values():
                process.watch()
        except BaseException:
            self._end()
            raise
        return self

    def _groups(self) -> list[list[Node]]:
        """The nodes of every loop, in order of addition."""
        groups: dict[tuple[str, str], list[Node]] = {}
        for node in self.nodes:
            groups.setdefault((node.process, node.fuse), []).append(node)
        return list(groups.values())

    def records(self) -> dict[str, ProcessRecord]:
        """Open process records by unit name, but for units that came to a good end; the caller closes them.

        Raises:
            UsageError: the pipeline does not run.
        """
        if not (self._processes or self._loops):
            raise UsageError(f"pipeline '{self.name}' does not run; start it")
        pids = {name: process.pid for name, process in self._processes.items()} | {"": os.getpid()}
        records = {}
        for node in self.nodes:
            with contextlib.suppress(NotFoundError):
                label = node.stage.label
                records[label] = ProcessRecord.open(f"{label}.{pids[node.process]}")
        return records

    def params(self, name: str) -> Params:
        """Open the live parameters of a unit; the caller closes them.

        Raises:
            UsageError: the pipeline has no such unit. NotFoundError: the unit has no parameters, or never ran.
        """
        labels = [node.stage.label for node in self.nodes]
        if name not in labels:
            raise UsageError(f"pipeline '{self.name}' has no unit '{name}'; it has: {', '.join(labels)}")
        return Params.open(name)

    def check(self) -> None:
        """See whether all is well.

        Raises:
            UnitError: a process or loop has ended; says how. Those whose units were to run once may end.
        """
        for name, process in self._processes.items():
            code = process.exit_code
            if code is not None and not (code == 0 and self._may_end(name)):
                raise UnitError(process.fate())
        for loop in self._loops:
            if not loop.running:
                loop.stop()  # raises what ended it
                if not any(n.stage.label == loop.name and n.options.trigger == "once" for n in self.nodes):
                    raise UnitError(f"loop '{loop.name}' has ended")

    def _may_end(self, process: str) -> bool:
        return all(
            nodes[0].options.trigger == "once" for nodes in self._groups() if nodes[0].process == process
        )

    def stop(self) -> None:
        """Stop everything in reverse order. Streams stay.

        Raises:
            UnitError: something had failed; the message says what.
        """
        said = self._end()
        if said:
            raise UnitError("\n".join(said))

    def _end(self) -> list[str]:
        """Stop everything; what had failed."""
        said = []
        while self._loops:
            try:
                self._loops.pop().stop()
            except UnitError as error:
                said.append(str(error))
        while self._processes:
            _, process = self._processes.popitem()
            if text := process.end():
                said.append(text)
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.stop()
            return
        for text in self._end():
            if text not in str(error):
                error.add_note(text)  # often what the error in the block came from


def _check_place(stage: Stage, process: str) -> None:
    """Another process must be able to find the unit."""
    if not process:
        return
    here = "run it here (process='')"
    if not isinstance(stage.unit, FunctionUnit | type):
        raise UsageError(f"unit '{stage.label}' is an object of this process; {here}, or add its class")
    use = stage.declaration.use
    if use.startswith("__main__:"):
        raise UsageError(
            f"unit '{stage.label}' has no file that could be imported there; {here}, or put it in one"
        )
    if "<locals>" in use:
        raise UsageError(f"unit '{stage.label}' stands inside a function; {here}, or move it to module level")


def _plan(nodes: list[Node]) -> dict[str, Any]:
    """The JSON form of one loop."""
    return {"options": asdict(nodes[0].options), "stages": [_stage_plan(node.stage) for node in nodes]}


def _stage_plan(stage: Stage) -> dict[str, Any]:
    return {
        "use": stage.declaration.use,
        "streams": {argument: os.fspath(name) for argument, name in stage.streams.items()},
        "parameters": initial_values(stage),
        "name": stage.name,
        "history": dict(stage.history) if isinstance(stage.history, Mapping) else stage.history,
    }
