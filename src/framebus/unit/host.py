"""A process that runs loops: ``python -m framebus.unit.host``, its plan as JSON on standard input's first line.

The plan is ``{"loops": [{"stages": [{"use", "streams", "parameters", "name", "history"}], "options": {...}}]}``. The
process says ``ready`` on standard output once every loop runs, and ends when a unit fails, when SIGTERM or SIGINT
comes, when all loops have ended, or when standard input closes: it does not outlive whoever started it.
"""

from __future__ import annotations

import json
import select
import signal
import sys
from typing import Any

from framebus.errors import FramebusError, UnitError
from framebus.unit.bind import Stage
from framebus.unit.load import load_unit
from framebus.unit.loop import Loop, LoopOptions, start


def stage_from(plan: dict[str, Any]) -> Stage:
    """A stage from its JSON form.

    Raises:
        NotFoundError, UsageError: the unit cannot be loaded.
    """
    return Stage(
        load_unit(plan["use"]),
        plan["streams"],
        plan.get("parameters", {}),
        plan.get("name", ""),
        plan.get("history", 0),
    )


def _start_all(plan: dict[str, Any]) -> list[Loop]:
    loops: list[Loop] = []
    try:
        for item in plan["loops"]:
            loops.append(
                start([stage_from(stage) for stage in item["stages"]], LoopOptions(**item["options"]))
            )
    except BaseException:
        _stop(loops)
        raise
    return loops


def _stop(loops: list[Loop]) -> str:
    failures = []
    for loop in reversed(loops):
        try:
            loop.stop()
        except UnitError as error:
            failures.append(str(error))
    return "\n".join(failures)


def _watch(loops: list[Loop]) -> None:
    """Return when there is a reason to end."""
    while all(loop.running for loop in loops) or (any(loop.running for loop in loops) and not _failed(loops)):
        readable, _, _ = select.select([sys.stdin], [], [], 0.1)
        if readable and not sys.stdin.readline():
            return


def _failed(loops: list[Loop]) -> bool:
    return any(record.state.name == "ERROR" for loop in loops for record in loop.records)


def main() -> int:
    """Run the plan; returns the exit code: 0 stopped, 1 a unit failed, 2 the plan could not be started."""

    def end(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    loops: list[Loop] = []
    try:
        plan = json.loads(sys.stdin.readline())
        loops = _start_all(plan)
        print("ready", flush=True)
        _watch(loops)
    except KeyboardInterrupt:
        pass
    except (FramebusError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        return 2
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    failures = _stop(loops)
    if failures:
        print(failures, file=sys.stderr, flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
