"""A process that runs loops: ``python -m framebus.unit.host``, told on standard input what to do.

With the file of a plan as its argument it needs nobody to speak to it; see ``framebus.unit.supervised``. Without:

Every line is the plan of one loop, ``{"stages": [{"use", "streams", "parameters", "name", "history"}], "options":
{...}}``, and is answered on standard output by one line of JSON: ``{"ready": true}`` once the loop runs, or
``{"error": class, "message": text}``, after which the process ends. The line ``watch`` says that all loops are there.

From then on the process ends when a unit fails or all loops have ended, and at any time when SIGTERM or SIGINT comes or
standard input closes: it does not outlive whoever started it. Its exit code is 0 (stopped), 1 (a unit failed) or 2 (a
loop could not be started). What units print goes to standard error.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import traceback
from typing import IO, Any

from framebus.errors import FramebusError, UnitError
from framebus.process import State
from framebus.unit.loop import Loop, start
from framebus.unit.plans import LoopPlan

_LOOK_S = 0.1
"""How long the end of a loop may go unnoticed."""


class Host:
    """The loops of this process, and the lines that come for them."""

    def __init__(self, commands: int, answers: IO[str]) -> None:
        self.loops: list[Loop] = []
        self.code = 0
        self._commands = commands
        self._answers = answers
        self._rest = b""
        self._complete = False
        self._parent = os.getppid()

    def serve(self) -> None:
        """Do what comes, until there is a reason to end."""
        while self.code == 0 and not self._over():
            readable, _, _ = select.select([self._commands], [], [], _LOOK_S)
            if readable:
                received = os.read(self._commands, 65536)
                if not received:
                    return
                *lines, self._rest = (self._rest + received).split(b"\n")
                for line in lines:
                    self._obey(line.decode())
            elif os.getppid() != self._parent:  # a child that it forked may hold our standard input open
                return

    def stop(self) -> None:
        """End all loops, the last one first, and say what failed."""
        for loop in reversed(self.loops):
            try:
                loop.stop()
            except UnitError as error:
                self.code = self.code or 1
                sys.stderr.write(f"{error}\n")

    def _over(self) -> bool:
        if not self._complete:
            return False
        failed = any(record.state is State.ERROR for loop in self.loops for record in loop.records)
        return failed or all(loop.over for loop in self.loops)

    def _obey(self, line: str) -> None:
        if self.code != 0:
            return
        if line.strip() == "watch":
            self._complete = True
            return
        try:
            self.loops.append(start(*LoopPlan.of(json.loads(line)).load(), serve=True))
        except Exception as error:  # noqa: BLE001 - whatever a user's module or device raises: whoever started us is told
            self.code = 2
            if not isinstance(error, FramebusError):
                traceback.print_exc()
            message = "\n".join([str(error), *getattr(error, "__notes__", [])])
            self._answer({"error": type(error).__name__, "message": message})
        else:
            self._answer({"ready": True})

    def _answer(self, answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=self._answers, flush=True)


def _ignore_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _end(_number: int, _frame: object) -> None:
    _ignore_signals()  # nothing must interrupt the way out
    raise KeyboardInterrupt


def main() -> int:
    """Run what is asked for; returns the exit code."""
    if len(sys.argv) > 1:
        from framebus.unit import supervised

        return supervised.main(sys.argv[1])
    with os.fdopen(os.dup(1), "w") as answers:
        os.dup2(2, 1)  # a pipe that nobody reads would stop a unit that prints
        host = Host(0, answers)
        try:
            signal.signal(signal.SIGTERM, _end)
            signal.signal(signal.SIGINT, _end)
            try:
                host.serve()
            finally:
                _ignore_signals()
        except (KeyboardInterrupt, BrokenPipeError):
            pass  # told to end, or nobody is there to hear the answer
        host.stop()
        return host.code


if __name__ == "__main__":
    sys.exit(main())
