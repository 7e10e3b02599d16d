"""Shack-Hartmann slopes in real time: the ``centroids`` unit."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from framebus.ao.pixels import PIXEL_DTYPES
from framebus.errors import BindingError
from framebus.unit import Array, ArraySpec, In, Out, Range, State, unit


@unit(fastmath={"reassoc", "contract", "nsz", "arcp"})
def centroids(
    pixels: Annotated[In, Array(("height", "width"), dtype=PIXEL_DTYPES), "camera frame"],
    boxes: Annotated[
        In, Array(("n_sub", 4), dtype="int32"), "sub-apertures: y0, x0, height, width in pixels"
    ],
    reference: Annotated[In, Array(("n_slopes",), dtype="float32"), "slopes that are to read zero, pixels"],
    slopes: Annotated[Out, Array(("n_slopes",), dtype="float32"), "all x slopes, then all y slopes, pixels"],
    columns: Annotated[State, Array((2, "width"), dtype="float32"), "sums down the columns"],
    *,
    threshold: Annotated[float, "subtracted from every pixel; what is then negative counts as 0"] = 0.0,
    min_flux: Annotated[
        float, Range(0.0, None), "light above the threshold that a box needs to be measured"
    ] = 0.0,
) -> None:
    """Thresholded centre of gravity of every sub-aperture, relative to the box's centre and the reference.

    x = sum(x' v) / sum(v) with v = max(pixel - threshold, 0) and x' counted from the middle of the box; a spot
    in the middle of a box of 8 pixels, between pixels 3 and 4, reads 0. Source: S. Thomas et al., "Comparison
    of centroid computation algorithms in a Shack-Hartmann sensor", MNRAS 371 (2006) 323.

    A box whose light is not above ``min_flux``, or not finite, measures nothing and reads 0, so that an
    integrator behind it only leaks (a held slope would be integrated for as long as the spot stays away). NaN
    pixels count as dark. Boxes may lie anywhere: what is outside the frame is not there.

    Neighbouring boxes of one row are summed together down their columns, so that the inner loop is long enough
    for the widest vectors however narrow a box is; list boxes row by row.
    """
    height, width = pixels.shape
    count = np.uintp(boxes.shape[0])
    level = np.float32(threshold)
    least = np.float32(min_flux)
    # Unsigned indices need no check for Python's negative ones, which would keep the loops from vectorising.
    first = np.uintp(0)
    while first < count:
        top, rows = np.int64(boxes[first, 0]), np.int64(boxes[first, 2])
        left = _clamp(np.int64(boxes[first, 1]), 0, width)
        right = np.int64(boxes[first, 1]) + np.int64(boxes[first, 3])
        last = first + np.uintp(1)
        while last < count and boxes[last, 0] == top and boxes[last, 2] == rows:
            start, columns_of_box = np.int64(boxes[last, 1]), np.int64(boxes[last, 3])
            if start < left or start > right + columns_of_box:
                break
            right = max(right, start + columns_of_box)
            last += np.uintp(1)
        right = _clamp(right, left, width)
        y_start = _clamp(top, 0, height)
        y_stop = _clamp(top + rows, y_start, height)
        middle = np.float32(top) + np.float32(0.5) * np.float32(rows - 1)
        _sum_columns(pixels, y_start, y_stop, left, right, middle, level, columns)
        for k in range(first, last):
            start, size = np.int64(boxes[k, 1]), np.int64(boxes[k, 3])
            low = _clamp(start, 0, width)
            span = np.uintp(_clamp(start + size, low, width) - low)
            base = np.uintp(low)
            flux, moment_x, moment_y = np.float32(0.0), np.float32(0.0), np.float32(0.0)
            for x in range(span):
                light = columns[0, base + x]
                flux += light
                moment_x += np.float32(np.int32(x)) * light
                moment_y += columns[1, base + x]
            if flux > least and flux < np.float32(np.inf):
                scale = np.float32(1.0) / flux
                offset = np.float32(low - start) - np.float32(0.5) * np.float32(size - 1)
                slopes[k] = moment_x * scale + offset - reference[k]
                slopes[k + count] = moment_y * scale - reference[k + count]
            else:
                slopes[k] = np.float32(0.0)
                slopes[k + count] = np.float32(0.0)
        first = last


@centroids.shapes
def _centroids_shapes(pixels: ArraySpec, boxes: ArraySpec, reference: ArraySpec) -> dict[str, Any]:
    expected = (2 * boxes.shape[0],)
    if reference.shape != expected:
        raise BindingError(
            f"unit 'centroids', argument 'reference': its shape is {reference.shape}, expected {expected}: "
            f"all x and then all y slopes of the {boxes.shape[0]} boxes"
        )
    return {"slopes": (expected, "float32"), "columns": ((2, pixels.shape[1]), "float32")}


def _clamp(value: Any, low: Any, high: Any) -> Any:
    return min(max(value, low), high)


def _sum_columns(
    pixels: Any, y_start: Any, y_stop: Any, left: Any, right: Any, middle: Any, level: Any, columns: Any
) -> None:
    """Light, and its moment in y about ``middle``, of every column between ``left`` and ``right``."""
    zero = np.float32(0.0)
    total = columns[0, left:right]
    moment = columns[1, left:right]
    for x in range(total.size):
        total[x] = zero
        moment[x] = zero
    y = y_start
    # Four rows at a time: the sums are loaded and stored once for all of them.
    while y + 4 <= y_stop:
        row0, row1 = pixels[y, left:right], pixels[y + 1, left:right]
        row2, row3 = pixels[y + 2, left:right], pixels[y + 3, left:right]
        weight = np.float32(y) - middle
        for x in range(total.size):
            a = np.float32(row0[x]) - level
            b = np.float32(row1[x]) - level
            c = np.float32(row2[x]) - level
            d = np.float32(row3[x]) - level
            # Written so that NaN counts as 0.
            a = a if a > zero else zero
            b = b if b > zero else zero
            c = c if c > zero else zero
            d = d if d > zero else zero
            pair = c + d
            four = (a + b) + pair
            total[x] += four
            moment[x] += weight * four + ((b + d) + (pair + pair))
        y += 4
    while y < y_stop:
        row = pixels[y, left:right]
        weight = np.float32(y) - middle
        for x in range(total.size):
            a = np.float32(row[x]) - level
            a = a if a > zero else zero
            total[x] += a
            moment[x] += weight * a
        y += 1
