"""How often frames come, and how evenly, by the times that writers give them: looking late changes nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError, WaitTimeout
from framebus.ops.targets import open_existing
from framebus.stream import Stream

__all__ = ["Rate", "rate", "rates"]


@dataclass(frozen=True, slots=True)
class Rate:
    """How one stream's frames came.

    Attributes:
        name: of the stream.
        frames: published while it was looked at.
        missed: of these, those whose times were gone before they could be read; they count for the rate, not for the
            intervals.
        duration_s: how long it was looked at, in s.
        rate_hz: frames per second, over the time from the first of the frames to the last; 0 if no two came.
        p50_s, p99_s, longest_s: median, 99th percentile and maximum of the intervals between frames; None without any.
        jitter_s: standard deviation of the intervals.
        reason: why no frame came, where none did.
    """

    name: str
    frames: int
    missed: int
    duration_s: float
    rate_hz: float
    p50_s: float | None = None
    p99_s: float | None = None
    longest_s: float | None = None
    jitter_s: float | None = None
    reason: str = ""


def rate(name: str, duration_s: float = 1.0) -> Rate:
    """Look at a stream for a while.

    The times are those of publication that the frames' headers tell; of writers that leave them out, the times at which
    the frames were seen.

    Args:
        name: of the stream.
        duration_s: how long, in s.

    Raises:
        UsageError: the duration is none.
        StreamNotFound, StreamFormatError, NameFormatError: as ``framebus.open``.
        StreamRecreated: the stream was removed or became another one meanwhile.
    """
    return rates([name], duration_s)[0]


def rates(names: Sequence[str], duration_s: float = 1.0) -> list[Rate]:
    """Look at several streams at the same time; as ``rate`` for each."""
    if not 0 < duration_s < 1e6:
        raise UsageError(f"duration_s is {duration_s!r}, expected seconds above 0")
    if not names:
        return []
    # Whatever ends this before its time closes the streams first, and that ends every thread's wait.
    with ThreadPoolExecutor(len(names), thread_name_prefix="rate") as pool, ExitStack() as opened:
        streams = [opened.enter_context(open_existing(name)) for name in names]
        if len(streams) == 1:
            return [_look(streams[0], duration_s)]
        looks = [pool.submit(_look, stream, duration_s) for stream in streams]
        for look in wait(looks, return_when=FIRST_EXCEPTION).done:
            look.result()
        return [look.result() for look in looks]


def _look(stream: Stream, duration_s: float) -> Rate:
    seen = [_newest_time(stream)]
    deadline = time.monotonic() + duration_s
    reason = ""
    while (left := deadline - time.monotonic()) > 0:
        try:
            stream.wait_newer(int(seen[-1][-1, 0]), timeout_s=left)
        except WaitTimeout as error:
            reason = str(error).removeprefix(f"{stream.path}: ")
            break
        found = _times(stream, int(seen[-1][-1, 0]))
        if len(found):
            seen.append(found)
    return _rate(stream.name, np.concatenate(seen), duration_s, reason)


def _newest_time(stream: Stream) -> npt.NDArray[np.int64]:
    """Count and time of the newest frame as it stands; the intervals begin there. Zeros before the first."""
    found = _times(stream, max(stream.count - 1, 0))
    return found[-1:] if len(found) else np.array([[stream.count, 0]], np.int64)


def _times(stream: Stream, after: int) -> npt.NDArray[np.int64]:
    """(n, 2): counts beyond ``after``, and when each was published or, if its writer does not say, seen."""
    told = stream.times(after)
    written = np.where(told[:, 2] > 0, told[:, 2], time.time_ns())
    return np.stack([told[:, 0], written], axis=1)


def _rate(name: str, seen: npt.NDArray[np.int64], duration_s: float, reason: str) -> Rate:
    before, times = seen[0], seen if seen[0, 1] else seen[1:]
    frames = int(seen[-1, 0] - before[0])
    missed = frames - (len(seen) - 1)
    if len(times) < 2:
        return Rate(name, frames, missed, duration_s, 0.0, reason="" if frames else reason)
    steps = np.diff(times, axis=0)
    span_s = float(times[-1, 1] - times[0, 1]) * 1e-9
    intervals = steps[steps[:, 0] == 1, 1] * 1e-9
    measured = (int(times[-1, 0]) - int(times[0, 0])) / span_s if span_s > 0 else 0.0
    if intervals.size == 0:
        return Rate(name, frames, missed, duration_s, measured)
    p50, p99 = np.percentile(intervals, [50, 99])
    return Rate(
        name,
        frames,
        missed,
        duration_s,
        measured,
        float(p50),
        float(p99),
        float(intervals.max()),
        float(intervals.std()),
    )
