from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import signal

from framebus.ao import iir_coefficients, iir_filter, pid
from framebus.errors import ParameterError, UsageError
from support.ao_loop import Controlling

RNG = np.random.default_rng(5)


@pytest.mark.parametrize(
    "gains", [(0.0, 0.3, 0.0), (0.5, 0.1, 0.0), (0.4, 0.2, 0.15)], ids=["I", "PI", "PID"]
)
def test_step_responses_of_pid(gains: tuple[float, float, float]) -> None:
    proportional, integral, derivative = gains
    control = Controlling(
        pid, 1, proportional=proportional, integral=integral, derivative=derivative, leak=0.98
    )
    step = np.r_[np.zeros(3), np.ones(30)]
    b = [proportional + integral + derivative, -proportional - 2 * derivative, derivative]
    expected = -signal.lfilter(b, [1.0, -0.98], step)
    np.testing.assert_allclose([control(np.array([e]))[0] for e in step], expected, atol=1e-5)


def test_pid_of_a_loop_settles_as_scipy_says() -> None:
    # The closed loop command / disturbance with one frame of delay: -C / (1 + C / z).
    p, i = 0.2, 0.4
    control = Controlling(pid, 1, proportional=p, integral=i)
    b, a = np.array([p + i, -p]), np.array([1.0, -1.0])
    closed = np.polyadd(np.r_[a, 0.0], np.r_[0.0, b])
    response = signal.lfilter(-b, closed, np.ones(25))
    command = np.zeros(1, "float32")
    control(np.zeros(1))
    for k in range(25):
        command = control(1.0 + command)
        assert command[0] == pytest.approx(response[k], abs=1e-5)


def test_pid_begins_without_a_kick_where_the_mirror_is() -> None:
    control = Controlling(pid, 2, proportional=1.0, integral=0.1, derivative=2.0)
    control.arrays["command"][:] = 0.5
    np.testing.assert_allclose(control(np.array([1.0, -1.0])), [0.4, 0.6], rtol=1e-6)


def test_iir_is_scipys_lfilter_for_each_mode() -> None:
    n = 6
    zeros, poles = RNG.uniform(-0.8, 0.8, (2, 4, n))
    b = np.array([np.poly(zeros[:, k]) for k in range(n)]).T * 0.3
    a = np.array([np.poly(poles[:, k]) for k in range(n)]).T * 2.0
    numerator, denominator = iir_coefficients(b[:3], a)
    control = Controlling(iir_filter, n, {"numerator": numerator, "denominator": denominator})
    errors = RNG.normal(size=(50, n))
    found = np.array([control(e).copy() for e in errors])
    for k in range(n):
        np.testing.assert_allclose(found[:, k], -signal.lfilter(b[:3, k], a[:, k], errors[:, k]), atol=2e-5)


def test_iir_takes_float32_and_holds_where_the_mirror_is() -> None:
    b, a = iir_coefficients([0.5], [1.0, -1.0], 3)
    control = Controlling(
        iir_filter, 3, {"numerator": b.astype("float32"), "denominator": a.astype("float32")}
    )
    control.arrays["command"][:] = 0.25
    np.testing.assert_allclose(control(np.array([0.0, 1.0, -1.0])), [0.25, -0.25, 0.75])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_element_that_is_not_finite_holds_and_recovers(bad: float) -> None:
    b, a = iir_coefficients([0.5, 0.1], [1.0, -1.0], 2)
    for control in (
        Controlling(iir_filter, 2, {"numerator": b, "denominator": a}),
        Controlling(pid, 2, proportional=0.3, integral=0.2, derivative=0.1),
    ):
        before = control(np.array([1.0, 1.0])).copy()
        after = control(np.array([bad, 1.0]))
        assert after[0] == before[0]
        assert after[1] != before[1]
        for _ in range(4):
            assert np.isfinite(control(np.array([0.5, 0.5]))).all()
        assert control.arrays["command"][0] != before[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0])
def test_coefficients_that_are_no_good_hold_the_mode(bad: float) -> None:
    b, a = iir_coefficients([0.5], [1.0, -1.0], 2)
    a[0, 0] = bad
    control = Controlling(iir_filter, 2, {"numerator": b, "denominator": a})
    control.arrays["command"][:] = 0.5
    after = control(np.array([1.0, 1.0]))
    assert np.isfinite(after).all()
    if bad != np.inf:
        assert after[0] == 0.5
    assert after[1] == 0.0


def test_coefficients_are_checked() -> None:
    b, a = iir_coefficients([2.0, 1.0], np.full((1, 4), 2.0))
    np.testing.assert_array_equal(b[:, 0], [1.0, 0.5])
    np.testing.assert_array_equal(a[:, 3], [1.0, 0.0])
    refused: list[tuple[Any, Any, int | None]] = [
        ([1.0], [1.0], None),
        ([np.inf], [1.0], 2),
        ([1.0], [0.0, 1.0], 2),
        (np.ones((1, 3)), np.ones((1, 4)), None),
        ([], [1.0], 2),
    ]
    for numerator, denominator, n in refused:
        with pytest.raises(UsageError):
            iir_coefficients(numerator, denominator, n)
    for name in ("proportional", "integral", "derivative"):
        with pytest.raises(ParameterError):
            pid.parameter(name).check(-0.1)
