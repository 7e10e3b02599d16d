"""A supervisor in the background: ``python -m framebus.pipeline.background``, its plan as JSON on standard input."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from framebus.errors import FramebusError, UnitError
from framebus.pipeline.control import failure
from framebus.pipeline.detached import become_detached, start_detached
from framebus.pipeline.launch import host_environment
from framebus.pipeline.logs import LogFile
from framebus.pipeline.plan import PipelinePlan
from framebus.pipeline.rundir import default_logs

__all__ = ["detach"]


def detach(plan: PipelinePlan) -> None:
    """Start a pipeline's supervisor in the background; returns when all is ready.

    The plan should have been checked. Ctrl-C meanwhile takes down what was started.

    Raises:
        UsageError: the pipeline runs already.
        UnitError: a process could not be started; all was stopped again. FramebusError: likewise, of the class that
            the process told.
    """
    settings = plan.supervision
    logs = Path(settings.logs) if settings.logs is not None else default_logs(plan.name)
    log = LogFile.of(logs, "supervisor", settings.log_bytes, settings.log_files)
    if not start_detached(__name__, msgspec.json.encode(plan), log, host_environment()):
        raise UnitError(
            f"the supervisor of pipeline '{plan.name}' has ended without a word; {log.path} may tell why. What it "
            f"started runs on: the same command takes it up, 'framebus down {plan.name}' ends it"
        )


def main() -> int:
    """Supervise; returns the exit code."""
    from framebus.pipeline.supervisor import Supervisor

    given, say = become_detached()
    plan = msgspec.json.decode(given, type=PipelinePlan, strict=False)
    try:
        Supervisor(plan, checked=True).run(on_ready=lambda: say({"ready": True}))
    except FramebusError as error:
        say(failure(error))
        return 1
    except Exception as error:
        say(failure(error))
        raise
    say({"error": "UnitError", "message": "it was taken down before it was ready"})
    return 0


if __name__ == "__main__":
    sys.exit(main())
