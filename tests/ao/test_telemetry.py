from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from framebus.ao.telemetry import (
    autocovariance,
    correlation_time,
    noise_variance,
    open_loop_telemetry,
    spectra,
)
from framebus.errors import DataError, UsageError

Array = NDArray[Any]
RNG = np.random.default_rng(11)


def autoregressive(memory: float, n: int, channels: int = 3) -> Array:
    """x[k] = memory x[k-1] + white noise, of variance 1: correlation memory^lag."""
    drive = RNG.normal(size=(n, channels)) * np.sqrt(1 - memory**2)
    drive[0] = RNG.normal(size=channels)
    return np.asarray(signal.lfilter([1], [1, -memory], drive, axis=0))


def test_the_spectrum_is_that_of_welch() -> None:
    series = RNG.normal(size=(1000, 2)).cumsum(axis=0)
    for length in (128, 127):
        found = spectra(series, series, 500.0, length)
        frequency, density = found.frequency_hz, found.first
        expected = signal.welch(series, 500.0, "hann", length, noverlap=length - length // 2, axis=0)
        np.testing.assert_allclose(frequency, expected[0][1:])
        np.testing.assert_allclose(density, expected[1][1:], rtol=1e-9)


def test_the_spectrum_sums_to_the_variance() -> None:
    series = 2.0 * RNG.normal(size=(20000, 1))
    found = spectra(series, series, 100.0, 256)
    assert found.first.sum() * found.frequency_hz[0] == pytest.approx(4.0, rel=0.03)


def test_the_cross_spectrum_tells_a_delay() -> None:
    series = RNG.normal(size=(4000, 1))
    found = spectra(series[3:], series[:-3], 1.0, 64)
    phase = np.angle(found.cross[:8, 0])
    np.testing.assert_allclose(phase, -2 * np.pi * 3 * found.frequency_hz[:8], atol=0.15)
    assert found.averages == pytest.approx(0.95 * 123, rel=0.02)


def test_the_autocovariance_is_the_mean_of_the_products() -> None:
    series = RNG.normal(size=(50, 2))
    centred = series - series.mean(axis=0)
    found = autocovariance(series, 10)
    for lag in range(10):
        np.testing.assert_allclose(found[lag], (centred[: 50 - lag] * centred[lag:]).mean(axis=0), atol=1e-12)


@pytest.mark.parametrize("memory", [0.0, 0.5, 0.9, 0.97])
def test_the_correlation_time_is_that_of_an_autoregression(memory: float) -> None:
    found = correlation_time(autoregressive(memory, 40000, 4))
    assert found.mean() == pytest.approx((1 + memory) / (1 - memory), rel=0.15)


def test_noise_is_told_from_what_changes_slowly() -> None:
    t = np.arange(20000)
    slow = np.cos(2 * np.pi * t / 100)[:, None] * np.ones(3)
    noise = np.array([0.0, 0.1, 0.5])
    found = noise_variance(slow + noise * RNG.normal(size=(20000, 3)))
    np.testing.assert_allclose(found, noise**2, atol=0.01)


@pytest.mark.parametrize("delay", [0, 1, 2, 1.4, 2.75])
def test_open_loop_is_found_from_a_loop(delay: float) -> None:
    truth = RNG.normal(size=(300, 2)).cumsum(axis=0)
    late = int(np.ceil(delay))
    share = late - delay
    residual, command = np.zeros((300, 2)), np.zeros((300, 2))
    for k in range(300):
        if delay == 0:
            command[k] = 0.9 * truth[k]  # a command that acts at once is no loop, but adds up just as well
        acted = (1 - share) * command[k - late] + (share * command[k - late + 1] if share else 0.0)
        residual[k] = truth[k] - (acted if k >= late else 0.0)
        if delay:
            command[k] = command[k - 1] + 0.3 * residual[k] if k else 0.3 * residual[k]
    np.testing.assert_allclose(open_loop_telemetry(residual, command, delay), truth[late:], atol=1e-9)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: spectra(np.zeros((100, 2, 2)), np.zeros((100, 2, 2)), 1.0),
            UsageError,
            r"shape \(100, 2, 2\)",
        ),
        (lambda: spectra(np.zeros(100), np.zeros(100), 0.0), UsageError, "rate_hz is 0.0"),
        (lambda: spectra(np.zeros(10), np.zeros(10), 1.0), UsageError, "expected 16 to the 10 frames"),
        (lambda: spectra([np.nan] * 50, [np.nan] * 50, 1.0), DataError, "in 50 of 50 frames"),
        (lambda: spectra(np.zeros(50), np.zeros(60), 1.0), UsageError, "expected the same"),
        (lambda: autocovariance(np.zeros(5), 6), UsageError, "expected 1 to 5"),
        (lambda: noise_variance(np.zeros(5)), UsageError, "needs 8 or more"),
        (lambda: open_loop_telemetry(np.zeros(5), np.zeros(6)), UsageError, "expected the same"),
        (lambda: open_loop_telemetry(np.zeros(5), np.zeros(5), 5), UsageError, "less than the 5 frames"),
    ],
)
def test_errors_say_what_to_do(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
