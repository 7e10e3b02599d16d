"""Seeing from the loop's own telemetry: r0, wind speed and coherence time, with their uncertainties.

From pseudo-open-loop series, either slopes of a Shack-Hartmann sensor in radians of wavefront gradient, or Zernike
modes in radians of phase.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.telemetry import (
    as_series,
    autocovariance,
    check_rate,
    correlation_time,
    noise_variance,
)
from framebus.ao.turbulence_statistics import PSD_COEFFICIENT, check_length
from framebus.ao.zernike import noll_index
from framebus.errors import DataError, UsageError

FloatArray = NDArray[np.float64]
Aperture: TypeAlias = Literal["square", "round"]

BLOCKS = 8
"""Parts of a recording whose winds are compared to tell the uncertainty."""
LEAST_LAGS = 6
"""Lags that a fit of a speed, a scale and a level needs."""
DIRECTION_SHARE = 0.03
"""How far off in speed slopes are by the wind's direction: a square sub-aperture is not the same along and across."""


@dataclass(frozen=True)
class Estimate:
    """A figure with its standard error.

    Attributes:
        value: the figure.
        sigma: its standard error.
        n_independent: how many independent frames it rests on.
    """

    value: float
    sigma: float
    n_independent: float


@dataclass(frozen=True)
class Seeing:
    """The atmosphere as the loop's telemetry tells it.

    Attributes:
        r0: Fried parameter at ``wavelength_m``, metres.
        wind: effective wind speed, m/s.
        coherence_time: τ0 = 0.314 r0 / v, seconds, at ``wavelength_m``.
        fwhm: long-exposure seeing at ``wavelength_m``, arcseconds, the outer scale counted in.
        wavelength_m: at which these hold.
        outer_scale_m: L0 that was supposed.
    """

    r0: Estimate
    wind: Estimate
    coherence_time: Estimate
    fwhm: Estimate
    wavelength_m: float
    outer_scale_m: float


def slope_variance(
    subaperture_m: float,
    wavelength_m: float,
    outer_scale_m: float = math.inf,
    aperture: Aperture = "square",
) -> float:
    """Variance of the mean wavefront gradient over a sub-aperture along one axis, for r0 = 1 m; times r0^(-5/3), rad².

    λ² ∫ f_x² Φ(f) A²(f) d²f, A being the transform of the sub-aperture. For a round one in Kolmogorov turbulence
    it is 0.170 (λ/d)² (d/r0)^(5/3), the G-tilt of G. A. Tyler, "Bandwidth considerations for tracking through
    turbulence", J. Opt. Soc. Am. A 11 (1994) 358.

    Args:
        subaperture_m: side or diameter in the pupil, metres.
        wavelength_m: at which r0 is given.
        outer_scale_m: L0, metres.
        aperture: shape of a sub-aperture.

    Raises:
        UsageError: an argument out of range.
    """
    return _SlopeStatistics(subaperture_m, wavelength_m, outer_scale_m, aperture).variance


def r0_from_slopes(
    slopes: ArrayLike,
    subaperture_m: float,
    wavelength_m: float,
    *,
    outer_scale_m: float = 25.0,
    aperture: Aperture = "square",
    noise: ArrayLike | None = None,
) -> Estimate:
    """Fried parameter from the variance of pseudo-open-loop slopes.

    Each slope's long-term mean (static aberrations) is taken away, which takes some of the turbulence with it; that is
    made up for with the slope's correlation time, as is the noise. The error is that of a mean of correlated frames.

    Args:
        slopes: (n_frames, n_slopes), radians of wavefront gradient: x, y or both.
        subaperture_m: as for ``slope_variance``.
        wavelength_m: at which r0 is wanted.
        outer_scale_m: L0; infinity for Kolmogorov turbulence. Slopes depend on it little.
        aperture: as for ``slope_variance``.
        noise: variance of the slopes' noise, one or (n_slopes,); from the series itself (``noise_variance``) if
            ``None``.

    Raises:
        UsageError: an argument out of range.
        DataError: a value is not finite, or the slopes have no more variance than their noise.
    """
    series = as_series("slopes", slopes)
    unit = slope_variance(subaperture_m, wavelength_m, outer_scale_m, aperture)
    strength = _strength(series, np.full(series.shape[1], unit), noise)
    return _r0(strength, 1.0)


def r0_from_modes(
    modes: ArrayLike,
    unit_variances: ArrayLike,
    diameter_m: float,
    *,
    noise: ArrayLike | None = None,
) -> Estimate:
    """Fried parameter from the variances of pseudo-open-loop modes.

    The modes are weighted by how noisy they are. Leave out tip and tilt where wind shakes the
    telescope or the outer scale isn't known, and modes that the sensor aliases.

    Args:
        modes: (n_frames, n_modes), radians of phase at the wavelength at which r0 is wanted.
        unit_variances: (n_modes,), rad² for D/r0 = 1: of Zernike modes the diagonal of ``zernike_covariance``, with the
            outer scale in it.
        diameter_m: D, metres.
        noise: variance of the modes' noise, one or (n_modes,); from the series itself (``noise_variance``) if ``None``.

    Raises:
        UsageError: an argument out of range.
        DataError: a value is not finite, or the modes have no more variance than their noise.
    """
    series = as_series("modes", modes)
    unit = np.asarray(unit_variances, dtype=np.float64)
    if unit.shape != (series.shape[1],) or not (unit > 0).all():
        raise UsageError(
            f"unit_variances has shape {unit.shape}; expected {series.shape[1]} positive variances"
        )
    check_length("diameter_m", diameter_m)
    return _r0(_strength(series, unit, noise), diameter_m)


def wind_from_slopes(
    slopes: ArrayLike,
    rate_hz: float,
    subaperture_m: float,
    *,
    outer_scale_m: float = 25.0,
    aperture: Aperture = "square",
) -> Estimate:
    """Effective wind speed, m/s, from how fast slopes forget themselves.

    In frozen flow the covariance of x and y slopes together, a time τ later, is that of a place v τ away, whichever way
    the wind blows: ∫ f³ Φ(f) A²(f) J_0(2π f v τ) df. The speed is fitted to the measured covariance from the first lag,
    where noise is gone, to where half is left, its scale and its level being free. The error is from eight parts of the
    recording, and 3 per cent for the direction, over which a square sub-aperture is averaged. Several layers together
    give a mean that weighs strong and fast ones most. Source of the temporal statistics: J.-M. Conan, G. Rousset, P.-Y.
    Madec, "Wave-front temporal spectra in high-resolution imaging through turbulence", J. Opt. Soc. Am. A 12 (1995)
    1559.

    Args:
        slopes: (n_frames, 2 n), all x first, then all y, any unit.
        rate_hz: frames per second.
        subaperture_m: as for ``slope_variance``.
        outer_scale_m: L0.
        aperture: as for ``slope_variance``.

    Raises:
        UsageError: an argument out of range, or fewer than 192 frames.
        DataError: a value is not finite, or the covariance does not fall in the recording.
    """
    statistics = _SlopeStatistics(subaperture_m, 500e-9, outer_scale_m, aperture)
    series = as_series("slopes", slopes)
    found = _wind(series, [(np.arange(series.shape[1]), statistics.covariance)], rate_hz, subaperture_m)
    sigma = math.hypot(found.sigma, DIRECTION_SHARE * found.value)
    return Estimate(found.value, sigma, found.n_independent)


def wind_from_zernikes(
    modes: ArrayLike, rate_hz: float, diameter_m: float, *, outer_scale_m: float = 25.0, first: int = 2
) -> Estimate:
    """Effective wind speed, m/s, from how fast Zernike modes forget themselves: as ``wind_from_slopes``.

    The modes of a radial order together don't care which way the wind blows either: ∫ J_(n+1)²(2πk) (k² +
    (R/L0)²)^(-11/6) J_0(2πk vτ/R) dk/k. Only whole orders are used, from order 2 on (tip and tilt shake).

    Args:
        modes: (n_frames, n_modes), Noll's modes from ``first`` on, one after the other, any unit.
        rate_hz: frames per second.
        diameter_m: D, metres.
        outer_scale_m: L0, metres.
        first: Noll's index of the first column.

    Raises:
        UsageError: an argument out of range, fewer than 192 frames, or no whole order from 2 on.
        DataError: a value is not finite, or the covariance does not fall in the recording.
    """
    check_length("diameter_m", diameter_m)
    series = as_series("modes", modes)
    orders: dict[int, list[int]] = {}
    for column in range(series.shape[1]):
        orders.setdefault(noll_index(first + column)[0], []).append(column)
    whole = {n: columns for n, columns in orders.items() if n >= 2 and len(columns) == n + 1}
    if not whole:
        raise UsageError(
            f"modes {first} to {first + series.shape[1] - 1} hold no whole radial order from 2 on; give 4 to 6 at least"
        )
    groups = [
        (np.array(columns), _zernike_covariance_along(n, diameter_m, outer_scale_m))
        for n, columns in whole.items()
    ]
    return _wind(series, groups, rate_hz, diameter_m)


def describe_seeing(
    r0: Estimate, wind: Estimate, wavelength_m: float, outer_scale_m: float = math.inf
) -> Seeing:
    """Put r0 and wind together: coherence time, and seeing with the outer scale.

    0.976 λ / r0 × sqrt(1 - 2.183 (r0 / L0)^0.356). Source of the last factor: A. Tokovinin, "From differential image
    motion to seeing", Publ. Astron. Soc. Pacific 114 (2002) 1156.

    Raises:
        UsageError: a figure is not positive, or the outer scale is too short for the formula.
    """
    check_length("wavelength_m", wavelength_m)
    if not (r0.value > 0 and wind.value > 0 and outer_scale_m > 0):
        raise UsageError(
            f"r0 is {r0.value}, wind {wind.value}, L0 {outer_scale_m}; expected positive numbers"
        )
    factor = 1 - 2.183 * (r0.value / outer_scale_m) ** 0.356
    if factor <= 0:
        raise UsageError(f"an outer scale of {outer_scale_m} m is too short for r0 = {r0.value:.3g} m")
    fwhm = math.degrees(0.976 * wavelength_m / r0.value * math.sqrt(factor)) * 3600
    tau = 0.314 * r0.value / wind.value
    share = r0.sigma / r0.value
    both = math.hypot(share, wind.sigma / wind.value)
    fewer = min(r0.n_independent, wind.n_independent)
    return Seeing(
        r0=r0,
        wind=wind,
        coherence_time=Estimate(tau, tau * both, fewer),
        fwhm=Estimate(fwhm, fwhm * share, r0.n_independent),
        wavelength_m=wavelength_m,
        outer_scale_m=outer_scale_m,
    )


def _strength(series: FloatArray, unit: FloatArray, noise: ArrayLike | None) -> Estimate:
    """How many times the unit variances the series has: (D/r0)^(5/3)."""
    n = len(series)
    given = noise_variance(series) if noise is None else np.asarray(noise, dtype=np.float64)
    if given.shape not in ((), unit.shape) or not (given >= 0).all():
        raise UsageError(
            f"the noise's shape is {given.shape}; expected one variance or {unit.size}, 0 or more"
        )
    centred = series - series.mean(axis=0)
    times = correlation_time(series)
    # The mean follows the turbulence: it holds 1 / (independent frames) of the variance.
    lost = np.minimum(times / n, 0.5)
    each = (np.square(centred) - given) / (1 - lost) / unit
    # Weighted by the noise that theory expects, not by what a channel happened to do, which would favour some outcomes.
    signal = max(float(each.mean()), 0.0) * unit
    weights = np.square(np.divide(signal, signal + given, out=np.ones_like(unit), where=signal + given > 0))
    each = each @ (weights / weights.sum()) if weights.any() else each.mean(axis=1)
    value = float(each.mean())
    independent = n / float(correlation_time(each)[0])
    sigma = float(each.std()) / math.sqrt(max(independent - 1, 1))
    if not value > 0:
        raise DataError(
            "the series has no more variance than its noise; is it open loop, and in the right unit?"
        )
    return Estimate(value, sigma, independent)


def _r0(strength: Estimate, diameter_m: float) -> Estimate:
    value = diameter_m * strength.value ** (-3 / 5)
    return Estimate(value, 0.6 * value * strength.sigma / strength.value, strength.n_independent)


Covariance: TypeAlias = Callable[[FloatArray], FloatArray]
"""Of a group of channels, at distances in metres; its scale is free."""


def _wind(
    series: FloatArray, groups: list[tuple[NDArray[Any], Covariance]], rate_hz: float, size_m: float
) -> Estimate:
    check_rate(rate_hz)
    if len(series) < 4 * LEAST_LAGS * BLOCKS:
        raise UsageError(f"{len(series)} frames; the wind needs {4 * LEAST_LAGS * BLOCKS} or more")
    # Tabulated once: a fit asks for it at hundreds of speeds.
    places = np.concatenate([[0.0], np.geomspace(1e-4, 8, 400)]) * size_m
    tables = [(columns, model(places)) for columns, model in groups]
    value, lags = _fit_wind(series, tables, places, rate_hz, None)
    parts = [_fit_wind(part, tables, places, rate_hz, lags)[0] for part in np.array_split(series, BLOCKS)]
    independent = len(series) / (size_m / value * rate_hz)
    return Estimate(value, float(np.std(parts, ddof=1)) / math.sqrt(BLOCKS), independent)


def _fit_wind(
    series: FloatArray,
    tables: list[tuple[NDArray[Any], FloatArray]],
    places: FloatArray,
    rate_hz: float,
    lags: list[int] | None,
) -> tuple[float, list[int]]:
    """The speed, and up to which lag each group was used."""
    from scipy.optimize import minimize_scalar

    curves, used = [], []
    for group, (columns, _) in enumerate(tables):
        measured = autocovariance(series[:, columns], len(series) // 2).sum(axis=1)
        if lags is None:
            below = np.flatnonzero(measured < 0.5 * measured[1])
            if not (below.size and measured[1] > 0):
                raise DataError(
                    f"the series' covariance does not fall to its half within {len(series) // 2} frames; record longer"
                )
            used.append(int(np.clip(below[0], LEAST_LAGS, len(series) // (4 * BLOCKS))))
        else:
            used.append(lags[group])
        curves.append(measured[1 : used[-1] + 1])

    def misfit(log_speed: float) -> float:
        total = 0.0
        for (_, table), curve in zip(tables, curves, strict=True):
            moved = math.exp(log_speed) / rate_hz * np.arange(1, len(curve) + 1)
            model = np.interp(moved, places, table)
            about, there = model - model.mean(), curve - curve.mean()
            # The level is left free beside the scale: what is slower than the recording moves it.
            left = there - about * max(about @ there, 0.0) / max(about @ about, 1e-300)
            total += float(np.square(left).sum() / np.square(curve).sum())
        return total

    longest = max(used)
    # From a hundredth of the size in all the lags, to where the last of the table is reached.
    low, high = (math.log(share * places[-1] * rate_hz / longest) for share in (1e-3, 1.0))
    grid = np.linspace(low, high, 60)
    best = int(np.argmin([misfit(speed) for speed in grid]))
    bracket = grid[max(best - 1, 0)], grid[min(best + 1, 59)]
    return math.exp(minimize_scalar(misfit, bounds=bracket, method="bounded").x), used


class _SlopeStatistics:
    """Spectrum of a sub-aperture's slopes over all directions, and what follows from it."""

    def __init__(
        self, subaperture_m: float, wavelength_m: float, outer_scale_m: float, aperture: Aperture
    ) -> None:
        from scipy.special import j1

        check_length("subaperture_m", subaperture_m)
        check_length("wavelength_m", wavelength_m)
        if not outer_scale_m > 0:
            raise UsageError(f"outer_scale_m is {outer_scale_m}; expected a positive number of metres")
        if aperture not in ("square", "round"):
            raise UsageError(f"aperture is {aperture!r}; expected 'square' or 'round'")
        f = np.concatenate([np.logspace(-16, -1, 1501), np.arange(0.1, 60, 0.01)[1:]])  # cycles per side
        if aperture == "round":
            filtered = np.square(2 * j1(np.pi * f) / (np.pi * f))
        else:
            angle = (np.arange(64) + 0.5) * np.pi / 128
            x, y = f[:, None] * np.cos(angle), f[:, None] * np.sin(angle)
            filtered = np.square(np.sinc(x) * np.sinc(y)).mean(axis=1)
        self.frequency = f / subaperture_m
        spectrum = PSD_COEFFICIENT * (self.frequency**2 + outer_scale_m**-2) ** (-11 / 6)
        self.density = np.pi * wavelength_m**2 * self.frequency**3 * spectrum * filtered

    @property
    def variance(self) -> float:
        """Of one axis, for r0 = 1 m."""
        from scipy.integrate import simpson

        return float(simpson(self.density, x=self.frequency))

    def covariance(self, distance_m: FloatArray) -> FloatArray:
        """Mean of both axes at distances, over all directions, for r0 = 1 m."""
        return _hankel(self.density, self.frequency, distance_m)


def _zernike_covariance_along(n: int, diameter_m: float, outer_scale_m: float) -> Covariance:
    """Covariance of the modes of radial order n over a distance, their scale left free."""
    from scipy.special import jv

    t = np.concatenate([np.logspace(-16, -1, 1501), np.arange(0.1, 200, 0.05)[1:]])
    low = np.pi * diameter_m / outer_scale_m
    density = np.square(jv(n + 1, t)) * (t**2 + low**2) ** (-11 / 6) / t
    frequency = t / (np.pi * diameter_m)  # t = 2π f R

    def covariance(distance_m: FloatArray) -> FloatArray:
        return _hankel(density, frequency, distance_m)

    return covariance


def _hankel(density: FloatArray, frequency: FloatArray, distance_m: FloatArray) -> FloatArray:
    from scipy.integrate import simpson
    from scipy.special import j0

    return np.array([simpson(density * j0(2 * np.pi * frequency * x), x=frequency) for x in distance_m])
