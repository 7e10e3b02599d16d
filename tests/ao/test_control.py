from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from framebus.ao import leaky_integrator, modal_integrator
from framebus.errors import BindingError, ParameterError
from framebus.unit import ArraySpec

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
