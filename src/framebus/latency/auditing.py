"""Units watched for a while: how late they wake, how long they compute, what the kernel did to them meanwhile."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from framebus.errors import NotFoundError, UsageError
from framebus.latency.collect import Collector
from framebus.latency.threads import ThreadCounts
from framebus.latency.verdict import Verdict, judge, late_loops, triggered
from framebus.pipeline.control import Controller
from framebus.pipeline.rundir import run_dirs
from framebus.pipeline.running import UnitStatus, find_unit, pipeline_units, running, unit_state
from framebus.process.histogram import Histogram
from framebus.process.timing import rate_hz

__all__ = ["Audit", "UnitAudit", "audit", "targets"]


@dataclass(frozen=True)
class UnitAudit:
    """One unit, as it was seen.

    Attributes:
        unit, pipeline: its name, and its pipeline's; empty if it belongs to none.
        pid, thread_id: its process and the thread that loops.
        trigger: the stream that triggers it, or what else does.
        pinned: the CPU it is pinned to; -1: none.
        loops: how many were seen; ``unseen``: how many more there were, too fast to be seen.
        missed: triggering frames that these loops missed.
        late: loops that ended when the next frame was due already.
        rate_hz: loops per second.
        period_us: median time from a frame to the next; NaN: not known.
        wakeup: from the frame's publication, or the tick that was due, to the start of the loop.
        compute: from start to end of the loop.
        latency: from the frame's publication to the end.
        counts: what the kernel counted of its thread meanwhile.
        verdict: whether it is late, and why.
    """

    unit: str
    pipeline: str
    pid: int
    thread_id: int
    trigger: str
    pinned: int
    loops: int
    unseen: int
    missed: int
    late: int
    rate_hz: float
    period_us: float
    wakeup: Histogram
    compute: Histogram
    latency: Histogram
    counts: ThreadCounts
    verdict: Verdict


@dataclass(frozen=True)
class Audit:
    """All units.

    Attributes:
        seconds: how long they were watched.
        units: in the order in which they were asked for.
    """

    seconds: float
    units: tuple[UnitAudit, ...]

    @property
    def late(self) -> list[UnitAudit]:
        """Those that are late, the one with the largest share of late and missed frames first."""
        found = [unit for unit in self.units if unit.verdict.kind == "late"]
        return sorted(found, key=lambda u: -(u.late + u.missed) / max(1, u.loops + u.missed))


def targets(names: Iterable[str] = ()) -> list[UnitStatus]:
    """The units that are meant: of pipelines by name or file, or by their own names as ``find_unit`` takes them.

    Args:
        names: any of these; none: all units that run.

    Raises:
        NotFoundError: there is none of that name, or no unit runs. UsageError: several are meant by one name.
        PipelineError: a file is no pipeline.
    """
    wanted = list(names)
    found: list[UnitStatus] = [] if wanted else running()
    pipelines = {run_dir.name for run_dir in run_dirs()}
    for name in wanted:
        if name.endswith(".toml"):
            from framebus.pipeline.read import read_plan

            name = read_plan(name).name
            found += pipeline_units(Controller(name).status())
        elif name in pipelines:
            found += pipeline_units(Controller(name).status())
        else:
            found.append(find_unit(name))
    # By what stays: loops and rates of the same unit differ from one look to the next.
    once = {(unit.unit, unit.pid): unit for unit in found}
    alive = [unit for unit in once.values() if unit.pid and unit.state != "dead"]
    if not alive:
        what = ", ".join(wanted)
        raise NotFoundError(
            f"no unit of {what} runs; 'framebus ps' tells how they are" if wanted else "no unit runs"
        )
    return alive


def audit(
    units: Iterable[UnitStatus],
    seconds: float = 10.0,
    progress: Callable[[float], None] | None = None,
) -> Audit:
    """Watch units; they do not notice.

    Args:
        units: those of ``targets``.
        seconds: for how long.
        progress: is told which share of the time has passed.

    Raises:
        UsageError: the time is not above 0, or there are no units.
        NotFoundError: a unit has ended since it was listed.
    """
    wanted = list(units)
    if not (0 < seconds < math.inf) or not wanted:
        raise UsageError(
            f"cannot watch {len(wanted)} units for {seconds:g} s; expected one at least, and a time"
        )
    with ExitStack() as opened:
        watched = [(unit, Collector(opened.enter_context(unit.record()))) for unit in wanted]
        begin = time.monotonic()
        while (passed := time.monotonic() - begin) < seconds:
            for _, collector in watched:
                collector.look()
            if progress is not None:
                progress(passed / seconds)
            time.sleep(min(seconds - passed, *(collector.patience_s for _, collector in watched)))
        for _, collector in watched:
            collector.look()
        return Audit(seconds, tuple(_result(unit, collector) for unit, collector in watched))


def _result(unit: UnitStatus, seen: Collector) -> UnitAudit:
    record, timings = seen.record, seen.timings
    loops = triggered(timings)
    late, period_ns = late_loops(loops)
    counts = seen.counts
    return UnitAudit(
        unit.unit,
        unit.pipeline,
        record.pid,
        record.thread_id,
        record.trigger,
        record.cpu,
        len(timings),
        seen.unseen,
        int(timings["missed"].sum()),
        int(np.count_nonzero(late)),
        rate_hz(timings),
        period_ns / 1e3,
        Histogram.of(loops["start_ns"] - loops["trigger_ns"]),
        Histogram.of(timings["end_ns"] - timings["start_ns"]),
        Histogram.of(loops["end_ns"] - loops["trigger_ns"]),
        counts,
        judge(timings, counts, alive=record.alive, state=unit_state("", record)),
    )
