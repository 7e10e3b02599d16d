"""Rates out of counters that are looked at now and then."""

from __future__ import annotations

from collections import deque

__all__ = ["Flow"]

_WINDOW_NS = 1_000_000_000
_MOST_LOOKS = 64
_STOPPED_S = 1.0
_STOPPED_PERIODS = 5.0


class Flow:
    """How fast a counter goes, and whether it has stopped.

    The rate is that of the last second, or of the last two values if they are further apart. The times are those at
    which the counter moved as its owner stamps them, so that few counts give a right rate too.
    """

    def __init__(self) -> None:
        self._looks: deque[tuple[int, int]] = deque(maxlen=_MOST_LOOKS)

    def add(self, count: int, moved_ns: int) -> bool:
        """A look: the counter, and when it moved last, ns. Whether it moved since the look before."""
        looks = self._looks
        if looks and count == looks[-1][0]:
            return False
        if looks and (count < looks[-1][0] or moved_ns <= looks[-1][1]):
            looks.clear()  # it began anew, or its clock was set back
        looks.append((count, moved_ns))
        while len(looks) > 2 and moved_ns - looks[1][1] > _WINDOW_NS:
            looks.popleft()
        return len(looks) > 1

    def seed(self, frames: int, first_ns: int, last: tuple[int, int]) -> None:
        """What is known from before the first look: so many steps from one time to the last (count, time)."""
        count, last_ns = last
        if frames > 0 and last_ns > first_ns:
            self._looks.clear()
            self._looks.append((count - frames, first_ns))
            self._looks.append(last)

    @property
    def moved(self) -> bool:
        """Whether it was ever seen to move."""
        return len(self._looks) > 1

    def _steady_hz(self) -> float:
        if len(self._looks) < 2:
            return 0.0
        (first, first_ns), (last, last_ns) = self._looks[0], self._looks[-1]
        return (last - first) * 1e9 / (last_ns - first_ns)

    def stopped(self, now_ns: int) -> bool:
        """Whether it did move and has not for a second and for five periods."""
        rate = self._steady_hz()
        if not rate:
            return False
        return (now_ns - self._looks[-1][1]) * 1e-9 > max(_STOPPED_S, _STOPPED_PERIODS / rate)

    def rate_hz(self, now_ns: int) -> float:
        """Counts per second; 0.0 if it has stopped. Between the two it falls with the time since the last."""
        rate = self._steady_hz()
        if not rate or self.stopped(now_ns):
            return 0.0
        age_s = (now_ns - self._looks[-1][1]) * 1e-9
        return min(rate, 1.0 / age_s) if age_s * rate > 2.0 and age_s > 0.5 else rate
