"""Units for tests of loops and pipelines, where other processes can import them too."""

from __future__ import annotations

import threading
from typing import Annotated

import numpy as np

from framebus.stream.names import shm_directory
from framebus.unit import Array, In, Out, Range, Stage, State, Unit, unit

One = Annotated[Out, Array((1,), dtype="float64")]
Two = Annotated[Out, Array((2,), dtype="float64")]


@unit
def scale(image: In, result: Out, *, gain: Annotated[float, Range(0.0, 10.0)] = 2.0) -> None:
    """Result = gain * image, of any rank."""
    for i in range(image.size):
        result.flat[i] = gain * image.flat[i]


@unit
def add(image: In, offset: Annotated[In, Array(("n",))], result: Annotated[Out, Array(("n",))]) -> None:
    """Result = image + offset, the latter as it stands."""
    for i in range(image.size):
        result[i] = image[i] + offset[i]


@unit(compiled=False)
def plain_scale(image: In, result: Out, *, gain: Annotated[float, Range(0.0, 10.0)] = 2.0) -> None:
    """As ``scale``, in the interpreter."""
    result[...] = gain * image


@unit
def whole(image: In, value: One) -> int:
    """The value that all elements must have; an error if they differ."""
    first = image.flat[0]
    for i in range(image.size):
        if image.flat[i] != first:
            return 1
    value[0] = first
    return 0


def fused_pair() -> list[Stage]:
    """Image -> ``whole`` -> value -> ``scale`` -> result."""
    return [
        Stage(whole, {"image": "image", "value": "value"}),
        Stage(scale, {"image": "value", "result": "result"}),
    ]


@unit
def counting(image: In, value: Two, calls: Annotated[State, Array((1,), dtype="float64")]) -> int:
    """As ``whole``; also how many frames were computed, as State and Out remember it."""
    calls[0] += 1
    value[1] += 1
    if value[1] != calls[0]:
        return 2
    first = image.flat[0]
    for i in range(image.size):
        if image.flat[i] != first:
            return 1
    value[0] = first
    return 0


@unit
def whole_matrix(image: In, matrix: Annotated[In, Array((..., "n"))], value: Two) -> int:
    """The frame's value and the matrix's, of which no element may differ."""
    first = matrix.flat[0]
    for i in range(matrix.size):
        if matrix.flat[i] != first:
            return 1
    value[0] = image.flat[0]
    value[1] = first
    return 0


@unit(compiled=False)
def plain_whole_matrix(image: In, matrix: In, value: Two) -> int:
    """As ``whole_matrix``, in the interpreter."""
    if np.ptp(matrix) != 0:
        return 1
    value[:] = image.flat[0], matrix.flat[0]
    return 0


@unit
def limited(image: In, value: One, *, limit: float = 100.0) -> int:
    """The first element; an error code or an exception where it is too large."""
    value[0] = image.flat[0]
    if image.flat[0] > 2 * limit:
        raise ValueError("far too large")
    return 7 if image.flat[0] > limit else 0


@unit(compiled=False)
def plain_limited(image: In, value: One, *, limit: float = 100.0) -> int:
    """As ``limited``, in the interpreter."""
    value[0] = image.flat[0]
    if image.flat[0] > 2 * limit:
        raise ValueError("far too large")
    return 7 if image.flat[0] > limit else 0


@unit
def ticks(value: One) -> None:
    """Counts its own calls."""
    value[0] += 1


@unit
def pair(image: In, value: One, *, a: float = 1.0, b: float = 1.0) -> int:
    """An error if ``a`` and ``b`` differ, which are only ever changed together."""
    value[0] = a
    return 0 if a == b else 1


class Counter(Unit):
    """A device that makes frames."""

    def setup(self) -> None:
        """Open it."""
        self.number = 0

    def step(self, frame: Annotated[Out, Array((4,), dtype="float32")], *, step: int = 1) -> None:
        """The next number."""
        self.number += step
        frame[:] = self.number


@unit(compiled=False)
def hang(image: In, value: One) -> None:
    """Never comes back; says that it is there by a file."""
    (shm_directory() / "hanging").touch()
    threading.Event().wait()
