"""How good the image of a star is: centroid, peak, width, encircled energy, and Strehl ratio, frame by frame.

``image_quality`` is the unit for a science stream, ``measure_image`` the same for one image, in NumPy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.pixels import PIXEL_DTYPES
from framebus.errors import DataError, UsageError
from framebus.unit import Array, ArraySpec, In, Out, Range, State, unit

FIELDS = ("x", "y", "peak", "flux", "fwhm", "encircled", "half_radius", "strehl")
"""What the elements of the unit's output are, in order."""


@dataclass(frozen=True)
class ImageQuality:
    """What ``measure_image`` finds; 0 throughout for an image without light.

    Attributes:
        x, y: centre of gravity within ``radius`` of the brightest pixel, pixels; (0, 0) is the middle of the first one.
        peak: brightest pixel above the background.
        flux: light within ``radius`` of the centre.
        fwhm: diameter of a disc as large as the area above half of the peak, pixels.
        encircled: share of the flux within ``ee_radius`` of the centre.
        half_radius: radius that holds half of the flux, pixels.
        strehl: peak / flux over that of the perfect image; 0 where that is not given.
    """

    x: float
    y: float
    peak: float
    flux: float
    fwhm: float
    encircled: float
    half_radius: float
    strehl: float


@unit
def image_quality(
    image: Annotated[In, Array(("height", "width"), dtype=PIXEL_DTYPES), "science camera frame"],
    quality: Annotated[
        Out, Array((8,), dtype="float32"), "x, y, peak, flux, fwhm, encircled, half_radius, strehl"
    ],
    rings: Annotated[State, Array((None,), dtype="float64"), "light in rings of one pixel about the centre"],
    *,
    background: Annotated[float, "subtracted from every pixel"] = 0.0,
    radius: Annotated[float, Range(1.0, None), "of the star: nothing beyond it counts, pixels"] = 20.0,
    ee_radius: Annotated[float, Range(0.0, None), "for ``encircled``, pixels"] = 5.0,
    perfect: Annotated[float, Range(0.0, None), "peak / flux of the perfect image; 0: not known"] = 0.0,
    min_flux: Annotated[float, Range(0.0, None), "light that an image needs to be measured"] = 0.0,
) -> None:
    """Quality of the image of one star, v = pixel - background, within ``radius`` of its brightest pixel.

    x, y: sum(x v) / sum(v), over v > 0. peak: the largest v. flux: sum(v) within ``radius`` of (x, y). fwhm:
    2 sqrt(area / pi), where the area is that of v above half of the peak, told between pixels along rows by straight
    lines. encircled and half_radius: from the light in rings of one pixel about (x, y), by straight lines between
    their edges. strehl: peak / flux / perfect; ``perfect`` comes from ``perfect_concentration``. Pixels that are not
    finite count as background; an image whose flux is not above ``min_flux`` is 0 throughout.
    """
    for i in range(quality.size):
        quality[i] = np.float32(0.0)
    level = np.float64(background)
    peak, top_y, top_x = _peak(image, level)
    if not peak > 0.0:
        return
    y, x = _centre(image, level, top_y, top_x, radius)
    flux = _fill_rings(image, level, y, x, radius, rings)
    if not (flux > min_flux and flux < 1e37 and peak < 1e37):
        return
    quality[0] = np.float32(x)
    quality[1] = np.float32(y)
    quality[2] = np.float32(peak)
    quality[3] = np.float32(flux)
    quality[4] = np.float32(_fwhm(image, level, peak, top_y, top_x, radius))
    quality[5] = np.float32(_encircled(rings, ee_radius) / flux)
    quality[6] = np.float32(_radius_of(rings, 0.5 * flux))
    strehl = np.float32(peak / flux / perfect) if perfect > 0.0 else np.float32(0.0)
    quality[7] = strehl if np.isfinite(strehl) else np.float32(0.0)


@image_quality.shapes
def _quality_shapes(image: ArraySpec) -> dict[str, Any]:
    height, width = image.shape
    return {"quality": ((8,), "float32"), "rings": ((int(np.hypot(height, width)) + 2,), "float64")}


def measure_image(
    image: ArrayLike,
    *,
    background: float = 0.0,
    radius: float = 20.0,
    ee_radius: float = 5.0,
    perfect: float = 0.0,
    min_flux: float = 0.0,
) -> ImageQuality:
    """What ``image_quality`` tells of one image, float64, without a compiler; arguments are its parameters.

    Raises:
        DataError: the image is not 2-D.
        UsageError: ``radius`` below 1, or another argument that is negative.
    """
    pixels = np.asarray(image, dtype=np.float64)
    if pixels.ndim != 2 or pixels.size == 0:
        raise DataError(f"the image has shape {pixels.shape}; expected (height, width)")
    if not (radius >= 1.0 and min(ee_radius, perfect, min_flux) >= 0.0):
        raise UsageError(
            f"radius {radius}, ee_radius {ee_radius}, perfect {perfect}, min_flux {min_flux}; expected a radius of "
            "1 pixel or more, and nothing below 0"
        )
    light: NDArray[np.float64] = np.where(np.isfinite(pixels), pixels - background, 0.0)
    nothing = ImageQuality(*[0.0] * len(FIELDS))
    peak = float(light.max())
    if not peak > 0.0:
        return nothing
    rows, columns = np.indices(light.shape)
    top_y, top_x = np.unravel_index(light.argmax(), light.shape)
    near = np.hypot(rows - top_y, columns - top_x) <= radius
    positive = np.where(near, np.clip(light, 0.0, None), 0.0)
    y, x = (float((axis * positive).sum() / positive.sum()) for axis in (rows, columns))
    distance = np.hypot(rows - y, columns - x)
    star = np.where(distance <= radius, light, 0.0)
    flux = float(star.sum())
    if not (flux > min_flux and flux < 1e37 and peak < 1e37):
        return nothing
    rings = np.bincount(distance.astype(int).ravel(), star.ravel())
    curve, edges = np.concatenate([[0.0], np.cumsum(rings)]), np.arange(len(rings) + 1)
    crossed = int(np.argmax(curve >= 0.5 * flux))
    share = (0.5 * flux - curve[crossed - 1]) / (curve[crossed] - curve[crossed - 1])
    high = np.where(near, light, 0.0) - 0.5 * peak
    a, b = high[:, :-1], high[:, 1:]
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.maximum(a, b) / np.abs(b - a)
    area = np.where((a >= 0) & (b >= 0), 1.0, np.where((a < 0) & (b < 0), 0.0, part)).sum()
    return ImageQuality(
        x=x,
        y=y,
        peak=peak,
        flux=flux,
        fwhm=float(2.0 * np.sqrt(area / np.pi)),
        encircled=float(np.interp(ee_radius, edges, curve) / flux),
        half_radius=float(crossed - 1 + share),
        strehl=peak / flux / perfect if perfect > 0.0 else 0.0,
    )


def _light(image: Any, y: Any, x: Any, level: Any) -> Any:
    """The pixel above the background; 0 if it is not finite."""
    value = np.float64(image[y, x]) - level
    return value if np.isfinite(value) else 0.0


def _peak(image: Any, level: Any) -> Any:
    """The largest value, and the first place that has it. One that is not finite counts as background."""
    top, top_y, top_x = -np.inf, 0, 0
    for y in range(image.shape[0]):
        # The largest of a row is found without a branch, which goes many times as fast; its place in few rows only.
        row, largest = image[y], -np.inf
        for x in range(row.size):
            value = np.float64(row[x]) - level
            value = value if np.isfinite(value) else 0.0
            largest = value if value > largest else largest
        if largest > top:
            top, top_y, top_x = largest, y, 0
            while _light(image, y, top_x, level) != largest:
                top_x += 1
    return top, top_y, top_x


def _near(y: Any, x: Any, radius: Any) -> Any:
    return np.float64(y * y + x * x) <= radius * radius


def _span(middle: Any, radius: Any, size: Any) -> Any:
    """First pixel, and last one + 1, of an axis that may be within ``radius`` of ``middle``."""
    reach = min(radius, 1e9) + 1.0
    return max(int(middle - reach), 0), min(int(middle + reach) + 1, size)


def _centre(image: Any, level: Any, top_y: Any, top_x: Any, radius: Any) -> Any:
    total, sum_y, sum_x = 0.0, 0.0, 0.0
    first_y, last_y = _span(top_y, radius, image.shape[0])
    first_x, last_x = _span(top_x, radius, image.shape[1])
    for y in range(first_y, last_y):
        for x in range(first_x, last_x):
            value = _light(image, y, x, level)
            if value > 0.0 and _near(y - top_y, x - top_x, radius):
                total += value
                sum_y += (y - top_y) * value
                sum_x += (x - top_x) * value
    return top_y + sum_y / total, top_x + sum_x / total


def _fill_rings(image: Any, level: Any, middle_y: Any, middle_x: Any, radius: Any, rings: Any) -> Any:
    """Light of every ring of one pixel within ``radius``; their sum."""
    for i in range(rings.size):
        rings[i] = 0.0
    flux = 0.0
    first_y, last_y = _span(middle_y, radius, image.shape[0])
    first_x, last_x = _span(middle_x, radius, image.shape[1])
    for y in range(first_y, last_y):
        for x in range(first_x, last_x):
            distance = np.sqrt((y - middle_y) ** 2 + (x - middle_x) ** 2)
            if distance <= radius:
                value = _light(image, y, x, level)
                rings[min(int(distance), rings.size - 1)] += value
                flux += value
    return flux


def _fwhm(image: Any, level: Any, peak: Any, top_y: Any, top_x: Any, radius: Any) -> Any:
    half, area = 0.5 * peak, 0.0
    first_y, last_y = _span(top_y, radius, image.shape[0])
    first_x, last_x = _span(top_x, radius, image.shape[1])
    for y in range(first_y, last_y):
        before = -half
        for x in range(first_x, last_x):
            near = _near(y - top_y, x - top_x, radius)
            value = (_light(image, y, x, level) if near else 0.0) - half
            if x > first_x:
                if value >= 0.0 and before >= 0.0:
                    area += 1.0
                elif value >= 0.0 or before >= 0.0:
                    area += max(value, before) / abs(value - before)
            before = value
    return 2.0 * np.sqrt(area / np.pi)


def _encircled(rings: Any, radius: Any) -> Any:
    """Light within ``radius`` of the centre."""
    total = 0.0
    for i in range(rings.size):
        if i + 1 > radius:
            return total + max(radius - i, 0.0) * rings[i]
        total += rings[i]
    return total


def _radius_of(rings: Any, light: Any) -> Any:
    """Radius within which so much light lies."""
    total = 0.0
    for i in range(rings.size):
        if total + rings[i] >= light:
            return i + (light - total) / rings[i] if rings[i] > 0.0 else float(i)
        total += rings[i]
    return float(rings.size)
