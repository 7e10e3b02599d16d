from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from framebus.ao import error_budget as budget
from framebus.ao.turbulence_statistics import noll_residuals
from framebus.errors import UsageError


def test_the_classical_formulas_have_their_printed_values() -> None:
    assert budget.fitting_variance(0.5, 0.5) == 0.28
    assert budget.fitting_variance(1.0, 0.5, 1.26) == pytest.approx(1.26 * 2 ** (5 / 3))
    assert budget.aliasing_variance(0.5, 0.5) == 0.08
    # 10 m/s and r0 = 10 cm: the usual example.
    assert budget.greenwood_frequency(10.0, 0.1) == pytest.approx(42.66)
    assert budget.coherence_time(10.0, 0.1) == pytest.approx(3.14e-3)
    # f_G τ0 = 0.134, and a lag of τ0 costs 1 rad².
    assert budget.greenwood_frequency(7.0, 0.2) * budget.coherence_time(7.0, 0.2) == pytest.approx(
        0.134, rel=1e-3
    )
    assert budget.delay_variance(budget.coherence_time(7.0, 0.2), 0.2, 7.0) == pytest.approx(1.0, rel=0.01)
    assert budget.bandwidth_variance(20.0, 20.0) == 1.0
    assert budget.anisoplanatic_variance(4.0, 2.0) == pytest.approx(2 ** (5 / 3))
    assert budget.modal_fitting_variance(2, 8.0, 8.0) == pytest.approx(0.134, rel=0.01)
    assert budget.modal_fitting_variance(9, 8.0, 0.8, 80.0) == pytest.approx(
        noll_residuals(9, 10.0)[-1] * 10 ** (5 / 3)
    )


def test_noise_on_the_mirror_is_that_of_the_loop() -> None:
    rng = np.random.default_rng(1)
    command, commands = 0.0, []
    for noise in rng.normal(size=60000):
        command = (1 - 0.4) * command + 0.4 * noise
        commands.append(command)
    assert np.var(commands[100:]) == pytest.approx(budget.noise_on_mirror(1.0, 0.4), rel=0.05)


def test_photon_and_detector_noise_are_those_of_a_centre_of_gravity() -> None:
    rng = np.random.default_rng(2)
    # A Gaussian spot: its centre of gravity, in pixels, is 2π / diffraction radians of phase across the lenslet.
    photons, width, diffraction = 200, 3.0, 2.0
    places = rng.normal(size=(20000, photons)) * width / (2 * math.sqrt(2 * math.log(2)))
    phase = 2 * math.pi / diffraction * places.mean(axis=1)
    assert phase.var() == pytest.approx(budget.photon_noise(photons, width, diffraction), rel=0.05)
    box = np.arange(12) - 5.5
    readings = 3.0 * rng.normal(size=(5000, 12, 12))
    phase = 2 * math.pi / diffraction * (readings.sum(axis=1) @ box) / photons
    # Rousset's formula leaves out 1 / window beside 1.
    assert phase.var() == pytest.approx(budget.detector_noise(photons, 3.0, 144, diffraction), rel=0.08)


def test_errors_add_up() -> None:
    found = budget.ErrorBudget(fitting=0.1, servo_lag=0.2, noise=0.05, aliasing=0.03)
    assert found.total == pytest.approx(0.38)
    assert found.strehl == pytest.approx(math.exp(-0.38))
    in_nm = found.rms_nm(500e-9)
    assert in_nm["total"] == pytest.approx(500 / (2 * math.pi) * math.sqrt(0.38))
    assert in_nm["anisoplanatism"] == 0.0
    assert sum(value**2 for name, value in in_nm.items() if name != "total") == pytest.approx(
        in_nm["total"] ** 2
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: budget.ErrorBudget(-0.1, 0.0, 0.0), "fitting is -0.1"),
        (lambda: budget.ErrorBudget(0.1, 0.0, math.nan), "noise is nan"),
        (lambda: budget.fitting_variance(0.0, 1.0), "pitch_m is 0.0"),
        (lambda: budget.modal_fitting_variance(3, 1.0, -1.0), "r0_m is -1.0"),
        (lambda: budget.greenwood_frequency(math.inf, 1.0), "wind_m_s is inf"),
        (lambda: budget.noise_on_mirror(1.0, 2.0), "gain is 2.0"),
        (lambda: budget.noise_on_mirror(-1.0, 0.5), "open_loop_variance is -1.0"),
        (lambda: budget.photon_noise(0.0, 1.0, 1.0), "photons is 0.0"),
        (lambda: budget.anisoplanatic_variance(-1.0, 1.0), "angle is -1.0"),
        (lambda: budget.ErrorBudget(0.1, 0.0, 0.0).rms_nm(0.0), "wavelength_m is 0.0"),
    ],
)
def test_arguments_are_checked(call: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        call()
