"""Units that only benchmarks need."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numba import types

from framebus.unit import Array, In, Out, State, unit

CLOCK_MONOTONIC = 1
_clock_gettime: Any = types.ExternalFunction("clock_gettime", types.int32(types.int32, types.voidptr))


@unit
def copy(source: Annotated[In, Array(..., dtype="float32")], target: Out) -> None:
    """Target = source: what a hop through a unit computes, so that all the rest is the hop."""
    wanted = source.reshape(-1)
    given = target.reshape(-1)
    for i in range(given.size):
        given[i] = wanted[i]


@unit
def ping(
    source: Annotated[In, Array(("ny", "nx"), dtype="float32"), "what came back"],
    target: Annotated[Out, Array(("ny", "nx"), dtype="float32"), "goes there"],
    report: Annotated[Out, Array((2,), dtype="int64"), "round trip in ns; elements found wrong so far"],
    copied: Annotated[State, Array(("ny", "nx"), dtype="float32")],
    memory: Annotated[State, Array((3,), dtype="int64"), "start of the trip, clock"],
    *,
    gap_ns: int = 0,
) -> None:
    """Frame k comes back with k in every element: copy it out, stamp, check it, wait, send frame k + 1.

    The other copy, into the stream, is the loop's own, after the start of the next trip is stamped.
    """
    for y in range(source.shape[0]):
        for x in range(source.shape[1]):
            copied[y, x] = source[y, x]
    end = _now(memory)
    expected = target[0, 0]
    for y in range(source.shape[0]):
        for x in range(source.shape[1]):
            report[1] += copied[y, x] != expected
    report[0] = end - memory[0]
    for y in range(source.shape[0]):
        for x in range(source.shape[1]):
            target[y, x] = expected + np.float32(1.0)
    while _now(memory) < end + gap_ns:
        pass
    memory[0] = _now(memory)


def _now(memory: Any) -> Any:
    """CLOCK_MONOTONIC in ns; scribbles on the last two elements."""
    _clock_gettime(CLOCK_MONOTONIC, memory[1:].ctypes)
    return memory[1] * 1_000_000_000 + memory[2]
