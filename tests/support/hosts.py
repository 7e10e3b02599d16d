"""Supervised hosts under a test's control: a plan in, its report out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from framebus import _core
from support.processes import Spawned, Spawner
from support.waiting import until


def loop_plan(use: str, streams: dict[str, str], **stage: Any) -> dict[str, Any]:
    """The plan of a loop of one unit; ``options`` and ``limits`` are the loop's, all else is the unit's."""
    options, limits = stage.pop("options", {}), stage.pop("limits", {})
    return {"options": options, "stages": [{"use": use, "streams": streams, **stage}], "limits": limits}


class Host:
    """One supervised host.

    Attributes:
        process: the process.
        report_file: where it says how it is doing.
    """

    def __init__(self, spawn: Spawner, folder: Path, name: str, *loops: dict[str, Any], **plan: Any) -> None:
        self.report_file = folder / f"{name}.report.json"
        file = folder / f"{name}.plan.json"
        said = {"pipeline": "test", "process": name, "report": str(self.report_file), "loops": loops, **plan}
        file.write_text(json.dumps(said))
        self.process: Spawned = spawn(None, str(file), module="framebus.unit.host")

    @property
    def report(self) -> dict[str, Any]:
        """What it says now; empty before its first report."""
        try:
            found: dict[str, Any] = json.loads(self.report_file.read_text())
        except FileNotFoundError:
            return {}
        return found

    def reach(self, state: str) -> dict[str, Any]:
        """Wait until it reports ``state``; the report."""
        until(lambda: self.report.get("state") == state or not self.process.running)
        report = self.report
        assert report.get("state") == state, (report, self.process.errors)
        return report

    @property
    def identity(self) -> dict[str, int]:
        """Its pid and start time, as a successor's plan names it."""
        pid = self.process.pid
        return {"pid": pid, "start_ticks": _core.process_start_ticks(pid)}
