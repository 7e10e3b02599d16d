"""All loops of a unit over a time that is longer than its record remembers."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from framebus.latency.threads import ThreadCounts, thread_counts
from framebus.process import ProcessRecord
from framebus.process.timing import RING_LENGTH, TIMING_DTYPE, Timings, rate_hz

__all__ = ["Collector"]


class Collector:
    """Looks at a unit's record now and then, and keeps each loop that it has not seen.

    Args:
        record: the unit's; it stays the caller's.

    Attributes:
        unseen: loops that were overwritten before they were seen.
        moves: how often the thread was on another CPU than the time before, as far as was seen.
    """

    def __init__(self, record: ProcessRecord) -> None:
        self.record = record
        self.unseen = self.moves = 0
        self._parts: list[Timings] = []
        self._rate_hz = 0.0
        self._last = record.loop_count
        self._thread = record.thread_id
        self._begin = self._now = thread_counts(record.pid, self._thread)

    def look(self) -> None:
        """Take in what is new. To be called more often than the unit does 1024 loops."""
        found = self.record.timings()
        self._rate_hz = rate_hz(found)
        new = found[found["loop"] > self._last].copy()
        if len(new):
            self.unseen += int(new["loop"][0]) - self._last - 1
            self._last = int(new["loop"][-1])
            _place_ticks(new)
            self._parts.append(new)
        now = thread_counts(self.record.pid, self._thread)
        if now is not None:
            self.moves += self._now is not None and now.cpu != self._now.cpu
            self._now = now

    @property
    def patience_s(self) -> float:
        """After how long to look again, s: when a third of the record is new, but often enough to see moves."""
        return min(0.05, RING_LENGTH / 3 / self._rate_hz) if self._rate_hz > 0 else 0.05

    @property
    def timings(self) -> Timings:
        """All loops seen, oldest first (``TIMING_DTYPE``); ``trigger_ns`` of ticks is that of the moment due."""
        return np.concatenate(self._parts) if self._parts else np.empty(0, TIMING_DTYPE)

    @property
    def counts(self) -> ThreadCounts:
        """What the kernel counted meanwhile; migrations as far as they were seen, if it does not count them."""
        if self._begin is None or self._now is None:
            return ThreadCounts()
        counts = self._now.since(self._begin)
        return counts if counts.migrations is not None else replace(counts, migrations=self.moves)


def _place_ticks(timings: Timings) -> None:
    """Put ticks, which are of CLOCK_MONOTONIC, on the clock of all other times, as the two differ at present."""
    ticks = timings["tick_ns"] != 0
    if ticks.any():
        before = time.monotonic_ns()
        wall = time.clock_gettime_ns(time.CLOCK_REALTIME)
        offset = wall - (before + time.monotonic_ns()) // 2
        timings["trigger_ns"][ticks] = timings["tick_ns"][ticks] + offset
