"""A plan in the forms in which others take it: what hosts run, loop options, pipelines built in Python."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from framebus.errors import PipelineError, UsageError
from framebus.pipeline.graph import Graph
from framebus.pipeline.loading import load_units, loop_of
from framebus.pipeline.plan import OPTION_KEYS, LimitsPlan, PipelinePlan, SupervisionPlan, UnitPlan
from framebus.pipeline.where import Where
from framebus.process import Limits
from framebus.unit.options import LoopOptions

if TYPE_CHECKING:
    from framebus.pipeline.pipeline import Pipeline

ProcessPlan = dict[str, Any]
"""What ``python -m framebus.unit.host`` takes, as JSON has it."""


def process_plans(plan: PipelinePlan, graph: Graph) -> dict[str, ProcessPlan]:
    """By process, in the order in which they start, what its host runs.

    Whoever starts the host puts in ``report``, and changes ``keep_values``, ``stay`` and ``predecessor`` as it likes.
    """
    return {
        process: {
            "pipeline": plan.name,
            "process": process,
            "report": "",
            "loops": [loop_plan(plan, loop) for loop in loops],
            "keep_values": True,
            "stay": False,
            "predecessor": None,
            "resume": False,
        }
        for process, loops in graph.processes.items()
    }


def loop_plan(plan: PipelinePlan, names: list[str]) -> dict[str, Any]:
    """One loop of these units, as JSON has it."""
    units = {name: plan.units[name] for name in names}
    options = asdict(loop_options(units[names[0]]))
    if math.isinf(options["spin_us"]):
        options["spin_us"] = None  # JSON has no infinity
    return {
        "options": options,
        "stages": [
            {
                "use": unit.use,
                "streams": unit.streams,
                "parameters": unit.parameters,
                "name": name,
                "history": unit.history,
            }
            for name, unit in units.items()
        ],
        "limits": {
            name: msgspec.structs.asdict(unit.limits)
            for name, unit in units.items()
            if unit.limits is not None
        },
    }


def loop_options(unit: UnitPlan) -> LoopOptions:
    """The options of the loop whose first unit this is.

    Raises:
        UsageError: a value is not possible.
    """
    return LoopOptions(**option_values(unit))


def option_values(unit: UnitPlan) -> dict[str, Any]:
    """The fields of ``LoopOptions`` as the unit has them."""
    values = {key: getattr(unit, key) for key in OPTION_KEYS if key != "wait"}
    spin_us = {"sleep": 0.0, "spin": math.inf}
    values["spin_us"] = spin_us[unit.wait] if isinstance(unit.wait, str) else unit.wait
    return values


def option_keys(options: LoopOptions) -> dict[str, Any]:
    """The keys of a unit that say these options."""
    values = {field.name: getattr(options, field.name) for field in fields(options)}
    spin_us = values.pop("spin_us")
    wait = {0.0: "sleep", math.inf: "spin"}
    return values | {"wait": wait.get(spin_us, spin_us)}


# ---- pipelines that are built in Python ----------------------------------------------------------------------------


def plan_of(pipeline: Pipeline) -> PipelinePlan:
    """What ``Pipeline.plan`` gives."""
    units: dict[str, UnitPlan] = {}
    loops: set[tuple[str, str]] = set()
    for node in pipeline.nodes:
        label, stage = node.stage.label, node.stage
        first = node.loop not in loops
        loops.add(node.loop)
        limits = None if stage.limits is None else LimitsPlan(**stage.limits._asdict())
        units[label] = UnitPlan(
            use=stage.declaration.use,
            streams={argument: os.fspath(name) for argument, name in stage.streams.items()},
            parameters={name: _plain(value) for name, value in stage.parameters.items()},
            history=dict(stage.history) if isinstance(stage.history, Mapping) else stage.history,
            process=None if node.process == label else node.process,
            fuse=node.fuse,
            limits=limits,
            depends_on=node.depends_on,
            restart=node.restart,
            **(option_keys(node.options) if first else {}),
        )
    keeping = pipeline.supervision
    return PipelinePlan(
        name=pipeline.name,
        supervision=SupervisionPlan() if keeping is None else keeping,
        streams=dict(pipeline.streams),
        sources=dict(pipeline.sources),
        units=units,
    )


def fill_pipeline(pipeline: Pipeline, plan: PipelinePlan, where: Where | None = None) -> None:
    """Add everything of a plan to an empty pipeline.

    Raises:
        PipelineError: all units that cannot be imported, or run with these options.
    """
    where = where or Where()
    units, problems = load_units(plan, where)
    pipeline.streams |= plan.streams
    pipeline.sources |= plan.sources
    pipeline.supervision = plan.supervision
    loops: set[tuple[str, str]] = set()
    for name, unit in plan.units.items():
        if name not in units:
            continue
        loop = loop_of(plan, name)
        try:
            pipeline.add(
                units[name],
                streams=unit.streams,
                parameters=unit.parameters,
                name=name,
                history=unit.history,
                options=None if loop in loops else loop_options(unit),
                process=unit.process,
                fuse=unit.fuse,
                depends_on=unit.depends_on,
                restart=unit.restart,
                limits=None if unit.limits is None else Limits(**msgspec.structs.asdict(unit.limits)),
            )
        except UsageError as error:
            problems.append(where.problem(("units", name), str(error)))
        loops.add(loop)
    if problems:
        raise PipelineError(problems)


def _plain(value: Any) -> Any:
    """The value as a file has it."""
    return value.item() if isinstance(value, np.generic) else value
