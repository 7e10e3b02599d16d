from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from framebus.ao.measured_rejection import rejection_from_loop, rejection_from_pair
from framebus.ao.telemetry import open_loop_telemetry
from framebus.ao.transfer import integrator, rejection
from framebus.errors import DataError, UsageError

Array = NDArray[Any]
RATE = 500.0


def loop(gain: float, seed: int, n: int = 40000) -> tuple[Array, Array]:
    """Residuals and commands of an integrator with two frames of delay, frame by frame, on red noise."""
    rng = np.random.default_rng(seed)
    open_loop = np.asarray(signal.lfilter([1], [1, -0.95], rng.normal(size=(n, 2)), axis=0))
    residual, command = np.zeros((n, 2)), np.zeros((n, 2))
    for k in range(n):
        acted = command[k - 2] if k >= 2 else 0.0
        residual[k] = open_loop[k] - acted
        command[k] = command[k - 1] + gain * residual[k]
    return residual, command


def predicted(frequency: Array) -> Array:
    return rejection(frequency, RATE, 2.0, integrator(0.4))


def test_an_integrator_rejects_what_theory_says_within_a_decibel() -> None:
    residual, command = loop(0.4, 1)
    found = rejection_from_loop(
        residual[2:], open_loop_telemetry(residual, command, 2.0), RATE, predicted=predicted, segment=1000
    )
    assert found.predicted_db is not None
    assert np.abs(found.rejection_db - found.predicted_db)[2:].max() < 1.0
    assert found.rms_difference_db is not None
    assert (found.rms_difference_db < 0.3).all()
    # Where |1 + g e^(-2iω) / (1 - e^(-iω))| is 1.
    frequency = np.linspace(1, 200, 100000)
    crossing = frequency[np.argmax(np.abs(predicted(frequency)) >= 1)]
    np.testing.assert_allclose(found.bandwidth_hz, crossing, rtol=0.03)


def test_a_pair_of_recordings_gives_the_same_within_its_interval() -> None:
    residual, _ = loop(0.4, 2)
    rng = np.random.default_rng(3)
    other = signal.lfilter([1], [1, -0.95], rng.normal(size=(50000, 2)), axis=0)
    found = rejection_from_pair(residual, other, RATE, predicted=predicted, segment=500)
    assert found.predicted_db is not None
    assert found.inside is not None
    assert found.inside[0] == pytest.approx(0.95, abs=0.05)
    assert np.sqrt(np.mean((found.rejection_db - found.predicted_db) ** 2)) < 1.0


def test_the_interval_of_a_loop_holds_the_truth_as_often_as_it_says() -> None:
    # What a loop adds by itself is in no correlation with the turbulence.
    rng = np.random.default_rng(4)
    open_loop = rng.normal(size=(30000, 8))
    residual = signal.lfilter([0.5, 0.3], [1.0], open_loop, axis=0) + 0.4 * rng.normal(size=(30000, 8))

    def truth(frequency: Array) -> Array:
        return 0.5 + 0.3 * np.exp(-2j * np.pi * frequency / RATE)

    for confidence in (0.6, 0.95):
        found = rejection_from_loop(
            residual, open_loop, RATE, predicted=truth, segment=300, confidence=confidence
        )
        assert found.inside is not None
        # The circle in the plane holds the phase too; the magnitude alone lies in it more often, but never less.
        assert confidence - 0.03 < found.inside.mean() <= 1.0
        assert (found.low_db <= found.rejection_db).all()
        assert (found.rejection_db <= found.high_db).all()


def test_predictions_are_taken_as_values_and_a_curve_without_crossing_has_no_bandwidth() -> None:
    rng = np.random.default_rng(5)
    open_loop = rng.normal(size=(2000, 1))
    found = rejection_from_loop(
        0.5 * open_loop, open_loop, RATE, predicted=np.full((100, 1), 0.5), segment=200
    )
    np.testing.assert_allclose(found.rejection_db, 20 * np.log10(0.5), atol=1e-9)
    assert found.rms_difference_db == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(found.bandwidth_hz).all()


NOISE = np.random.default_rng(6).normal(size=(400, 2))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: rejection_from_loop(NOISE, NOISE, RATE, confidence=1.0), UsageError, "confidence is 1.0"),
        (lambda: rejection_from_loop(NOISE, NOISE, RATE, segment=300), UsageError, "expected 3 or more"),
        (lambda: rejection_from_loop(NOISE, NOISE[:50], RATE), UsageError, "expected the same"),
        (lambda: rejection_from_loop(NOISE, 0 * NOISE, RATE), DataError, "2 channels have no power"),
        (lambda: rejection_from_pair(NOISE, NOISE[:, :1], RATE), UsageError, "2 and 1 channels"),
        (
            lambda: rejection_from_pair(NOISE, NOISE, RATE, predicted=np.ones(3)),
            UsageError,
            r"expected \(\d+,\) or",
        ),
        (
            lambda: rejection_from_pair(NOISE, NOISE, RATE, predicted=lambda f: 0 * f),
            DataError,
            "not positive",
        ),
    ],
)
def test_errors_say_what_to_do(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
