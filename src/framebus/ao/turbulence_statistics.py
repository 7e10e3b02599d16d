"""What turbulence does on average: covariance of the phase, and of its Zernike modes.

Phase is in radians at the wavelength at which r0 is given; an outer scale of infinity means Kolmogorov turbulence.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.zernike import noll_index
from framebus.errors import UsageError

FloatArray = NDArray[np.float64]

PSD_COEFFICIENT = 0.022895587108555
"""Of the phase spectrum, rad²: Γ(11/6)² / (2 π^(11/3)) (24/5 Γ(6/5))^(5/6), with r0^(-5/3) (f² + 1/L0²)^(-11/6)."""


def von_karman_covariance(points_m: ArrayLike, r0_m: float, outer_scale_m: float) -> FloatArray:
    """Covariance of von Kármán turbulence between points: float64 (n, n), rad².

    C(r) = (L0/r0)^(5/3) Γ(11/6) / (2^(5/6) π^(8/3)) (24/5 Γ(6/5))^(5/6) u^(5/6) K_5/6(u), u = 2π r / L0. Source: R.
    Conan, "Mean-square residual error of a wavefront after propagation through atmospheric turbulence and after
    correction with Zernike polynomials", J. Opt. Soc. Am. A 25 (2008) 526.

    Args:
        points_m: (n, 2), metres.
        r0_m: Fried parameter, metres.
        outer_scale_m: L0, metres, finite: the covariance of Kolmogorov turbulence is infinite.

    Raises:
        UsageError: another shape, or a length that is not positive and finite.
    """
    from scipy.spatial.distance import pdist, squareform
    from scipy.special import gamma, kv

    points = np.asarray(points_m, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not np.isfinite(points).all():
        raise UsageError(f"the points' shape is {points.shape}; expected finite numbers (n, 2), in metres")
    check_length("r0_m", r0_m)
    check_length("outer_scale_m", outer_scale_m)
    scale = gamma(11 / 6) / (2 ** (5 / 6) * np.pi ** (8 / 3)) * (24 / 5 * gamma(6 / 5)) ** (5 / 6)
    scale *= (outer_scale_m / r0_m) ** (5 / 3)
    # Few distances are different on a regular grid, and Bessel functions are slow.
    apart, place = np.unique(pdist(points).round(12), return_inverse=True)
    u = 2 * np.pi * np.maximum(apart, 1e-12 * outer_scale_m) / outer_scale_m
    covariance = squareform((scale * u ** (5 / 6) * kv(5 / 6, u))[place])
    np.fill_diagonal(covariance, scale * gamma(5 / 6) / 2 ** (1 / 6))
    return np.asarray(covariance)


def zernike_covariance(n_modes: int, outer_scale: float = math.inf) -> FloatArray:
    """Covariance of the Zernike modes 2 to ``n_modes`` + 1 in turbulence with D/r0 = 1; times (D/r0)^(5/3) for others.

    Kolmogorov: R. J. Noll, "Zernike polynomials and atmospheric turbulence", J. Opt. Soc. Am. 66 (1976) 207, as the
    integral of J_(n+1) J_(n'+1) k^(-14/3) in closed form. With an outer scale the same integral over
    (k² + (R/L0)²)^(-11/6), by Simpson's rule: D. M. Winker, J. Opt. Soc. Am. A 8 (1991) 1568.

    Args:
        n_modes: how many modes, without piston.
        outer_scale: L0 over the pupil's diameter; infinity for Kolmogorov.

    Returns:
        float64 (n_modes, n_modes), rad².

    Raises:
        UsageError: ``n_modes`` below 1, or an outer scale that is not positive.
    """
    if n_modes < 1:
        raise UsageError(f"n_modes is {n_modes}; expected 1 or more")
    if not outer_scale > 0:
        raise UsageError(f"outer_scale is {outer_scale}; expected a positive number of pupil diameters")
    indices = [noll_index(j) for j in range(2, n_modes + 2)]
    covariance = np.zeros((n_modes, n_modes))
    known: dict[tuple[int, int], float] = {}
    for i, (n, m) in enumerate(indices):
        for k, (other, m_other) in enumerate(indices[: i + 1]):
            if m != m_other:  # sines have negative m
                continue
            pair = (n, other)
            if pair not in known:
                known[pair] = _radial_integral(n, other, outer_scale)
            sign = -1.0 if ((n + other - 2 * abs(m)) // 2) % 2 else 1.0
            covariance[i, k] = covariance[k, i] = sign * math.sqrt((n + 1) * (other + 1)) * known[pair]
    return covariance


def noll_residuals(n_modes: int, outer_scale: float = math.inf) -> FloatArray:
    """Variance that turbulence leaves when the first Zernike modes are taken away, D/r0 = 1.

    Element k is what is left without modes 1 to k + 1: 1.032, 0.584, 0.135, ... for Kolmogorov turbulence. Noll prints
    1.0299, 0.582, 0.134, ..., a quarter of a per cent less: his constants are rounded.

    Returns:
        float64 (n_modes + 1,), rad²; times (D/r0)^(5/3).

    Raises:
        UsageError: as ``zernike_covariance``.
    """
    variances = zernike_covariance(n_modes, outer_scale).diagonal()
    return piston_removed_variance(outer_scale) - np.concatenate([[0.0], np.cumsum(variances)])


def piston_removed_variance(outer_scale: float = math.inf) -> float:
    """Variance of the phase over a round pupil, without piston, D/r0 = 1: 1.0324 rad² for Kolmogorov turbulence.

    2π ∫ k W(k) (1 - (J_1(2πk) / (πk))²) dk, k in cycles per radius. Source: Noll (1976), section IV, who prints 1.0299.

    Raises:
        UsageError: the outer scale is not positive.
    """
    from scipy.integrate import simpson
    from scipy.special import j1

    if not outer_scale > 0:
        raise UsageError(f"outer_scale is {outer_scale}; expected a positive number of pupil diameters")
    t = _grid(0)
    low = np.pi / outer_scale  # 2π R / L0
    power = t * (t**2 + low**2) ** (-11 / 6)
    # The series where the difference would be lost in rounding.
    removed = np.where(t < 1e-3, t**2 / 4, 1 - (2 * j1(t) / t) ** 2)
    body = simpson(power * removed, x=t)
    tail = 0.6 * (t[-1] ** 2 + low**2) ** (-5 / 6)  # where the Bessel function is gone
    return float(PSD_COEFFICIENT * 2 ** (-5 / 3) * (2 * np.pi) ** (8 / 3) * (body + tail))


def _radial_integral(n: int, other: int, outer_scale: float) -> float:
    """0.0229 2^(-5/3) (2/π) ∫ J_(n+1)(2πk) J_(other+1)(2πk) (k² + (R/L0)²)^(-11/6) / k dk."""
    from scipy.integrate import simpson
    from scipy.special import gamma, jv

    factor = PSD_COEFFICIENT * 2 ** (-5 / 3) * (2 / np.pi) * (2 * np.pi) ** (11 / 3)
    if math.isinf(outer_scale):
        value = gamma(14 / 3) * gamma((n + other - 5 / 3) / 2) / 2 ** (14 / 3)
        below = gamma((n - other + 17 / 3) / 2) * gamma((other - n + 17 / 3) / 2)
        return float(factor * value / (below * gamma((n + other + 23 / 3) / 2)))
    t = _grid(max(n, other))
    power = (t**2 + (np.pi / outer_scale) ** 2) ** (-11 / 6) / t
    return float(factor * simpson(jv(n + 1, t) * jv(other + 1, t) * power, x=t))


def _grid(order: int) -> FloatArray:
    """2πk for integrals of Bessel functions: by decades up to 1, where nothing turns, then in equal steps."""
    # From so far down because Kolmogorov turbulence has t^(-2/3) there.
    return np.concatenate([np.logspace(-15, 0, 1501), np.arange(1, 200 + 8 * order, 0.04)[1:]])


def check_length(name: str, value: float) -> None:
    """Refuse what is no length.

    Raises:
        UsageError: it is not positive and finite.
    """
    if not (value > 0 and math.isfinite(value)):
        raise UsageError(f"{name} is {value}; expected a positive, finite number of metres")
