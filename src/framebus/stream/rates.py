"""Frames per second of many streams at a glance."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from framebus.errors import FramebusError
from framebus.stream.listing import StreamInfo
from framebus.stream.opening import open as open_stream
from framebus.stream.stream import Stream

__all__ = ["INTERVAL_S", "measure_rates"]

INTERVAL_S = 0.5
"""Time between the two looks, in s."""


def measure_rates(infos: Iterable[StreamInfo], interval_s: float = INTERVAL_S) -> dict[Path, float]:
    """Frames per second of streams that are live or empty, by their path.

    Two looks at the counter give the number of frames; the time is the one between their publication as the header
    tells it, so that few frames give a right rate too. No frame between the looks is a rate of 0.
    """
    with ExitStack() as opened:
        handles: dict[Path, Stream] = {}
        for info in infos:
            if info.state in ("live", "empty", "unknown"):
                try:
                    handles[info.path] = opened.enter_context(open_stream(info.path))
                except (FramebusError, OSError):
                    continue  # it went away since the listing
        before = {path: _look(handle) for path, handle in handles.items()}
        if handles:
            time.sleep(interval_s)
        return {path: _rate(before[path], _look(handle)) for path, handle in handles.items()}


def _look(handle: Stream) -> tuple[int, int, int]:
    return handle.count, handle.handle.written_ns, time.monotonic_ns()


def _rate(before: tuple[int, int, int], after: tuple[int, int, int]) -> float:
    frames, published_ns, looked_ns = (new - old for new, old in zip(after, before, strict=True))
    if frames <= 0:
        return 0.0
    # Else the writer leaves the time out, or its clock was set back.
    told = published_ns > 0 and before[1] > 0
    return frames * 1e9 / (published_ns if told else looked_ns)
