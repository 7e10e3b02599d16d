"""Pipelines under supervision, for tests: files, the command that runs them, and what there is to wait for."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

from framebus import _core
from framebus.errors import FramebusError
from framebus.pipeline.control import Controller
from framebus.pipeline.rundir import RunDir
from support.processes import Spawned, Spawner
from support.waiting import until

COUNT = """
[units.count]
use = "support.pipeline_units:count"
streams = { value = "count" }
trigger = "delay"
period_s = 0.002
"""
NEGATIVE = """
[units.negative]
use = "support.pipeline_units:negative"
streams = { image = "count", result = "negative" }
"""
TIMES = """
[units.times]
use = "support.pipeline_units:times"
streams = { image = "negative", result = "times" }
parameters = { gain = 2.0 }
"""
CHAIN = COUNT + NEGATIVE + TIMES


class Pipelines:
    """The pipelines of one test: all are down when it ends.

    Attributes:
        folder: of the files.
    """

    def __init__(self, folder: Path, spawn: Spawner) -> None:
        self.folder, self._spawn = folder, spawn

    def write(self, text: str, name: str = "chain") -> Path:
        """The pipeline file of that name."""
        path = self.folder / f"{name}.toml"
        path.write_text(text)
        return path

    def start(self, text: str, *options: str, name: str = "chain") -> Spawned:
        """``framebus up`` in the foreground of a process without a terminal."""
        return self._spawn(None, "up", str(self.write(text, name)), *options, module="framebus")

    def up(self, text: str, *options: str, name: str = "chain") -> Spawned:
        """As ``start``, once all is ready."""
        process = self.start(text, *options, name=name)
        process.expect("all is ready")
        return process

    def close(self) -> None:
        """Take down what is left: only of a test that failed."""
        for path in sorted(Path(os.environ["MILK_SHM_DIR"]).glob("*.pipeline.fb")):
            run_dir = RunDir(path.name.removesuffix(".pipeline.fb"))
            for stray in run_dir.strays():
                os.kill(stray.pid, signal.SIGKILL)


def pids(name: str = "chain") -> dict[str, int]:
    """Process id by process name, as the run directory has it."""
    return {name: process["pid"] for name, process in state(name)["processes"].items()}


def state(name: str = "chain") -> dict[str, Any]:
    """What the supervisor has written."""
    found: dict[str, Any] = json.loads((RunDir(name).path / "state.json").read_text())
    return found


def kill(pid: int) -> None:
    """SIGKILL, and wait until the process is gone."""
    os.kill(pid, signal.SIGKILL)
    until(lambda: not _core.process_alive(pid))


def all_up(name: str = "chain") -> bool:
    """Whether every process of the pipeline is up and alive."""
    try:
        processes = Controller(name).status()["processes"].values()
    except FramebusError:
        return False
    return all(process["state"] == "up" and _core.process_alive(process["pid"]) for process in processes)
