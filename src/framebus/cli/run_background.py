"""A unit in the background: a pipeline of one, kept alive by a supervisor of its own."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from framebus.cli.output import show, show_json
from framebus.cli.text import safe
from framebus.cli.waiting import waiting
from framebus.errors import UsageError
from framebus.pipeline.background import detach
from framebus.pipeline.check import check_plan
from framebus.pipeline.control import Controller
from framebus.pipeline.convert import option_keys
from framebus.pipeline.plan import PipelinePlan, StreamPlan, SupervisionPlan, UnitPlan
from framebus.unit import LoopOptions, Stage


def run_in_background(
    stage: Stage,
    options: LoopOptions,
    launcher: Literal["subprocess", "tmux"],
    streams: Mapping[str, StreamPlan] = MappingProxyType({}),
    *,
    as_json: bool = False,
) -> int:
    """Start ``stage`` so that it outlives this process; returns the exit code when it is ready.

    Args:
        stage: what is run.
        options: of its loop.
        launcher: how its process is started.
        streams: those that are to be there before it.
        as_json: print what runs as a JSON object.

    Raises:
        UsageError: tells all that does not fit; or a pipeline of that name runs already.
        UnitError: it could not be started. FramebusError: tmux is not there.
    """
    plan = plan_of(stage, options, launcher, streams)
    if problems := check_plan(plan):
        raise UsageError("; ".join(problem.message for problem in problems))
    with waiting(f"unit '{safe(plan.name)}' starts"):
        detach(plan)
    process = Controller(plan.name).status()["processes"][stage.label]
    session = ""
    if launcher == "tmux":
        from framebus.pipeline.tmux import session_name

        session = session_name(plan.name)
    if as_json:
        told = {"unit": stage.label, "pipeline": plan.name, "pid": process["pid"], "log": process["log"]}
        show_json(told | {"tmux_session": session or None})
        return 0
    lines = [
        f"{stage.label} runs in the background, process {process['pid']}"
        if process["pid"]
        else f"{stage.label} has run in the background",  # once, and it was quick
        f"log: {process['log']}",
        f"'framebus ps' shows it, 'framebus down {plan.name}' ends it",
    ]
    if session:
        lines.insert(1, f"to see its window: tmux attach -t {session}")
    show("\n".join(map(safe, lines)))
    return 0


def plan_of(
    stage: Stage,
    options: LoopOptions,
    launcher: Literal["subprocess", "tmux"],
    streams: Mapping[str, StreamPlan] = MappingProxyType({}),
) -> PipelinePlan:
    """The pipeline, which has the unit's name."""
    unit = UnitPlan(
        use=stage.declaration.use,
        streams=dict(stage.streams),
        parameters=dict(stage.parameters),
        history=stage.history if isinstance(stage.history, int) else dict(stage.history),
        **option_keys(options),
    )
    return PipelinePlan(
        name=stage.label,
        streams=dict(streams),
        units={stage.label: unit},
        supervision=SupervisionPlan(launcher=launcher),
    )
