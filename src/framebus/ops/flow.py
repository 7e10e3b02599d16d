"""Rates out of counters that are looked at now and then."""

from __future__ import annotations

from collections import deque
from typing import Literal

from framebus import _core

__all__ = ["Flow", "stream_flow"]

_WINDOW_NS = 1_000_000_000
_MOST_LOOKS = 64
_QUIET_S = 0.5
_STOPPED_S = 1.0
_STOPPED_PERIODS = 5.0
_FLOWED, _FLOWED_HZ = 100, 1.0
"""A stream of so many frames that came so fast is one whose frames should come now, too."""


class Flow:
    """How fast a counter goes, and whether it has stopped.

    The rate is that of the last second, or of the last two values if they are further apart. The times are those at
    which the counter moved as its owner stamps them, so that few counts give a right rate too.
    """

    def __init__(self) -> None:
        self._looks: deque[tuple[int, int]] = deque(maxlen=_MOST_LOOKS)
        self._hz = 0.0
        self._seeded = False

    def add(self, count: int, moved_ns: int) -> bool:
        """A look: the counter, and when it moved last, ns. Whether it moved since the look before."""
        looks = self._looks
        if looks:
            last, last_ns = looks[-1]
            if count == last:
                return False
            if count < last or moved_ns <= last_ns:
                looks.clear()  # it began anew, or its clock was set back
            elif (last, count) == (0, 1):
                looks.clear()  # one alone, as in a matrix, came at no rate
            elif self._seeded:
                looks.popleft()
        self._seeded = False
        looks.append((count, moved_ns))
        oldest_ns = moved_ns - _WINDOW_NS
        while len(looks) > 2 and looks[1][1] < oldest_ns:
            looks.popleft()
        if len(looks) < 2:
            self._hz = 0.0
            return False
        first, first_ns = looks[0]
        self._hz = (count - first) * 1e9 / (moved_ns - first_ns)
        return True

    def seed(self, frames: int, first_ns: int, last: tuple[int, int]) -> None:
        """What is known from before the first look: so many steps from one time to the last (count, time).

        It holds until the counter moves.
        """
        count, last_ns = last
        if frames > 0 and last_ns > first_ns:
            self._looks.clear()
            self._looks.append((count - frames, first_ns))
            self._looks.append(last)
            self._seeded = True
            self._hz = frames * 1e9 / (last_ns - first_ns)

    @property
    def moved(self) -> bool:
        """Whether it was ever seen to move."""
        return self._hz > 0.0

    def now(self, now_ns: int) -> tuple[float, bool]:
        """Counts per second, and whether it did move and has not for a second and for five periods.

        The rate is 0.0 then; on the way there it falls with the time since the last count.
        """
        rate = self._hz
        if not rate:
            return 0.0, False
        age_s = (now_ns - self._looks[-1][1]) * 1e-9
        if age_s <= _QUIET_S:
            return rate, False
        if age_s > max(_STOPPED_S, _STOPPED_PERIODS / rate):
            return 0.0, True
        return (min(rate, 1.0 / age_s) if age_s * rate > 2.0 else rate), False

    def standing(self, now_ns: int) -> Literal["live", "stale", "still"]:
        """What that says of a stream whose writer lives: frames come, have stopped, or come now and then."""
        return "still" if not self.moved else "stale" if self.now(now_ns)[1] else "live"


def stream_flow(handle: _core.StreamHandle) -> Flow:
    """The flow of a stream, with what is known of it before the first look.

    That is how fast frames came: of the history if there is one, else since the stream was made. So a stream that had
    stopped before is known for stale, and not taken for one that is written now and then.
    """
    flow = Flow()
    count, written_ns = handle.count, handle.written_ns
    if count < _FLOWED or not written_ns:
        return flow
    times = handle.times(0)
    if len(times) > 2:
        frames, since_ns = times[-1][0] - times[0][0], times[0][2]
        count, written_ns = times[-1][0], times[-1][2]
    else:
        frames, since_ns = count, handle.header().get("creation_ns", 0)
    if since_ns and written_ns > since_ns and frames * 1e9 / (written_ns - since_ns) > _FLOWED_HZ:
        flow.seed(frames, since_ns, (count, written_ns))
    return flow
