"""What earlier lives of units left: the process records that a new loop goes on from."""

from __future__ import annotations

from collections.abc import Sequence

from framebus import _core
from framebus.errors import NotFoundError
from framebus.process import ProcessRecord, records
from framebus.unit.stage import Stage


def records_of(stages: Sequence[Stage], process: tuple[int, int]) -> list[_core.ProcessRecord]:
    """The records that a process has of units of these names."""
    found = []
    for stage in stages:
        try:
            record = ProcessRecord.open(f"{stage.label}.{process[0]}")
        except NotFoundError:
            continue
        if record.core.start_ticks == process[1]:
            found.append(record.core)
    return found


def records_of_dead(stages: Sequence[Stage]) -> list[_core.ProcessRecord]:
    """What is left of the last lives of these units: of each the record that got furthest, if it computed anything."""
    found = []
    for stage in stages:
        dead = [r for r in records() if r.unit == stage.label and not r.alive and r.loop_count > 0]
        if dead:
            found.append(max(dead, key=lambda record: record.loop_count).core)
    return found
