"""What a detector is like: its gain, its bad pixels, the order in which it is read. Prepared once, for the units.

``gain_map`` is for ``calibrate``, ``neighbour_table`` for ``replace_bad_pixels``, ``descrambling_table`` and
``mask_table`` for ``remap``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.errors import DataError, UsageError

LEAST_RESPONSE = 0.1


def gain_map(
    flat: ArrayLike,
    dark: ArrayLike | None = None,
    *,
    bad: ArrayLike | None = None,
    least: float = LEAST_RESPONSE,
) -> NDArray[np.float32]:
    """Gain for ``calibrate``: median(flat - dark) / (flat - dark), and 0 for bad pixels, float32 in the flat's shape.

    The median is that of the good pixels, so a usual pixel keeps its counts. A pixel is bad if its response
    (flat - dark) is not finite, is 0 or negative, is below ``least`` times the median, or if ``bad`` says so.
    ``gain == 0`` is the map of bad pixels for ``neighbour_table``.

    Args:
        flat: mean frame of an evenly lit detector.
        dark: mean frame without light, the same shape; zeros when ``None``.
        bad: true where a pixel is known to be bad, the same shape.
        least: response that a good pixel needs, as a share of the median: 0 to 1.

    Raises:
        UsageError: shapes differ, or ``least`` is outside its range.
        DataError: no pixel is good.
    """
    response = np.array(flat, dtype=np.float64)
    if not 0.0 <= least < 1.0:
        raise UsageError(f"least is {least}; expected a share from 0 to 1")
    if dark is not None:
        response -= _same_shape("dark", np.asarray(dark, dtype=np.float64), response.shape)
    good = np.isfinite(response) & (response > 0.0)
    if bad is not None:
        good &= ~_same_shape("map of bad pixels", np.asarray(bad).astype(bool), response.shape)
    if not good.any():
        raise DataError(
            f"no pixel of the flat field responds ({response.size} pixels, all of them 0, negative, not finite or in "
            "the map of bad pixels); expected the flat brighter than the dark"
        )
    usual = np.median(response[good])
    good &= response >= least * usual
    gain = np.zeros(response.shape, np.float32)
    with np.errstate(over="ignore"):
        gain[good] = usual / response[good]
    gain[~np.isfinite(gain)] = 0.0
    return gain


def neighbour_table(bad: ArrayLike, *, least: int = 3) -> NDArray[np.int32]:
    """Table for ``replace_bad_pixels``: int32 (n_bad, 1 + n): a bad pixel's flat index, then those of its neighbours.

    The neighbours of a bad pixel are all good ones in the smallest square about it that holds ``least`` of them
    (or the whole frame does not); rows are filled up with -1. Without any bad pixel there is one row of -1.

    Args:
        bad: (height, width), true where a pixel is bad.
        least: good neighbours that suffice.

    Raises:
        UsageError: the map is not 2-D, or ``least`` is below 1.
        DataError: no pixel is good.
    """
    where = np.asarray(bad).astype(bool)
    if where.ndim != 2 or where.size == 0:
        raise UsageError(f"the map of bad pixels has shape {where.shape}; expected (height, width)")
    if least < 1:
        raise UsageError(f"least is {least}; expected 1 neighbour or more")
    if where.all():
        raise DataError(f"all {where.size} pixels are bad; expected some good ones")
    rows = [[y * where.shape[1] + x, *_good_near(where, y, x, least)] for y, x in np.argwhere(where).tolist()]
    table = np.full((max(len(rows), 1), max(map(len, rows), default=2)), -1, np.int32)
    for k, row in enumerate(rows):
        table[k, : len(row)] = row
    return table


def mask_table(mask: ArrayLike) -> NDArray[np.int32]:
    """Flat (C order) indices of what a mask chooses, int32 (n,): for ``remap``, or the ``valid`` of ``intensities``.

    Raises:
        UsageError: the mask chooses nothing.
    """
    chosen = np.flatnonzero(np.asarray(mask))
    if chosen.size == 0:
        raise UsageError("the mask chooses no pixel; it must be true somewhere")
    return chosen.astype(np.int32)


@dataclass(frozen=True)
class Amplifier:
    """The part of a detector that one amplifier reads, row by row.

    Attributes:
        y0, x0: first row and column of the part.
        height, width: its size, pixels.
        upwards: it is read from its last row to its first.
        leftwards: each row is read from its last pixel to its first.
    """

    y0: int
    x0: int
    height: int
    width: int
    upwards: bool = False
    leftwards: bool = False


def descrambling_table(amplifiers: Sequence[Amplifier], *, skipped: int = 0) -> NDArray[np.int32]:
    """Table for ``remap`` of a detector whose amplifiers are read at the same time, one sample of each after another.

    The raw frame is, row after row and pixel after pixel, the samples of all amplifiers in their order: sample
    (row * (skipped + width) + skipped + column) * len(amplifiers) + amplifier. That is how cameras with several
    outputs, such as those with eight-output EMCCDs, send their pixels; if yours differs, write its maker's table into
    the stream instead.

    Args:
        amplifiers: all of one size; together they cover a rectangle that begins at (0, 0), without gap or overlap.
        skipped: samples before the first pixel of every row that are no pixels (prescan).

    Returns:
        int32 (height, width).

    Raises:
        UsageError: the parts differ in size, leave a gap or overlap, or ``skipped`` is negative.
    """
    if not amplifiers or skipped < 0:
        raise UsageError(
            f"{len(amplifiers)} amplifiers, {skipped} samples skipped; expected 1 or more, and 0 or more"
        )
    height, width = amplifiers[0].height, amplifiers[0].width
    sizes = {(part.height, part.width) for part in amplifiers}
    if len(sizes) > 1 or min(height, width) < 1:
        raise UsageError(
            f"amplifiers read parts of {sorted(sizes)} pixels; expected one size for all, 1 or more"
        )
    if min(min(part.y0, part.x0) for part in amplifiers) < 0:
        raise UsageError("an amplifier's part begins outside the detector; expected y0 and x0 of 0 or more")
    shape = (max(part.y0 for part in amplifiers) + height, max(part.x0 for part in amplifiers) + width)
    if shape[0] * shape[1] != len(amplifiers) * height * width:
        raise UsageError(
            f"{len(amplifiers)} parts of {height} x {width} do not cover the detector's {shape[0]} x {shape[1]} pixels "
            "once; expected no gap and no overlap"
        )
    table = np.full(shape, -1, np.int32)
    row, column = np.indices((height, width))
    samples = (row * (skipped + width) + skipped + column) * len(amplifiers)
    for k, part in enumerate(amplifiers):
        turned = samples[:: -1 if part.upwards else 1, :: -1 if part.leftwards else 1] + k
        table[part.y0 : part.y0 + height, part.x0 : part.x0 + width] = turned
    if (table < 0).any():
        raise UsageError(f"the amplifiers leave {int((table < 0).sum())} pixels out, and overlap elsewhere")
    return table


def _same_shape(what: str, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if array.shape != shape:
        raise UsageError(f"the {what} has shape {array.shape}, expected {shape}, that of the flat")
    return array


def _good_near(bad: NDArray[np.bool_], y: int, x: int, least: int) -> list[int]:
    """Flat indices of the good pixels in the smallest square about y, x that has enough of them."""
    height, width = bad.shape
    reach, good, top, left = 0, np.empty((0, 2), np.intp), y, x
    while len(good) < least and reach < max(height, width):
        reach += 1
        top, left = max(y - reach, 0), max(x - reach, 0)
        good = np.argwhere(~bad[top : y + reach + 1, left : x + reach + 1])
    return [int(index) for index in (good[:, 0] + top) * width + good[:, 1] + left]
