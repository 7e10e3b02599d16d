"""Units, looked at through process records that stay open."""

from __future__ import annotations

import contextlib
import math
import os
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from framebus import _core
from framebus.errors import FramebusError, StreamFormatError
from framebus.ops.flow import Flow
from framebus.process import ProcessRecord, State
from framebus.process.record import SUFFIX
from framebus.process.timing import TIMING_DTYPE
from framebus.tui.looks import NAN, UnitLook
from framebus.tui.pipeline_watch import PipelineWatch

__all__ = ["PAST", "UnitWatch"]

PAST = 60
"""How many medians of the past a unit's look has at most."""
_SAMPLE_NS = 1_000_000_000
_SAMPLED = 128
"""Loops that a median is of."""
_ALIVE_NS = 500_000_000
_STATES = {int(state): state.name.lower() for state in State}
_IDLE = int(State.IDLE)
_TICKS_HZ = os.sysconf("SC_CLK_TCK")


class _Open:
    """One record that is open."""

    def __init__(self, path: Path, inode: int, order: int) -> None:
        record = ProcessRecord.open(path)
        self.core, self.inode = record.core, inode
        core = self.core
        self.unit, self.pid = core.unit, core.pid
        self._use, self._trigger = core.use, core.trigger
        self.flow = Flow()
        self.rate_hz = 0.0
        self._past: tuple[deque[float], deque[float]] = (deque(maxlen=PAST), deque(maxlen=PAST))
        self._pasts: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
        self._sampled_ns = _core.realtime_ns() - _SAMPLE_NS + order % 5 * _SAMPLE_NS // 5  # not all at once
        self._asked_ns, self.alive = 0, core.alive
        self._loops = -1
        self._spent: tuple[float, int] | None = None
        self.medians = (NAN, NAN, NAN)
        self.share, self.on_cpu = NAN, -1
        self._last = np.empty(TIMING_DTYPE.itemsize, np.uint8)
        self._ring = np.empty(TIMING_DTYPE.itemsize * _SAMPLED, np.uint8)
        self._sample(_core.realtime_ns(), True)

    def look(self, now_ns: int) -> None:
        """Bring up to date what is kept here."""
        loops = self.core.loop_count
        moved = loops != self._loops
        self._loops = loops
        if moved:
            kept = self.core.read_timings(self._last)
            end_ns = int(self._last.view(TIMING_DTYPE)["end_ns"][0]) if kept else now_ns
            self.flow.add(loops, end_ns)
            self._asked_ns = 0
        elif now_ns - self._asked_ns > _ALIVE_NS:
            self._asked_ns = now_ns
            self.alive = self.core.alive
        self.rate_hz, stopped = self.flow.now(now_ns)
        if now_ns - self._sampled_ns >= _SAMPLE_NS:
            self._sampled_ns = now_ns
            self._sample(now_ns, self.flow.moved and not stopped)

    def _sample(self, now_ns: int, going: bool) -> None:
        self._take_share(now_ns)
        kept = self.core.read_timings(self._ring) if going else 0
        if kept == 0:
            self._remember(0.0, 0.0)
            return
        timings = self._ring.view(TIMING_DTYPE)[:kept]
        start, end, triggered = timings["start_ns"], timings["end_ns"], timings["trigger_ns"]
        period = _median_us(np.diff(start))
        compute = _median_us(end - start)
        latency = _median_us((end - triggered)[triggered != 0])
        self.medians = (period, compute, latency)
        self._remember(compute, 0.0 if math.isnan(period) else period)

    def _remember(self, compute_us: float, period_us: float) -> None:
        self._past[0].append(compute_us)
        self._past[1].append(period_us)
        self._pasts = (tuple(self._past[0]), tuple(self._past[1]))

    def _take_share(self, now_ns: int) -> None:
        """What the kernel counted for the unit's thread: its share of a CPU since the last time, and where it ran."""
        thread = self.core.thread_id or self.pid
        try:
            with open(f"/proc/{self.pid}/task/{thread}/stat", "rb", buffering=0) as file:
                fields = file.read(1024).rpartition(b")")[2].split()
        except OSError:
            self.share, self.on_cpu, self._spent = NAN, -1, None
            return
        spent_s = (int(fields[11]) + int(fields[12])) / _TICKS_HZ
        if self._spent is not None and now_ns > self._spent[1]:
            self.share = max(0.0, (spent_s - self._spent[0]) * 1e9 / (now_ns - self._spent[1]))
        self._spent = (spent_s, now_ns)
        self.on_cpu = int(fields[36])

    def told(self, bare: UnitLook, state: str) -> UnitLook:
        """The unit's look; ``bare`` has what others than its record tell."""
        core = self.core
        message, traceback = core.texts()
        period, compute, latency = self.medians
        return UnitLook(  # in order, without names: this is made for every unit at every look
            bare.key,
            bare.unit,
            bare.pipeline,
            bare.process,
            bare.pid,
            state,
            self._loops,
            self.rate_hz if self.alive and state == "running" else 0.0,
            core.missed,
            core.alarms,
            bare.restarts,
            bare.message or message or core.last_alarm()[1],
            self._use,
            self._trigger,
            period,
            compute,
            latency,
            self._pasts[0],
            self._pasts[1],
            self.share,
            self.on_cpu,
            core.cpu,
            core.priority,
            traceback,
            bare.log,
            bare.failures,
        )

    @property
    def state(self) -> str:
        """Of the record; ``paused`` if it idles because it was told to; ``dead`` if its process is gone."""
        if not self.alive:
            return "dead"
        state = self.core.state
        if state == _IDLE and self.core.control_word & 0xFF:
            return "paused"
        return _STATES.get(state, "?")


def _median_us(times_ns: np.ndarray[Any, np.dtype[np.int64]]) -> float:
    """The median as an element of the times: quicker than NumPy's own, for what is asked thousands of times."""
    n = len(times_ns)
    return float(np.partition(times_ns, n // 2)[n // 2]) * 1e-3 if n else NAN


class UnitWatch:
    """All units of a directory.

    Args:
        folder: where their records lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._open: dict[str, _Open] = {}
        self._bad: dict[str, int] = {}

    def look(
        self,
        files: Mapping[str, int],
        pipelines: PipelineWatch,
        names: list[str],
        now_ns: int,
        same: Mapping[str, UnitLook],
    ) -> dict[str, UnitLook]:
        """How every unit stands: those of pipelines in the order in which they start, then all others by name.

        Args:
            files: inodes of records by their name, ``unit.pid``.
            pipelines: that were looked at already.
            names: of those pipelines.
            now_ns: CLOCK_REALTIME.
            same: units that are not looked at, as they were before.
        """
        self._refresh(files)
        found: dict[str, UnitLook] = {}
        others: set[int] = set()
        shown: set[str] = set()
        units: set[str] = set()
        for name in names:
            for process, state in pipelines.processes(name).items():
                others.update(state["others"])
                for unit in state["units"]:
                    units.add(unit)
                    shown.add(f"{unit}.{state['pid']}")
                    key = f"{name}/{unit}"
                    found[key] = same.get(key) or self._of_pipeline(key, name, process, unit, state, now_ns)
        for record, held in self._open.items():
            if record in shown or (held.unit in units and (held.pid in others or not held.core.alive)):
                continue  # told above, or what a process left that is about to go, or gone
            found[record] = same.get(record) or self._alone(record, held, now_ns)
        return found

    def _refresh(self, files: Mapping[str, int]) -> None:
        for name in [name for name, held in self._open.items() if files.get(name) != held.inode]:
            del self._open[name]
        for name, inode in files.items():
            if name not in self._open and self._bad.get(name) != inode:
                with contextlib.suppress(
                    FramebusError, OSError
                ):  # removed since it was listed, or not readable
                    self._try(name, inode)

    def _try(self, name: str, inode: int) -> None:
        try:
            self._open[name] = _Open(self._folder / f"{name}{SUFFIX}", inode, len(self._open))
        except StreamFormatError:
            self._bad[name] = inode
            raise

    def _alone(self, record: str, held: _Open, now_ns: int) -> UnitLook:
        held.look(now_ns)
        return held.told(UnitLook(record, held.unit, pid=held.pid), held.state)

    def _of_pipeline(
        self, key: str, pipeline: str, process: str, unit: str, state: Mapping[str, Any], now_ns: int
    ) -> UnitLook:
        phase, pid = state["state"], state["pid"]
        bare = UnitLook(
            key,
            unit,
            pipeline,
            process,
            pid,
            phase,
            restarts=state["restarts"],
            message=state["message"],
            log=state["log"],
            failures=state.get("failures", 0),
        )
        held = self._open.get(f"{unit}.{pid}") if pid else None
        if held is None:
            return bare._replace(state="ended") if phase == "up" else bare
        held.look(now_ns)
        if not held.alive:
            return held.told(bare, "dead")
        return held.told(bare, held.state if phase == "up" else phase)

    def close(self) -> None:
        """Give all records back."""
        self._open.clear()
