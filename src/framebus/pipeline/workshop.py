"""What all processes of a pipeline are started with, and the files that each start has."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from framebus.pipeline.launch import Launcher, Running
from framebus.pipeline.logs import LogFile
from framebus.pipeline.plan import SupervisionPlan
from framebus.pipeline.rundir import RunDir

__all__ = ["Start", "Workshop"]


@dataclass
class Start:
    """One start of a process: who it is, and where it says how it is doing."""

    serial: int
    running: Running
    path: Path

    def report(self) -> dict[str, Any]:
        """What it says: ``state`` (``"unknown"`` before its first word), ``error``, ``message``."""
        try:
            told: dict[str, Any] = json.loads(self.path.read_text())
        except (FileNotFoundError, ValueError):
            return {"state": "unknown", "error": None, "message": ""}
        return told


@dataclass
class Workshop:
    """What all processes of a pipeline are started with.

    Attributes:
        run_dir: where plans and reports lie.
        launcher: starts the hosts.
        supervision: times, limits, logs.
        logs: folder of the log files.
        tell: takes a line for the log and for whoever looks.
        watch, unwatch: have the loop look when a process ends, or no longer.
        serial: number of the last start.
        values: parameter values by unit that go over the plan's (of a parameters file).
    """

    run_dir: RunDir
    launcher: Launcher
    supervision: SupervisionPlan
    logs: Path
    tell: Callable[[str], None]
    watch: Callable[[Running], None]
    unwatch: Callable[[Running], None]
    serial: int = 0
    values: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def log(self, process: str) -> LogFile:
        """The log of a process."""
        plan = self.supervision
        return LogFile.of(self.logs, process, plan.log_bytes, plan.log_files)

    def start(
        self,
        process: str,
        loops: list[dict[str, Any]],
        *,
        keep_values: bool,
        stay: bool,
        resume: bool = False,
        predecessor: Running | None = None,
        overriding: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Start:
        """Start a host; ``overriding`` has values by unit that hold from its first frame, whatever was tuned before.

        Raises:
            OSError, FramebusError: it could not be started.
        """
        self.serial += 1
        plan, report = self.run_dir.start_files(process, self.serial)
        plan.write_text(
            json.dumps(
                {
                    "pipeline": self.run_dir.name,
                    "process": process,
                    "report": str(report),
                    "loops": [self._with_values(loop, overriding or {}) for loop in loops],
                    "keep_values": keep_values,
                    "stay": stay,
                    "resume": resume,
                    "predecessor": None
                    if predecessor is None
                    else {"pid": predecessor.pid, "start_ticks": predecessor.start_ticks},
                }
            )
        )
        running = self.launcher.start(process, plan, self.log(process))
        self.watch(running)
        return Start(self.serial, running, report)

    def drop(self, process: str, start: Start) -> None:
        """Let go of a start that has ended."""
        self.unwatch(start.running)
        start.running.close()
        self.run_dir.drop_start(process, start.serial)

    def _with_values(
        self, loop: dict[str, Any], overriding: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, Any]:
        stages = []
        for stage in loop["stages"]:
            name = stage.get("name", "")
            given = {**stage.get("parameters", {}), **self.values.get(name, {})}
            stages.append({**stage, "parameters": given, "overriding": dict(overriding.get(name, {}))})
        return {**loop, "stages": stages}
