"""Any frame as a picture: an image of RGB pixels, with limits that a hot pixel does not spoil.

What makes text, sixels or kitty's graphics out of the pixels is ``framebus.ops.graphics``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError

__all__ = [
    "COLORMAPS",
    "Limits",
    "as_image",
    "colormap",
    "coloured",
    "fitted_size",
    "levels_of",
    "resized",
    "robust_limits",
    "thinned",
]

LEVELS = 64
"""Shades of a picture: more than the eye tells apart in a terminal, few enough for a terminal's palette."""

_ENOUGH = 65536
"""Elements that tell well how a frame's values are spread."""

NOT_FINITE = (255, 0, 255)
"""Colour of NaN and infinities: one that no colormap has."""

_ANCHORS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "grey": ((0, 0, 0), (255, 255, 255)),
    "viridis": (
        *((68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142)),
        *((31, 158, 137), (53, 183, 121), (110, 206, 88), (181, 222, 43), (253, 231, 37)),
    ),
    "inferno": (
        *((0, 0, 4), (27, 12, 65), (74, 12, 107), (120, 28, 109), (165, 44, 96)),
        *((207, 68, 70), (237, 105, 37), (251, 155, 6), (247, 209, 61), (252, 255, 164)),
    ),
    "blue-red": ((5, 48, 97), (67, 147, 195), (247, 247, 247), (214, 96, 77), (103, 0, 31)),
}
"""Colours between which a colormap is interpolated: matplotlib's viridis and inferno (S. van der Walt, N. Smith; CC0),
and ColorBrewer's RdBu for what has two signs."""

COLORMAPS = tuple(_ANCHORS)
"""Names of the colormaps."""


class Limits(NamedTuple):
    """The values that are drawn darkest and brightest."""

    low: float
    high: float


def as_image(frame: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """A frame as an image.

    Args:
        frame: any shape and numeric dtype. Complex values give their magnitudes, a cube its first plane, a vector is
            folded into rows of about as many elements as there are rows; its last row is filled up with NaN.

    Returns:
        float64 (rows, columns), at least 1 by 1.
    """
    values = np.asarray(frame)
    real = (np.abs(values) if values.dtype.kind == "c" else values).astype(np.float64)
    while real.ndim > 2:
        real = real[0] if len(real) else np.full(real.shape[1:], np.nan)
    if real.size == 0:
        return np.full((1, 1), np.nan)
    if real.ndim == 2:
        return real
    width = int(np.ceil(np.sqrt(real.size)))
    folded = np.full(width * -(-real.size // width), np.nan)
    folded[: real.size] = real.ravel()
    return folded.reshape(-1, width)


def thinned(frame: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Every few elements of a large frame, as a view: how its values are spread is seen as well, and far sooner.

    Args:
        frame: any shape and dtype.

    Returns:
        As many axes, at most 65536 elements. Strides are odd, so that they don't pick one of two interleaved halves.
    """
    while frame.size > _ENOUGH:
        longest = int(np.argmax(frame.shape))
        frame = frame[(slice(None),) * longest + (slice(None, None, 3),)]
    return frame


def robust_limits(values: npt.NDArray[Any], outside: float = 0.005, *, symmetric: bool = False) -> Limits:
    """Limits that leave out a share of the values at either end, so that a hot pixel does not hide all others.

    Args:
        values: any shape, real; what is not finite does not count.
        outside: the share at either end. Where almost all values are equal, minimum and maximum are taken.
        symmetric: about zero, for what has two signs.
    """
    finite = np.asarray(values, np.float64)
    finite = finite[np.isfinite(finite)]
    if finite.size == 0:
        return Limits(0.0, 1.0)
    with np.errstate(all="ignore"):  # differences of large values may be infinite
        low, high = (float(each) for each in np.quantile(finite, [outside, 1.0 - outside]))
    if low >= high:
        low, high = float(finite.min()), float(finite.max())
    if symmetric:
        low, high = -max(abs(low), abs(high)), max(abs(low), abs(high))
    return Limits(low, high)


def fitted_size(shape: tuple[int, int], columns: int, rows: int) -> tuple[int, int]:
    """Size, as (rows, columns), of the largest picture of that image's proportions within so many pixels.

    Where the image's pixels can all be of one size for little loss, they are.
    """
    scale = min(columns / max(1, shape[1]), rows / max(1, shape[0]))
    if scale >= 2 or (scale > 1 and int(scale) >= 0.75 * scale):
        scale = int(scale)
    return (
        max(1, min(rows, round(shape[0] * scale))),
        max(1, min(columns, round(shape[1] * scale))),
    )


def resized(image: npt.NDArray[np.float64], rows: int, columns: int) -> npt.NDArray[np.float64]:
    """An image of another size: means of the pixels where it shrinks, the same pixel again where it grows.

    Means are those of finite values; what has none is NaN.

    Args:
        image: float64 (height, width).
        rows, columns: of the result, at least 1.
    """
    good = np.isfinite(image)
    with np.errstate(all="ignore"):  # of none there is no mean; sums of large values may be infinite
        sums = _scaled(np.where(good, image, 0.0), rows, columns)
        shares = _scaled(good.astype(np.float64), rows, columns)
        return np.where(shares > 0, sums / shares, np.nan)


def _scaled(image: npt.NDArray[np.float64], rows: int, columns: int) -> npt.NDArray[np.float64]:
    for axis, wanted in enumerate((rows, columns)):
        have = image.shape[axis]
        if wanted >= have:
            image = np.take(image, np.arange(wanted) * have // wanted, axis)
            continue
        edges = np.arange(wanted + 1) * have // wanted
        sizes = np.diff(edges).reshape((-1, 1) if axis == 0 else (1, -1))
        image = np.add.reduceat(image, edges[:-1], axis) / sizes
    return image


def levels_of(image: npt.NDArray[np.float64], limits: Limits, levels: int = LEVELS) -> npt.NDArray[np.int64]:
    """The shade of each pixel, from 0 at the low limit to ``levels - 1`` at the high one; -1 for what is not finite."""
    span = limits.high - limits.low
    with np.errstate(all="ignore"):
        share = (image - limits.low) / span if span > 0 and np.isfinite(span) else np.full(image.shape, 0.5)
        shades = np.clip(share, 0.0, 1.0) * (levels - 1) + 0.5
    return np.where(np.isfinite(image), np.nan_to_num(shades), -1.0).astype(np.int64)


@lru_cache(maxsize=16)
def colormap(name: str, levels: int = LEVELS) -> npt.NDArray[np.uint8]:
    """A colormap's colours: uint8 (levels + 1, 3), the low limit's first; the last is that of what is not finite.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in _ANCHORS:
        raise UsageError(f"there is no colormap '{name}'; expected one of {', '.join(COLORMAPS)}")
    anchors = np.array(_ANCHORS[name], np.float64)
    steps, at = np.linspace(0.0, 1.0, levels), np.linspace(0.0, 1.0, len(anchors))
    shades = np.stack([np.interp(steps, at, channel) for channel in anchors.T], axis=1)
    made = np.vstack([shades, [NOT_FINITE]]).round().astype(np.uint8)
    made.flags.writeable = False  # it is shared by all who ask
    return made


def coloured(
    image: npt.NDArray[np.float64], limits: Limits, name: str = "viridis", levels: int = LEVELS
) -> npt.NDArray[np.uint8]:
    """The pixels of an image: uint8 (height, width, 3).

    Raises:
        UsageError: there is no colormap of that name.
    """
    return np.asarray(colormap(name, levels)[levels_of(image, limits, levels)])
