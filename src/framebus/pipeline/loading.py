"""The units of a plan, imported; what cannot be imported is a problem like any other."""

from __future__ import annotations

from collections.abc import Mapping

from framebus.errors import FramebusError, Problem
from framebus.pipeline.plan import PipelinePlan, UnitPlan
from framebus.pipeline.where import Where
from framebus.stream.names import parse, stream_path
from framebus.unit.declare import Declaration, FunctionUnit
from framebus.unit.load import load_unit
from framebus.unit.stage import AnyUnit


def load_units(
    plan: PipelinePlan, where: Where | None = None, given: Mapping[str, AnyUnit] | None = None
) -> tuple[dict[str, AnyUnit], list[Problem]]:
    """Import every unit's code.

    Args:
        plan: of the pipeline.
        where: the places of its keys.
        given: units that need not be imported, by the name under which they run.

    Returns:
        The units that could be imported, by that name, and what is wrong with the others.
    """
    where = where or Where()
    units: dict[str, AnyUnit] = dict(given or {})
    problems = []
    for name, unit in plan.units.items():
        if name in units:
            continue
        try:
            units[name] = load_unit(unit.use)
        except FramebusError as error:
            problems.append(where.problem(("units", name, "use"), str(error)))
    return units, problems


def declaration_of(unit: AnyUnit) -> Declaration:
    """Arrays and parameters of a unit."""
    return unit if isinstance(unit, FunctionUnit) else unit.declaration


def process_of(plan: PipelinePlan, name: str) -> str:
    """The process that a unit runs in: by default one of its own; that of ``""`` has the pipeline's name."""
    process = plan.units[name].process
    return name if process is None else process or plan.name


def loop_of(plan: PipelinePlan, name: str) -> tuple[str, str]:
    """What the units of one loop have in common."""
    unit: UnitPlan = plan.units[name]
    # No other loop's name begins like this one's.
    return process_of(plan, name), f"fused {unit.fuse}" if unit.fuse is not None else f"unit {name}"


def stream_key(text: str, process: str = "") -> str:
    """The same for every way to write the name of one stream; a process-local one is known to its process only.

    Raises:
        NameFormatError: it is no stream's name.
    """
    name = parse(text)
    if name.local:
        return f"@L:{name.name} of {process}"
    return name.name if name.path is None else str(stream_path(name))
