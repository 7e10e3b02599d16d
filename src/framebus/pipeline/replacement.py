"""A plan with other code in one unit's place."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import msgspec

from framebus.errors import NotFoundError, PipelineError
from framebus.pipeline.loading import declaration_of
from framebus.pipeline.plan import PipelinePlan
from framebus.unit.load import load_unit

__all__ = ["replaced"]


def replaced(plan: PipelinePlan, unit: str, use: str, parameters: Mapping[str, Any]) -> PipelinePlan:
    """The plan with ``use`` in the place of a unit's code, checked as a whole.

    The unit keeps its streams, and those of its parameters that the new code has too.

    Args:
        plan: of the running pipeline.
        unit: name of the unit.
        use: the new code.
        parameters: values for it.

    Raises:
        NotFoundError: the plan has no such unit, or there is no such code.
        PipelineError: it does not fit; says all that is wrong.
    """
    from framebus.pipeline.check import check_plan

    if unit not in plan.units:
        raise NotFoundError(f"pipeline '{plan.name}' has no unit '{unit}'; it has: {', '.join(plan.units)}")
    path, sign, name = use.rpartition(":")
    if sign and path.endswith(".py"):
        use = f"{os.path.abspath(path)}:{name}"
    names = {parameter.name for parameter in declaration_of(load_unit(use)).parameters}
    kept = {key: value for key, value in plan.units[unit].parameters.items() if key in names}
    new = msgspec.structs.replace(plan.units[unit], use=use, parameters={**kept, **parameters})
    changed = msgspec.structs.replace(plan, units={**plan.units, unit: new})
    problems = check_plan(changed)
    if problems:
        raise PipelineError(problems)
    return changed
