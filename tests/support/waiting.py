"""Waiting for what sends no event."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from framebus.stream import Stream

TIMEOUT_S = 60.0
"""Far longer than anything takes, so that only a hang fails."""

_FB_WAITING = 228  # the header's word in which sleepers on the counter leave the count they sleep at


def until(condition: Callable[[], object], timeout_s: float = TIMEOUT_S) -> None:
    """Return once ``condition()`` is true.

    Raises:
        AssertionError: it does not become so.
    """
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()  # never set
    while not condition():
        assert time.monotonic() < deadline, "it does not come to that"
        pause.wait(0.001)


def until_computed(output: Stream, count: int, timeout_s: float = TIMEOUT_S) -> None:
    """Return once ``output`` holds what a unit made of frame ``count`` of its trigger."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen = output.count
        if seen and output.trace()[0].trigger_count == count:
            return
        output.wait_newer(seen, timeout_s=max(0.0, deadline - time.monotonic()))


def asleep_at(path: Path) -> int:
    """The count, modulo 2**32, at which somebody sleeps on a stream's counter, or slept last; 0 if nobody did."""
    return int(np.fromfile(path, np.uint32, 1, offset=_FB_WAITING)[0])


def once_asleep(path: Path, act: Callable[[], object]) -> threading.Thread:
    """A thread that does something as soon as somebody sleeps on the counter of a stream that has a frame."""

    def wait_and_act() -> None:
        until(lambda: asleep_at(path))
        act()

    thread = threading.Thread(target=wait_and_act)
    thread.start()
    return thread
