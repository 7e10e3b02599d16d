"""The last loops of a unit as an array, and what they say about rate, compute time and latency."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["RING_LENGTH", "TIMING_DTYPE", "Spread", "Statistics", "rate_hz", "statistics_of"]

RING_LENGTH = 1024
"""How many loops a record remembers."""

TIMING_DTYPE = np.dtype(
    {
        "names": [
            "loop",
            "trigger_count",
            "trigger_ns",
            "start_ns",
            "end_ns",
            "missed",
            "trigger_inode",
            "tick_ns",
        ],
        "formats": ["u8", "u8", "i8", "i8", "i8", "u8", "u8", "i8"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)
"""One loop: its number (from 1), the triggering frame's count and write time (ns of CLOCK_REALTIME; 0: no
frame triggered it), start and end of the loop (same clock), frames that it found already gone, inode of the triggering
stream, time of the tick that was due (ns of CLOCK_MONOTONIC; 0: no clock triggered it)."""

Timings = np.ndarray[Any, np.dtype[np.void]]


@dataclass(frozen=True, slots=True)
class Spread:
    """Distribution of a time in microseconds; NaN where nothing was measured."""

    p50: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """What the remembered loops of a unit say. Times in microseconds.

    Attributes:
        loops: how many loops this is about.
        missed: frames that these loops missed.
        rate_hz: loops per second (NaN for fewer than two loops).
        period_us: from start to start.
        jitter_us: standard deviation of the period.
        compute_us: from start to end.
        wakeup_us: from the triggering frame's write time to the start.
        latency_us: from the triggering frame's write time to the end.
    """

    loops: int
    missed: int
    rate_hz: float
    period_us: Spread
    jitter_us: float
    compute_us: Spread
    wakeup_us: Spread
    latency_us: Spread


def rate_hz(timings: Timings) -> float:
    """Loops per second over ``timings`` (``TIMING_DTYPE``, oldest first); NaN for fewer than two."""
    if len(timings) < 2:
        return math.nan
    span_ns = int(timings["start_ns"][-1]) - int(timings["start_ns"][0])
    return (len(timings) - 1) * 1e9 / span_ns if span_ns > 0 else math.nan


def statistics_of(timings: Timings) -> Statistics:
    """Statistics of ``timings`` (``TIMING_DTYPE``, consecutive loops, oldest first)."""
    start, end = timings["start_ns"], timings["end_ns"]
    triggered = timings[timings["trigger_ns"] != 0]
    period = np.diff(start)
    return Statistics(
        loops=len(timings),
        missed=int(timings["missed"].sum()),
        rate_hz=rate_hz(timings),
        period_us=_spread(period),
        jitter_us=float(np.std(period) / 1e3) if len(period) else math.nan,
        compute_us=_spread(end - start),
        wakeup_us=_spread(triggered["start_ns"] - triggered["trigger_ns"]),
        latency_us=_spread(triggered["end_ns"] - triggered["trigger_ns"]),
    )


def _spread(times_ns: npt.NDArray[np.int64]) -> Spread:
    if len(times_ns) == 0:
        return Spread(math.nan, math.nan, math.nan)
    p50, p99 = np.percentile(times_ns, [50, 99])
    return Spread(float(p50) / 1e3, float(p99) / 1e3, float(times_ns.max()) / 1e3)
