"""Units that take their time, for tests of who is late."""

from __future__ import annotations

import time

from framebus.unit import In, Out, unit


@unit(compiled=False)
def slow(image: In, result: Out, *, busy_ms: float = 10.0) -> None:
    """Result = image, after it has kept a CPU busy."""
    until = time.perf_counter() + busy_ms / 1e3
    while time.perf_counter() < until:
        pass
    result[...] = image
