from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from framebus.ao.seeing import (
    Estimate,
    describe_seeing,
    r0_from_modes,
    r0_from_slopes,
    slope_variance,
    wind_from_slopes,
    wind_from_zernikes,
)
from framebus.ao.turbulence_statistics import zernike_covariance
from framebus.ao.zernike import zernike_modes
from framebus.errors import DataError, UsageError
from framebus.sim.turbulence import PhaseScreen

Array = NDArray[Any]
L0 = 20.0
WAVELENGTH = 500e-9


def coloured_modes(strength: float, n: int, seed: int) -> tuple[Array, Array]:
    """Zernike modes 4 to 21 of turbulence with (D/r0)^(5/3) = strength, each frame like the last by 0.9."""
    covariance = zernike_covariance(20, 10.0)[2:, 2:]
    root = np.linalg.cholesky(strength * covariance)
    rng = np.random.default_rng(seed)
    drive = math.sqrt(1 - 0.81) * rng.normal(size=(n, 18))
    drive[0] = rng.normal(size=18)
    series = signal.lfilter([1], [1, -0.9], drive, axis=0) @ root.T
    return series, covariance.diagonal()


def test_slope_variance_is_that_of_tyler() -> None:
    # Tyler 1994: 0.170 (λ/d)² (d/r0)^(5/3) for the gradient over a round aperture.
    found = slope_variance(0.4, WAVELENGTH, math.inf, "round")
    assert found == pytest.approx(0.170 * (WAVELENGTH / 0.4) ** 2 * 0.4 ** (5 / 3), rel=0.003)
    assert slope_variance(0.4, WAVELENGTH, L0) < slope_variance(0.4, WAVELENGTH)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_r0_is_found_within_its_error_from_modes(noise: float) -> None:
    strength, diameter = 10.0, 2.0
    expected = diameter * strength ** (-3 / 5)
    pulls = []
    for seed in range(16):
        series, unit = coloured_modes(strength, 1500, seed)
        added = noise * 0.1 * np.random.default_rng(100 + seed).normal(size=series.shape)
        found = r0_from_modes(series + added, unit, diameter, noise=0.01 * noise)
        assert found.sigma < 0.05 * expected
        pulls.append((found.value - expected) / found.sigma)
    # 16 draws of a standard normal: their mean is within 0.75 (3 sigma), their deviation 1 ± 0.18.
    assert abs(np.mean(pulls)) < 0.75
    assert 0.6 < np.std(pulls) < 1.5


def test_noise_that_is_not_subtracted_would_be_taken_for_turbulence() -> None:
    series, unit = coloured_modes(1.0, 4000, 1)
    noisy = series + 0.1 * np.random.default_rng(2).normal(size=series.shape)
    assert r0_from_modes(noisy, unit, 1.0, noise=0.0).value < 0.7
    assert r0_from_modes(noisy, unit, 1.0, noise=0.01).value == pytest.approx(1.0, abs=0.06)


def _cell_means(columns: Array) -> Array:
    """Means over cells of 8 steps along the first axis, by the trapezoidal rule: 49 rows to 6."""
    between = 0.5 * (columns[1:] + columns[:-1])
    return np.asarray(between.reshape(6, 8, -1).mean(axis=1))


@lru_cache(maxsize=1)
def flowing() -> tuple[Array, Array]:
    """Slopes (6 × 6 sub-apertures of 0.25 m) and Zernikes of a frozen screen, 12 m/s, r0 = 0.12 m, 250 Hz."""
    screen = PhaseScreen(
        (49, 49),
        0.03125,
        r0_m=0.12,
        outer_scale_m=L0,
        wind_speed_m_s=12.0,
        wind_direction_deg=30.0,
        size=1024,
        seed=5,
    )
    axis = (np.arange(49) - 24) / 24
    x, y = np.meshgrid(axis, axis)
    modes = zernike_modes(x, y, np.arange(1, 22))[:, np.hypot(x, y) <= 1]
    inverse = np.linalg.pinv(modes.T)
    slopes, zernikes = [], []
    for k in range(6000):
        phase = screen.at(k / 250.0).astype(np.float64)
        # Mean gradient of a cell: its edges' difference, averaged along them.
        along_y, along_x = (_cell_means(part) for part in (phase[:, ::8], phase[::8].T))
        gradient_x, gradient_y = np.diff(along_y, axis=1) / 0.25, np.diff(along_x, axis=1) / 0.25
        slopes.append(np.concatenate([gradient_x.ravel(), gradient_y.ravel()]) * WAVELENGTH / (2 * np.pi))
        zernikes.append(inverse[1:] @ phase[np.hypot(x, y) <= 1])
    return np.array(slopes), np.array(zernikes)


def test_r0_and_wind_are_found_from_slopes_of_a_flowing_screen() -> None:
    slopes, _ = flowing()
    r0 = r0_from_slopes(slopes, 0.25, WAVELENGTH, outer_scale_m=L0, noise=0.0)
    assert r0.value == pytest.approx(0.12, abs=3 * r0.sigma)
    assert 0.001 < r0.sigma < 0.02
    wind = wind_from_slopes(slopes, 250.0, 0.25, outer_scale_m=L0)
    assert wind.value == pytest.approx(12.0, abs=3 * wind.sigma)
    assert wind.sigma < 0.08 * 12.0


def test_wind_is_found_from_zernikes_of_a_flowing_screen() -> None:
    _, zernikes = flowing()
    wind = wind_from_zernikes(zernikes, 250.0, 1.5, outer_scale_m=L0)
    assert wind.value == pytest.approx(12.0, abs=3 * wind.sigma)
    noisy = zernikes + 0.05 * np.random.default_rng(3).normal(size=zernikes.shape)
    assert wind_from_zernikes(noisy, 250.0, 1.5, outer_scale_m=L0).value == pytest.approx(wind.value, rel=0.1)


def test_seeing_puts_them_together() -> None:
    found = describe_seeing(Estimate(0.1, 0.01, 50.0), Estimate(10.0, 1.0, 80.0), 500e-9)
    assert found.coherence_time.value == pytest.approx(3.14e-3)
    assert found.coherence_time.sigma == pytest.approx(3.14e-3 * math.hypot(0.1, 0.1))
    assert found.fwhm.value == pytest.approx(1.0066, rel=1e-3)  # 0.976 λ / r0
    assert found.fwhm.sigma == pytest.approx(0.1 * found.fwhm.value)
    # Tokovinin 2002, equation 19.
    shorter = describe_seeing(found.r0, found.wind, 500e-9, 25.0)
    assert shorter.fwhm.value == pytest.approx(1.0066 * math.sqrt(1 - 2.183 * (0.1 / 25) ** 0.356), rel=1e-3)


NOISE = np.random.default_rng(9).normal(size=(400, 4))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: r0_from_slopes(NOISE, 0.0, 5e-7), UsageError, "subaperture_m is 0.0"),
        (lambda: r0_from_slopes(NOISE, 0.1, -1.0), UsageError, "wavelength_m is -1.0"),
        (lambda: slope_variance(0.1, 5e-7, -1.0), UsageError, "outer_scale_m is -1.0"),
        (lambda: slope_variance(0.1, 5e-7, 20.0, "hexagon"), UsageError, "'hexagon'"),  # type: ignore[arg-type]
        (lambda: r0_from_slopes(NOISE, 0.1, 5e-7, noise=9.0), DataError, "no more variance than its noise"),
        (lambda: r0_from_slopes(NOISE, 0.1, 5e-7, noise=[1.0, 2.0]), UsageError, r"noise's shape is \(2,\)"),
        (lambda: r0_from_modes(NOISE, np.ones(3), 1.0), UsageError, "expected 4 positive"),
        (lambda: r0_from_modes(NOISE, np.ones(4), 0.0), UsageError, "diameter_m is 0.0"),
        (lambda: wind_from_slopes(NOISE[:99], 100.0, 0.1), UsageError, "needs 192 or more"),
        (lambda: wind_from_slopes(NOISE, 0.0, 0.1), UsageError, "rate_hz is 0.0"),
        (lambda: wind_from_slopes(np.zeros(400), 100.0, 0.1), DataError, "record longer"),
        (lambda: wind_from_zernikes(NOISE, 100.0, 1.0), UsageError, "no whole radial order"),
        (
            lambda: describe_seeing(Estimate(0.0, 0.0, 1.0), Estimate(1.0, 0.0, 1.0), 5e-7),
            UsageError,
            "r0 is 0.0",
        ),
        (
            lambda: describe_seeing(Estimate(1.0, 0.0, 1.0), Estimate(1.0, 0.0, 1.0), 5e-7, 2.0),
            UsageError,
            "too short",
        ),
    ],
)
def test_errors_say_what_to_do(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
