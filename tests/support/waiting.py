"""Waiting for what sends no event."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from framebus.stream import Stream

TIMEOUT_S = 60.0
"""Far longer than anything takes, so that only a hang fails."""


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
