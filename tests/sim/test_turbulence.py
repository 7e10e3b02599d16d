from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import j0

from framebus.errors import UsageError
from framebus.sim.turbulence import (
    PhaseScreen,
    flow,
    mode_powers,
    periodic_screen,
    spectrum,
    structure_function,
    total_phase,
    window,
)
from framebus.unit.helpers import dispatcher

compiled_flow = dispatcher(cast(Any, flow), frozenset({"reassoc", "contract", "nsz"}))


def flowed(screen: np.ndarray, shape: tuple[int, int], x: float, y: float, gain: float = 1.0) -> np.ndarray:
    out = np.zeros(shape, np.float32)
    compiled_flow(screen, out, x, y, gain)
    return out


@pytest.mark.parametrize("separation", [0.05, 0.5, 5.0])
def test_the_structure_function_is_the_transform_of_the_spectrum(separation: float) -> None:
    def integrand(log_f: float) -> float:
        f = np.exp(log_f)
        return float(4 * np.pi * f**2 * spectrum(f, 0.15, 20.0) * (1 - j0(2 * np.pi * f * separation)))

    integral = quad(integrand, np.log(1e-5), np.log(200 / separation), limit=2000)[0]
    # What lies above the last frequency is a Kolmogorov tail.
    tail = 4 * np.pi * 0.0229 * 0.15 ** (-5 / 3) * (3 / 5) * (200 / separation) ** (-5 / 3)
    assert structure_function(separation, 0.15, 20.0) == pytest.approx(integral + tail, rel=0.002)


def test_without_outer_scale_it_is_kolmogorovs() -> None:
    r = np.array([0.1, 1.0, 10.0])
    np.testing.assert_allclose(structure_function(r, 0.2, 1e7), 6.88 * (r / 0.2) ** (5 / 3), rtol=0.02)
    assert structure_function(0.0, 0.2, 20.0) == 0.0


@pytest.mark.parametrize(
    ("pixel_m", "outer_scale_m"), [(0.025, 25.0), (0.1, 25.0), (0.0125, 25.0), (0.1, 4.0)]
)
def test_the_modes_of_a_screen_have_the_right_structure_function(
    pixel_m: float, outer_scale_m: float
) -> None:
    size = 512
    half = mode_powers(size, pixel_m, 0.15, outer_scale_m)
    # An inverse transform of the powers is the covariance that screens have on average: no chance is in it.
    covariance = np.fft.irfft2(half, s=(size, size)) * size * size
    separations = np.array([1, 2, 3, 5, 8, 16, 32, 48, 64])
    theory = structure_function(separations * pixel_m, 0.15, outer_scale_m)
    for values in (covariance[0, separations], covariance[separations, 0]):
        np.testing.assert_allclose(2 * (covariance[0, 0] - values)[1:], theory[1:], rtol=0.02)
        np.testing.assert_allclose(2 * (covariance[0, 0] - values)[0], theory[0], rtol=0.03)
    diagonal = structure_function(20 * np.sqrt(2) * pixel_m, 0.15, outer_scale_m)
    assert 2 * (covariance[0, 0] - covariance[20, 20]) == pytest.approx(diagonal, rel=0.02)


def test_screens_have_the_right_structure_function_over_the_pupil() -> None:
    shape, pixel_m, separations = (80, 80), 0.025, [2, 4, 8, 16, 24, 40]
    found = np.zeros((2, len(separations)))
    for seed in range(12):
        screen = PhaseScreen(shape, pixel_m, size=640, seed=seed).screen
        for k, s in enumerate(separations):
            found[0, k] += np.mean((np.roll(screen, s, axis=1) - screen) ** 2) / 12
            found[1, k] += np.mean((np.roll(screen, s, axis=0) - screen) ** 2) / 12
    theory = structure_function(np.array(separations) * pixel_m, 0.15, 25.0)
    np.testing.assert_allclose(found, [theory, theory], rtol=0.1)


def test_looking_between_pixels_hardly_smooths() -> None:
    screen = PhaseScreen((400, 400), 0.025, size=400).screen
    between = window(screen, (400, 400), 0.5, 0.5)
    for separation in (2, 4, 8):
        at_pixels = np.mean((np.roll(screen, separation, axis=1) - screen) ** 2)
        assert np.mean((np.roll(between, separation, axis=1) - between) ** 2) == pytest.approx(
            at_pixels, rel=0.1
        )


def test_a_seed_makes_a_screen() -> None:
    one, same, other = (PhaseScreen((8, 8), 0.1, size=64, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.screen, same.screen)
    assert abs(np.corrcoef(one.screen.ravel(), other.screen.ravel())[0, 1]) < 0.7
    assert one.screen.dtype == np.float32
    assert abs(one.screen.mean()) < 1e-4 * one.screen.std()


def test_the_flow_is_frozen() -> None:
    # 20 pixels per second towards +x, then +y: after a second each feature is 20 pixels further.
    for direction, axis in ((0.0, 1), (90.0, 0)):
        screen = PhaseScreen((64, 64), 0.1, wind_speed_m_s=2.0, wind_direction_deg=direction, size=64)
        np.testing.assert_allclose(screen.at(1.0), np.roll(screen.at(0.0), 20, axis), atol=1e-4)
        np.testing.assert_allclose(screen.at(0.0), screen.screen, atol=1e-6)


def test_the_flow_between_pixels_follows_a_smooth_wave() -> None:
    y, x = np.mgrid[:64, :64] * (2 * np.pi / 64)
    screen = np.sin(3 * x + 2 * y).astype(np.float32)
    for dx, dy in ((0.5, 0.0), (0.3, 0.7), (-12.4, 100.6)):
        expected = np.sin(3 * (x + dx * 2 * np.pi / 64) + 2 * (y + dy * 2 * np.pi / 64))
        np.testing.assert_allclose(flowed(screen, (64, 64), dx, dy), expected, atol=0.005)


def test_the_wind_goes_round() -> None:
    screen = PhaseScreen((16, 16), 0.1, wind_speed_m_s=10.0, size=64)
    np.testing.assert_allclose(screen.at(0.64), screen.at(0.0), atol=1e-4)


SCREEN = periodic_screen(32, 0.1, 0.5, 5.0, 1)


@settings(max_examples=60)
@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.integers(1, 70), st.integers(1, 70))
def test_the_kernel_sees_the_same_window(x: float, y: float, ny: int, nx: int) -> None:
    # The window may well be larger than the screen.
    np.testing.assert_allclose(flowed(SCREEN, (ny, nx), x, y), window(SCREEN, (ny, nx), x, y), atol=1e-3)


def test_the_kernel_runs_in_the_interpreter_too() -> None:
    out = np.ones((6, 40), np.float32)
    flow(SCREEN, out, 27.3, 30.9, 2.0)
    np.testing.assert_allclose(out, 1 + 2 * flowed(SCREEN, (6, 40), 27.3, 30.9), atol=1e-4)


@settings(max_examples=100)
@given(st.floats(), st.floats(), st.integers(1, 6), st.integers(1, 6))
def test_any_offset_and_any_screen_are_safe(x: float, y: float, rows: int, columns: int) -> None:
    screen = np.full((rows, columns), 3.0, np.float32)
    np.testing.assert_allclose(flowed(screen, (9, 7), x, y), 3.0, rtol=1e-5)


def test_phase_goes_as_one_over_wavelength() -> None:
    green, red = (
        PhaseScreen((8, 8), 0.1, wavelength_m=wavelength, size=64) for wavelength in (500e-9, 1000e-9)
    )
    np.testing.assert_allclose(red.screen, green.screen / 2, rtol=1e-6)


def test_layers_add() -> None:
    layers = [PhaseScreen((8, 8), 0.1, size=64, seed=seed, wind_speed_m_s=seed) for seed in (1, 2)]
    np.testing.assert_allclose(total_phase(layers, 0.3), layers[0].at(0.3) + layers[1].at(0.3), rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"shape": (8, 65)}, "does not fit"),
        ({"shape": (0, 8)}, "does not fit"),
        ({"size": 8}, "at least 16"),
        ({"pixel_m": 0.0}, "pixel_m"),
        ({"r0_m": -1.0}, "r0_m"),
        ({"outer_scale_m": np.inf}, "outer_scale_m"),
        ({"wavelength_m": 0.0}, "wavelength_m"),
        ({"wind_speed_m_s": np.nan}, "wind"),
    ],
)
def test_bad_screens_are_refused(change: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        PhaseScreen(**{"shape": (8, 8), "pixel_m": 0.1, "size": 64, **change})


def test_layers_must_agree() -> None:
    with pytest.raises(UsageError, match="same window"):
        total_phase([], 0.0)
    with pytest.raises(UsageError, match="same window"):
        total_phase([PhaseScreen((8, 8), 0.1, size=64), PhaseScreen((8, 9), 0.1, size=64)], 0.0)
