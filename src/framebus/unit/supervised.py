"""A process that a supervisor started and may lose: ``python -m framebus.unit.host PLAN.json``.

It runs the loops of the plan (``ProcessPlan``) whether or not whoever started it still lives, and says how it is doing
in the plan's report file: ``starting``, ``ready`` (all loops run: outputs are there, each waits for its trigger), then
``ended`` or ``failed``. It ends at SIGTERM and SIGINT, when all loops have ended, and when a unit fails unless the plan
says ``stay``. Exit codes: 0 (ended), 1 (a unit failed), 2 (it could not start).
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from framebus import _core
from framebus.errors import FramebusError, UnitError, UsageError
from framebus.process import State
from framebus.unit.bind import Taking
from framebus.unit.loop import Loop, start_together
from framebus.unit.plans import ProcessPlan

_PR_SET_NAME = 15
_LOOK_S = 0.05
"""How long an end may go unnoticed."""


class Report:
    """How a host is doing, in a file that is whole at every moment."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, state: str, error: str | None = None, message: str = "") -> None:
        """Say ``state``, and what went wrong: the error's class and text."""
        pid = os.getpid()
        told = {
            "pid": pid,
            "start_ticks": _core.process_start_ticks(pid),
            "state": state,
            "error": error,
            "message": message,
            "time_ns": time.time_ns(),
        }
        draft = self._path.with_name(f"{self._path.name}.{pid}")
        draft.write_text(json.dumps(told))
        os.replace(draft, self._path)


class SupervisedHost:
    """The loops of one plan."""

    def __init__(self, plan: ProcessPlan) -> None:
        self._plan = plan
        self._report = Report(plan.report)
        self._loops: list[Loop] = []
        self._traced: set[str] = set()

    def run(self) -> int:
        """Start all, watch, and end; returns the exit code."""
        name_process(self._plan.process)
        self._report.write("starting")
        try:
            self._start()
        except KeyboardInterrupt:
            return self._end(0)
        except Exception as error:  # noqa: BLE001 - whatever a module or device raises, the report tells
            return self._could_not_start(error)
        if all(loop.failure is None for loop in self._loops):
            self._report.write("ready")
        with contextlib.suppress(KeyboardInterrupt):
            self._watch()
        return self._end(0)

    def _start(self) -> None:
        plan = self._plan
        taking = Taking(plan.keep_values, plan.predecessor, plan.resume)
        loads = [loop.load() for loop in plan.loops]
        self._loops = start_together(loads, taking, serve=True, stay=plan.stay)

    def _watch(self) -> None:
        """Return when there is nothing left to do."""
        told: list[str] = []
        while not self._over():
            failed = [str(loop.failure) for loop in self._loops if loop.failure is not None]
            self._trace()
            if failed and failed != told:
                self._report.write("failed", "UnitError", "\n".join(failed))
            elif told and not failed:
                self._report.write("ready")
            told = failed
            time.sleep(_LOOK_S)

    def _over(self) -> bool:
        if self._plan.stay:
            return all(loop.state is State.OFF for loop in self._loops)
        failed = any(loop.state is State.ERROR for loop in self._loops)
        return failed or all(loop.over for loop in self._loops)

    def _could_not_start(self, error: Exception) -> int:
        _ignore_signals()
        if not isinstance(error, FramebusError):
            traceback.print_exc()
        message = "\n".join([str(error), *getattr(error, "__notes__", [])])
        sys.stderr.write(f"{type(error).__name__}: {message}\n")
        self._stop_loops()
        self._report.write("failed", type(error).__name__, message)
        return 2

    def _trace(self) -> None:
        """Write the tracebacks of units that failed, each once, where they outlast the unit's record."""
        for record in (record for loop in self._loops for record in loop.records):
            with contextlib.suppress(UsageError):  # closed: its loop was stopped
                text = record.traceback
                if text and text not in self._traced and record.state is State.ERROR:
                    self._traced.add(text)
                    sys.stderr.write(f"unit '{record.unit}':\n{text.rstrip()}\n")

    def _end(self, code: int) -> int:
        _ignore_signals()
        self._trace()
        said = self._stop_loops(leave_records=True)  # the next start goes on from their counts
        if said:
            sys.stderr.write("\n".join(said) + "\n")
            self._report.write("failed", "UnitError", "\n".join(said))
            return 1
        self._report.write("ended")
        return code

    def _stop_loops(self, *, leave_records: bool = False) -> list[str]:
        """End all loops, the last one first; what had failed."""
        said = []
        for loop in reversed(self._loops):
            try:
                loop.stop(leave_records=leave_records)
            except UnitError as error:
                said.append(str(error))
        return said


def name_process(name: str) -> None:
    """Set the name that ``ps`` and ``top`` show; the kernel keeps 15 bytes of it."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def _ignore_signals() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interrupt(_number: int, _frame: object) -> None:
    _ignore_signals()  # nothing must interrupt the way out
    raise KeyboardInterrupt


def main(path: str) -> int:
    """Run the plan in the file ``path``; returns the exit code."""
    try:
        plan = ProcessPlan.read(Path(path))
    except (FramebusError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(
                line_buffering=True
            )  # what a unit printed is in the log, whatever happens next
    handlers: dict[int, Any] = {
        signal.SIGHUP: signal.SIG_IGN,
        signal.SIGTERM: _interrupt,
        signal.SIGINT: _interrupt,
    }
    for number, handler in handlers.items():
        signal.signal(number, handler)
    return SupervisedHost(plan).run()
