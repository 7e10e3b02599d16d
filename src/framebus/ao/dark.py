"""The dark of a camera: level and noise of every pixel, and which pixels are bad."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from framebus.ao.averages import Average
from framebus.ao.sampling import FloatArray
from framebus.errors import DataError, UsageError


@dataclass(frozen=True)
class Dark:
    """What a camera shows without light.

    Attributes:
        level: float32, in the frame's shape; the stream ``dark`` of the unit ``calibrate``.
        noise: float32: standard deviation of one frame.
        hot: bool: pixels far above the others.
        dead: bool: pixels that do not even have noise, where the others do, or are far below the others.
        unstable: bool: pixels with far more noise than the others, or many outliers.
        median_level: of the good pixels.
        median_noise: of the good pixels.
        average: what it was made from.
    """

    level: NDArray[np.float32]
    noise: NDArray[np.float32]
    hot: NDArray[np.bool_]
    dead: NDArray[np.bool_]
    unstable: NDArray[np.bool_]
    median_level: float
    median_noise: float
    average: Average

    @property
    def bad(self) -> NDArray[np.bool_]:
        """Pixels that are bad for any reason."""
        return self.hot | self.dead | self.unstable


def make_dark(average: Average, *, hot_sigma: float = 8.0, noise_factor: float = 4.0) -> Dark:
    """Judge an average of dark frames.

    Args:
        average: of frames without light.
        hot_sigma: pixels whose level differs from the median by that many scatters of the levels (from the median
            absolute deviation, at least the noise) are hot, or dead if below.
        noise_factor: pixels with that many times the median noise are unstable; those with less than the median over
            it squared are dead.

    Raises:
        UsageError: an argument is out of range.
        DataError: the frames are saturated, or their level changes from frame to frame by more than dark frames do.
    """
    if not hot_sigma > 0.0 or not noise_factor > 1.0:
        raise UsageError(
            f"hot_sigma is {hot_sigma}, noise_factor {noise_factor}; expected more than 0 and more than 1"
        )
    share = float(average.saturated.mean())
    if share > 0.05:
        raise DataError(
            f"{share:.0%} of the pixels are saturated, in what should be dark; close the shutter, or lower the gain"
        )
    _check_steady(average)
    level, noise = average.mean, average.noise
    usual_noise = float(np.median(noise))
    middle = float(np.median(level))
    spread = max(1.4826 * float(np.median(np.abs(level - middle))), usual_noise)
    # Where neither levels nor noise vary, any difference is one.
    far = hot_sigma * spread
    hot = (level - middle > far) | average.saturated
    dead = (middle - level > far) | (noise < usual_noise / noise_factor**2)
    unstable = (noise > noise_factor * usual_noise) | (average.rejected > max(0.1 * average.n, 2))
    good = ~(hot | dead | unstable)
    if not good.any():
        raise DataError("every pixel looks bad; are these dark frames of one exposure time?")
    return Dark(
        level=level.astype(np.float32),
        noise=noise.astype(np.float32),
        hot=hot,
        dead=dead,
        unstable=unstable,
        median_level=float(np.median(level[good])),
        median_noise=float(np.median(noise[good])),
        average=average,
    )


def _check_steady(average: Average) -> None:
    """Levels of dark frames scatter as the pixels' noise over the root of their number, and some common noise."""
    rms: float = float(np.sqrt(np.mean(average.noise**2)))
    allowed = max(0.5, 5.0 / np.sqrt(average.noise.size)) * rms
    if average.variation > allowed:
        raise DataError(
            f"the level of the frames changes by {average.variation:.4g} rms, where a pixel's noise is {rms:.4g}; is "
            f"light coming in? Close the shutter, and let the camera settle"
        )


def check_dark(dark: FloatArray | None, shape: tuple[int, ...]) -> FloatArray:
    """A dark as float64 of this shape; zeros for ``None``.

    Raises:
        UsageError: it has another shape.
        DataError: it is not finite.
    """
    if dark is None:
        return np.zeros(shape)
    level = np.asarray(dark, np.float64)
    if level.shape != shape:
        raise UsageError(f"the dark's shape is {level.shape}, expected {shape}, that of the frames")
    if not np.isfinite(level).all():
        raise DataError("the dark has values that are not finite; measure it anew")
    return level
