"""Loops and processes in the form of JSON in which other processes are told what to run."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from framebus.errors import UsageError
from framebus.process import Limits
from framebus.unit.load import load_unit
from framebus.unit.options import LoopOptions
from framebus.unit.stage import Stage


def stage_from(plan: Mapping[str, Any]) -> Stage:
    """A stage from its JSON form: ``{"use", "streams", "parameters", "name", "history", "overriding"}``.

    Raises:
        NotFoundError, UsageError: the unit cannot be loaded.
    """
    return Stage(
        load_unit(plan["use"]),
        plan["streams"],
        plan.get("parameters", {}),
        plan.get("name", ""),
        plan.get("history", 0),
        overriding=plan.get("overriding", {}),
    )


def options_from(plan: Mapping[str, Any]) -> LoopOptions:
    """Options from their JSON form. JSON has no infinity: a ``spin_us`` of null means it.

    Raises:
        UsageError: a value is not possible.
    """
    given = dict(plan)
    if "spin_us" in given and given["spin_us"] is None:
        given["spin_us"] = math.inf
    try:
        return LoopOptions(**given)
    except TypeError as error:
        raise UsageError(f"options of a loop: {error}") from error


@dataclass(frozen=True)
class LoopPlan:
    """One loop: its options, and its stages with their limits, in JSON's form."""

    options: dict[str, Any]
    stages: list[dict[str, Any]]
    limits: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, plan: Mapping[str, Any]) -> LoopPlan:
        """The plan of one loop: ``{"options", "stages", "limits"}``; ``limits`` by the unit's name."""
        return cls(plan.get("options", {}), plan["stages"], plan.get("limits") or {})

    def load(self) -> tuple[list[Stage], LoopOptions]:
        """Stages and options, the units imported.

        Raises:
            NotFoundError, UsageError: a unit cannot be loaded, an option is not possible, limits are given for a
                unit that is not there.
        """
        options = options_from(self.options)
        stages = [stage_from(stage) for stage in self.stages]
        labels = [stage.label for stage in stages]
        for name, limits in self.limits.items():
            if name not in labels:
                raise UsageError(f"limits are given for '{name}', which is no unit of this loop: {labels}")
            try:
                stages[labels.index(name)].limits = Limits(**limits)
            except TypeError as error:
                raise UsageError(f"limits of '{name}': {error}") from error
        return stages, options


@dataclass(frozen=True)
class ProcessPlan:
    """What a supervised host runs.

    Attributes:
        pipeline: the pipeline's name.
        process: the process' name.
        report: file in which it says how it is doing.
        loops: its loops, in the order in which they start.
        keep_values: parameters that were tuned in shared memory win over those of the plan.
        stay: after a failure it stays, in state error, and waits for events.
        predecessor: pid and start time of the process whose units it takes over, if any.
        resume: counts and frames go on from where a dead process of the same units left off.
    """

    pipeline: str
    process: str
    report: Path
    loops: list[LoopPlan] = field(default_factory=list)
    keep_values: bool = False
    stay: bool = False
    predecessor: tuple[int, int] | None = None
    resume: bool = False

    @classmethod
    def read(cls, path: Path) -> ProcessPlan:
        """The plan in a JSON file.

        Raises:
            OSError: the file cannot be read.
            UsageError: it is no plan of a process; the message says what is missing.
        """
        try:
            plan = json.loads(path.read_text())
            before = plan.get("predecessor")
            return cls(
                plan["pipeline"],
                plan["process"],
                Path(plan["report"]),
                [LoopPlan.of(loop) for loop in plan["loops"]],
                bool(plan.get("keep_values", False)),
                bool(plan.get("stay", False)),
                (int(before["pid"]), int(before["start_ticks"])) if before else None,
                bool(plan.get("resume", False)),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise UsageError(f"{path} is no plan of a process: {what}") from error
