"""Pipelines, as their run directories tell: no question to a supervisor, which might be slow to answer."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from framebus.errors import FramebusError
from framebus.pipeline.control import Controller
from framebus.pipeline.rundir import RunDir
from framebus.tui.looks import PipelineLook

__all__ = ["PipelineWatch"]

_ASK_NS = 1_000_000_000
"""How often to look whether a supervisor lives."""


class _Watched:
    """One pipeline's run directory."""

    def __init__(self, name: str, directory: Path) -> None:
        self.run_dir = RunDir(name, directory)
        self.state: dict[str, Any] = {}
        self.wiring: Mapping[str, Mapping[str, str]] = {}
        self.held, self.suspended_pid = True, 0
        self._stamps: dict[str, tuple[int, int]] = {}
        self._asked_ns = 0

    def look(self, now_ns: int) -> PipelineLook | None:
        """How it stands; None while there is nothing to be read of it."""
        if self._changed("state.json"):
            try:
                self.state = self.run_dir.read_state()
            except FramebusError:
                self.state = {}
        if not self.state:
            return None
        if self._changed("plan.json"):
            try:
                plan = self.run_dir.read_plan()
                self.wiring = {name: dict(unit.streams) for name, unit in plan.units.items()}
            except FramebusError:
                self.wiring = {}
        if now_ns - self._asked_ns > _ASK_NS:
            self._asked_ns = now_ns
            self._ask()
        logs = [Path(process["log"]).parent for process in self.state["processes"].values()]
        log = str(logs[0] / "supervisor.log") if logs else ""
        phase = str(self.state.get("phase", ""))
        return PipelineLook(self.run_dir.name, phase, self.held, self.suspended_pid, log, self.wiring)

    def _ask(self) -> None:
        self.held, self.suspended_pid = self.run_dir.held, 0
        if self.held:
            try:
                self.suspended_pid = Controller(self.run_dir.name).suspended
            except FramebusError:  # it goes down just now
                return

    def _changed(self, name: str) -> bool:
        """Whether a file was replaced since this was asked last."""
        try:
            status = os.stat(self.run_dir.path / name)
        except OSError:
            return False
        stamp = (status.st_ino, status.st_mtime_ns)
        changed = self._stamps.get(name) != stamp
        self._stamps[name] = stamp
        return changed


class PipelineWatch:
    """All pipelines of a directory.

    Args:
        folder: where their run directories lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._watched: dict[str, _Watched] = {}

    def look(self, names: Iterable[str], now_ns: int) -> dict[str, PipelineLook]:
        """How the pipelines of these names stand; those that cannot be read, or go down just now, are left out."""
        names = list(names)
        for gone in [name for name in self._watched if name not in names]:
            del self._watched[gone]
        found = {}
        for name in names:
            if name not in self._watched:
                self._watched[name] = _Watched(name, self._folder)
            look = self._watched[name].look(now_ns)
            if look is not None:
                found[name] = look
        return found

    def processes(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        """The processes of a pipeline that ``look`` found, as its supervisor wrote them."""
        processes: Mapping[str, Mapping[str, Any]] = self._watched[name].state["processes"]
        return processes
