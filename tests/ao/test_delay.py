from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from framebus.ao import pseudo_open_loop, pseudo_open_loop_slopes, smith_predictor
from framebus.errors import BindingError, ParameterError
from framebus.unit import ArraySpec
from support.ao_loop import Controlling, run_loop

RNG = np.random.default_rng(3)
FLOAT = np.dtype("float32")
DELAYS = [1.0, 1.25, 2.0, 3.5, 7.0, 8.0]


def delayed(commands: NDArray[np.float64], delay: float) -> NDArray[np.float64]:
    """Row k: what of the commands is in frame k, with nothing before the first."""
    whole, rest = int(delay), delay - int(delay)
    padded = np.vstack([np.zeros((10, commands.shape[1])), commands])
    near, far = padded[10 - whole :][: len(commands)], padded[9 - whole :][: len(commands)]
    return (1 - rest) * near + rest * far


@pytest.mark.parametrize("delay", DELAYS)
def test_a_smith_predictor_does_what_the_integrator_would_with_one_frame(delay: float) -> None:
    # With a perfect model its error is disturbance[k] + command[k - 1], whatever the delay.
    disturbance = RNG.normal(size=(60, 5))
    _, commands = run_loop(
        Controlling(smith_predictor, 5, gain=0.7, leak=0.95, delay=delay), disturbance, delay
    )
    expected = np.zeros(5)
    for k in range(60):
        expected = 0.95 * expected - 0.7 * (disturbance[k] + expected)
        np.testing.assert_allclose(commands[k], expected, atol=1e-5)


@pytest.mark.parametrize("delay", DELAYS)
def test_pseudo_open_loop_gives_the_disturbance_back(delay: float) -> None:
    disturbance, commands = RNG.normal(size=(2, 40, 6))
    errors = disturbance + delayed(commands, delay)
    estimate = Controlling(pseudo_open_loop, 6, delay=delay)
    for k in range(40):
        np.testing.assert_allclose(estimate(errors[k]), disturbance[k], atol=1e-5)
        estimate.arrays["command"][:] = commands[k]


@pytest.mark.parametrize("delay", DELAYS)
@pytest.mark.parametrize("n", [1, 4, 7])
def test_pseudo_open_loop_slopes_take_out_what_the_mirror_did(delay: float, n: int) -> None:
    matrix = RNG.normal(size=(n, 11)).astype("float32")
    turbulence, commands = RNG.normal(size=(20, 11)), RNG.normal(size=(20, n))
    slopes = turbulence + delayed(commands, delay) @ matrix
    given = {"interaction_matrix": matrix, "command": np.zeros(n, "float32")}
    estimate = Controlling(pseudo_open_loop_slopes, 11, given, delay=delay)
    for k in range(20):
        np.testing.assert_allclose(estimate(slopes[k]), turbulence[k], atol=2e-5)
        estimate.arrays["command"][:] = commands[k]


@pytest.mark.parametrize("unit", [smith_predictor, pseudo_open_loop])
def test_interpreted_and_compiled_agree(unit: object) -> None:
    compiled = Controlling(unit, 3, delay=2.5)  # type: ignore[arg-type]
    plain = Controlling(unit, 3, delay=2.5)  # type: ignore[arg-type]
    for error in RNG.normal(size=(12, 3)).astype("float32"):
        plain.arrays["error"][:] = error
        plain.unit(*plain.arrays.values(), **plain.params)
        compiled(error)
        for name, array in compiled.arrays.items():
            np.testing.assert_allclose(plain.arrays[name], array, rtol=1e-5, atol=1e-6)


def test_a_smith_predictor_that_is_started_again_does_not_make_the_mirror_jump() -> None:
    control = Controlling(smith_predictor, 2, gain=0.5, leak=1.0, delay=3.0)
    control.arrays["command"][:] = [0.4, -0.2]  # what its output held
    np.testing.assert_array_equal(control(np.zeros(2)), np.array([0.4, -0.2], "float32"))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3.4e38])
def test_an_element_that_is_not_finite_holds_and_recovers(bad: float) -> None:
    control = Controlling(smith_predictor, 2, gain=2.0, leak=1.0, delay=2.0)
    control(np.array([0.1, 0.1]))
    before = control.arrays["command"].copy()
    assert control(np.array([bad, 0.1]))[0] == before[0]
    assert control.arrays["command"][1] != before[1]
    estimate = Controlling(pseudo_open_loop, 1, delay=2.0)
    estimate(np.array([0.25]))
    assert estimate(np.array([np.nan]))[0] == np.float32(0.25)
    estimate.arrays["command"][:] = bad if bad != 3.4e38 else np.inf
    assert np.isfinite(estimate(np.array([0.5]))).all()
    for _ in range(12):
        estimate.arrays["command"][:] = 0.0
        assert np.isfinite(estimate(np.array([0.5]))).all()
    slopes = Controlling(
        pseudo_open_loop_slopes,
        2,
        {"interaction_matrix": np.ones((2, 2), "float32"), "command": np.zeros(2, "float32")},
    )
    slopes.arrays["command"][:] = [np.nan, 1.0]
    for _ in range(3):
        assert np.isfinite(slopes(np.zeros(2))).all()


def test_delays_have_limits_and_sizes_must_fit() -> None:
    for unit in (smith_predictor, pseudo_open_loop, pseudo_open_loop_slopes):
        for delay in (0.5, 8.5):
            with pytest.raises(ParameterError):
                unit.parameter("delay").check(delay)
    specs = {
        "slopes": ArraySpec((8,), FLOAT),
        "interaction_matrix": ArraySpec((3, 8), FLOAT),
        "command": ArraySpec((3,), FLOAT),
    }
    assert pseudo_open_loop_slopes.resolve(specs)["open_slopes"] == ArraySpec((8,), FLOAT)
    with pytest.raises(BindingError, match="'command'"):
        pseudo_open_loop_slopes.resolve(specs | {"command": ArraySpec((4,), FLOAT)})
