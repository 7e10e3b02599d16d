"""Units that only benchmarks need."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numba import types

from framebus.unit import SKIP, Array, In, Out, State, unit

CLOCK_MONOTONIC = 1
# The C library's, as in the C programs: a hop is to be compared, not what compilers make of a copying loop.
_memcpy: Any = types.ExternalFunction("memcpy", types.voidptr(types.voidptr, types.voidptr, types.uintp))
_clock_gettime: Any = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.voidptr))


@unit
def copy(source: Annotated[In, Array(..., dtype="float32")], target: Out) -> None:
    """Target = source: what a hop through a unit computes, so that all the rest is the hop."""
    _memcpy(target.ctypes, source.ctypes, target.nbytes)


@unit
def ping(
    source: Annotated[In, Array(("ny", "nx"), dtype="float32"), "what came back"],
    target: Annotated[Out, Array(("ny", "nx"), dtype="float32"), "goes there"],
    report: Annotated[Out, Array((2,), dtype="int64"), "round trip in ns; elements found wrong so far"],
    memory: Annotated[State, Array((4,), dtype="int64"), "start of the trip, clock, trips"],
    *,
    gap_ns: int = 0,
    trips: int = 0,
) -> int:
    """Frame k comes back with k in every element: stamp, check it, wait, send frame k + 1; so many times.

    Both copies are the loop's own: into the stream after the start of a trip is stamped, and out of it before the
    end, as long as it runs with ``every_frame``.
    """
    end = _now(memory)
    came, sent = source.reshape(-1), target.reshape(-1)
    expected = sent[0]
    wrong = 0
    for i in range(came.size):
        wrong += came[i] != expected
        sent[i] = expected + np.float32(1.0)
    report[0], report[1] = end - memory[0], report[1] + wrong
    memory[3] += 1
    if memory[3] > trips:
        return SKIP
    while _now(memory) < end + gap_ns:
        pass
    memory[0] = _now(memory)
    return 0


def _now(memory: Any) -> Any:
    """CLOCK_MONOTONIC in ns; scribbles on the second and third element."""
    _clock_gettime(CLOCK_MONOTONIC, memory[1:].ctypes)
    return memory[1] * 1_000_000_000 + memory[2]
