"""Where the spots are: sub-aperture boxes from a real frame or a plan, and slopes of single frames.

Nothing here is for real time; the ``centroids`` unit is, and takes the boxes that these functions make.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.errors import DataError, UsageError

FloatArray = NDArray[np.float64]
Boxes = NDArray[np.int32]


@dataclass(frozen=True)
class Doubt:
    """A sub-aperture that may be none: its index in ``boxes``, and why."""

    index: int
    reason: str


@dataclass(frozen=True)
class Subapertures:
    """Sub-apertures found in a frame, row by row from the top, each row from the left.

    Attributes:
        boxes: int32 (n, 4): y0, x0, height, width in pixels; a stream of them feeds the ``centroids`` unit.
        centres: float64 (n, 2): y, x of every spot in pixels; (0, 0) is the middle of the first pixel.
        flux: float64 (n,): light of every spot above the background, in the frame's units.
        pitch: distance between neighbouring spots, pixels.
        background: median of the frame, dark subtracted: the level between spots that are not too dense.
        noise: standard deviation about it, from the median absolute deviation.
        doubtful: those that a person should look at.
    """

    boxes: Boxes
    centres: FloatArray
    flux: FloatArray
    pitch: float
    background: float
    noise: float
    doubtful: tuple[Doubt, ...]

    def __len__(self) -> int:
        return len(self.boxes)


def find_subapertures(
    frame: ArrayLike,
    dark: ArrayLike | None = None,
    *,
    pitch: float | None = None,
    box_size: int | None = None,
    min_peak: float = 0.2,
) -> Subapertures:
    """Find the spots of a Shack-Hartmann sensor in a frame of a flat wavefront, whatever their pattern.

    The pitch is the first peak of the frame's autocorrelation. Spots are the maxima, at least half a pitch apart,
    of the frame smoothed to the width of a spot; their centres are centres of gravity.

    Args:
        frame: (height, width), light positive.
        dark: the same shape, subtracted first.
        pitch: distance of neighbouring spots in pixels; found when ``None``.
        box_size: side of the square boxes in pixels; when ``None`` the largest at which boxes do not overlap.
        min_peak: how bright a spot must be, as a share of the bright ones (90th percentile); those that are
            not well above the deepest holes in the frame, which noise makes, never count.

    Raises:
        DataError: the frame is not 2-D, not finite, or shows no pattern of spots.
        UsageError: dark of another shape, or an argument outside its range.
    """
    image = _image(frame, dark)
    if pitch is not None and not 2.0 <= pitch <= min(image.shape):
        raise UsageError(
            f"pitch is {pitch}; expected 2 to {min(image.shape)} pixels for a frame of {image.shape}"
        )
    if not 0.0 < min_peak < 1.0:
        raise UsageError(f"min_peak is {min_peak}; expected a share between 0 and 1")
    if box_size is not None and not 1 <= box_size <= min(image.shape):
        raise UsageError(f"box_size is {box_size}; expected 1 to {min(image.shape)} pixels")
    if pitch is None:
        pitch = _pitch(image)
    background = float(np.median(image))
    noise = 1.4826 * float(np.median(np.abs(image - background)))
    light = image - background
    peaks = _peaks(light, pitch, min_peak)
    centres = _in_rows(_refined(light, peaks, pitch), pitch)
    if len(centres) > 1:
        pitch = float(np.median(_neighbour_distances(centres)))
    side = box_size if box_size is not None else _largest_box(centres, pitch)
    boxes = _boxes_around(centres, side, image.shape)
    flux = np.array([light[y : y + h, x : x + w].clip(0.0).sum() for y, x, h, w in boxes])
    doubtful = _doubts(centres, boxes, flux, side, pitch)
    return Subapertures(boxes, centres, flux, pitch, background, noise, doubtful)


def regular_grid(
    n: int | tuple[int, int],
    pixels_per_subaperture: int,
    mask: ArrayLike | None = None,
    *,
    origin: tuple[int, int] = (0, 0),
) -> Boxes:
    """Boxes of a square grid of sub-apertures that touch, int32 (n_sub, 4): y0, x0, height, width, row by row.

    Args:
        n: sub-apertures along both axes, or (down, across).
        pixels_per_subaperture: side of a box.
        mask: (down, across), true where there is a sub-aperture; all when ``None``.
        origin: y, x of the grid's first pixel.

    Raises:
        UsageError: a size below 1, or a mask of another shape or without any sub-aperture.
    """
    down, across = (n, n) if isinstance(n, int) else n
    if min(down, across, pixels_per_subaperture) < 1:
        size = f"{down} x {across} boxes of {pixels_per_subaperture} pixels"
        raise UsageError(f"a grid of {size}; expected 1 or more of each")
    chosen = np.ones((down, across), bool) if mask is None else np.asarray(mask).astype(bool)
    if chosen.shape != (down, across):
        raise UsageError(f"the mask's shape is {chosen.shape}, expected {(down, across)}")
    if not chosen.any():
        raise UsageError("the mask leaves no sub-aperture; it must be true somewhere")
    boxes = np.full((int(chosen.sum()), 4), pixels_per_subaperture)
    boxes[:, :2] = np.argwhere(chosen) * pixels_per_subaperture + np.asarray(origin)
    return boxes.astype(np.int32)


def measure_centroids(
    frame: ArrayLike,
    boxes: ArrayLike,
    reference: ArrayLike | None = None,
    *,
    dark: ArrayLike | None = None,
    threshold: float = 0.0,
    min_flux: float = 0.0,
) -> NDArray[np.float32]:
    """Slopes of one frame, as the ``centroids`` unit defines them, without a stream or a compiler.

    Args:
        frame: (height, width).
        boxes: integers (n, 4): y0, x0, height, width.
        reference: (2 n,) slopes to subtract, pixels; zeros when ``None``.
        dark: subtracted from the frame first.
        threshold: subtracted from every pixel; what is then negative counts as 0.
        min_flux: light above the threshold that a box needs; one without reads 0.

    Returns:
        float32 (2 n,): all x slopes, then all y slopes, in pixels.

    Raises:
        UsageError: boxes or reference of another shape, dark of another shape.
        DataError: the frame is not 2-D or not finite.
    """
    image = _image(frame, dark)
    places = np.asarray(boxes)
    if places.ndim != 2 or places.shape[1] != 4 or not np.issubdtype(places.dtype, np.integer):
        raise UsageError(
            f"boxes are {places.dtype} {places.shape}; expected integers (n, 4): y0, x0, height, width"
        )
    count = len(places)
    zero = np.zeros(2 * count) if reference is None else np.asarray(reference, dtype=np.float64)
    if zero.shape != (2 * count,):
        raise UsageError(
            f"the reference's shape is {zero.shape}, expected {(2 * count,)}: all x, then all y slopes"
        )
    light = np.clip(image - threshold, 0.0, None)
    slopes = np.zeros(2 * count)
    for k, (top, left, height, width) in enumerate(places.tolist()):
        y, x = max(top, 0), max(left, 0)
        part = light[y : max(top + height, y), x : max(left + width, x)]
        flux = part.sum()
        if not flux > min_flux:
            continue
        across = np.arange(x, x + part.shape[1]) - (left + 0.5 * (width - 1))
        down = np.arange(y, y + part.shape[0]) - (top + 0.5 * (height - 1))
        slopes[k] = part.sum(axis=0) @ across / flux - zero[k]
        slopes[k + count] = part.sum(axis=1) @ down / flux - zero[k + count]
    return slopes.astype(np.float32)


def _image(frame: ArrayLike, dark: ArrayLike | None) -> FloatArray:
    image: FloatArray = np.array(frame, dtype=np.float64)
    if image.ndim != 2 or image.size == 0:
        raise DataError(f"the frame's shape is {image.shape}; expected (height, width)")
    if dark is not None:
        level = np.asarray(dark, dtype=np.float64)
        if level.shape != image.shape:
            raise UsageError(f"the dark's shape is {level.shape}, expected {image.shape}, that of the frame")
        image -= level
    if not np.isfinite(image).all():
        raise DataError("the frame (or its dark) has values that are not finite; set such pixels to 0 first")
    return image


def _pitch(image: FloatArray) -> float:
    """Lag of the first peak of the autocorrelation, in pixels."""
    from scipy import fft, ndimage

    # Detail only: a bright disc or a gradient would hide the pattern.
    detail = image - ndimage.gaussian_filter(image, min(image.shape) / 16)
    size = [fft.next_fast_len(2 * length) for length in image.shape]
    spectrum = fft.rfft2(detail, size)
    lags = fft.fftshift(fft.irfft2(np.abs(spectrum) ** 2, size))
    y, x = np.indices(lags.shape, sparse=True)
    radius = np.rint(np.hypot(y - size[0] // 2, x - size[1] // 2)).astype(int)
    reach = min(image.shape) // 2
    profile = np.zeros(radius.max() + 1)
    np.maximum.at(profile, radius.ravel(), lags.ravel())
    profile = profile[: reach + 1]
    rising = np.flatnonzero(np.diff(profile) > 0)
    if profile[0] <= 0 or rising.size == 0:
        raise DataError(
            "the frame shows no repeated pattern; expected spots. Give the pitch, or look at the frame"
        )
    start = int(rising[0])
    found = start + int(np.argmax(profile[start:]))
    if found < 2 or profile[found] < 0.1 * profile[0]:
        raise DataError(
            f"the frame shows no clear pattern of spots (autocorrelation {profile[found] / profile[0]:.2f} at "
            f"{found} pixels, expected 0.1 or more). Give the pitch, or look at the frame"
        )
    return float(found)


def _peaks(light: FloatArray, pitch: float, min_peak: float) -> NDArray[np.intp]:
    """Pixels (n, 2) that are the brightest within half a pitch and bright enough."""
    from scipy import ndimage

    sigma = max(pitch / 16, 0.5)
    smooth = ndimage.gaussian_filter(light, sigma)
    reach = max(int(pitch / 2), 1)
    y, x = np.ogrid[-reach : reach + 1, -reach : reach + 1]
    around = np.hypot(y, x) <= reach
    top = (smooth == ndimage.maximum_filter(smooth, footprint=around, mode="nearest")) & (smooth > 0)
    heights = smooth[top]
    if heights.size == 0:
        raise DataError(
            "the frame has no bright spots; is the light on, and the dark not brighter than the frame?"
        )
    # Noise makes holes as deep as it makes peaks high; spots make peaks only.
    depth = -float(np.percentile(smooth, 0.1))
    bright = float(np.percentile(heights, 90))
    if bright < 1.5 * depth:
        raise DataError("no spot stands out of the frame's noise; average frames, or raise the light")
    chosen = top & (smooth >= max(min_peak * bright, 1.2 * depth))
    # Without noise, a spot midway between pixels has several that are the brightest.
    spots, count = ndimage.label(chosen, structure=np.ones((3, 3)))
    return np.rint(ndimage.center_of_mass(chosen, spots, range(1, count + 1))).astype(np.intp)


def _refined(light: FloatArray, peaks: NDArray[np.intp], pitch: float) -> FloatArray:
    """Centres of gravity, y and x, about the peaks; what is below a fifth of a spot's top does not count."""
    reach = max(int(pitch / 4), 1)
    centres = np.empty((len(peaks), 2))
    for k, (y, x) in enumerate(peaks):
        top, left = max(y - reach, 0), max(x - reach, 0)
        part = light[top : y + reach + 1, left : x + reach + 1]
        part = np.clip(part - 0.2 * part.max(), 0.0, None)
        centres[k, 0] = top + part.sum(axis=1) @ np.arange(part.shape[0]) / part.sum()
        centres[k, 1] = left + part.sum(axis=0) @ np.arange(part.shape[1]) / part.sum()
    return centres


def _in_rows(centres: FloatArray, pitch: float) -> FloatArray:
    """Sorted by rows from the top; a step down of a third of a pitch begins a new row."""
    centres = centres[np.argsort(centres[:, 0])]
    row = np.cumsum(np.diff(centres[:, 0], prepend=centres[0, 0]) > pitch / 3)
    return centres[np.lexsort((centres[:, 1], row))]


def _neighbour_distances(centres: FloatArray, norm: float = 2.0) -> FloatArray:
    """Distance to the nearest other spot."""
    from scipy.spatial import KDTree

    distances, _ = KDTree(centres).query(centres, k=2, p=norm)
    return np.asarray(distances)[:, 1]


def _largest_box(centres: FloatArray, pitch: float) -> int:
    """Side at which nearly no two boxes overlap: two squares touch where the larger of |dy|, |dx| is one side."""
    if len(centres) < 2:
        return max(round(pitch), 1)
    apart = np.percentile(_neighbour_distances(centres, np.inf), 10)
    return max(int(np.floor(apart)), 1)


def _boxes_around(centres: FloatArray, side: int, shape: tuple[int, int]) -> Boxes:
    """Square boxes, cut where they leave the frame."""
    start = np.rint(centres - 0.5 * (side - 1)).astype(int)
    stop = np.minimum(start + side, shape)
    start = np.maximum(start, 0)
    return np.hstack([start, stop - start]).astype(np.int32)


def _doubts(
    centres: FloatArray, boxes: Boxes, flux: FloatArray, side: int, pitch: float
) -> tuple[Doubt, ...]:
    usual = float(np.median(flux))
    nearest = _neighbour_distances(centres) if len(centres) > 1 else np.full(len(centres), pitch)
    found = []
    for k in range(len(centres)):
        if (boxes[k, 2:] < side).any():
            found.append(Doubt(k, "its box is cut by the frame's edge"))
        if flux[k] < 0.3 * usual:
            found.append(Doubt(k, f"it has {flux[k] / usual:.0%} of the usual light"))
        if abs(nearest[k] - pitch) > 0.25 * pitch:
            found.append(Doubt(k, f"its nearest neighbour is {nearest[k] / pitch:.2f} pitches away"))
    return tuple(found)
