"""Zernike polynomials in Noll's order, and an aberration's coefficients from the slopes of a sensor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.errors import DataError, UsageError

FloatArray = NDArray[np.float64]

NAMES = {
    2: "tip",
    3: "tilt",
    4: "defocus",
    5: "oblique astigmatism",
    6: "vertical astigmatism",
    7: "vertical coma",
    8: "horizontal coma",
    9: "vertical trefoil",
    10: "oblique trefoil",
    11: "primary spherical",
}
"""What opticians call the first modes, by Noll's index."""


@lru_cache(maxsize=4096)
def noll_index(j: int) -> tuple[int, int]:
    """Radial order n and azimuthal order m of Noll's mode ``j``; m is negative for sines.

    Even j are cosines, odd ones sines. Source: R. J. Noll, J. Opt. Soc. Am. 66 (1976) 207, table I.

    Raises:
        UsageError: ``j`` below 1.
    """
    if j < 1:
        raise UsageError(f"Noll's index is {j}; expected 1 or more")
    n = int((math.sqrt(8 * j - 7) - 1) / 2)
    place = j - n * (n + 1) // 2 - 1  # within the order, from 0
    m = 2 * ((place + 1 - n % 2) // 2) + n % 2
    return n, m if j % 2 == 0 else -m


def zernike_modes(x: ArrayLike, y: ArrayLike, modes: ArrayLike) -> FloatArray:
    """Zernike polynomials, normalised to an rms of 1 over the unit circle (Noll).

    Args:
        x: coordinate in radii of the pupil, any shape.
        y: of the same shape.
        modes: Noll's indices (n_modes,); 1 is piston.

    Returns:
        float64 (n_modes, axes of x). They are polynomials outside the circle too.

    Raises:
        UsageError: x and y differ in shape, or a mode below 1.
    """
    plane, radius2 = _plane(x, y)
    made = []
    for j in _indices(modes):
        n, m = noll_index(j)
        part, _ = _radial(n, abs(m), radius2)
        turn = plane ** abs(m)
        made.append(_norm(n, m) * part * (turn.imag if m < 0 else turn.real))
    return np.array(made)


def zernike_gradients(x: ArrayLike, y: ArrayLike, modes: ArrayLike) -> FloatArray:
    """Derivatives of ``zernike_modes`` by x and by y, per radius of the pupil.

    With z = x + iy and s = x² + y² a mode is N P(s) Re(z^m), so its derivatives are polynomials too and nothing is
    singular at the centre.

    Returns:
        float64 (2, n_modes, axes of x): by x, by y.

    Raises:
        UsageError: as ``zernike_modes``.
    """
    plane, radius2 = _plane(x, y)
    by_x, by_y = [], []
    for j in _indices(modes):
        n, m = noll_index(j)
        order = abs(m)
        part, slope = _radial(n, order, radius2)
        turn = plane**order
        turned = order * plane ** max(order - 1, 0)
        value, along, across = (
            (turn.imag, turned.imag, turned.real) if m < 0 else (turn.real, turned.real, -turned.imag)
        )
        by_x.append(_norm(n, m) * (2 * plane.real * slope * value + part * along))
        by_y.append(_norm(n, m) * (2 * plane.imag * slope * value + part * across))
    return np.array([by_x, by_y])


@dataclass(frozen=True)
class ZernikeFit:
    """Zernike coefficients of a wavefront, from slopes.

    Attributes:
        modes: Noll's indices (n_modes,).
        coefficients_m: float64 (n_modes,), metres rms of wavefront.
        sigma_m: float64 (n_modes,), their standard errors, from the residual.
        rms_m: rms of the wavefront without tip and tilt, over the pupil.
        residual_slopes: float64, in the shape and unit of the slopes: what the modes don't explain.
        residual_rms: its rms, about 0.
        slopes_rms: rms of the slopes, about 0.
        explained: share of the slopes' power that the modes explain, 0 to 1.
        condition_number: of the fit.
    """

    modes: NDArray[np.int64]
    coefficients_m: FloatArray
    sigma_m: FloatArray
    rms_m: float
    residual_slopes: FloatArray
    residual_rms: float
    slopes_rms: float
    explained: float
    condition_number: float


def fit_zernikes(
    slopes: ArrayLike,
    centres_m: ArrayLike,
    radius_m: float,
    radians_per_unit: float,
    *,
    n_modes: int = 20,
    subaperture_m: float | None = None,
) -> ZernikeFit:
    """Fit the Zernike modes 2 to ``n_modes`` + 1 to the slopes of a Shack-Hartmann sensor.

    A sub-aperture measures the mean gradient over its lenslet: for each mode the mean over a round lenslet of
    ``subaperture_m`` by a quadrature that is exact to the 5th power of x and y, or the gradient in its centre without
    it. Then linear least squares. Source: W. H. Southwell, "Wave-front estimation from wave-front slope measurements",
    J. Opt. Soc. Am. 70 (1980) 998, modal estimation. A spot that moves to +x tells of a wavefront that grows with x.

    Args:
        slopes: (2 n,): all x slopes, then all y.
        centres_m: (n, 2): y, x of the lenslets from the pupil's centre, metres.
        radius_m: radius of the pupil, metres.
        radians_per_unit: wavefront gradient of a slope of 1; pixel size over focal length for slopes in pixels.
        n_modes: how many modes.
        subaperture_m: diameter of a lenslet, metres.

    Raises:
        UsageError: a shape or length that does not fit, or more modes than slopes.
        DataError: a slope is not finite, or the lenslets cannot tell the modes apart.
    """
    values = np.asarray(slopes, dtype=np.float64)
    centres = np.asarray(centres_m, dtype=np.float64)
    _check_fit(values, centres, radius_m, radians_per_unit, n_modes, subaperture_m)
    modes = np.arange(2, n_modes + 2)
    places = centres[:, None, :] / radius_m + _lenslet(
        0.0 if subaperture_m is None else subaperture_m / radius_m
    )
    gradients = zernike_gradients(places[..., 1], places[..., 0], modes) @ _LENSLET_WEIGHTS
    design = gradients.transpose(0, 2, 1).reshape(values.size, n_modes) / (radius_m * radians_per_unit)
    left, strengths, right = np.linalg.svd(design, full_matrices=False)
    if strengths[-1] < 1e-10 * strengths[0]:
        raise DataError(
            f"{len(centres)} lenslets cannot tell {n_modes} Zernike modes apart; fit fewer (n_modes)"
        )
    inverse = right.T / strengths
    coefficients = inverse @ (left.T @ values)
    residual = values - design @ coefficients
    freedom = max(values.size - n_modes, 1)
    sigma = np.sqrt(residual @ residual / freedom * np.square(inverse).sum(axis=1))
    power = float(values @ values)
    return ZernikeFit(
        modes=modes,
        coefficients_m=coefficients,
        sigma_m=sigma,
        rms_m=float(np.sqrt(np.square(coefficients[2:]).sum())),
        residual_slopes=residual,
        residual_rms=float(np.sqrt(np.mean(residual**2))),
        slopes_rms=float(np.sqrt(np.mean(values**2))),
        explained=1.0 - float(residual @ residual) / power if power else 1.0,
        condition_number=float(strengths[0] / strengths[-1]),
    )


def _check_fit(
    slopes: FloatArray,
    centres: FloatArray,
    radius_m: float,
    radians_per_unit: float,
    n_modes: int,
    subaperture_m: float | None,
) -> None:
    if centres.ndim != 2 or centres.shape[1] != 2 or not np.isfinite(centres).all():
        raise UsageError(
            f"centres_m has shape {centres.shape}; expected finite numbers (n, 2): y, x in metres"
        )
    if slopes.shape != (2 * len(centres),):
        raise UsageError(
            f"the slopes' shape is {slopes.shape}; expected {(2 * len(centres),)} for {len(centres)} lenslets"
        )
    lengths = {"radius_m": radius_m, "radians_per_unit": radians_per_unit}
    if subaperture_m is not None:
        lengths["subaperture_m"] = subaperture_m
    for name, value in lengths.items():
        if not (value > 0 and math.isfinite(value)):
            raise UsageError(f"{name} is {value}; expected a positive, finite number")
    if not 1 <= n_modes <= slopes.size:
        raise UsageError(f"n_modes is {n_modes}; expected 1 to {slopes.size}, the number of slopes")
    if not np.isfinite(slopes).all():
        raise DataError(f"{int((~np.isfinite(slopes)).sum())} of {slopes.size} slopes are not finite")


_LENSLET_WEIGHTS = np.array([1 / 4] + [1 / 8] * 6)
"""Weights of the centre and of six points at sqrt(2/3) of a disc's radius: Abramowitz & Stegun 25.4.61, degree 5."""


def _lenslet(diameter: float) -> FloatArray:
    """Points (7, 2) over a disc, whose weights are ``_LENSLET_WEIGHTS``."""
    angle = np.arange(6) * np.pi / 3
    ring = math.sqrt(2 / 3) * 0.5 * diameter * np.column_stack([np.sin(angle), np.cos(angle)])
    return np.vstack([np.zeros((1, 2)), ring])


def _plane(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.complex128], FloatArray]:
    across, down = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if across.shape != down.shape:
        raise UsageError(f"x has shape {across.shape}, y {down.shape}; expected the same")
    plane = across + 1j * down
    return plane, across**2 + down**2


def _indices(modes: ArrayLike) -> list[int]:
    return [int(j) for j in np.atleast_1d(np.asarray(modes))]


def _norm(n: int, m: int) -> float:
    return math.sqrt(n + 1) if m == 0 else math.sqrt(2 * (n + 1))


def _radial(n: int, m: int, radius2: FloatArray) -> tuple[FloatArray, FloatArray]:
    """R_n^m over radius^m, and its derivative by the squared radius."""
    series = np.zeros((n - m) // 2 + 1)
    for k in range(len(series)):
        below = math.factorial(k) * math.factorial((n + m) // 2 - k) * math.factorial((n - m) // 2 - k)
        series[(n - m) // 2 - k] = (-1) ** k * math.factorial(n - k) / below
    polynomial = np.polynomial.Polynomial(series)
    return np.asarray(polynomial(radius2)), np.asarray(polynomial.deriv()(radius2) + 0.0 * radius2)
