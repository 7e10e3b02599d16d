"""Single pixels changed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from framebus.errors import UsageError
from framebus.ops.targets import open_existing
from framebus.stream.slices import check_storable

__all__ = ["Number", "Poked", "poke"]

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
        sizes = "x".join(map(str, stream.shape))
        if len(place) != len(stream.shape):
            raise UsageError(
                f"stream '{stream.name}' has {len(stream.shape)} axes ({sizes}), the index {len(place)}: {place}"
            )
        for i, size in zip(place, stream.shape, strict=True):
            if not -size <= i < size:
                raise UsageError(f"index {place} is outside of stream '{stream.name}', {sizes}")
        frame = stream.newest().data if stream.count else np.zeros(stream.shape, stream.dtype)
        before = frame[place].item()
        after = before + value if add else value
        new = np.asarray(after)
        if new.dtype.kind not in "iufc":
            raise UsageError(f"{after} does not fit {stream.dtype}, the dtype of stream '{stream.name}'")
        check_storable(new, stream.dtype)
        frame[place] = after
        return Poked(stream.name, stream.write(frame), before, frame[place].item())
