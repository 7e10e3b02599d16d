"""The aberration between two frames of a Shack-Hartmann sensor, in Zernike modes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.subapertures import Subapertures, find_subapertures, measure_centroids
from framebus.ao.zernike import ZernikeFit, fit_zernikes
from framebus.errors import UsageError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Aberration:
    """What was measured, from the frames to the modes.

    Attributes:
        spots: the lenslets found in the reference frame; the doubtful ones were left out of what follows.
        used: intp, indices of the lenslets that were used.
        slopes: float64 (2 n_used,), pixels: x, then y.
        centres_m: float64 (n_used, 2): y, x from the pupil's centre, metres.
        radius_m: of the pupil, from its centre to the farthest lenslet's edge.
        fit: the Zernike modes.
    """

    spots: Subapertures
    used: NDArray[np.intp]
    slopes: FloatArray
    centres_m: FloatArray
    radius_m: float
    fit: ZernikeFit


def measure_aberration(
    reference: ArrayLike,
    aberrated: ArrayLike,
    *,
    pixel_m: float,
    focal_m: float,
    dark: ArrayLike | None = None,
    n_modes: int = 20,
    pitch_m: float | None = None,
    max_residual: float = 6.0,
) -> Aberration:
    """Find the spots of a flat wavefront, measure how far another moved them, and fit Zernike modes to that.

    The threshold is five times the noise above the background (of the reference frame). Slopes are spot movements in
    pixels; one pixel is a gradient of ``pixel_m / focal_m``. Lenslets that a first fit misses by more than
    ``max_residual`` times its usual (median) miss are left out of the second, and counted as not used.

    Args:
        reference: (height, width), frame of a flat wavefront.
        aberrated: of the same shape.
        pixel_m: size of a pixel, metres.
        focal_m: focal length of the lenslets, metres.
        dark: subtracted from both.
        n_modes: how many Zernike modes, from tip on.
        pitch_m: diameter of a lenslet; the distance of the spots if ``None``.
        max_residual: how bad a lenslet may be; infinity keeps all.

    Raises:
        UsageError: a length is not positive, frames differ in shape, or more modes than slopes.
        DataError: a frame is not finite or shows no spots, or the lenslets cannot tell the modes apart.
    """
    for name, value in (
        ("pixel_m", pixel_m),
        ("focal_m", focal_m),
        ("pitch_m", 1.0 if pitch_m is None else pitch_m),
    ):
        if not (value > 0 and math.isfinite(value)):
            raise UsageError(f"{name} is {value}; expected a positive, finite number of metres")
    if not max_residual > 0:
        raise UsageError(f"max_residual is {max_residual}; expected a positive number")
    if np.shape(reference) != np.shape(aberrated):
        raise UsageError(
            f"the frames' shapes are {np.shape(reference)} and {np.shape(aberrated)}; expected the same"
        )
    spots = find_subapertures(reference, dark)
    threshold = spots.background + 5 * spots.noise
    zero = measure_centroids(reference, spots.boxes, dark=dark, threshold=threshold)
    moved = measure_centroids(aberrated, spots.boxes, zero, dark=dark, threshold=threshold).astype(np.float64)
    doubtful = {doubt.index for doubt in spots.doubtful}
    used = np.array([k for k in range(len(spots)) if k not in doubtful], dtype=np.intp)
    lenslet = spots.pitch * pixel_m if pitch_m is None else pitch_m
    places = spots.centres * pixel_m
    places = places - 0.5 * (places[used].max(axis=0) + places[used].min(axis=0))
    radius = float(np.hypot(*places[used].T).max()) + 0.5 * lenslet

    def fitted(chosen: NDArray[np.intp]) -> tuple[FloatArray, ZernikeFit]:
        slopes = moved[np.concatenate([chosen, chosen + len(spots)])]
        scale = pixel_m / focal_m
        return slopes, fit_zernikes(
            slopes, places[chosen], radius, scale, n_modes=n_modes, subaperture_m=lenslet
        )

    slopes, fit = fitted(used)
    miss = np.hypot(*np.split(fit.residual_slopes, 2))
    good = miss <= max_residual * max(float(np.median(miss)), 1e-12)
    if not good.all():
        used = used[good]
        slopes, fit = fitted(used)
    return Aberration(spots, used, slopes, places[used], radius, fit)
