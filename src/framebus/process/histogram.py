"""How often times were how long: logarithmic bins, which show a tail of one in a million beside the median."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["EDGES_US", "Histogram"]

EDGES_US: tuple[float, ...] = (*(m * 10.0**e for e in range(6) for m in (1, 2, 5)), 1e6)
"""Where bins meet, µs: 1, 2, 5, 10 ... 1 000 000. Below the first and from the last on there is a bin, too."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Times in µs.

    Attributes:
        counts: how many times were in each bin, one more than ``EDGES_US``: below 1 µs, [1, 2), [2, 5) ... from 1 s on.
        n: how many in all.
        p50, p99, p999, max: median, 99th and 99.9th percentile, greatest, µs; NaN of none.
    """

    counts: tuple[int, ...]
    n: int
    p50: float
    p99: float
    p999: float
    max: float

    @classmethod
    def of(cls, times_ns: npt.NDArray[np.int64]) -> Histogram:
        """Sort times into bins.

        Args:
            times_ns: (n,) integer ns; negative ones (clocks were set) count as the shortest.
        """
        times_us = np.asarray(times_ns, np.float64) / 1e3
        counts = np.bincount(np.searchsorted(EDGES_US, times_us, "right"), minlength=len(EDGES_US) + 1)
        if not len(times_us):
            return cls(tuple(counts.tolist()), 0, math.nan, math.nan, math.nan, math.nan)
        p50, p99, p999 = (float(value) for value in np.percentile(times_us, [50, 99, 99.9]))
        return cls(tuple(counts.tolist()), len(times_us), p50, p99, p999, float(times_us.max()))

    @property
    def occupied(self) -> range:
        """The bins from the first to the last that hold something; empty if none does."""
        full = [index for index, count in enumerate(self.counts) if count]
        return range(full[0], full[-1] + 1) if full else range(0)
