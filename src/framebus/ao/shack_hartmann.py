"""Shack-Hartmann slopes in real time: the ``centroids`` unit."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from framebus.ao.box_kernels import clamp, slope, slopes_spec
from framebus.ao.pixels import PIXEL_DTYPES
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

    A loop over the few pixels of a box's row is too short for vector instructions. So boxes of 8 x 8, the most
    common, have a path of their own, and others are summed down their columns together with their neighbours in
    the same row; list boxes row by row.
    """
    height, width = pixels.shape
    count = np.uintp(boxes.shape[0])
    level = np.float32(threshold)
    least = np.float32(min_flux)
    # Unsigned indices need no check for Python's negative ones, which would keep the loops from vectorising.
    k = np.uintp(0)
    while k < count:
        top, left = np.int64(boxes[k, 0]), np.int64(boxes[k, 1])
        rows, size = np.int64(boxes[k, 2]), np.int64(boxes[k, 3])
        if rows == 8 and size == 8 and 0 <= top <= height - 8 and 0 <= left <= width - 8:
            flux, moment_x, moment_y = _sum_8x8(pixels, np.uintp(top), np.uintp(left), level)
            # With less light than that, the rounding of what the threshold took out would show.
            if flux >= level:
                slopes[k] = slope(moment_x, flux, least, reference[k])
                slopes[k + count] = slope(moment_y, flux, least, reference[k + count])
                k += np.uintp(1)
                continue
        last, right = _row_of_boxes(boxes, k)
        first_column = clamp(left, 0, width)
        first_row = clamp(top, 0, height)
        middle = np.float32(top) + np.float32(0.5) * np.float32(rows - 1)
        _sum_columns(
            pixels,
            first_row,
            clamp(top + rows, first_row, height),
            first_column,
            clamp(right, first_column, width),
            middle,
            level,
            columns,
        )
        while k < last:
            left, size = np.int64(boxes[k, 1]), np.int64(boxes[k, 3])
            start = clamp(left, 0, width)
            span = np.uintp(clamp(left + size, start, width) - start)
            base = np.uintp(start)
            flux, moment_x, moment_y = np.float32(0.0), np.float32(0.0), np.float32(0.0)
            for x in range(span):
                light = columns[0, base + x]
                flux += light
                moment_x += np.float32(np.int32(x)) * light
                moment_y += columns[1, base + x]
            moment_x += (np.float32(start - left) - np.float32(0.5) * np.float32(size - 1)) * flux
            slopes[k] = slope(moment_x, flux, least, reference[k])
            slopes[k + count] = slope(moment_y, flux, least, reference[k + count])
            k += np.uintp(1)


@centroids.shapes
def _centroids_shapes(pixels: ArraySpec, boxes: ArraySpec, reference: ArraySpec) -> dict[str, Any]:
    slopes = slopes_spec("centroids", boxes, reference)
    return {"slopes": slopes, "columns": ((2, pixels.shape[1]), "float32")}


def _row_of_boxes(boxes: Any, first: Any) -> Any:
    """End of the run of boxes from ``first`` on that share top and height, and where its columns end.

    The run goes from left to right, and leaves no gap wider than a box.
    """
    top, left, rows = boxes[first, 0], np.int64(boxes[first, 1]), boxes[first, 2]
    right = left + np.int64(boxes[first, 3])
    last = first + np.uintp(1)
    while last < np.uintp(boxes.shape[0]) and boxes[last, 0] == top and boxes[last, 2] == rows:
        start, size = np.int64(boxes[last, 1]), np.int64(boxes[last, 3])
        if start < 0 or start < left or start > right + size:
            break
        right = max(right, start + size)
        last += np.uintp(1)
    return last, right


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


def _sum_8x8(pixels: Any, top: Any, left: Any, level: Any) -> Any:
    """Light of a box of 8 x 8 pixels, and its moments in x and y about the box's middle."""
    flux, moment_x, moment_y = np.float32(0.0), np.float32(0.0), np.float32(0.0)
    # One turn of a vector loop: a lane per column. The threshold is taken out at the end: the weights of the
    # moments add up to nothing, so that they need no correction at all.
    for x in range(8):
        i = left + np.uintp(x)
        a = np.float32(pixels[top, i])
        b = np.float32(pixels[top + np.uintp(1), i])
        c = np.float32(pixels[top + np.uintp(2), i])
        d = np.float32(pixels[top + np.uintp(3), i])
        e = np.float32(pixels[top + np.uintp(4), i])
        f = np.float32(pixels[top + np.uintp(5), i])
        g = np.float32(pixels[top + np.uintp(6), i])
        h = np.float32(pixels[top + np.uintp(7), i])
        # Written so that NaN counts as dark.
        a = a if a > level else level
        b = b if b > level else level
        c = c if c > level else level
        d = d if d > level else level
        e = e if e > level else level
        f = f if f > level else level
        g = g if g > level else level
        h = h if h > level else level
        light = ((a + b) + (c + d)) + ((e + f) + (g + h))
        flux += light
        moment_x += (np.float32(x) - np.float32(3.5)) * light
        moment_y += np.float32(3.5) * (h - a) + np.float32(2.5) * (g - b)
        moment_y += np.float32(1.5) * (f - c) + np.float32(0.5) * (e - d)
    flux -= np.float32(64.0) * level
    return flux, moment_x, moment_y
