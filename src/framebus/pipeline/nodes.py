"""The units of a pipeline that is built in Python: where each runs, in which order they start, what hosts are told."""

from __future__ import annotations

import math
import os
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from framebus.errors import UsageError
from framebus.pipeline.order import sort
from framebus.unit import FunctionUnit, LoopOptions, Stage
from framebus.unit.bind import initial_values

if TYPE_CHECKING:
    from framebus.pipeline.plan import RestartPolicy


@dataclass
class Node:
    """One unit of a pipeline: what it is bound to and where it runs.

    Attributes:
        stage: the unit with its streams, parameters and name.
        options: how its loop is triggered; of fused units the first one's count.
        process: units of the same process name share a process; ``""`` is the process that starts the pipeline.
        fuse: units of one process with the same name here are fused in one loop, in the order of addition; ``None``: it
            has a loop of its own.
        depends_on: units that start before it, beside those whose outputs it reads.
        restart: what a supervisor does when it ends.
    """

    stage: Stage
    options: LoopOptions
    process: str
    fuse: str | None
    depends_on: tuple[str, ...] = ()
    restart: RestartPolicy = "on-failure"

    @property
    def loop(self) -> tuple[str, str]:
        """What the units of one loop have in common."""
        # No loop's name is that of another kind.
        return self.process, f"fused {self.fuse}" if self.fuse is not None else f"unit {self.stage.label}"


def loops_of(nodes: Iterable[Node]) -> list[list[Node]]:
    """The nodes of every loop, in order of addition."""
    loops: dict[tuple[str, str], list[Node]] = {}
    for node in nodes:
        loops.setdefault(node.loop, []).append(node)
    return list(loops.values())


def in_order(nodes: Sequence[Node], made: Container[str]) -> list[list[Node]]:
    """The nodes of every loop, in the order in which these start: who makes a stream before who reads it.

    Args:
        nodes: in the order of addition, which breaks ties.
        made: streams that are there before all units, and so need not be waited for.
    """
    loops = loops_of(nodes)
    loop_of = {node.stage.label: i for i, loop in enumerate(loops) for node in loop}
    writers: dict[str, int] = {}
    for node in nodes:
        for argument in node.stage.declaration.outputs():
            writers.setdefault(str(node.stage.streams.get(argument.name)), loop_of[node.stage.label])
    needed: set[tuple[int, int]] = set()
    wished: set[tuple[int, int]] = set()
    for node in nodes:
        loop = loop_of[node.stage.label]
        needed |= {(loop_of[name], loop) for name in node.depends_on if name in loop_of}
        for argument in node.stage.declaration.inputs():
            stream = str(node.stage.streams.get(argument.name))
            if writers.get(stream, loop) != loop:
                (wished if stream in made else needed).add((writers[stream], loop))
    return [loops[i] for i in sort(range(len(loops)), needed, wished)]


def check_place(stage: Stage, process: str) -> None:
    """See that another process could find the unit; ``""`` is this one.

    Raises:
        UsageError: it could not.
    """
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


def loop_json(nodes: Sequence[Node]) -> dict[str, Any]:
    """The JSON form of one loop."""
    options = asdict(nodes[0].options)
    if math.isinf(options["spin_us"]):
        options["spin_us"] = None  # JSON has no infinity
    stages = [node.stage for node in nodes]
    limits = {stage.label: stage.limits._asdict() for stage in stages if stage.limits is not None}
    return {"options": options, "stages": [_stage_plan(stage) for stage in stages], "limits": limits}


def _stage_plan(stage: Stage) -> dict[str, Any]:
    return {
        "use": stage.declaration.use,
        "streams": {argument: os.fspath(name) for argument, name in stage.streams.items()},
        "parameters": initial_values(stage),
        "name": stage.name,
        "history": dict(stage.history) if isinstance(stage.history, Mapping) else stage.history,
    }
