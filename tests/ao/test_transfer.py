"""Transfer functions, and every controller against its own: in a loop, on a long disturbance."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from framebus.ao import (
    iir_coefficients,
    iir_filter,
    leaky_integrator,
    map_integrator,
    modal_integrator,
    open_loop_integrator,
    pid,
    predictive_filter,
    pseudo_open_loop,
    smith_predictor,
)
from framebus.ao.transfer import (
    Controller,
    closed_loop_poles,
    integrator,
    is_stable,
    max_gain,
    noise_response,
    open_loop_controller,
    pid_controller,
    predictive_controller,
    rejection,
    residual_variance,
    smith_controller,
)
from framebus.errors import UsageError
from support.ao_loop import Controlling, run_loop, spectrum

N = 48
LENGTH = 256
GOLDEN = (np.sqrt(5) - 1) / 2
PREDICTION = np.repeat(np.array([[1.6], [-0.9], [0.2]], "float32"), N, axis=1)


def ones(value: float = 1.0) -> NDArray[np.float32]:
    return np.full(N, value, "float32")


class OpenLoop:
    """Pseudo-open-loop estimate and the integrator behind it, as two fused units."""

    def __init__(self, n: int, gain: float, delay: float) -> None:
        self.estimate = Controlling(pseudo_open_loop, n, delay=delay)
        self.control = Controlling(open_loop_integrator, n, gain=gain)

    def __call__(self, error: NDArray[Any]) -> NDArray[np.float32]:
        command = self.control(self.estimate(error))
        self.estimate.arrays["command"][:] = command
        return command


B, A = (0.35, -0.1, 0.05), (1.0, -1.3, 0.35)
CASES: list[tuple[str, Callable[[], Any], Controller, float]] = [
    ("leaky", lambda: Controlling(leaky_integrator, N, gain=0.4, leak=0.98), integrator(0.4, 0.98), 2.0),
    (
        "modal",
        lambda: Controlling(modal_integrator, N, {"mode_gains": ones(0.5)}, gain=1.0, leak=1.0),
        integrator(0.5),
        1.3,
    ),
    (
        "map",
        lambda: Controlling(map_integrator, N, {"gains": ones(0.5), "leaks": ones(0.9)}, gain=0.8, leak=0.99),
        integrator(0.4, 0.891),
        2.6,
    ),
    (
        "pid",
        lambda: Controlling(pid, N, proportional=0.2, integral=0.3, derivative=0.1, leak=0.999),
        pid_controller(0.2, 0.3, 0.1, 0.999),
        1.5,
    ),
    (
        "iir",
        lambda: Controlling(
            iir_filter, N, dict(zip(("numerator", "denominator"), iir_coefficients(B, A, N), strict=True))
        ),
        Controller(B, A),
        2.0,
    ),
    (
        "smith",
        lambda: Controlling(smith_predictor, N, gain=0.9, leak=0.995, delay=3.4),
        smith_controller(0.9, 3.4, 0.995),
        3.4,
    ),
    (
        "smith, told a wrong delay",
        lambda: Controlling(smith_predictor, N, gain=0.4, leak=1.0, delay=2.0),
        smith_controller(0.4, 2.0),
        2.5,
    ),
    ("open loop", lambda: OpenLoop(N, 0.4, 2.3), open_loop_controller(0.4, 2.3), 2.3),
    (
        "predictive",
        lambda: Controlling(predictive_filter, N, {"coefficients": PREDICTION}, gain=0.8, delay=2.25),
        predictive_controller(PREDICTION[:, 0], 2.25, 0.8),
        2.25,
    ),
]


@pytest.mark.parametrize(("name", "make", "controller", "delay"), CASES, ids=[case[0] for case in CASES])
def test_what_a_controller_leaves_is_what_its_transfer_function_says(
    name: str, make: Callable[[], Any], controller: Controller, delay: float
) -> None:
    assert is_stable(delay, controller)
    disturbance = np.random.default_rng(7).normal(size=(2560, N))
    errors, _ = run_loop(make(), disturbance, delay)
    measured = spectrum(errors[256:], LENGTH) / spectrum(disturbance[256:], LENGTH)
    frequency = np.fft.rfftfreq(LENGTH, 1 / 500.0)
    predicted = np.abs(rejection(frequency, 500.0, delay, controller)) ** 2
    # Below the window's own width leakage from higher frequencies would be measured.
    off = np.abs(10 * np.log10(measured[4:-1] / predicted[4:-1]))
    assert off.max() < 1.0
    assert np.ptp(predicted) > 1.0, "the loop does something"


@pytest.mark.parametrize(("delay", "limit"), [(1.0, 2.0), (2.0, 1.0), (3.0, GOLDEN)])
def test_integrators_get_unstable_at_the_gain_that_theory_says(delay: float, limit: float) -> None:
    assert max_gain(delay) == pytest.approx(limit, rel=1e-6)
    kick = np.zeros((600, 1))
    kick[0] = 1.0
    for share, grows in ((0.97, False), (1.03, True)):
        maps = {"gains": np.full(1, share * limit, "float32"), "leaks": np.ones(1, "float32")}
        for controller in (
            Controlling(leaky_integrator, 1, gain=share * limit, leak=1.0),
            Controlling(map_integrator, 1, maps, gain=1.0, leak=1.0),
        ):
            errors, _ = run_loop(controller, kick, delay)
            late, early = np.abs(errors[-20:]).max(), np.abs(errors[20:40]).max()
            assert (late > early) == grows


@pytest.mark.parametrize("name", ["map", "pid", "iir", "smith", "predictive", "open loop"])
def test_no_controller_winds_up_when_it_is_told_what_the_mirror_did(name: str) -> None:
    # A disturbance of 2 that a mirror with a stroke of 0.5 cannot take out, and that goes away again.
    make, delay = next((case[1], case[3]) for case in CASES if case[0] == name)
    control = make()
    arrays = (control.control if isinstance(control, OpenLoop) else control).arrays
    asked = []

    def step(error: NDArray[Any]) -> NDArray[np.float32]:
        command = np.array(control(error))
        asked.append(float(command[0]))
        sent = np.clip(command, -0.5, 0.5).astype("float32")
        arrays["excess"][:] = command - sent
        if isinstance(control, OpenLoop):
            control.estimate.arrays["command"][:] = sent
        return np.asarray(sent, "float32")

    disturbance = np.zeros((160, N))
    disturbance[:120] = -2.0
    _, sent = run_loop(step, disturbance, delay)
    assert sent[60:120].min() == 0.5
    assert max(asked) < 4.0
    assert (sent[120 + int(delay) + 3 :] < 0.5).all(), "it leaves the limit as soon as it can"


def test_a_smith_predictor_is_as_stable_as_with_one_frame() -> None:
    for delay in (1.0, 2.0, 3.5, 8.0):
        limit = max_gain(delay, partial(smith_controller, delay=delay))
        assert limit == pytest.approx(2.0, rel=1e-3)
    assert not is_stable(3.0, smith_controller(1.5, 2.0)), "told a delay that is wrong by a frame"


def test_pseudo_open_loop_control_is_stable_at_any_gain_and_rejects_less_at_low_frequencies() -> None:
    assert max_gain(3.0, lambda gain: open_loop_controller(min(gain, 1.99), 3.0)) == float("inf")
    # 1 - g D / (1 - (1 - g) / z) at frequency 0: nothing is left.
    assert abs(rejection(0.0, 1.0, 3.0, open_loop_controller(0.5, 3.0))) == pytest.approx(0.0, abs=1e-12)


def test_rejection_of_an_integrator_against_its_formula() -> None:
    f, rate, delay, gain = np.linspace(0.0, 250.0, 50), 500.0, 2.0, 0.5
    z = np.exp(2j * np.pi * f / rate)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = 1 / (1 + gain / (1 - 1 / z) / z**2)
    expected[0] = 0.0
    np.testing.assert_allclose(rejection(f, rate, delay, integrator(gain)), expected, atol=1e-12)
    np.testing.assert_allclose(noise_response(f, rate, delay, integrator(gain)), expected - 1, atol=1e-12)
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(
            integrator(gain).response(2 * np.pi * f[1:] / rate), gain / (1 - 1 / z[1:]), rtol=1e-9
        )


def test_poles_and_variance() -> None:
    # z = 1 - gain for one frame of delay.
    np.testing.assert_allclose(closed_loop_poles(1.0, integrator(0.3)), [0.7], atol=1e-12)
    # A white disturbance behind an integrator with one frame of delay: variance 2 / (2 - gain).
    f = np.linspace(0.0, 0.5, 4001)
    assert residual_variance(np.full(4001, 2.0), f, 1.0, 1.0, integrator(0.3)) == pytest.approx(
        2 / 1.7, rel=1e-4
    )


def test_what_cannot_be_is_refused() -> None:
    for call in (
        lambda: rejection(300.0, 500.0, 2.0, integrator(0.3)),
        lambda: rejection(-1.0, 500.0, 2.0, integrator(0.3)),
        lambda: rejection(1.0, 0.0, 2.0, integrator(0.3)),
        lambda: rejection(1.0, 500.0, 0.5, integrator(0.3)),
        lambda: rejection(1.0, 500.0, np.nan, integrator(0.3)),
        lambda: Controller((0.3,), (0.0, 1.0)),
        lambda: Controller((), (1.0,)),
        lambda: Controller((np.nan,), (1.0,)),
        lambda: max_gain(2.0, lambda gain: integrator(gain + 5.0)),
        lambda: residual_variance(np.ones(3), np.ones(4), 1.0, 2.0, integrator(0.3)),
    ):
        with pytest.raises(UsageError):
            call()
