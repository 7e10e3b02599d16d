"""Patterns that spots are weighted with or compared to, one for all sub-apertures or one for each."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.errors import DataError, UsageError

Patterns = NDArray[np.float32]


def gaussian_weights(boxes: ArrayLike, fwhm: float, centres: ArrayLike | None = None) -> Patterns:
    """Gaussian weights for ``weighted_centroids``, float32 (n, height, width) with the size of the largest box.

    Args:
        boxes: integers (n, 4): y0, x0, height, width.
        fwhm: full width at half maximum, pixels.
        centres: (2 n,): where the spots rest, as slopes (all x, then all y, pixels from the middle of each box);
            the middle when ``None``.

    Raises:
        UsageError: boxes or centres of another shape, a box without pixels, or ``fwhm`` that is not above 0.
    """
    places = as_boxes(boxes)
    if not (fwhm > 0.0 and np.isfinite(fwhm)):
        raise UsageError(f"fwhm is {fwhm}; expected pixels, above 0")
    count = len(places)
    rest = np.zeros(2 * count) if centres is None else np.asarray(centres, dtype=np.float64)
    if rest.shape != (2 * count,) or not np.isfinite(rest).all():
        raise UsageError(
            f"the centres' shape is {rest.shape}; expected {(2 * count,)} finite numbers: all x, then all y slopes"
        )
    tall, wide = places[:, 2].max(), places[:, 3].max()
    y = np.arange(tall) - 0.5 * (places[:, 2:3] - 1) - rest[count:, None]
    x = np.arange(wide) - 0.5 * (places[:, 3:4] - 1) - rest[:count, None]
    steep = 4.0 * np.log(2.0) / fwhm**2
    weights = np.exp(-steep * y**2)[:, :, None] * np.exp(-steep * x**2)[:, None, :]
    return np.ascontiguousarray(weights, dtype=np.float32)


def weighting_gain(fwhm: float, spot_fwhm: float) -> float:
    """Gain of ``weighted_centroids`` at which a Gaussian spot's shift reads its full size.

    (fwhm^2 + spot_fwhm^2) / fwhm^2: the product of two Gaussians is one whose centre lies between theirs.
    Source: S. Thomas et al., MNRAS 371 (2006) 323.

    Raises:
        UsageError: a width is not above 0.
    """
    if not (fwhm > 0.0 and spot_fwhm > 0.0):
        raise UsageError(f"the widths are {fwhm} and {spot_fwhm}; expected pixels, above 0")
    return float((fwhm**2 + spot_fwhm**2) / fwhm**2)


def cut_templates(
    frame: ArrayLike,
    boxes: ArrayLike,
    size: int | None = None,
    *,
    threshold: float = 0.0,
    common: bool = False,
) -> Patterns:
    """Templates for the correlating units: what every box shows in a frame, float32 (n or 1, size, size).

    The middle of a template is that of its box; pixels beyond box or frame are 0. Light is max(pixel - threshold, 0).
    Average many frames first, the noise of a template is in every slope.

    Args:
        frame: (height, width).
        boxes: integers (n, 4): y0, x0, height, width.
        size: side of the templates, pixels; that of the largest box when ``None``. A larger one pads with zeros.
        threshold: subtracted from every pixel.
        common: give one template, the mean of all boxes, each divided by its light.

    Raises:
        UsageError: boxes of another shape, a box without pixels, ``size`` below 1, or sizes that are even where a
            box is odd, or the other way round, so that there is no common middle.
        DataError: the frame is not 2-D or not finite, or a box has no light.
    """
    image = np.asarray(frame, dtype=np.float64)
    if image.ndim != 2 or not np.isfinite(image).all():
        raise DataError(f"the frame's shape is {image.shape}; expected (height, width), all finite")
    places = as_boxes(boxes)
    side = int(places[:, 2:].max()) if size is None else size
    if side < 1:
        raise UsageError(f"size is {size}; expected 1 pixel or more")
    odd = np.flatnonzero(((places[:, 2:] - side) % 2).any(axis=1))
    if odd.size:
        raise UsageError(
            f"box {odd[0]} has {places[odd[0], 2]} x {places[odd[0], 3]} pixels, which has no middle in common with "
            f"a template of {side} x {side}; choose sizes that are all even or all odd"
        )
    light = np.clip(image - threshold, 0.0, None)
    templates = np.zeros((len(places), side, side))
    for k, (top, left, height, width) in enumerate(places.tolist()):
        y, x = np.arange(height), np.arange(width)
        to_y, to_x = y + (side - height) // 2, x + (side - width) // 2
        y_used = (to_y >= 0) & (to_y < side) & (y + top >= 0) & (y + top < image.shape[0])
        x_used = (to_x >= 0) & (to_x < side) & (x + left >= 0) & (x + left < image.shape[1])
        templates[k][np.ix_(to_y[y_used], to_x[x_used])] = light[np.ix_(y[y_used] + top, x[x_used] + left)]
    flux = templates.sum(axis=(1, 2))
    if not (flux > 0).all():
        raise DataError(
            f"boxes {np.flatnonzero(flux <= 0).tolist()} have no light above {threshold}; leave them out"
        )
    if common:
        templates = (templates / flux[:, None, None]).mean(axis=0, keepdims=True)
    return templates.astype(np.float32)


def as_boxes(boxes: ArrayLike) -> NDArray[np.int64]:
    """``boxes`` as int64 (n, 4).

    Raises:
        UsageError: another shape or dtype, none at all, or one without pixels.
    """
    places = np.asarray(boxes)
    if (
        places.ndim != 2
        or places.shape[1] != 4
        or not len(places)
        or not np.issubdtype(places.dtype, np.integer)
    ):
        raise UsageError(
            f"boxes are {places.dtype} {places.shape}; expected integers (n, 4), n 1 or more: y0, x0, height, width"
        )
    places = places.astype(np.int64)
    if (places[:, 2:] < 1).any():
        empty = int(np.flatnonzero((places[:, 2:] < 1).any(axis=1))[0])
        raise UsageError(f"box {empty} is {places[empty].tolist()}; expected a height and width of 1 or more")
    return places
