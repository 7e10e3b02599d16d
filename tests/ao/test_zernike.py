from __future__ import annotations

from typing import Any

import aobasis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from framebus.ao.zernike import fit_zernikes, noll_index, zernike_gradients, zernike_modes
from framebus.errors import DataError, UsageError

Array = NDArray[Any]


@given(st.integers(1, 4000))
def test_the_order_is_noll_s(j: int) -> None:
    assert noll_index(j) == aobasis.noll_to_nm(j)


def test_the_first_modes_are_as_printed() -> None:
    x, y = np.array([0.3, -0.5]), np.array([0.6, 0.1])
    r2 = x**2 + y**2
    expected = [
        np.ones(2),
        2 * x,
        2 * y,
        np.sqrt(3) * (2 * r2 - 1),
        2 * np.sqrt(6) * x * y,
        np.sqrt(6) * (x**2 - y**2),
        np.sqrt(8) * (3 * r2 - 2) * y,
        np.sqrt(8) * (3 * r2 - 2) * x,
        np.sqrt(8) * (3 * x**2 * y - y**3),
        np.sqrt(8) * (x**3 - 3 * x * y**2),
        np.sqrt(5) * (6 * r2**2 - 6 * r2 + 1),
    ]
    np.testing.assert_allclose(zernike_modes(x, y, np.arange(1, 12)), expected)


def test_modes_are_orthonormal_over_the_circle() -> None:
    # Gauss-Legendre in r² and equal steps in angle are exact for these polynomials.
    nodes, weights = np.polynomial.legendre.leggauss(16)
    radius = np.sqrt(0.5 * (nodes + 1))
    angle = np.arange(64) * 2 * np.pi / 64
    x, y = radius[:, None] * np.cos(angle), radius[:, None] * np.sin(angle)
    modes = zernike_modes(x, y, np.arange(1, 67)).reshape(66, -1)
    area = np.repeat(weights / 2, 64) / 64
    np.testing.assert_allclose((modes * area) @ modes.T, np.eye(66), atol=1e-12)


@given(st.integers(1, 80), st.floats(-0.9, 0.9), st.floats(-0.9, 0.9))
def test_gradients_are_derivatives(j: int, x: float, y: float) -> None:
    h = 1e-5
    found = zernike_gradients(x, y, [j])[:, 0]
    by_x = (zernike_modes(x + h, y, [j]) - zernike_modes(x - h, y, [j]))[0] / (2 * h)
    by_y = (zernike_modes(x, y + h, [j]) - zernike_modes(x, y - h, [j]))[0] / (2 * h)
    np.testing.assert_allclose(found, [by_x, by_y], rtol=1e-5, atol=1e-5)


def lenslets(n: int = 12) -> Array:
    """Centres of the lenslets of a round pupil of radius 1 m: y, x."""
    axis = (np.arange(n) + 0.5) / n * 2 - 1
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return np.column_stack([y[np.hypot(y, x) < 1], x[np.hypot(y, x) < 1]])


def mean_slopes(centres: Array, truth: Array, diameter: float) -> Array:
    """Gradients averaged over round lenslets, by many points."""
    radius = np.sqrt((np.arange(400) + 0.5) / 400) * diameter / 2
    angle = np.arange(400) * 2.399963  # the golden angle: even over the disc
    y, x = (centres[:, k, None] + radius * f(angle) for k, f in enumerate((np.sin, np.cos)))
    gradients = zernike_gradients(x, y, np.arange(2, len(truth) + 2)).mean(axis=-1)
    return np.concatenate([truth @ gradients[0], truth @ gradients[1]])


def test_an_aberration_is_found_with_lenslets_that_average() -> None:
    truth = np.random.default_rng(4).normal(size=20) * 1e-7
    centres = lenslets()
    slopes = mean_slopes(centres, truth, 1 / 6) / 4e-4  # pixels of 0.4 mrad
    fit = fit_zernikes(slopes, centres, 1.0, 4e-4, n_modes=20, subaperture_m=1 / 6)
    np.testing.assert_allclose(fit.coefficients_m, truth, atol=1e-9)
    assert fit.explained > 0.9999
    assert fit.rms_m == pytest.approx(np.sqrt(np.sum(truth[2:] ** 2)), rel=0.01)
    np.testing.assert_array_equal(fit.modes, np.arange(2, 22))


def test_errors_are_as_large_as_they_are_said_to_be() -> None:
    rng = np.random.default_rng(5)
    truth, centres = rng.normal(size=10), lenslets()
    clean = mean_slopes(centres, truth, 1e-9)
    pulls = []
    for _ in range(100):
        fit = fit_zernikes(clean + 0.1 * rng.normal(size=clean.size), centres, 1.0, 1.0, n_modes=10)
        assert fit.residual_rms == pytest.approx(0.1, rel=0.3)
        pulls.append((fit.coefficients_m - truth) / fit.sigma_m)
    assert np.std(pulls) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slopes": np.zeros(3)}, r"expected \(8,\) for 4 lenslets"),
        ({"centres_m": np.zeros((4, 3))}, r"centres_m has shape \(4, 3\)"),
        ({"radius_m": 0.0}, "radius_m is 0.0"),
        ({"radians_per_unit": np.nan}, "radians_per_unit is nan"),
        ({"subaperture_m": -1.0}, "subaperture_m is -1.0"),
        ({"n_modes": 9}, "expected 1 to 8"),
    ],
)
def test_arguments_are_checked(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "slopes": np.zeros(8),
        "centres_m": lenslets(2),
        "radius_m": 1.0,
        "radians_per_unit": 1.0,
        "n_modes": 2,
    } | change
    with pytest.raises(UsageError, match=message):
        fit_zernikes(**arguments)


def test_what_cannot_be_told_is_said() -> None:
    with pytest.raises(DataError, match="1 of 8 slopes are not finite"):
        fit_zernikes([np.nan] + 7 * [0.0], lenslets(2), 1.0, 1.0, n_modes=2)
    with pytest.raises(DataError, match="4 lenslets cannot tell 8 Zernike modes apart"):
        fit_zernikes(np.ones(8), np.zeros((4, 2)), 1.0, 1.0, n_modes=8)
    with pytest.raises(UsageError, match="Noll's index is 0"):
        zernike_modes(0.0, 0.0, [0])
    with pytest.raises(UsageError, match="expected the same"):
        zernike_modes(np.zeros(2), np.zeros(3), [1])
