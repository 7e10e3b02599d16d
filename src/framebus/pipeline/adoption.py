"""Hosts that another supervisor started and that run still."""

from __future__ import annotations

import contextlib

from framebus.errors import NotFoundError
from framebus.pipeline.launch import Running
from framebus.pipeline.rundir import RunDir
from framebus.pipeline.workshop import Start

__all__ = ["living"]


def living(run_dir: RunDir) -> dict[str, Start]:
    """The living host of every process of a pipeline, by the process' name.

    Of several of one name, whose supervisor was killed while one was to take over from the other, the newest that is
    ready counts, or just the newest; the others are killed.
    """
    found: dict[str, list[Start]] = {}
    for stray in run_dir.strays():
        with contextlib.suppress(NotFoundError):
            running = Running.adopt(stray.pid)
            report = run_dir.start_files(stray.process, stray.serial)[1]
            found.setdefault(stray.process, []).append(Start(stray.serial, running, report))
    return {name: _chosen(starts) for name, starts in found.items()}


def _chosen(starts: list[Start]) -> Start:
    ready = [start for start in starts if start.report()["state"] == "ready"]
    chosen = (ready or starts)[-1]
    for start in starts:
        if start is not chosen:
            start.running.kill()
            start.running.close()
    return chosen
