"""The gain that leaves least of each mode: from its spectrum, the loop's delay and how stable the loop must be."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.telemetry import as_series, noise_variance, spectra
from framebus.ao.transfer import integrator, max_gain, open_loop_response
from framebus.errors import UsageError

FloatArray = NDArray[np.float64]

LEAST_GAIN = 1e-3
"""Gains are looked for from this to the limit of stability."""


@dataclass(frozen=True)
class ModalGains:
    """The best gain of each mode.

    Attributes:
        gains: float64 (n_modes,).
        limit: the largest gain that the margins allow.
        at_limit: bool (n_modes,): a higher gain would leave less, but is not stable enough.
        residual_variance: float64 (n_modes,), predicted, noise of the measurement itself not counted, units².
        open_loop_variance: float64 (n_modes,), of the turbulence without noise.
        noise_variance: float64 (n_modes,), of the measurement.
    """

    gains: FloatArray
    limit: float
    at_limit: NDArray[np.bool_]
    residual_variance: FloatArray
    open_loop_variance: FloatArray
    noise_variance: FloatArray


def largest_gain(
    delay_frames: float = 2.0,
    leak: float = 1.0,
    *,
    gain_margin: float = 2.0,
    phase_margin_deg: float = 45.0,
) -> float:
    """The largest gain of an integrator that keeps both margins; ``transfer`` has the model of the loop.

    The gain at which the open loop crosses -1 is 2 sin(π / (4d - 2)) for a delay of d whole frames without leak; it is
    divided by ``gain_margin``. The gain with ``phase_margin_deg`` left where the open loop crosses 1 comes from its
    phase, which does not depend on the gain.

    Args:
        delay_frames: 1 or more.
        leak: above 0, at most 1.
        gain_margin: 1 is the edge of stability.
        phase_margin_deg: 0 is the edge of stability.

    Raises:
        UsageError: an argument out of range.
    """
    _check_leak(leak)
    if not (gain_margin >= 1.0 and 0.0 <= phase_margin_deg < 90.0):
        raise UsageError(
            f"margins are {gain_margin} and {phase_margin_deg} degrees; expected 1 or more, and 0 to less than 90"
        )
    frequency = np.linspace(0.0, 0.5, 200_001)[1:]
    loop = open_loop_response(frequency, 1.0, delay_frames, integrator(1.0, leak))
    # A gain does not turn it: the first frequency at which so much phase is left is the one to cross 1 at.
    left = np.argmax(np.unwrap(np.angle(loop)) <= math.radians(phase_margin_deg) - math.pi + 1e-9)
    edge = max_gain(delay_frames, lambda gain: integrator(gain, leak))
    return min(edge / gain_margin, float(1.0 / np.abs(loop[left])))


def optimise_gains(
    open_loop: ArrayLike,
    rate_hz: float,
    *,
    delay_frames: float = 2.0,
    leak: float = 1.0,
    gain_margin: float = 2.0,
    phase_margin_deg: float = 45.0,
    segment: int | None = None,
) -> ModalGains:
    """Gain of each mode that leaves least of it, from (pseudo-)open-loop telemetry.

    Minimises ∫ E²(f, g) S(f) df over g up to ``largest_gain``, S being the mode's measured spectrum, noise
    included, and E the magnitude of the integrator's ``rejection``. That is the residual plus the noise's variance,
    which does not depend on g: a command only knows older noise. Source: E. Gendron and P. Lena, "Astronomical adaptive
    optics. I. Modal control optimization", Astron. Astrophys. 291 (1994) 337.

    Args:
        open_loop: (n_frames, n_modes), what the sensor measures without the loop: see ``open_loop_telemetry``.
        rate_hz: frames per second.
        delay_frames: as for ``rejection``.
        leak: of the integrator.
        gain_margin: as for ``largest_gain``.
        phase_margin_deg: as for ``largest_gain``.
        segment: as for ``spectra``.

    Raises:
        UsageError: an argument out of range, or too few frames.
        DataError: a value is not finite.
    """
    series = as_series("open_loop", open_loop)
    limit = largest_gain(delay_frames, leak, gain_margin=gain_margin, phase_margin_deg=phase_margin_deg)
    if limit <= LEAST_GAIN:
        raise UsageError(f"the margins leave a gain of {limit:.2g}; lower them, or the delay")
    found = spectra(series, series, rate_hz, segment)
    frequency, density = found.frequency_hz, found.first
    step = frequency[1] - frequency[0]
    loop = open_loop_response(frequency, rate_hz, delay_frames, integrator(1.0, leak))

    def left(gains: FloatArray, mode: slice) -> FloatArray:
        return np.asarray(np.square(np.abs(1 / (1 + gains[:, None] * loop))) @ density[:, mode] * step)

    grid = np.geomspace(LEAST_GAIN, limit, 60)
    best = np.argmin(left(grid, slice(None)), axis=0)
    gains = np.empty(density.shape[1])
    residual = np.empty_like(gains)
    for mode, place in enumerate(best):
        low, high = grid[max(place - 1, 0)], grid[min(place + 1, len(grid) - 1)]
        tried = np.array([low, high])
        values = np.zeros(2)
        for _ in range(4):  # each makes the bracket ten times narrower
            tried = np.linspace(low, high, 21)
            values = left(tried, slice(mode, mode + 1))[:, 0]
            k = int(np.argmin(values))
            low, high = tried[max(k - 1, 0)], tried[min(k + 1, 20)]
        gains[mode], residual[mode] = tried[np.argmin(values)], values.min()
    noise = noise_variance(series)
    return ModalGains(
        gains=gains,
        limit=limit,
        at_limit=gains >= limit * (1 - 1e-4),
        residual_variance=np.maximum(residual - noise, 0.0),
        open_loop_variance=np.maximum(series.var(axis=0) - noise, 0.0),
        noise_variance=noise,
    )


def _check_leak(leak: float) -> None:
    if not 0.0 < leak <= 1.0:
        raise UsageError(f"leak is {leak}; expected above 0, at most 1")
