from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gamma

from framebus.ao.turbulence_statistics import (
    noll_residuals,
    piston_removed_variance,
    von_karman_covariance,
    zernike_covariance,
)
from framebus.errors import UsageError
from framebus.sim.turbulence import structure_function


def test_residuals_are_those_that_noll_printed() -> None:
    # J. Opt. Soc. Am. 66 (1976) 207, table IV; his constants are rounded, by 0.25 per cent in all.
    printed = [1.0299, 0.582, 0.134, 0.111, 0.0880, 0.0648, 0.0587, 0.0525, 0.0463, 0.0401, 0.0377]
    printed += [0.0352, 0.0328, 0.0304, 0.0279, 0.0267, 0.0255, 0.0243, 0.0232, 0.0220, 0.0208]
    np.testing.assert_allclose(noll_residuals(20), printed, rtol=0.006)


def test_the_variance_without_piston_is_the_mean_of_the_structure_function() -> None:
    def weighted(s: float) -> float:
        """Density of the distance s between two points of a disc of radius 1, times (s / 2)^(5/3)."""
        density = 4 * s / np.pi * np.arccos(s / 2) - 2 * s**2 / np.pi * np.sqrt(1 - s**2 / 4)
        return float(density * (s / 2) ** (5 / 3))

    exact = (24 / 5 * gamma(6 / 5)) ** (5 / 6) * quad(weighted, 0, 2)[0]
    assert piston_removed_variance() == pytest.approx(exact, rel=1e-4)


def test_many_modes_leave_what_noll_s_approximation_says() -> None:
    assert noll_residuals(200)[-1] == pytest.approx(0.2944 * 201 ** (-np.sqrt(3) / 2), rel=0.04)


def test_an_outer_scale_lowers_tip_and_tilt_most_and_goes_away_when_it_is_long() -> None:
    open_, closed = zernike_covariance(10), zernike_covariance(10, 10.0)
    ratio = closed.diagonal() / open_.diagonal()
    assert 0.3 < ratio[0] < 0.7
    assert (ratio[5:] > 0.97).all()
    assert (np.diff(noll_residuals(10, 10.0)) < 0).all()
    np.testing.assert_allclose(zernike_covariance(10, 1e7)[2:, 2:], open_[2:, 2:], rtol=1e-4, atol=1e-6)


def test_the_covariance_of_modes_is_a_covariance() -> None:
    found = zernike_covariance(35)
    assert np.array_equal(found, found.T)
    assert np.linalg.eigvalsh(found)[0] > 0
    # Noll: defocus and spherical, tip and horizontal coma go together, the others of these don't.
    assert found[2, 9] < 0
    assert found[0, 6] < 0
    assert found[0, 1] == found[0, 5] == 0.0


def test_the_covariance_of_points_has_von_karman_s_structure_function() -> None:
    points = np.random.default_rng(1).random((20, 2)) * 3
    found = von_karman_covariance(points, 0.12, 20.0)
    apart = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    np.testing.assert_allclose(
        2 * (found[0, 0] - found), structure_function(apart, 0.12, 20.0), rtol=1e-6, atol=1e-6
    )
    assert np.linalg.eigvalsh(found)[0] > 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: zernike_covariance(0), "n_modes is 0"),
        (lambda: zernike_covariance(3, -1.0), "outer_scale is -1.0"),
        (lambda: piston_removed_variance(0.0), "outer_scale is 0.0"),
        (lambda: von_karman_covariance(np.zeros((3, 3)), 0.1, 20.0), r"shape is \(3, 3\)"),
        (lambda: von_karman_covariance(np.zeros((3, 2)), 0.0, 20.0), "r0_m is 0.0"),
        (lambda: von_karman_covariance(np.zeros((3, 2)), 0.1, np.inf), "outer_scale_m is inf"),
    ],
)
def test_arguments_are_checked(call: object, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()  # type: ignore[operator]
