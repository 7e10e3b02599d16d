"""Shack-Hartmann slopes by correlation with a template, in a window of shifts or by Fourier transform.

For extended sources and elongated spots, and for faint ones: noise far from the spot hardly counts.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from framebus.ao.box_kernels import check_one_or_each, clamp, finite, inside, slopes_spec
from framebus.ao.fourier import add_moved, backward, clear, fill_tables, forward, times_conjugate
from framebus.ao.pixels import PIXEL_DTYPES
from framebus.errors import BindingError
from framebus.unit import Array, ArraySpec, In, Out, Range, State, unit

MOST_SHIFT = 16
"""Largest ``reach`` of ``correlation_centroids``, pixels."""

BRIGHTEST = 1e30
"""Light, in a box or a template, beyond which products of float32 may not be finite; it measures nothing."""


@unit(fastmath={"reassoc", "contract", "nsz", "arcp"})
def correlation_centroids(
    pixels: Annotated[In, Array(("height", "width"), dtype=PIXEL_DTYPES), "camera frame"],
    boxes: Annotated[
        In, Array(("n_sub", 4), dtype="int32"), "sub-apertures: y0, x0, height, width in pixels"
    ],
    template: Annotated[
        In,
        Array((None, "rows", "columns"), dtype="float32"),
        "(1 or n_sub, rows, columns): the spot in its middle",
    ],
    reference: Annotated[In, Array(("n_slopes",), dtype="float32"), "slopes that are to read zero, pixels"],
    slopes: Annotated[Out, Array(("n_slopes",), dtype="float32"), "all x slopes, then all y slopes, pixels"],
    part: Annotated[State, Array((None, None), dtype="float32"), "pixels that a template may meet"],
    match: Annotated[State, Array((None, None), dtype="float32"), "correlation at every shift"],
    *,
    reach: Annotated[int, Range(1, MOST_SHIFT), "largest shift that is tried along each axis, pixels"] = 3,
    threshold: Annotated[float, "subtracted from every pixel; what is then negative counts as 0"] = 0.0,
    min_flux: Annotated[
        float, Range(0.0, None), "light that the searched part of a box needs to be measured"
    ] = 0.0,
) -> None:
    """Shift at which c(s) = sum(template(x) v(x + s)) is largest, v = max(pixel - threshold, 0).

    c is evaluated at every whole shift up to ``reach`` from the middle of the box, and refined along each axis by
    the parabola through the largest value and its neighbours; a largest value at the end of the search is
    taken as it stands. The middle of the template counts as its centre. What leaves the box is not there, NaN
    pixels count as dark; a box whose largest c is not above 0 reads 0. A template without mean makes it blind
    to an even background. Source: L. A. Poyneer, "Scene-based Shack-Hartmann wave-front sensing: analysis and
    simulation", Appl. Opt. 42 (2003) 5807.
    """
    count = np.uintp(boxes.shape[0])
    rows, columns = template.shape[1], template.shape[2]
    level, least = np.float32(threshold), np.float32(min_flux)
    far = np.int64(reach)
    for k in range(count):
        tall, wide = np.int64(boxes[k, 2]), np.int64(boxes[k, 3])
        corner_y, corner_x = (tall - rows) // 2, (wide - columns) // 2
        tall_part, wide_part = rows + 2 * far, columns + 2 * far
        flux = _cut(pixels, boxes, k, corner_y - far, corner_x - far, tall_part, wide_part, level, part)
        slopes[k] = np.float32(0.0)
        slopes[k + count] = np.float32(0.0)
        if not (flux > least and flux < np.float32(np.inf)):
            continue
        which = np.uintp(k) if template.shape[0] > 1 else np.uintp(0)
        top, y, x = _correlate(template[which], part, far, match)
        if not top > np.float32(0.0):
            continue
        down = np.float32(y - far) + np.float32(corner_y) - np.float32(0.5) * np.float32(tall - rows)
        across = np.float32(x - far) + np.float32(corner_x) - np.float32(0.5) * np.float32(wide - columns)
        if 0 < y < 2 * far:
            down += _parabola(match[y - 1, x], top, match[y + 1, x])
        if 0 < x < 2 * far:
            across += _parabola(match[y, x - 1], top, match[y, x + 1])
        slopes[k] = finite(across - reference[k])
        slopes[k + count] = finite(down - reference[k + count])


@correlation_centroids.shapes
def _correlation_shapes(boxes: ArraySpec, template: ArraySpec, reference: ArraySpec) -> dict[str, Any]:
    check_one_or_each("correlation_centroids", "template", template, boxes)
    _, rows, columns = template.shape
    shifts = 2 * MOST_SHIFT
    return {
        "slopes": slopes_spec("correlation_centroids", boxes, reference),
        "part": ((rows + shifts, columns + shifts), "float32"),
        "match": ((shifts + 1, shifts + 1), "float32"),
    }


@unit(fastmath={"reassoc", "contract", "nsz", "arcp"})
def fourier_centroids(
    pixels: Annotated[In, Array(("height", "width"), dtype=PIXEL_DTYPES), "camera frame"],
    boxes: Annotated[
        In, Array(("n_sub", 4), dtype="int32"), "sub-apertures: y0, x0, height, width in pixels"
    ],
    template: Annotated[
        In, Array(("n_templates", "n", "n"), dtype="float32"), "(1 or n_sub, n, n): the spot in its middle"
    ],
    reference: Annotated[In, Array(("n_slopes",), dtype="float32"), "slopes that are to read zero, pixels"],
    slopes: Annotated[Out, Array(("n_slopes",), dtype="float32"), "all x slopes, then all y slopes, pixels"],
    adopted: Annotated[State, Array(("n_templates", "n", "n"), dtype="float32"), "the template last seen"],
    known: Annotated[
        State, Array(("n_templates", 2, None, "n"), dtype="float32"), "spectra of the templates in use"
    ],
    tables: Annotated[State, Array((2, "n", "n"), dtype="float32"), "cosines and sines"],
    work: Annotated[State, Array((4, 2, None, "n"), dtype="float32"), "room, box, product, what is learnt"],
    image: Annotated[State, Array(("n", "n"), dtype="float32"), "one box, then its correlation"],
    *,
    threshold: Annotated[float, "subtracted from every pixel; what is then negative counts as 0"] = 0.0,
    min_flux: Annotated[float, Range(0.0, None), "light that a box needs to be measured"] = 0.0,
    update: Annotated[
        float, Range(0.0, 1.0), "share of each frame in the template, moved to its place; 0 keeps it"
    ] = 0.0,
) -> None:
    """Shift at which the cyclic correlation of a box with its template is largest, by Fourier transform.

    The box is laid into the middle of n by n zeros, and c = F^-1(F(box) conj(F(template))) is searched as a whole,
    then refined by parabolas as in ``correlation_centroids``; what of a box is beyond n by n is left out, and a
    template twice as large as the box keeps shifts from wrapping round. Conventions are those of
    ``correlation_centroids``; where a box fills n by n, an even background changes nothing. A template whose sum is
    not above 0, or not finite, measures 0.

    With ``update`` the template follows the shape of the spots: T = (1 - update) T + update B exp(2 pi i k s) / flux,
    where B is the spectrum of a box and s its shift before the reference is subtracted; one template for all
    boxes takes the mean of those that were measured. What is learnt is moved to the template's place, but as well
    only as s is known: let it learn slowly, and with spots that stay near zero. A template that is written anew
    replaces what was learnt. Transforms are products with matrices: any n will do, and time goes with n^3.
    Source: L. A. Poyneer, Appl. Opt. 42 (2003) 5807; the update by the shift theorem.
    """
    count = np.uintp(boxes.shape[0])
    n = np.int64(template.shape[1])
    least, share = np.float32(min_flux), np.float32(update)
    fill_tables(tables)
    _adopt(template, adopted, known, tables, work, image)
    one_for_all = template.shape[0] == 1
    learnt = np.int64(0)
    for k in range(count):
        tall, wide = np.int64(boxes[k, 2]), np.int64(boxes[k, 3])
        corner_y, corner_x = -((n - tall) // 2), -((n - wide) // 2)
        flux = _cut(pixels, boxes, k, corner_y, corner_x, n, n, np.float32(threshold), image)
        slopes[k] = np.float32(0.0)
        slopes[k + count] = np.float32(0.0)
        if not (flux > least and flux < np.float32(BRIGHTEST)):
            continue
        spectrum = known[np.uintp(0) if one_for_all else np.uintp(k)]
        forward(image, tables, work[0], work[1])
        times_conjugate(work[1], spectrum, work[2])
        backward(work[2], tables, work[0], image)
        top, y, x = _largest(image)
        if not top > np.float32(0.0):
            continue
        down = _signed(y, n) + _parabola(image[(y + n - 1) % n, x], top, image[(y + 1) % n, x])
        across = _signed(x, n) + _parabola(image[y, (x + n - 1) % n], top, image[y, (x + 1) % n])
        if share > np.float32(0.0):
            add_moved(work[1], down, across, np.float32(1.0) / flux, image, work[3])
            learnt += 1
            if not one_for_all:
                _blend(spectrum, work[3], share, share)
        down += np.float32(corner_y) + np.float32(0.5) * np.float32(n - tall)
        across += np.float32(corner_x) + np.float32(0.5) * np.float32(n - wide)
        slopes[k] = finite(across - reference[k])
        slopes[k + count] = finite(down - reference[k + count])
    if one_for_all and learnt > 0:
        _blend(known[0], work[3], share / np.float32(learnt), share)


@fourier_centroids.shapes
def _fourier_shapes(boxes: ArraySpec, template: ArraySpec, reference: ArraySpec) -> dict[str, Any]:
    check_one_or_each("fourier_centroids", "template", template, boxes)
    templates, n, _ = template.shape
    if n < 3:
        raise BindingError(
            f"unit 'fourier_centroids', argument 'template': its shape is {template.shape}; a peak and its neighbours "
            "take 3 x 3 pixels or more"
        )
    return {
        "slopes": slopes_spec("fourier_centroids", boxes, reference),
        "known": ((templates, 2, n // 2 + 1, n), "float32"),
        "work": ((4, 2, n // 2 + 1, n), "float32"),
    }


def _cut(
    pixels: Any, boxes: Any, k: Any, y_from: Any, x_from: Any, rows: Any, columns: Any, level: Any, cut: Any
) -> Any:
    """Light of box ``k`` from its row ``y_from`` and column ``x_from`` on; what is outside of box or frame is 0.

    Returns its sum.
    """
    y0, y1, x0, x1 = inside(boxes, k, pixels.shape[0], pixels.shape[1])
    top, left = np.int64(boxes[k, 0]) + y_from, np.int64(boxes[k, 1]) + x_from
    zero = np.float32(0.0)
    total = zero
    first = clamp(x0 - left, 0, columns)
    last = clamp(x1 - left, first, columns)
    for i in range(rows):
        row = cut[i]
        clear(row)
        if not y0 <= top + i < y1:
            continue
        source = pixels[top + i]
        start = left + first
        for j in range(np.uintp(last - first)):
            light = np.float32(source[np.uintp(start) + j]) - level
            light = light if light > zero else zero
            row[np.uintp(first) + j] = light
            total += light
    return total


def _correlate(template: Any, part: Any, far: Any, match: Any) -> Any:
    """Correlation at all shifts from 0 to 2 ``far``, into ``match``: the largest, and its y and x."""
    rows, columns = template.shape
    shifts = 2 * far + 1
    top, top_y, top_x = np.float32(-np.inf), np.int64(0), np.int64(0)
    for y in range(shifts):
        line = match[y]
        clear(line)
        for i in range(np.uintp(rows)):
            row = part[np.uintp(y) + i]
            for j in range(np.uintp(columns)):
                weight = template[i, j]
                for x in range(np.uintp(shifts)):
                    line[x] += weight * row[j + x]
        for x in range(shifts):
            if line[x] > top:
                top, top_y, top_x = line[x], np.int64(y), np.int64(x)
    return top, top_y, top_x


def _largest(image: Any) -> Any:
    """Largest pixel, and its y and x."""
    top, top_y, top_x = np.float32(-np.inf), np.int64(0), np.int64(0)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if image[y, x] > top:
                top, top_y, top_x = image[y, x], np.int64(y), np.int64(x)
    return top, top_y, top_x


def _parabola(before: Any, top: Any, after: Any) -> Any:
    """Where between -1/2 and 1/2 the parabola through the three has its top."""
    bend = before - np.float32(2.0) * top + after
    if not bend < np.float32(0.0):
        return np.float32(0.0)
    return np.float32(0.5) * (before - after) / bend


def _signed(index: Any, n: Any) -> Any:
    """A cyclic shift as the shorter of its two ways."""
    return np.float32(index if 2 * index < n else index - n)


def _adopt(template: Any, adopted: Any, known: Any, tables: Any, work: Any, image: Any) -> None:
    """Transform the templates that are not those last seen, divided by their sum."""
    n = template.shape[1]
    zero = np.float32(0.0)
    for t in range(template.shape[0]):
        same = True
        total = zero
        for y in range(n):
            for x in range(n):
                value = template[t, y, x]
                same = same and value == adopted[t, y, x]
                adopted[t, y, x] = value
                image[y, x] = value
                total += value
        if same:
            continue
        forward(image, tables, work[0], work[1])
        scale = np.float32(1.0) / total if total > zero and total < np.float32(BRIGHTEST) else zero
        check = zero
        for part in range(2):
            for ky in range(known.shape[2]):
                for kx in range(n):
                    check += work[1, part, ky, kx] * scale * zero
        if check != zero:  # something is not finite
            scale = zero
        for part in range(2):
            for ky in range(known.shape[2]):
                for kx in range(n):
                    known[t, part, ky, kx] = work[1, part, ky, kx] * scale if scale != zero else zero


def _blend(spectrum: Any, total: Any, added: Any, share: Any) -> None:
    """Spectrum = (1 - share) spectrum + added total; then total = 0."""
    for part in range(2):
        for ky in range(np.uintp(spectrum.shape[1])):
            for kx in range(np.uintp(spectrum.shape[2])):
                old = spectrum[part, ky, kx] * (np.float32(1.0) - share)
                spectrum[part, ky, kx] = old + added * total[part, ky, kx]
                total[part, ky, kx] = np.float32(0.0)
