"""Watching the states of units and pipelines."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from typing import Any

from framebus.errors import DataError, FramebusError, NotFoundError
from framebus.events.conditions import Condition
from framebus.events.watchers import POLL_S, StateWatcher
from framebus.pipeline.rundir import RunDir, run_dirs
from framebus.pipeline.running import unit_state
from framebus.process import ProcessRecord, records
from framebus.stream.names import near

__all__ = ["PipelineWatcher", "UnitWatcher", "pipeline_state"]


class UnitWatcher(StateWatcher):
    """The state of a unit. Sleeps on its record, which wakes at every change.

    That its process died, or that there is no record yet, is looked for every ``POLL_S``.

    Raises:
        UsageError: several live processes run a unit of that name; the message lists them.
    """

    def __init__(self, condition: Condition) -> None:
        self._pipeline, _, self._unit = condition.name.rpartition("/")
        self._record: ProcessRecord | None = None
        self._activity = 0
        super().__init__(condition)

    def state(self) -> tuple[str, dict[str, Any]]:
        """The state now, and what else there is to tell."""
        if self._record is None or not self._record.alive:
            self._reopen()
        record, process = self._record, self._process()
        if record is not None:
            self._activity = record.activity
            if process is not None and record.pid not in (process["pid"], *process["others"]):
                # Of another process: what lives goes before what is to come, what is left of a dead one behind it.
                record, process = (record, None) if record.alive else (None, process)
        pid = record.pid if record is not None else process["pid"] if process is not None else 0
        return unit_state("" if process is None else process["state"], record), {"pid": pid}

    def is_in(self, state: str, named: str) -> bool:
        """Whether ``state`` is what a condition calls ``named``."""
        # That no process runs it is what 'gone' says; the others say more.
        return state == named or (named == "gone" and state in ("dead", "failed", "ended"))

    def absent(self) -> str:
        """That no such unit runs; nothing if that is what is waited for."""
        if self._seen != "gone" or self.condition.value in ("gone", "dead"):
            return ""
        there = sorted({record.unit for record in records() if record.alive})
        hint = (
            near(self.condition.name, there, "'framebus ps' lists those that do") if there else "; none does"
        )
        return self.instead() + hint

    def instead(self) -> str:
        """How things stand."""
        if self._seen == "gone":
            return f"no unit '{self.condition.name}' runs"
        why = self._record.message if self._record is not None else (self._process() or {}).get("message")
        return f"{super().instead()}{f' ({why})' if why else ''}"

    def wait(self, timeout_s: float) -> None:
        """Sleep until another look may give another answer."""
        if self._record is None or not self._record.alive:
            time.sleep(min(timeout_s, POLL_S))
        else:
            self._record.wait_activity(self._activity, min(timeout_s, POLL_S))

    def close(self) -> None:
        """Give back what is held."""
        if self._record is not None:
            self._record.close()
        self._record = None

    def _reopen(self) -> None:
        self.close()
        name = self._unit
        if self._pipeline:
            process = self._process()
            if process is None or not process["pid"]:
                return
            name = f"{self._unit}.{process['pid']}"
        with contextlib.suppress(NotFoundError, DataError, OSError):
            self._record = ProcessRecord.open(name)

    def _process(self) -> Mapping[str, Any] | None:
        """What the supervisor of the unit's pipeline says of the process that it runs in."""
        for run_dir in [RunDir(self._pipeline)] if self._pipeline else run_dirs():
            with contextlib.suppress(FramebusError, OSError):  # none, or it goes down just now
                for process in run_dir.read_state()["processes"].values():
                    if self._unit in (
                        name for unit in process["units"] for name in (unit, f"{unit}.{process['pid']}")
                    ):
                        found: Mapping[str, Any] = process
                        return found
        return None


class PipelineWatcher(StateWatcher):
    """The state of a pipeline, polled."""

    def state(self) -> tuple[str, dict[str, Any]]:
        """The state now, and what else there is to tell."""
        return pipeline_state(RunDir(self.condition.name)), {}


def pipeline_state(run_dir: RunDir) -> str:
    """How a pipeline does, in one of ``PIPELINE_STATES``."""
    try:
        state = run_dir.read_state()
    except (FramebusError, OSError):
        return "gone"
    if not run_dir.held:
        return "unsupervised"
    if state["phase"] == "stopping":
        return "stopping"
    phases = {process["state"] for process in state["processes"].values()}
    if "failed" in phases:
        return "failed"
    return "ready" if state["phase"] == "up" and phases <= {"up", "ended"} else "starting"
