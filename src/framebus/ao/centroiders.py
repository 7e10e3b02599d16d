"""Other ways to find a spot: weighted, in a window that follows it, from the brightest pixels; and its light.

All take the arrays of ``centroids`` and give slopes of the same order and sign, so that one can stand in for
another. A box without enough light, or whose light is not finite, reads 0.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from framebus.ao.box_kernels import check_one_or_each, finite, from_middle, inside, slope, slopes_spec
from framebus.ao.pixels import PIXEL_DTYPES
from framebus.unit import Array, ArraySpec, In, Out, Range, State, unit


@unit(fastmath={"reassoc", "contract", "nsz", "arcp"})
def weighted_centroids(
    pixels: Annotated[In, Array(("height", "width"), dtype=PIXEL_DTYPES), "camera frame"],
    boxes: Annotated[
        In, Array(("n_sub", 4), dtype="int32"), "sub-apertures: y0, x0, height, width in pixels"
    ],
    weights: Annotated[
        In,
        Array((None, None, None), dtype="float32"),
        "(1 or n_sub, height, width): weight of a box's pixels",
    ],
    reference: Annotated[In, Array(("n_slopes",), dtype="float32"), "slopes that are to read zero, pixels"],
    slopes: Annotated[Out, Array(("n_slopes",), dtype="float32"), "all x slopes, then all y slopes, pixels"],
    *,
    background: Annotated[float, "subtracted from every pixel; the rest may be negative"] = 0.0,
    gain: Annotated[float, Range(0.0, None), "makes up for what the weights take from a shift"] = 1.0,
    min_flux: Annotated[float, Range(0.0, None), "weighted light that a box needs to be measured"] = 0.0,
) -> None:
    """Weighted centre of gravity: x = gain * sum(x' w v) / sum(w v) - reference, v = pixel - background.

    Weights lie on a box from its first pixel on; pixels beyond them count as dark, and so do pixels that are not
    finite. Nothing is clipped, so noise stays linear: with weights of 1 its variance is that of G. Rousset (in
    F. Roddier, "Adaptive Optics in Astronomy", 1999, ch. 5). ``gaussian_weights`` makes weights and
    ``weighting_gain`` the gain that goes with them. Source: T. Fusco et al., "Optimization of a Shack-Hartmann-based
    wavefront sensor for XAO systems", Proc. SPIE 5490 (2004) 1155; S. Thomas et al., MNRAS 371 (2006) 323.
    """
    height, width = pixels.shape
    count = np.uintp(boxes.shape[0])
    level, least, factor = np.float32(background), np.float32(min_flux), np.float32(gain)
    zero = np.float32(0.0)
    for k in range(count):
        y0, y1, x0, x1 = inside(boxes, k, height, width)
        below, right = y0 - np.int64(boxes[k, 0]), x0 - np.int64(boxes[k, 1])
        which = np.uintp(k) if weights.shape[0] > 1 else np.uintp(0)
        rows = np.uintp(max(min(y1 - y0, weights.shape[1] - below), 0))
        columns = np.uintp(max(min(x1 - x0, weights.shape[2] - right), 0))
        flux, moment_x, moment_y = zero, zero, zero
        for y in range(rows):
            row = pixels[np.uintp(y0) + y]
            weight = weights[which, np.uintp(below) + y]
            sum_row, moment_row = zero, zero
            for x in range(columns):
                light = np.float32(row[np.uintp(x0) + x]) - level
                light = light if light * zero == zero else zero
                light *= weight[np.uintp(right) + x]
                sum_row += light
                moment_row += np.float32(np.int32(x)) * light
            flux += sum_row
            moment_x += moment_row
            moment_y += np.float32(np.int32(y)) * sum_row
        start_y, start_x = from_middle(boxes, k, y0, x0)
        moment_x = factor * (moment_x + start_x * flux)
        moment_y = factor * (moment_y + start_y * flux)
        slopes[k] = slope(moment_x, flux, least, reference[k])
        slopes[k + count] = slope(moment_y, flux, least, reference[k + count])


@weighted_centroids.shapes
def _weighted_shapes(boxes: ArraySpec, weights: ArraySpec, reference: ArraySpec) -> dict[str, Any]:
    check_one_or_each("weighted_centroids", "weights", weights, boxes)
    return {"slopes": slopes_spec("weighted_centroids", boxes, reference)}


@unit(fastmath={"reassoc", "contract", "nsz", "arcp"})
def windowed_centroids(
    pixels: Annotated[In, Array(("height", "width"), dtype=PIXEL_DTYPES), "camera frame"],
    boxes: Annotated[
        In, Array(("n_sub", 4), dtype="int32"), "sub-apertures: y0, x0, height, width in pixels"
    ],
    reference: Annotated[In, Array(("n_slopes",), dtype="float32"), "slopes that are to read zero, pixels"],
    slopes: Annotated[Out, Array(("n_slopes",), dtype="float32"), "all x slopes, then all y slopes, pixels"],
    *,
    threshold: Annotated[float, "subtracted from every pixel; what is then negative counts as 0"] = 0.0,
    window: Annotated[float, Range(1.0, 1000.0), "side of the square window, pixels"] = 6.0,
    iterations: Annotated[int, Range(1, 20), "times that the window is moved to the centre found"] = 3,
    min_flux: Annotated[float, Range(0.0, None), "light that the window needs to be measured"] = 0.0,
) -> None:
    """Centre of gravity in a window that follows the spot, so that noise far from it does not count.

    The window starts at the brightest pixel of the box (the middle of those that are equally bright) and is moved to
    the centre of gravity in it, ``iterations`` times. A pixel counts with the share of it that lies in the
    window, along each axis: clip(window / 2 + 1/2 - abs(x - centre), 0, 1). The fixed point is the centre of
    any symmetric spot, wherever it lies between pixels; a window of twice the spot's full width at half maximum
    gets there in three steps. What leaves the box is not there. Source: O. Lardière et al., "Compared performance
    of different centroiding algorithms for high-pass filtered laser guide star Shack-Hartmann wavefront sensors",
    Proc. SPIE 7736 (2010) 773627, for windows; the soft edge as in E. Bertin's SExtractor (XWIN_IMAGE).
    """
    height, width = pixels.shape
    count = np.uintp(boxes.shape[0])
    level, least = np.float32(threshold), np.float32(min_flux)
    reach = np.float32(0.5 * window + 0.5)
    for k in range(count):
        part = inside(boxes, k, height, width)
        y, x = _brightest(pixels, part)
        flux, moment_y, moment_x = np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for _ in range(iterations):
            flux, moment_y, moment_x = _in_window(pixels, part, y, x, reach, level)
            if not (flux > np.float32(0.0) and flux < np.float32(np.inf)):
                break
            y += moment_y / flux
            x += moment_x / flux
        start_y, start_x = from_middle(boxes, k, part[0], part[2])
        # The last step is in y and x already.
        slopes[k] = slope((start_x + x) * flux, flux, least, reference[k])
        slopes[k + count] = slope((start_y + y) * flux, flux, least, reference[k + count])


@windowed_centroids.shapes
def _windowed_shapes(boxes: ArraySpec, reference: ArraySpec) -> dict[str, Any]:
    return {"slopes": slopes_spec("windowed_centroids", boxes, reference)}


def _brightest(pixels: Any, part: Any) -> Any:
    """Mean y and x of the brightest pixels, counted from the first pixel of the part."""
    y0, y1, x0, x1 = part
    zero = np.float32(0.0)
    top, found, sum_y, sum_x = np.float32(-np.inf), zero, zero, zero
    for y in range(np.uintp(y0), np.uintp(y1)):
        for x in range(np.uintp(x0), np.uintp(x1)):
            light = np.float32(pixels[y, x])
            if light > top:
                top, found, sum_y, sum_x = light, zero, zero, zero
            if light == top:
                found += np.float32(1.0)
                sum_y += np.float32(y - np.uintp(y0))
                sum_x += np.float32(x - np.uintp(x0))
    scale = np.float32(1.0) / max(found, np.float32(1.0))
    return sum_y * scale, sum_x * scale


def _in_window(pixels: Any, part: Any, y: Any, x: Any, reach: Any, level: Any) -> Any:
    """Light in the window about y, x (from the first pixel of the part), and its moments about that point."""
    y0, y1, x0, x1 = part
    zero, one = np.float32(0.0), np.float32(1.0)
    first_row, last_row = max(y0, y0 + np.int64(y - reach)), min(y1, y0 + np.int64(y + reach) + 1)
    first_column, last_column = max(x0, x0 + np.int64(x - reach)), min(x1, x0 + np.int64(x + reach) + 1)
    flux, moment_y, moment_x = zero, zero, zero
    for i in range(np.uintp(first_row), np.uintp(max(last_row, first_row))):
        dy = np.float32(np.int64(i) - y0) - y
        weight = min(max(reach - abs(dy), zero), one)
        sum_row, moment_row = zero, zero
        for j in range(np.uintp(first_column), np.uintp(max(last_column, first_column))):
            dx = np.float32(np.int64(j) - x0) - x
            light = np.float32(pixels[i, j]) - level
            light = light if light > zero else zero  # NaN counts as dark
            light *= min(max(reach - abs(dx), zero), one)
            sum_row += light
            moment_row += dx * light
        flux += weight * sum_row
        moment_x += weight * moment_row
        moment_y += weight * dy * sum_row
    return flux, moment_y, moment_x


@unit(fastmath={"reassoc", "contract", "nsz", "arcp"})
def brightest_centroids(
    pixels: Annotated[In, Array(("height", "width"), dtype=PIXEL_DTYPES), "camera frame"],
    boxes: Annotated[
        In, Array(("n_sub", 4), dtype="int32"), "sub-apertures: y0, x0, height, width in pixels"
    ],
    reference: Annotated[In, Array(("n_slopes",), dtype="float32"), "slopes that are to read zero, pixels"],
    slopes: Annotated[Out, Array(("n_slopes",), dtype="float32"), "all x slopes, then all y slopes, pixels"],
    scratch: Annotated[State, Array(("area",), dtype="float32"), "pixels of one box"],
    *,
    n_brightest: Annotated[int, Range(1, None), "pixels of a box that count"] = 12,
    threshold: Annotated[float, "least level that is subtracted, whatever the pixels say"] = 0.0,
    min_flux: Annotated[
        float, Range(0.0, None), "light above the level that a box needs to be measured"
    ] = 0.0,
) -> None:
    """Centre of gravity of the ``n_brightest`` pixels of every box, above the level of the next one.

    The level is that of the brightest pixel that no longer counts, but not below ``threshold``; it follows a
    changing background by itself, box by box. Pixels as bright as that one count for nothing, so the order of
    equal pixels does not matter. With as many pixels as the box has, only ``threshold`` is subtracted. NaN
    pixels count as the darkest. Source: A. G. Basden, R. M. Myers and E. Gendron, "Wavefront sensing with a brightest
    pixel selection algorithm", MNRAS 419 (2012) 1628.
    """
    height, width = pixels.shape
    count = np.uintp(boxes.shape[0])
    zero, least = np.float32(0.0), np.float32(min_flux)
    for k in range(count):
        y0, y1, x0, x1 = inside(boxes, k, height, width)
        size = np.int64(0)
        for y in range(np.uintp(y0), np.uintp(y1)):
            for x in range(np.uintp(x0), np.uintp(x1)):
                light = np.float32(pixels[y, x])
                scratch[size] = light if light == light else np.float32(-np.inf)  # not NaN
                size += 1
        level = np.float32(threshold)
        if n_brightest < size:
            level = max(level, _nth_largest(scratch, size, n_brightest))
        flux, moment_x, moment_y = zero, zero, zero
        for y in range(np.uintp(y0), np.uintp(y1)):
            sum_row = zero
            for x in range(np.uintp(x0), np.uintp(x1)):
                light = np.float32(pixels[y, x]) - level
                light = light if light > zero else zero
                sum_row += light
                moment_x += np.float32(np.int32(x - np.uintp(x0))) * light
            flux += sum_row
            moment_y += np.float32(np.int32(y - np.uintp(y0))) * sum_row
        start_y, start_x = from_middle(boxes, k, y0, x0)
        slopes[k] = slope(moment_x + start_x * flux, flux, least, reference[k])
        slopes[k + count] = slope(moment_y + start_y * flux, flux, least, reference[k + count])


@brightest_centroids.shapes
def _brightest_shapes(pixels: ArraySpec, boxes: ArraySpec, reference: ArraySpec) -> dict[str, Any]:
    return {
        "slopes": slopes_spec("brightest_centroids", boxes, reference),
        "scratch": ((pixels.shape[0] * pixels.shape[1],), "float32"),
    }


def _nth_largest(values: Any, size: Any, n: Any) -> Any:
    """The ``n``-th largest of the first ``size`` values, from 0; they are left in another order, and hold no NaN.

    Source: C. A. R. Hoare, "Algorithm 65: Find", Comm. ACM 4 (1961) 321, as N. Wirth writes it.
    """
    low, high = np.int64(0), np.int64(size) - 1
    while low < high:
        pivot = values[n]
        i, j = low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while pivot > values[j]:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if j < n:
            low = i
        if n < i:
            high = j
    return values[n]


@unit(fastmath={"reassoc", "contract", "nsz"})
def box_flux(
    pixels: Annotated[In, Array(("height", "width"), dtype=PIXEL_DTYPES), "camera frame"],
    boxes: Annotated[
        In, Array(("n_sub", 4), dtype="int32"), "sub-apertures: y0, x0, height, width in pixels"
    ],
    flux: Annotated[Out, Array(("n_sub",), dtype="float32"), "light of every box"],
    *,
    threshold: Annotated[float, "subtracted from every pixel; what is then negative counts as 0"] = 0.0,
) -> None:
    """Flux = sum(max(pixel - threshold, 0)) of every sub-aperture; NaN pixels count as dark.

    A box whose sum is not finite reads 0.
    """
    height, width = pixels.shape
    level, zero = np.float32(threshold), np.float32(0.0)
    for k in range(np.uintp(boxes.shape[0])):
        y0, y1, x0, x1 = inside(boxes, k, height, width)
        rows, columns = np.uintp(y1 - y0), np.uintp(x1 - x0)
        total = zero
        if rows == np.uintp(8) and columns == np.uintp(8):
            total = _flux_8x8(pixels, np.uintp(y0), np.uintp(x0), level)
        else:
            for y in range(rows):
                row = pixels[np.uintp(y0) + y]
                for x in range(columns):
                    light = np.float32(row[np.uintp(x0) + x]) - level
                    total += light if light > zero else zero
        flux[k] = finite(total)


def _flux_8x8(pixels: Any, top: Any, left: Any, level: Any) -> Any:
    """Light above the level in 8 x 8 pixels: a lane of a vector per column, as in ``centroids``."""
    total, zero = np.float32(0.0), np.float32(0.0)
    for x in range(8):
        i = left + np.uintp(x)
        a = np.float32(pixels[top, i]) - level
        b = np.float32(pixels[top + np.uintp(1), i]) - level
        c = np.float32(pixels[top + np.uintp(2), i]) - level
        d = np.float32(pixels[top + np.uintp(3), i]) - level
        e = np.float32(pixels[top + np.uintp(4), i]) - level
        f = np.float32(pixels[top + np.uintp(5), i]) - level
        g = np.float32(pixels[top + np.uintp(6), i]) - level
        h = np.float32(pixels[top + np.uintp(7), i]) - level
        # Written so that NaN counts as 0.
        four = ((a if a > zero else zero) + (b if b > zero else zero)) + (
            (c if c > zero else zero) + (d if d > zero else zero)
        )
        rest = ((e if e > zero else zero) + (f if f > zero else zero)) + (
            (g if g > zero else zero) + (h if h > zero else zero)
        )
        total += four + rest
    return total
