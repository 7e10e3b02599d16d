"""What a loop does to a disturbance, frequency by frequency: transfer functions and stability.

The model is the one that holds exactly for a mirror that keeps its command for a frame and a sensor that averages
over a frame: error[k] = disturbance[k] + (1 - f) * command[k - m] + f * command[k - m - 1] with delay = m + f
frames. A delay of 1 means that the command computed from one frame acts throughout the next one. Source: C. Dessenne,
P.-Y. Madec, G. Rousset, "Optimization of a predictive controller for closed-loop adaptive optics", Appl. Opt. 37
(1998) 4623; textbooks of sampled control for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.errors import UsageError

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True)
class Controller:
    """A linear controller: command = -(b / a) error, polynomials in 1/z as ``scipy.signal.lfilter`` takes them.

    Attributes:
        b: numerator, the newest sample first.
        a: denominator, likewise; a[0] is not 0.

    Raises:
        UsageError: a coefficient is not finite, or there is none, or a[0] is 0.
    """

    b: tuple[float, ...]
    a: tuple[float, ...]

    def __post_init__(self) -> None:
        for name, values in (("b", self.b), ("a", self.a)):
            array = np.asarray(values, dtype=np.float64)
            if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
                raise UsageError(f"{name} is {values!r}; expected a sequence of finite numbers, at least one")
            object.__setattr__(self, name, tuple(array.tolist()))
        if self.a[0] == 0.0:
            raise UsageError("a[0] is 0: the controller would need errors that are yet to come")

    def response(self, phase: ArrayLike) -> ComplexArray:
        """Its transfer function from minus the error to the command at ``phase`` radians per frame."""
        delay = np.exp(-1j * np.asarray(phase, dtype=np.float64))
        return np.asarray(_value(self.b, delay) / _value(self.a, delay), dtype=np.complex128)


def integrator(gain: float, leak: float = 1.0) -> Controller:
    """Of ``leaky_integrator``, and of one element of the integrators with maps."""
    return Controller((gain,), (1.0, -leak))


def pid_controller(
    proportional: float, integral: float, derivative: float = 0.0, leak: float = 1.0
) -> Controller:
    """Of ``pid``."""
    taps = (proportional + integral + derivative, -proportional - 2.0 * derivative, derivative)
    return Controller(taps, (1.0, -leak))


def smith_controller(gain: float, delay: float, leak: float = 1.0) -> Controller:
    """Of ``smith_predictor`` with that gain, leak and delay of its model.

    Raises:
        UsageError: a delay below one frame.
    """
    model = _sum((0.0, 1.0), _delay_taps(delay), -1.0)
    return Controller((gain,), tuple(_sum((1.0, -leak), model, gain)))


def open_loop_controller(gain: float, delay: float) -> Controller:
    """Of ``pseudo_open_loop`` followed by ``open_loop_integrator``, the delay being that of the former.

    Raises:
        UsageError: a delay below one frame.
    """
    return Controller((gain,), tuple(_sum((1.0, gain - 1.0), _delay_taps(delay), -gain)))


def predictive_controller(coefficients: ArrayLike, delay: float, gain: float = 1.0) -> Controller:
    """Of one element of ``predictive_filter``.

    Args:
        coefficients: of its prediction, the newest sample first.
        delay: that it is told, frames.
        gain: that of the unit.

    Raises:
        UsageError: a delay below one frame, or no coefficients.
    """
    taps = gain * np.atleast_1d(np.asarray(coefficients, dtype=np.float64))
    return Controller(tuple(taps), tuple(_sum((1.0,), np.convolve(taps, _delay_taps(delay)), -1.0)))


def rejection(frequency: ArrayLike, rate: float, delay: float, controller: Controller) -> ComplexArray:
    """Error over disturbance, 1 / (1 + C D): how much of a disturbance of each frequency the loop leaves.

    The power spectrum of the error is that of the disturbance times its absolute square.

    Args:
        frequency: Hz, 0 to half the rate; any shape.
        rate: frames per second.
        delay: total delay in frames, 1 or more, from the middle of an exposure to the middle of the exposures that the
            command acts on.
        controller: what turns errors into commands.

    Raises:
        UsageError: a frequency outside 0 to rate / 2, a rate that is not positive, or a delay below 1.
    """
    phase = _phase(frequency, rate)
    # With the denominators multiplied out an integrator rejects all of frequency 0, instead of dividing by 0.
    unit = np.exp(-1j * phase)
    open_part = _value(controller.a, unit)
    loop = _value(controller.b, unit) * _value(_delay_taps(delay), unit)
    return np.asarray(open_part / (open_part + loop), dtype=np.complex128)


def open_loop_response(
    frequency: ArrayLike, rate: float, delay: float, controller: Controller
) -> ComplexArray:
    """C D: what comes back once around the loop, with its sign turned. The loop rejects 1 / (1 + C D).

    An integrator's is infinite at frequency 0.

    Raises:
        UsageError: as ``rejection``.
    """
    phase = _phase(frequency, rate)
    return np.asarray(controller.response(phase) * _value(_delay_taps(delay), np.exp(-1j * phase)))


def noise_response(frequency: ArrayLike, rate: float, delay: float, controller: Controller) -> ComplexArray:
    """What the mirror makes of measurement noise: -C D / (1 + C D), as ``rejection`` minus 1.

    Raises:
        UsageError: as ``rejection``.
    """
    return rejection(frequency, rate, delay, controller) - 1.0


def closed_loop_poles(delay: float, controller: Controller) -> ComplexArray:
    """Poles of the closed loop in the z plane; the loop is stable while all lie inside the unit circle.

    Raises:
        UsageError: a delay below one frame.
    """
    loop = np.convolve(controller.b, _delay_taps(delay))
    return np.asarray(np.roots(_sum(controller.a, loop, 1.0)), dtype=np.complex128)


def is_stable(delay: float, controller: Controller) -> bool:
    """Whether every disturbance dies away in the closed loop.

    Raises:
        UsageError: a delay below one frame.
    """
    poles = closed_loop_poles(delay, controller)
    # A multiple pole at 0, as of a delay, is found with an error of eps ** (1 / multiplicity) only.
    return bool((np.abs(poles) < 1.0 - 1e-9).all())


def max_gain(delay: float, controller: Callable[[float], Controller] = integrator) -> float:
    """The gain at which the loop gets unstable when it is turned up from 0; infinity above 1000.

    Args:
        delay: of the loop, frames.
        controller: makes the controller of a gain.

    Raises:
        UsageError: the loop is unstable at the smallest gain already, or the delay is below one frame.
    """
    low = 1e-3
    if not is_stable(delay, controller(low)):
        raise UsageError(f"the loop is unstable at a gain of {low} already; nothing to turn up")
    high = low
    while is_stable(delay, controller(high)):
        if high > 1e3:
            return float("inf")
        low, high = high, 1.05 * high
    while high - low > 1e-7 * high:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if is_stable(delay, controller(middle)) else (low, middle)
    return low


def residual_variance(
    spectrum: ArrayLike, frequency: ArrayLike, rate: float, delay: float, controller: Controller
) -> float:
    """Variance of the error for a disturbance of that power spectrum.

    Args:
        spectrum: one-sided power spectrum of the disturbance per Hz, at each frequency.
        frequency: Hz, rising, 0 to half the rate.
        rate: frames per second.
        delay: frames.
        controller: of the loop.

    Raises:
        UsageError: as ``rejection``, or the two arrays don't fit.
    """
    power = np.asarray(spectrum, dtype=np.float64)
    at = np.asarray(frequency, dtype=np.float64)
    if power.shape != at.shape or power.ndim != 1 or power.size < 2:
        raise UsageError(
            f"spectrum has shape {power.shape}, frequency {at.shape}; expected two vectors of one length, 2 or more"
        )
    left = power * np.abs(rejection(at, rate, delay, controller)) ** 2
    return float(np.sum(0.5 * (left[1:] + left[:-1]) * np.diff(at)))


def _phase(frequency: ArrayLike, rate: float) -> FloatArray:
    values = np.asarray(frequency, dtype=np.float64)
    if not (np.isfinite(rate) and rate > 0):
        raise UsageError(f"rate is {rate!r}; expected frames per second, above 0")
    # The highest frequency of a spectrum is half the rate, which may have been rounded up.
    if not ((values >= 0) & (values <= rate / 2 * (1 + 1e-12))).all():
        raise UsageError(f"frequency must be between 0 and half the rate, {rate / 2} Hz")
    return np.asarray(2 * np.pi * values / rate, dtype=np.float64)


def _delay_taps(delay: float) -> FloatArray:
    """Polynomial in 1/z of a delay, linear between whole frames."""
    if not (np.isfinite(delay) and delay >= 1.0):
        raise UsageError(
            f"delay is {delay!r} frames; expected 1 or more: a command cannot act on its own frame"
        )
    whole = int(delay)
    taps = np.zeros(whole + 2)
    taps[whole], taps[whole + 1] = 1.0 - (delay - whole), delay - whole
    return taps[: whole + 1] if delay == whole else taps


def _sum(first: ArrayLike, second: ArrayLike, factor: float) -> FloatArray:
    """The polynomial first + factor * second, in 1/z."""
    one, two = np.atleast_1d(np.asarray(first, float)), np.atleast_1d(np.asarray(second, float))
    total = np.zeros(max(one.size, two.size))
    total[: one.size] += one
    total[: two.size] += factor * two
    return total


def _value(taps: ArrayLike, unit: ComplexArray) -> ComplexArray:
    """A polynomial in 1/z at 1/z = ``unit``."""
    return np.asarray(np.polynomial.polynomial.polyval(unit, np.asarray(taps, float)), dtype=np.complex128)
