"""Single pixels changed by hand."""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from framebus.errors import UsageError
from framebus.ops.targets import open_existing
from framebus.stream import Stream

__all__ = ["Number", "Poked", "check_number", "poke"]

Number = int | float | complex


@dataclass(frozen=True, slots=True)
class Poked:
    """A pixel that was changed: the stream, the new frame's count, and the value before and after."""

    name: str
    count: int
    before: Number
    after: Number


def poke(name: str, index: Sequence[int], value: Number, *, add: bool = False) -> Poked:
    """Publish a stream's newest frame with one pixel changed; of a stream without a frame, zeros.

    A writer that publishes between the reading and the writing has its frame replaced: this is for streams that nobody
    else writes at that moment, as a mirror's channels.

    Args:
        name: of the stream.
        index: of the pixel, one number per axis in NumPy's order (y before x); negative ones count from the end.
        value: what the pixel becomes.
        add: what is added to it.

    Raises:
        UsageError: the index is not in the frame, or the stream's dtype cannot hold the value.
        StreamNotFound, StreamFormatError, NameFormatError: as ``framebus.open``.
    """
    with open_existing(name) as stream:
        place = tuple(index)
        _check_place(stream, place)
        frame = stream.newest().data if stream.count else np.zeros(stream.shape, stream.dtype)
        before = frame[place].item()
        after = before + value if add else value
        check_number(after, stream.dtype, f"stream '{stream.name}'")
        frame[place] = after
        return Poked(stream.name, stream.write(frame), before, frame[place].item())


def check_number(value: Number, dtype: np.dtype[Any], where: str) -> None:
    """Refuse a number that a dtype cannot hold. Raises UsageError, which says what ``where`` takes."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        fits = isinstance(value, numbers.Integral) and limits.min <= value <= limits.max
        expected = f"a whole number from {limits.min} to {limits.max}"
    else:
        largest = float(np.finfo(dtype).max)
        real = isinstance(value, numbers.Real)
        fits = (real or dtype.kind == "c") and not largest < abs(value) < math.inf
        expected = f"a {'real ' if dtype.kind == 'f' else ''}number up to {largest:.3g}"
    if not fits:
        raise UsageError(f"{where} is of {dtype} and cannot hold {value}; expected {expected}")


def _check_place(stream: Stream, place: tuple[int, ...]) -> None:
    """Said so that it is right for both orders of an index, that of slices and NumPy's."""
    axes = list(zip("xyz", reversed(stream.shape), strict=False))
    told = ", ".join(f"{axis} from 0 to {size - 1}" for axis, size in axes)
    if len(place) != len(axes):
        numbers = "1 number" if len(axes) == 1 else f"{len(axes)} numbers"
        raise UsageError(
            f"an index of stream '{stream.name}' takes {numbers} (got {len(place)}), before the value: {told}"
        )
    for (axis, size), i in zip(axes, reversed(place), strict=True):
        if not -size <= i < size:
            raise UsageError(f"{axis} = {i} is outside of stream '{stream.name}': {told}")
