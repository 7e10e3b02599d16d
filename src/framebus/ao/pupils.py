"""Where the four pupils of a pyramid sensor are in a frame, and which pixels they have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.sampling import FloatArray
from framebus.errors import DataError, UsageError

NAMES = ("top left", "top right", "bottom left", "bottom right")
_ANGLES = 72


@dataclass(frozen=True)
class Pupils:
    """Four pupils: top left, top right, bottom left, bottom right. (0, 0) is the middle of the first pixel.

    Attributes:
        centres: float64 (4, 2): y, x of each.
        radii: float64 (4,): of each, pixels.
        radius: of the geometry that they share: the median.
        shifts: intp (4, 2): whole pixels from the first pupil to each; element i of each pupil lies that far away.
        inner: radius of the central obscuration; 0 if there is none.
        mask: bool (4, height, width): pixels of each pupil; the same pattern, shifted.
        flux: float64 (4,): light of each above the background.
        doubtful: what a person should look at, in words.
    """

    centres: FloatArray
    radii: FloatArray
    radius: float
    shifts: NDArray[np.intp]
    inner: float
    mask: NDArray[np.bool_]
    flux: FloatArray
    doubtful: tuple[str, ...]

    @property
    def valid(self) -> NDArray[np.int32]:
        """Int32 (4 n,): C-order indices of the pixels, pupil by pupil, as ``intensities`` takes them."""
        return np.concatenate([np.flatnonzero(each) for each in self.mask]).astype(np.int32)


def find_pupils(
    frame: ArrayLike, dark: ArrayLike | None = None, *, min_light: float = 0.4, min_contrast: float = 0.72
) -> Pupils:
    """Find the pupils in a frame of a modulated beam, averaged so that speckles are smooth.

    Lit pixels, told by Otsu's threshold, fall into four groups (k-means from the quadrants of their middle). In each
    the outer edge is where, along 72 directions, the light last crosses half of the pupil's level; a circle through
    those points, outliers left out, is the pupil: the hole in the middle and the spider do not matter.

    Args:
        frame: (height, width), light positive.
        dark: the same shape, subtracted first.
        min_light: pixels of the common pattern have that share of the pupils' usual light, on the mean of the four.
        min_contrast: share of the frame's variance that two levels must explain; noise alone has 0.64.

    Raises:
        DataError: not 2-D, not finite, below the dark, no light, or no four pupils.
        UsageError: the dark has another shape, or ``min_light`` is no share.
    """
    from scipy import ndimage

    from framebus.ao.subapertures import _image

    image = _image(frame, dark)
    if not 0.0 < min_light < 1.0:
        raise UsageError(f"min_light is {min_light}; expected a share between 0 and 1")
    if dark is not None:
        _check_dark(image)
    smooth = ndimage.gaussian_filter(image, max(min(image.shape) / 120.0, 0.7))
    level = _threshold(smooth, min_contrast)
    lit = ndimage.binary_opening(smooth > level, iterations=1)
    groups = _quarters(np.argwhere(lit).astype(np.float64))
    background = float(np.median(smooth[~lit])) if (~lit).any() else 0.0
    light = smooth - background
    circles = [_circle(light, group) for group in groups]
    centres = np.array([circle[:2] for circle in circles])
    radii = np.array([circle[2] for circle in circles])
    radius = float(np.median(radii))
    # Parts of one pupil are no discs.
    spread = np.array([circle[3] for circle in circles])
    if spread.max() > 0.1 * radius:
        raise DataError(
            f"the lit pixels make no four pupils: the edge of one deviates from a circle by {spread.max():.1f} pixels "
            f"rms, its radius is {radius:.1f}; is the modulator running, and are all four pupils on the detector?"
        )
    if _apart(centres) < 1.5 * radius:
        raise DataError(
            f"the lit pixels make no four pupils: circles of radius {radius:.1f} pixels would lie "
            f"{_apart(centres):.1f} apart; is the modulator running, and are all four pupils on the detector?"
        )
    shifts = np.rint(centres - centres[0]).astype(np.intp)
    base = (centres - shifts).mean(axis=0)
    mask, inner = _common(light, base, radius, shifts, min_light)
    flux = np.array([(image - background)[each].sum() for each in mask])
    doubts = _doubts(centres, radii, shifts, base, flux, spread, image.shape)
    return Pupils(centres, radii, radius, shifts, inner, mask, flux, doubts)


def _check_dark(image: FloatArray) -> None:
    """Even without light, noise lifts half of the pixels above their dark."""
    if np.percentile(image, 98.0) < 0.0:
        raise DataError(
            f"the frame lies below the dark: {np.mean(image < 0.0):.1%} of its pixels do, half of them by "
            f"{-np.median(image):.4g} or more; give the dark of this camera, exposure and gain, in the frame's units"
        )


def _threshold(smooth: FloatArray, min_contrast: float) -> float:
    """Otsu's threshold: the level that parts the values into two classes with the largest variance between them."""
    # The brightest pixels are speckles and say nothing about the pupils.
    top, bottom = np.percentile(smooth, [98.0, 0.5])
    if not top > bottom:
        raise DataError(
            "the frame is even: no pupil is lit in it; is the light on, and the modulation running?"
        )
    counts, edges = np.histogram(smooth.clip(bottom, top), 256)
    middles = 0.5 * (edges[1:] + edges[:-1])
    below = np.cumsum(counts)
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (sums[-1] * below / below[-1] - sums) ** 2 / (below * (below[-1] - below))
    level = float(edges[1 + int(np.nanargmax(between[:-1]))])
    # Share of the variance that the two classes explain: 2/π for noise alone, 1 for two sharp levels.
    variance = float(np.average((middles - sums[-1] / below[-1]) ** 2, weights=counts))
    share = float(np.nanmax(between[:-1])) / variance
    if share < min_contrast:
        raise DataError(
            f"no pupil stands out of the frame's noise (two levels explain {share:.2f} of the variance, expected "
            f"{min_contrast:.2f}); average frames, or raise the light"
        )
    return level


def _quarters(pixels: FloatArray) -> list[FloatArray]:
    """Pixels (n, 2) in four groups about their middle: Lloyd's k-means from the quadrants."""
    if len(pixels) < 4 * 9:
        raise DataError(f"only {len(pixels)} pixels are lit; expected four pupils of several pixels across")
    middle = 0.5 * (pixels.min(axis=0) + pixels.max(axis=0))
    reach = 0.25 * (np.ptp(pixels, axis=0))
    centres = np.array([middle + reach * np.array(sign) for sign in ((-1, -1), (-1, 1), (1, -1), (1, 1))])
    group = np.zeros(len(pixels), int)
    for _ in range(30):
        group = np.argmin(((pixels[:, None] - centres[None]) ** 2).sum(axis=2), axis=1)
        sizes = np.bincount(group, minlength=4)
        if sizes.min() < 9:
            raise DataError(f"the lit pixels make no four pupils: their groups have {sizes.tolist()} pixels")
        moved = np.array([pixels[group == k].mean(axis=0) for k in range(4)])
        if np.allclose(moved, centres, atol=1e-3):
            break
        centres = moved
    return [pixels[group == k] for k in range(4)]


def _circle(light: FloatArray, pixels: FloatArray) -> tuple[float, float, float, float]:
    """Centre y, x, radius and rms deviation of a pupil's outer edge."""
    from scipy import ndimage

    centre = 0.5 * (np.percentile(pixels, 1, axis=0) + np.percentile(pixels, 99, axis=0))
    reach = 0.5 * float(np.mean(np.percentile(pixels, 99, axis=0) - np.percentile(pixels, 1, axis=0)))
    inside = tuple(pixels.astype(int).T)
    half = 0.5 * float(np.median(light[inside]))
    angles = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    distances = np.arange(0.6 * reach, 1.3 * reach + 1.5, 0.1)
    radius = reach
    points = np.zeros((0, 2))
    for _ in range(3):
        y = centre[0] + np.sin(angles)[:, None] * distances
        x = centre[1] + np.cos(angles)[:, None] * distances
        values = ndimage.map_coordinates(light, [y, x], order=1, mode="constant")
        # Half of what is on this ray, for pupils are not evenly lit; a ray along a spider's arm must not mislead.
        local = 0.5 * np.median(values[:, distances <= 0.92 * radius], axis=1)
        profile = values > np.clip(local, 0.6 * half, 1.6 * half)[:, None]
        # From outside, within the reach of this pupil and not of its neighbour: the first crossing past the gap.
        edge = np.array([_last_of_first_run(row) for row in profile])
        ok = edge >= 0
        if ok.sum() < _ANGLES // 3:
            raise DataError("a pupil has no clear edge; average frames, or look at the frame")
        radii = distances[edge[ok]]
        points = centre + np.stack([np.sin(angles[ok]), np.cos(angles[ok])], axis=1) * radii[:, None]
        centre, radius, points = _fit_circle(points)
    deviation = np.hypot(*(points - centre).T) - radius
    return float(centre[0]), float(centre[1]), radius, float(np.sqrt(np.mean(deviation**2)))


def _last_of_first_run(lit: NDArray[np.bool_]) -> int:
    """Last lit sample before the gap that is widest; -1 if the ray is dark, or lit to its end."""
    inside = np.flatnonzero(lit)
    if inside.size == 0:
        return -1
    ends = np.append(inside, len(lit))
    return (
        int(inside[np.argmax(np.diff(ends))]) if inside[-1] < len(lit) - 1 or np.diff(ends).max() > 10 else -1
    )


def _fit_circle(points: FloatArray) -> tuple[FloatArray, float, FloatArray]:
    """Least-squares circle (Kåsa's), points further off than three scatters left out."""
    kept = points
    centre, radius = points.mean(axis=0), 0.0
    for _ in range(5):
        design = np.hstack([2.0 * kept, np.ones((len(kept), 1))])
        found = np.linalg.lstsq(design, np.sum(kept**2, axis=1), rcond=None)[0]
        centre = found[:2]
        radius = float(np.sqrt(found[2] + centre @ centre))
        off = np.abs(np.hypot(*(points - centre).T) - radius)
        kept = points[off <= max(3.0 * 1.4826 * float(np.median(off)), 0.3)]
    return centre, radius, kept


def _common(
    light: FloatArray, base: FloatArray, radius: float, shifts: NDArray[np.intp], min_light: float
) -> tuple[NDArray[np.bool_], float]:
    """Masks of the four pupils, the same pattern shifted, and the radius of the hole in it."""
    y, x = np.indices(light.shape)
    distance = np.hypot(y - base[0], x - base[1])
    disc = distance <= radius
    places = np.argwhere(disc)
    inside = np.ones(len(places), bool)
    total = np.zeros(len(places))
    for shift in shifts:
        at = places + shift
        here = ((at >= 0) & (at < light.shape)).all(axis=1)
        inside &= here
        clipped = at.clip(0, np.array(light.shape) - 1)
        total += light[clipped[:, 0], clipped[:, 1]]
    places, total = places[inside], total[inside]
    if len(places) == 0:
        raise DataError("the four pupils have no pixel in common; look at the frame")
    usual = float(np.median(total))
    lit = total > min_light * usual
    away = distance[places[:, 0], places[:, 1]]
    central = away < 0.6 * radius
    # The hole's area: dark pixels near the middle, those of a spider's arms not among them.
    hole = central & (total < 0.5 * usual)
    inner = 0.0
    for r in np.arange(0.5, 0.6 * radius, 0.5):
        ring = (away >= r - 0.5) & (away < r + 0.5)
        if ring.any() and hole[ring].mean() < 0.5:
            inner = r if r > 1.5 else 0.0
            break
    masks = np.zeros((4, *light.shape), bool)
    for k, shift in enumerate(shifts):
        at = places[lit] + shift
        masks[k, at[:, 0], at[:, 1]] = True
    return masks, float(inner)


def _apart(centres: FloatArray) -> float:
    """Distance of the closest neighbours."""
    return min(float(np.hypot(*(centres[a] - centres[b]))) for a, b in ((0, 1), (0, 2), (1, 3), (2, 3)))


def _doubts(
    centres: FloatArray,
    radii: FloatArray,
    shifts: NDArray[np.intp],
    base: FloatArray,
    flux: FloatArray,
    spread: FloatArray,
    shape: tuple[int, ...],
) -> tuple[str, ...]:
    radius = float(np.median(radii))
    found = []
    for k, name in enumerate(NAMES):
        if abs(radii[k] - radius) > max(0.03 * radius, 0.5):
            found.append(f"the {name} pupil's radius is {radii[k]:.2f}, the usual one {radius:.2f} pixels")
        if abs(flux[k] / flux.mean() - 1.0) > 0.25:
            found.append(f"the {name} pupil has {flux[k] / flux.mean():.0%} of the mean light")
        off = float(np.hypot(*(centres[k] - base - shifts[k])))
        if off > 0.5:
            found.append(f"the {name} pupil is {off:.2f} pixels off the whole-pixel geometry")
        if spread[k] > max(0.03 * radius, 0.6):
            found.append(f"the {name} pupil's edge deviates from a circle by {spread[k]:.2f} pixels rms")
        if (centres[k] - radius < -0.5).any() or (centres[k] + radius > np.array(shape) - 0.5).any():
            found.append(f"the {name} pupil is cut by the frame's edge")
    skew = float(np.hypot(*(centres[0] + centres[3] - centres[1] - centres[2])))
    if skew > 1.5:
        found.append(f"the pupils' centres make no parallelogram: it does not close by {skew:.2f} pixels")
    apart = _apart(centres)
    if apart < 2.0 * radius:
        found.append(f"pupils overlap: centres {apart:.1f} pixels apart, radius {radius:.1f}")
    return tuple(found)
