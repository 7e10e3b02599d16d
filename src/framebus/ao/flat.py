"""The flat field of a camera: how sensitive every pixel is, and which pixels are bad."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.averages import Average, check_light
from framebus.ao.dark import check_dark
from framebus.errors import DataError, UsageError


@dataclass(frozen=True)
class Flat:
    """How a camera answers to even light.

    Attributes:
        response: float32, in the frame's shape: sensitivity of every pixel; the median of the good ones is 1.
        gain: float32: 1 / response, 0 where a pixel is bad or unlit; the stream ``gain`` of the unit ``calibrate``.
        bad: bool: lit pixels whose response is out of limits, and those given as bad.
        lit: bool: pixels that the light reaches.
        signal: median light of the good pixels above the dark, in the frame's units.
        average: what it was made from.
    """

    response: NDArray[np.float32]
    gain: NDArray[np.float32]
    bad: NDArray[np.bool_]
    lit: NDArray[np.bool_]
    signal: float
    average: Average


def make_flat(
    average: Average,
    dark: ArrayLike | None = None,
    *,
    bad: ArrayLike | None = None,
    lit_share: float = 0.2,
    limits: tuple[float, float] = (0.5, 1.5),
    smooth_px: float | None = None,
    max_variation: float = 0.05,
) -> Flat:
    """Make a flat field out of an average of evenly lit frames.

    Args:
        average: of the frames, (height, width).
        dark: level without light, the same shape; 0 when ``None``.
        bad: pixels known as bad, the same shape.
        lit_share: pixels with less light, as a share of the bright ones (90th percentile), are not lit; they are not
            bad if a neighbourhood of 5 × 5 is mostly dark too.
        limits: responses outside are bad.
        smooth_px: standard deviation of a Gaussian; the light so smoothed is taken for the lamp's, not the camera's,
            unevenness and divided out. ``None``: the light is even.
        max_variation: how much the light may vary from frame to frame, rms as a share.

    Raises:
        UsageError: a shape or a limit is wrong.
        DataError: no light, or it is saturated or unsteady.
    """
    from scipy import ndimage

    if average.mean.ndim != 2:
        raise UsageError(f"the frames' shape is {average.mean.shape}; expected (height, width)")
    if not 0.0 < limits[0] < 1.0 < limits[1] or not 0.0 < lit_share < 1.0:
        raise UsageError(
            f"limits are {limits}, lit_share {lit_share}; expected limits about 1, a share within 0 to 1"
        )
    known = np.zeros(average.mean.shape, bool) if bad is None else np.asarray(bad).astype(bool)
    if known.shape != average.mean.shape:
        raise UsageError(f"the shape of 'bad' is {known.shape}, expected {average.mean.shape}")
    check_light(average, max_variation=max_variation)
    light = average.mean - check_dark(None if dark is None else np.asarray(dark), average.mean.shape)
    bright = float(np.percentile(light[~known], 90)) if not known.all() else 0.0
    error = float(np.median(average.noise)) / np.sqrt(average.n)
    if not bright > 5.0 * error:
        raise DataError(
            f"no light: the bright pixels have {bright:.4g} above the dark, with an error of {error:.4g}; switch the "
            f"flat-field lamp on, and use the dark of this exposure time"
        )
    enough = light > lit_share * bright
    lit = ndimage.uniform_filter(enough.astype(np.float64), 5, mode="nearest") > 0.5
    usable = lit & enough & ~known
    if smooth_px is not None:
        weight = ndimage.gaussian_filter(usable.astype(np.float64), smooth_px)
        light = light / np.where(
            usable | (weight > 0.01),
            ndimage.gaussian_filter(np.where(usable, light, 0.0), smooth_px) / np.maximum(weight, 1e-6),
            bright,
        )
    signal = float(np.median((average.mean - (0.0 if dark is None else np.asarray(dark)))[usable]))
    response = light / np.median(light[usable])
    out = lit & ((response < limits[0]) | (response > limits[1]) | ~(light > 0))
    wrong = known | out
    good = lit & ~wrong
    gain = np.zeros(response.shape)
    gain[good] = 1.0 / response[good]
    return Flat(response.astype(np.float32), gain.astype(np.float32), wrong, lit, signal, average)
