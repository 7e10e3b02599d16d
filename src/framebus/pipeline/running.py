"""What runs on this machine: the units of all pipelines, and those of none."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from framebus.errors import FramebusError, NotFoundError, UsageError
from framebus.pipeline.control import Controller
from framebus.pipeline.rundir import run_dirs
from framebus.process import ProcessRecord, State, records
from framebus.process.timing import Spread

__all__ = ["UnitStatus", "find_unit", "pipeline_statuses", "pipeline_units", "running", "unit_state"]

_QUIET_S = 0.5
"""A last frame that is no older than this says that the unit goes on."""
_NOTHING = Spread(math.nan, math.nan, math.nan)


@dataclass(frozen=True, slots=True)
class UnitStatus:
    """One unit as it stands.

    Attributes:
        unit: its name.
        pipeline: the pipeline's; empty if it belongs to none.
        process: the pipeline's process that it runs in.
        pid: process id; 0 if none runs.
        state: of its record (``running``, ``paused``, ``error`` ...) while its process is up; else of its process
            (``waiting``, ``starting``, ``restarting``, ``stopping``, ``ended``, ``failed``), or ``dead``.
        loops: frames done.
        rate_hz: frames per second; 0.0 while it does not run. While no frame comes, or one takes long, it falls with
            the time since the last.
        missed: triggering frames missed, in all.
        alarms: how often a limit was exceeded.
        restarts: how often its process was started again.
        cpu: that it is pinned to; -1: none.
        compute_us, latency_us: of the last frames: from start to end, and from the trigger's write to the end, µs.
        message: what it says, why it does not run, or which limit it exceeded last.
    """

    unit: str
    pipeline: str = ""
    process: str = ""
    pid: int = 0
    state: str = "dead"
    loops: int = 0
    rate_hz: float = 0.0
    missed: int = 0
    alarms: int = 0
    restarts: int = 0
    cpu: int = -1
    compute_us: Spread = _NOTHING
    latency_us: Spread = _NOTHING
    message: str = ""

    def record(self) -> ProcessRecord:
        """Its process record, opened; the caller closes it.

        Raises:
            NotFoundError: it has none, since it does not run.
        """
        if not self.pid:
            raise NotFoundError(f"unit '{self.unit}' does not run ({self.state})")
        return ProcessRecord.open(f"{self.unit}.{self.pid}")


def pipeline_statuses(chosen: Callable[[str], bool] = lambda _: True) -> list[dict[str, Any]]:
    """How each pipeline does whose name is ``chosen``, as its supervisor tells it; see ``Controller.status``."""
    found = []
    for run_dir in run_dirs():
        if chosen(run_dir.name):
            with contextlib.suppress(FramebusError):  # it goes down just now
                found.append(Controller(run_dir.name).status())
    return found


def running(pipelines: Iterable[Mapping[str, Any]] | None = None) -> list[UnitStatus]:
    """All units: those of pipelines in the order in which they start, then all others by name.

    Args:
        pipelines: what ``pipeline_statuses`` gave just now, for who has asked already.
    """
    found: list[UnitStatus] = []
    others: set[int] = set()
    for status in pipeline_statuses() if pipelines is None else pipelines:
        found += pipeline_units(status)
        others.update(*(process["others"] for process in status["processes"].values()))
    known = {(unit.unit, unit.pid) for unit in found}
    units = {unit.unit for unit in found}
    for record in records():
        with record:
            of_pipeline = record.unit in units and (not record.alive or record.pid in others)
            if (record.unit, record.pid) not in known and not of_pipeline:
                alone = UnitStatus(record.unit, pid=record.pid)
                found.append(_of_record(record, alone, unit_state("", record)))
    return found


def pipeline_units(status: Mapping[str, Any]) -> list[UnitStatus]:
    """The units of one pipeline, out of its supervisor's status, each with what its record says."""
    return [
        _unit(status["pipeline"], name, process, unit)
        for name, process in status["processes"].items()
        for unit in process["units"]
    ]


def _unit(pipeline: str, name: str, process: Mapping[str, Any], unit: str) -> UnitStatus:
    state, message = process["state"], process["message"]
    bare = UnitStatus(
        unit, pipeline, name, process["pid"], state, restarts=process["restarts"], message=message
    )
    if not process["pid"]:
        return bare
    try:
        with ProcessRecord.open(f"{unit}.{process['pid']}") as record:
            return _of_record(record, bare, unit_state(state, record))
    except NotFoundError:
        return dataclasses.replace(bare, state=unit_state(state, None))


def unit_state(phase: str, record: ProcessRecord | None) -> str:
    """The state of a unit: as its record says while its process is up, else that of its process.

    Args:
        phase: the state of the pipeline's process that it runs in; empty if it is of no pipeline.
        record: of that process; None if it has none (any more): it has ended, though its process may go on for others.

    Returns:
        One of those of ``UnitStatus``, or ``gone``: there is neither.
    """
    if record is not None and not record.alive:
        # One that has ended in order left its record for its next life.
        return "ended" if phase and record.state is State.OFF else "dead"
    if phase not in ("", "up"):
        return phase
    if record is None:
        return "ended" if phase else "gone"
    paused = record.state is State.IDLE and record.control != "run"
    return "paused" if paused else record.state.name.lower()


def _of_record(record: ProcessRecord, unit: UnitStatus, state: str) -> UnitStatus:
    statistics = record.statistics()
    return UnitStatus(
        unit.unit,
        unit.pipeline,
        unit.process,
        unit.pid,
        state,
        record.loop_count,
        _rate_now(record),
        record.missed,
        record.alarms,
        unit.restarts,
        record.cpu,
        statistics.compute_us,
        statistics.latency_us,
        unit.message or record.message or record.last_alarm,
    )


def _rate_now(record: ProcessRecord) -> float:
    """Loops per second over the remembered loops, which are old ones if the unit hangs or its trigger has stopped."""
    age_s = record.age_s
    return min(record.rate_hz, 1.0 / age_s) if age_s is not None and age_s > _QUIET_S else record.rate_hz


def find_unit(text: str) -> UnitStatus:
    """The unit called ``"unit"``, ``"pipeline/unit"`` or ``"unit.pid"``.

    Raises:
        NotFoundError: there is none. UsageError: there are several; the message lists them.
    """
    pipeline, sign, name = text.rpartition("/")
    every = running()
    found = [
        unit
        for unit in every
        if name in (unit.unit, f"{unit.unit}.{unit.pid}") and (not sign or unit.pipeline == pipeline)
    ]
    living = [unit for unit in found if unit.state != "dead"]
    found = living or found
    if not found:
        there = ", ".join(sorted({unit.unit for unit in every}))
        raise NotFoundError(f"no unit '{text}' runs; {f'there are: {there}' if there else 'none does'}")
    if len(found) > 1:
        names = ", ".join(
            f"'{unit.pipeline}/{unit.unit}'" if unit.pipeline else f"'{unit.unit}.{unit.pid}'"
            for unit in found
        )
        raise UsageError(f"several units '{text}' run; name one of them: {names}")
    return found[0]


def of_pipeline(unit: UnitStatus) -> UnitStatus:
    """The unit, if a pipeline runs it.

    Raises:
        UsageError: it runs by itself, or its pipeline is gone.
    """
    if not unit.pipeline:
        raise UsageError(
            f"unit '{unit.unit}' (process {unit.pid}) belongs to no pipeline that runs; "
            f"'framebus send {unit.unit} stop' ends it"
        )
    return unit
