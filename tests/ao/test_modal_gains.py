from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import signal

from framebus.ao.modal_gains import largest_gain, optimise_gains
from framebus.ao.transfer import integrator, max_gain, rejection
from framebus.errors import DataError, UsageError

Array = NDArray[Any]


def closed_loop(open_loop: Array, gain: float, delay: int = 2, leak: float = 1.0) -> Array:
    """Residuals of the loop itself, frame by frame, as a filter: e = o (1 - leak z) / (1 - leak z + g z^d)."""
    denominator = np.zeros(max(delay, 1) + 1)
    denominator[:2] = 1.0, -leak
    denominator[delay] += gain
    return np.asarray(signal.lfilter([1.0, -leak], denominator, open_loop, axis=0))


def turbulence(cutoffs: list[float], noise: list[float], n: int = 40000) -> tuple[Array, Array]:
    """Slow and fast modes of variance 1, and their noise."""
    rng = np.random.default_rng(21)
    drive = rng.normal(size=(n, len(cutoffs)))
    modes = np.column_stack([signal.lfilter([1], [1, -c], drive[:, k]) for k, c in enumerate(cutoffs)])
    return modes / modes.std(axis=0), rng.normal(size=modes.shape) * noise


@pytest.mark.parametrize("delay", [1, 2, 3, 4])
def test_the_edge_of_stability_is_where_theory_has_it(delay: int) -> None:
    edge = largest_gain(delay, gain_margin=1.0, phase_margin_deg=0.0)
    assert edge == pytest.approx(2 * np.sin(np.pi / (4 * delay - 2)), rel=1e-4)
    impulse = np.zeros(4000)
    impulse[0] = 1.0
    assert np.abs(closed_loop(impulse, 0.97 * edge, delay)[-100:]).max() < 1e-3
    assert np.abs(closed_loop(impulse, 1.03 * edge, delay)[-100:]).max() > 1.0


@pytest.mark.parametrize("delay", [1.0, 1.5, 2.0, 2.3, 3.0])
def test_without_margins_it_is_the_gain_at_which_the_loop_gets_unstable(delay: float) -> None:
    assert largest_gain(delay, gain_margin=1.0, phase_margin_deg=0.0) == pytest.approx(
        max_gain(delay), rel=1e-3
    )


def test_margins_are_kept() -> None:
    limit = largest_gain(2.0, gain_margin=1.0, phase_margin_deg=45.0)
    omega = np.linspace(1e-3, np.pi, 200000)
    loop = limit * np.exp(-2j * omega) / (1 - np.exp(-1j * omega))
    crossing = np.argmin(np.abs(np.abs(loop) - 1))
    assert np.degrees(np.angle(loop[crossing])) + 180 == pytest.approx(45.0, abs=0.1)
    assert largest_gain(2.0, gain_margin=4.0) == pytest.approx(0.25, rel=1e-3)
    assert largest_gain(2.5) < largest_gain(2.0)
    assert largest_gain(1.0, 0.9, gain_margin=1.0, phase_margin_deg=0.0) == pytest.approx(1.9, rel=1e-3)


def test_the_rejection_is_that_of_the_loop() -> None:
    impulse = np.zeros(4096)
    impulse[0] = 1.0
    for gain, delay, leak in ((0.4, 2, 1.0), (0.2, 3, 0.98), (0.9, 1, 0.999)):
        found = np.fft.rfft(closed_loop(impulse, gain, delay, leak))[1:]
        expected = rejection(np.fft.rfftfreq(4096, 1e-3)[1:], 1000.0, delay, integrator(gain, leak))
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_gains_are_the_brute_force_minimum_of_the_loop() -> None:
    modes, noise = turbulence([0.999, 0.99, 0.9, 0.5], [0.01, 0.3, 0.5, 1.0])
    found = optimise_gains(modes + noise, 1000.0, delay_frames=2, segment=4000)
    tried = np.geomspace(0.002, found.limit, 40)
    for mode in range(4):
        left = [np.var(closed_loop((modes + noise)[:, mode], g)[500:]) for g in tried]
        here = np.var(closed_loop((modes + noise)[:, mode], found.gains[mode])[500:])
        assert here <= min(left) * 1.02
    assert not found.at_limit.any()
    # A quiet and slow mode gets most, white noise nothing.
    assert found.gains[0] == found.gains.max()
    assert found.gains[3] < 0.01
    # Where stricter margins allow less than the best gain, that is what is taken.
    strict = optimise_gains(modes + noise, 1000.0, gain_margin=5.0, segment=4000)
    np.testing.assert_array_equal(strict.at_limit, found.gains > strict.limit)
    assert strict.gains[0] == pytest.approx(0.2, rel=1e-3)


def test_the_residual_is_predicted_without_the_noise_of_the_measurement() -> None:
    modes, noise = turbulence([0.995, 0.998], [0.3, 0.1])
    found = optimise_gains(modes + noise, 1000.0, segment=4000)
    np.testing.assert_allclose(found.noise_variance, [0.09, 0.01], rtol=0.15)
    np.testing.assert_allclose(found.open_loop_variance, 1.0, rtol=0.05)
    for mode in range(2):
        gain = found.gains[mode]
        truth = closed_loop((modes + noise)[:, mode], gain) - noise[:, mode]
        assert found.residual_variance[mode] == pytest.approx(truth[500:].var(), rel=0.25)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: largest_gain(0.5), UsageError, "delay is 0.5 frames"),
        (lambda: largest_gain(2.0, 1.5), UsageError, "leak is 1.5"),
        (lambda: largest_gain(2.0, gain_margin=0.5), UsageError, "margins are 0.5"),
        (lambda: optimise_gains(np.zeros((9, 1)), 1.0), UsageError, "Record more"),
        (lambda: optimise_gains(np.full((99, 1), np.nan), 1.0), DataError, "99 of 99 frames"),
        (lambda: optimise_gains(np.ones((99, 1)), 1.0, gain_margin=1e4), UsageError, "margins leave"),
    ],
)
def test_errors_say_what_to_do(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("rate", [936.18, 83.65, 402.99])
def test_rates_at_which_the_highest_frequency_is_rounded_up(rate: float) -> None:
    assert np.fft.rfftfreq(100, 1 / rate).max() > rate / 2
    modes, noise = turbulence([0.99], [0.1], 800)
    assert optimise_gains(modes + noise, rate, segment=100).gains[0] > 0.0
