from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from framebus.ao import leaky_integrator, map_integrator, modal_integrator, open_loop_integrator, shortfall
from framebus.errors import BindingError, ParameterError
from framebus.unit import ArraySpec
from support.ao_loop import Controlling

FLOAT = np.dtype("float32")
Vector = NDArray[np.float32]


def vector(*values: float) -> Vector:
    return np.array(values, "float32")


@pytest.mark.parametrize("compiled", [True, False])
def test_leaky_integrator_adds_up_what_it_sees(compiled: bool) -> None:
    run = leaky_integrator.jit if compiled else leaky_integrator
    command = vector(0.0, 0.0)
    for _ in range(3):
        run(vector(1.0, -2.0), command, gain=0.5, leak=0.9)
    # -g e (1 + l + l^2)
    np.testing.assert_allclose(command, [-0.5 * 2.71, 2 * 0.5 * 2.71], rtol=1e-5)


def test_in_a_loop_it_settles_where_theory_says() -> None:
    # error = disturbance + command; in the steady state command (1 - leak) = -gain * error.
    command = vector(0.0)
    for _ in range(200):
        leaky_integrator(vector(1.0) + command, command, gain=0.3, leak=0.99)
    assert command[0] == pytest.approx(-0.3 / (0.3 + 0.01), rel=1e-3)


@pytest.mark.parametrize("compiled", [True, False])
def test_modal_integrator_has_a_gain_for_each_mode(compiled: bool) -> None:
    run = modal_integrator.jit if compiled else modal_integrator
    command = vector(1.0, 1.0, 1.0)
    run(vector(1.0, 1.0, 1.0), vector(0.0, 1.0, 2.0), command, gain=0.25, leak=1.0)
    np.testing.assert_allclose(command, [1.0, 0.75, 0.5])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("compiled", [True, False])
def test_an_element_holds_while_its_error_is_not_finite(compiled: bool, bad: float) -> None:
    leaky = leaky_integrator.jit if compiled else leaky_integrator
    modal = modal_integrator.jit if compiled else modal_integrator
    command = vector(-0.5, 0.25)
    with np.errstate(over="ignore", invalid="ignore"):
        leaky(vector(bad, 1.0), command, gain=2.0, leak=1.0)
        np.testing.assert_array_equal(command, [-0.5, -1.75])
        modal(vector(bad, 1.0), vector(2.0, 1.0), command, gain=1.0, leak=1.0)
        np.testing.assert_array_equal(command, [-0.5, -2.75])
        modal(vector(1.0, 1.0), vector(bad, 1.0), command, gain=2.0, leak=1.0)
        np.testing.assert_array_equal(command, [-0.5, -4.75])
    leaky(vector(1.0, 1.0), command, gain=1.0, leak=1.0)
    np.testing.assert_array_equal(command, [-1.5, -5.75])


def test_parameters_have_limits() -> None:
    for unit in (leaky_integrator, modal_integrator):
        with pytest.raises(ParameterError):
            unit.parameter("gain").check(-0.1)
        with pytest.raises(ParameterError):
            unit.parameter("leak").check(1.01)


def test_mode_gains_must_fit_the_error() -> None:
    specs = {"error": ArraySpec((5,), FLOAT), "mode_gains": ArraySpec((5,), FLOAT)}
    assert modal_integrator.resolve(specs)["command"] == ArraySpec((5,), FLOAT)
    with pytest.raises(BindingError, match="'mode_gains'"):
        modal_integrator.resolve(specs | {"mode_gains": ArraySpec((4,), FLOAT)})


@pytest.mark.parametrize("compiled", [True, False])
def test_map_integrator_has_a_gain_and_a_leak_for_each_actuator(compiled: bool) -> None:
    run = map_integrator.jit if compiled else map_integrator
    command = vector(1.0, 1.0, 1.0, 1.0).reshape(2, 2)
    gains, leaks = vector(0.0, 1.0, 2.0, 1.0).reshape(2, 2), vector(1.0, 1.0, 1.0, 0.5)
    run(
        np.ones((2, 2), "float32"),
        gains,
        leaks,
        np.zeros(4, "float32"),
        command,
        gain=0.25,
        leak=0.5,
        tracking=1.0,
    )
    np.testing.assert_allclose(command, [[0.5, 0.25], [0.0, 0.0]])


def wind_up(limit: float, tracking: float, late: int = 0) -> tuple[float, int]:
    """An error of -1 that the mirror cannot take out: the largest command, and how long it then stays at the limit."""
    ones = np.ones(1, "float32")
    control = Controlling(
        map_integrator, 1, {"gains": ones, "leaks": ones}, gain=0.25, leak=1.0, tracking=tracking
    )
    excesses = [np.zeros(1, "float32") for _ in range(late + 1)]
    largest, out = 0.0, 0
    for k in range(240):
        control.arrays["excess"][:] = excesses[-1 - late]
        command = control(np.array([-1.0 if k < 200 else 1.0])).copy()
        sent = np.clip(command, -limit, limit).astype("float32")
        excess = np.zeros(1, "float32")
        shortfall.jit(command, command, command, sent, excess)
        excesses.append(excess)
        largest = max(largest, float(command[0]))
        out += int(k >= 200 and sent[0] >= limit)
    return largest, out


def test_nothing_winds_up_while_the_mirror_is_at_its_limit() -> None:
    assert wind_up(0.5, tracking=0.0) == (50.0, 40)  # what it is there for
    largest, out = wind_up(0.5, tracking=1.0)
    assert largest <= 0.5 + 0.25
    assert out == 0, "it leaves the limit with the first frame that asks it to"
    largest, _ = wind_up(0.5, tracking=0.5, late=1)
    assert largest <= 0.5 + 4 * 0.25


def test_open_loop_integrator_goes_its_share_of_the_way() -> None:
    command = vector(1.0, 1.0)
    open_loop_integrator.jit(vector(2.0, np.nan), vector(0.5, 0.0), command, gain=0.25, tracking=1.0)
    np.testing.assert_allclose(command, [0.75 * 0.5 - 0.25 * 2.0, 1.0])


@pytest.mark.parametrize("compiled", [True, False])
def test_shortfall_is_what_guard_and_mirror_took_away(compiled: bool) -> None:
    excess = vector(9.0, 9.0, 9.0)
    run = shortfall.jit if compiled else shortfall
    run(
        vector(1.0, 1.0, np.nan),
        vector(0.75, 1.0, 0.0),
        vector(0.75, 1.5, 0.0),
        vector(0.75, 1.25, 0.0),
        excess,
    )
    np.testing.assert_array_equal(excess, [0.25, 0.25, 0.0])


def test_numbers_of_elements_must_agree() -> None:
    specs = {name: ArraySpec((4,), FLOAT) for name in ("error", "gains", "leaks", "excess")}
    specs["error"] = ArraySpec((2, 2), FLOAT)
    assert map_integrator.resolve(specs)["command"] == ArraySpec((2, 2), FLOAT)
    with pytest.raises(BindingError, match=r"'leaks'.*3 elements.*4"):
        map_integrator.resolve(specs | {"leaks": ArraySpec((3,), FLOAT)})
    specs = {name: ArraySpec((4,), FLOAT) for name in ("command", "passed", "wanted", "dm")}
    with pytest.raises(BindingError, match="'dm'"):
        shortfall.resolve(specs | {"dm": ArraySpec((3,), FLOAT)})
