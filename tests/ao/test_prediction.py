from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from framebus.ao import Predictor, leaky_integrator, predictive_filter, train_predictor
from framebus.ao.transfer import integrator, residual_variance
from framebus.errors import DataError, UsageError
from support.ao_loop import Controlling, run_loop

# A vibration of 0.06 cycles per frame with a damping of 0.97 per frame: phi[k] = a1 phi[k-1] + a2 phi[k-2] + noise.
A1, A2 = 2 * 0.97 * np.cos(2 * np.pi * 0.06), -(0.97**2)


def vibration(frames: int, n: int, seed: int) -> NDArray[np.float64]:
    noise = np.random.default_rng(seed).normal(size=(frames + 500, n))
    return np.asarray(signal.lfilter([1.0], [1.0, -A1, -A2], noise, axis=0)[500:])


@pytest.mark.parametrize("delay", [1.0, 2.0, 3.0])
def test_training_finds_the_best_prediction_of_an_autoregressive_process(delay: float) -> None:
    # The best prediction of an AR(2) process uses two samples; what it leaves is noise that it cannot know yet.
    power = np.array([[A1, A2], [1.0, 0.0]])
    ahead = np.linalg.matrix_power(power, int(delay))[0]
    impulse = signal.lfilter([1.0], [1.0, -A1, -A2], np.r_[1.0, np.zeros(9)])
    found = train_predictor(vibration(40_000, 2, 1), 2, delay)
    np.testing.assert_allclose(found.coefficients, np.repeat(ahead[:, None], 2, axis=1), atol=0.02)
    np.testing.assert_allclose(found.residual, np.sum(impulse[: int(delay)] ** 2), rtol=0.03)


def test_the_predictive_filter_beats_the_integrator_by_what_its_model_says() -> None:
    delay, n, gain = 2.0, 32, 0.3
    predictor = train_predictor(vibration(20_000, 1, 2), 4, delay)
    assert isinstance(predictor, Predictor)
    coefficients = np.repeat(predictor.coefficients, n, axis=1)
    disturbance = vibration(3000, n, 3)
    predicted, _ = run_loop(
        Controlling(predictive_filter, n, {"coefficients": coefficients}, delay=delay), disturbance, delay
    )
    integrated, _ = run_loop(Controlling(leaky_integrator, n, gain=gain, leak=1.0), disturbance, delay)
    f = np.linspace(0.0, 0.5, 20_001)
    spectrum = 2.0 / np.abs(1 - A1 * np.exp(-2j * np.pi * f) - A2 * np.exp(-4j * np.pi * f)) ** 2
    expected = residual_variance(spectrum, f, 1.0, delay, integrator(gain)) / predictor.residual[0]
    measured = np.var(integrated[200:]) / np.var(predicted[200:])
    assert expected > 10
    assert measured == pytest.approx(expected, rel=0.1)


def test_delays_between_frames_are_trained_for_a_target_between_frames() -> None:
    data = np.cos(2 * np.pi * 0.03 * np.arange(400))[:, None]
    found = train_predictor(data, 2, 1.5, regularisation=0.0)
    ahead = 0.5 * data[2:-1, 0] + 0.5 * data[3:, 0]
    windows = np.stack([data[1:-2, 0], data[:-3, 0]])
    np.testing.assert_allclose(found.coefficients[:, 0] @ windows, ahead, atol=1e-5)
    assert found.residual[0] < 1e-10


def test_regularisation_makes_coefficients_smaller() -> None:
    data = vibration(300, 1, 4)
    sizes = [
        np.sum(train_predictor(data, 8, 1.0, regularisation=r).coefficients ** 2) for r in (0.0, 1e-2, 1.0)
    ]
    assert sizes[0] > sizes[1] > sizes[2]


def test_it_begins_where_the_mirror_is_and_corrects_what_is_constant() -> None:
    half = np.full((2, 1), 0.5, "float32")
    control = Controlling(predictive_filter, 1, {"coefficients": half}, delay=2.0)
    control.arrays["command"][:] = 0.4
    # The mirror has been at 0.4, so an error of 0.1 is a turbulence of -0.3.
    assert control(np.array([0.1]))[0] == pytest.approx(0.3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_mode_that_is_not_finite_holds_and_recovers(bad: float) -> None:
    control = Controlling(predictive_filter, 2, {"coefficients": np.ones((1, 2), "float32")}, delay=1.0)
    before = control(np.array([0.5, 0.5])).copy()
    after = control(np.array([bad, 0.25]))
    assert after[0] == before[0]
    assert after[1] != before[1]
    assert np.isfinite(control(np.array([0.5, 0.5]))).all()
    control.arrays["coefficients"][0, 0] = bad
    held = control.arrays["command"][0]
    assert control(np.array([0.3, 0.3]))[0] == held


def test_what_cannot_be_trained_is_refused() -> None:
    data = vibration(100, 2, 5)
    for arguments in ((data[:, 0], 2, 1.0), (data, 0, 1.0), (data, 2, 0.5), (data, 2, 9.0), (data, 30, 1.0)):
        with pytest.raises(UsageError):
            train_predictor(*arguments)
    with pytest.raises(UsageError):
        train_predictor(data, 2, 1.0, regularisation=-1.0)
    broken = data.copy()
    broken[7, 1] = np.nan
    with pytest.raises(DataError, match="mode 1"):
        train_predictor(broken, 2, 1.0)
    with pytest.raises(DataError, match="regular"):
        train_predictor(np.ones((100, 1)), 2, 1.0, regularisation=0.0)
    quiet = train_predictor(np.zeros((100, 1)), 2, 1.0)
    np.testing.assert_array_equal(quiet.coefficients, 0.0)
