"""Pyramid wavefront sensors: slopes from four images of the pupil. ``intensities`` uses the pixels themselves."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from framebus.ao.pixels import PIXEL_DTYPES, unsigned
from framebus.errors import BindingError
from framebus.unit import Array, ArraySpec, In, Out, Range, State, unit


@unit(fastmath={"reassoc", "contract", "nsz", "arcp"})
def pyramid_slopes(
    frame: Annotated[In, Array(..., dtype=PIXEL_DTYPES), "calibrated or raw frame, any shape"],
    pupils: Annotated[
        In, Array((4, "n_valid"), dtype="int32"), "flat index of every pixel of the pupil images a, b, c, d"
    ],
    reference: Annotated[In, Array(("n_slopes",), dtype="float32"), "slopes that are to read zero"],
    slopes: Annotated[Out, Array(("n_slopes",), dtype="float32"), "all x slopes, then all y slopes, no unit"],
    light: Annotated[State, Array((4, "n_valid"), dtype="float32"), "the four images"],
    *,
    background: Annotated[float, "subtracted from every pixel"] = 0.0,
    local: Annotated[
        bool, "divide each slope by the light of its own four pixels; else all by their mean"
    ] = False,
    min_flux: Annotated[
        float,
        Range(0.0, None),
        "mean light of four pixels that a frame needs; locally, that four pixels need",
    ] = 0.0,
) -> None:
    """Sx = (b + d - a - c) / F - reference, sy = (c + d - a - b) / F - reference, from quad cells a b over c d.

    a is the image at the top left (low y, low x), b at the top right, c at the bottom left, d at the bottom right.
    F is a + b + c + d of the same four pixels with ``local`` (R. Ragazzoni, J. Mod. Opt. 43 (1996) 289), else its
    mean over the pupil, which keeps noise low where the pupil is dark (C. Vérinaud, Opt. Commun. 233 (2004) 27).

    A pixel that is not finite, or whose index lies outside the frame, counts as dark. Without enough light a slope
    reads 0, with the global normalisation the whole frame does.
    """
    source = frame.reshape(-1)
    size = np.uint32(min(source.size, 0x7FFFFFFF))
    n = np.uintp(pupils.shape[1])
    zero, level, least = np.float32(0.0), np.float32(background), np.float32(min_flux)
    total = zero
    for image in range(4):
        for i in range(n):
            index = unsigned(pupils[image, i])
            value = np.float32(source[index]) - level if index < size else zero
            value = value if value * zero == zero else zero
            light[image, i] = value
    # A sum of its own: what is gathered comes one by one, and would be added so too.
    for image in range(4):
        for i in range(n):
            total += light[image, i]
    mean = total / np.float32(n)
    seen = mean > least and mean < np.float32(np.inf)
    everywhere = np.float32(1.0) / mean if seen else zero
    for i in range(n):
        a, b, c, d = light[0, i], light[1, i], light[2, i], light[3, i]
        scale = everywhere
        if local:
            flux = (a + b) + (c + d)
            scale = np.float32(1.0) / flux if flux > least and flux < np.float32(np.inf) else zero
        x = ((b - a) + (d - c)) * scale - reference[i]
        y = ((c - a) + (d - b)) * scale - reference[i + n]
        slopes[i] = x if scale > zero and x * zero == zero else zero
        slopes[i + n] = y if scale > zero and y * zero == zero else zero


@pyramid_slopes.shapes
def _pyramid_shapes(pupils: ArraySpec, reference: ArraySpec) -> dict[str, Any]:
    expected = (2 * pupils.shape[1],)
    if reference.shape != expected:
        raise BindingError(
            f"unit 'pyramid_slopes', argument 'reference': its shape is {reference.shape}, expected {expected}: "
            f"all x and then all y slopes of the {pupils.shape[1]} pixels of a pupil image"
        )
    return {"slopes": (expected, "float32")}
