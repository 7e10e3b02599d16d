"""A supervisor in the background: ``python -m framebus.pipeline.background FD``, its plan as JSON on standard input.

It says on the descriptor ``FD`` its process id, and then how its start went in one line of JSON (``{"ready": true}`` or
``{"error": class, "message": text}``), and goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec

from framebus.errors import FramebusError, UnitError
from framebus.pipeline.control import failure, told_error
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
    output = log.open()
    answers, answer = os.pipe()
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", "framebus.pipeline.background", str(answer)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={**os.environ, **host_environment()},
            pass_fds=[answer],
            start_new_session=True,
        )
    except BaseException:
        os.close(answers)
        raise
    finally:
        os.close(answer)
        os.close(output)
    told = _ask(child, plan, answers)
    if not told:
        raise UnitError(
            f"the supervisor of pipeline '{plan.name}' has ended without a word; {log.path} may tell why. What it "
            f"started runs on: the same command takes it up, 'framebus down {plan.name}' ends it"
        )
    if "error" in told:
        raise told_error(told)


def _ask(child: subprocess.Popen[bytes], plan: PipelinePlan, answers: int) -> dict[str, str]:
    """Hand over the plan, and wait for the answer; empty if it died without one."""
    assert child.stdin is not None
    with os.fdopen(answers, "rb") as file:
        pid = b""
        try:
            with contextlib.suppress(BrokenPipeError), child.stdin as stdin:
                stdin.write(msgspec.json.encode(plan))
            child.wait()
            pid = file.readline()
            line = file.readline()
        except KeyboardInterrupt:  # it may have the whole plan, and be about to start it
            pid = pid or file.readline()
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGTERM)
            file.read()  # until it has ended
            raise
    told: dict[str, str] = json.loads(line) if line else {}
    return told


def main() -> int:
    """Supervise; returns the exit code."""
    from framebus.pipeline.supervisor import Supervisor

    answer = int(sys.argv[1])
    os.set_inheritable(answer, False)
    plan = msgspec.json.decode(sys.stdin.buffer.read(), type=PipelinePlan, strict=False)
    if os.fork():
        os._exit(0)  # whoever started us need not wait for the other one, ever
    os.write(answer, f"{os.getpid()}\n".encode())

    def say(told: dict[str, object]) -> None:
        nonlocal answer
        if answer >= 0:
            with contextlib.suppress(BrokenPipeError):  # nobody waits any more
                os.write(answer, json.dumps(told).encode() + b"\n")
            os.close(answer)
            answer = -1

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
