"""How many frames it takes from a command to the measurement that shows it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.sampling import (
    FloatArray,
    Measure,
    Poke,
    Progress,
    Sampler,
    Span,
    at_least,
    command_size,
    nonzero,
    resting,
    sender,
)
from framebus.ao.stepping import Stepped, step_through
from framebus.errors import DataError, UsageError

Signal = Literal["telegraph", "chirp"]


@dataclass(frozen=True)
class Delay:
    """A measured delay.

    Attributes:
        frames: from the newest frame when a command is sent to the frame that shows it. 1: the very next frame shows
            all of it; 1.5: half in the next, half in the one after.
        error_frames: its standard error from the noise.
        seconds: the same in time, from the sensor's own frame period; NaN if its frames have no times.
        period_s: that frame period; NaN likewise.
        impulse: float64 (n_lags,): share of a command that the k-th frame after it shows first; the sum is 1.
        correlation: how well the sequence, so filtered, is found in the measurement: 0 to 1.
        n_used: frames that were trusted.
        span: which frames were read.
    """

    frames: float
    error_frames: float
    seconds: float
    period_s: float
    impulse: FloatArray
    correlation: float
    n_used: int
    span: Span


def telegraph(n: int, seed: int = 1) -> FloatArray:
    """N values of +1 or -1 at random, float64."""
    return np.where(np.random.default_rng(seed).random(n) < 0.5, -1.0, 1.0)


def chirp(n: int) -> FloatArray:
    """A sine of n values whose frequency rises from 0 to half the frame rate: sin(π k² / 2 n), float64."""
    return np.asarray(np.sin(0.5 * np.pi * np.arange(n) ** 2 / n))


def measure_delay(
    poke: Poke,
    measure: Measure,
    amplitude: float,
    *,
    pattern: ArrayLike | None = None,
    signal: Signal = "telegraph",
    n_frames: int = 500,
    max_delay: int = 10,
    rest: ArrayLike | None = None,
    n_actuators: int | None = None,
    seed: int = 1,
    timeout_s: float = 5.0,
    progress: Progress | None = None,
) -> Delay:
    """Send a random sequence, one value per frame, and find it again in the measurement.

    The measurement is the sequence filtered by the impulse response of mirror, exposure and read-out; that
    is found by least squares (which is the correlation, since the sequence is white), along the direction in which
    the sensor moves most. The delay is the response's centre of gravity. Frames next to missed ones, or to
    commands that went out late, are left out. The mirror is at its flat afterwards, also after an error or Ctrl-C.

    Args:
        poke: the mirror's stream, or a function that sends a float32 command (n_actuators,).
        measure: the stream of measurements, or a function.
        amplitude: of the sequence, in the mirror's units.
        pattern: what moves, one value per actuator; when ``None`` all at random by ±1.
        signal: ``"telegraph"``, +1 or -1 at random; ``"chirp"``, a sine of rising frequency.
        n_frames: length of the sequence; at least 10 times ``max_delay``.
        max_delay: longest delay looked for, frames.
        rest: the mirror's flat; what its stream holds now when ``None``.
        n_actuators: size of a command; needed for a function.
        seed: of the sequence and of the pattern.
        timeout_s: how long to wait for a frame, seconds.
        progress: called with frames done and their total.

    Raises:
        UsageError: an argument has the wrong shape or value.
        WaitTimeout: no frame came.
        DataError: too many frames were missed, or the sequence is not found in the measurement.
    """
    size = command_size(poke, n_actuators)
    nonzero("amplitude", amplitude)
    at_least("max_delay", max_delay, 1)
    at_least("n_frames", n_frames, 10 * max_delay)
    if signal not in ("telegraph", "chirp"):
        raise UsageError(f"signal is {signal!r}; expected 'telegraph' or 'chirp'")
    shape = telegraph(size, seed + 1) if pattern is None else np.asarray(pattern, np.float64).ravel()
    if shape.size != size or not np.isfinite(shape).all() or not shape.any():
        raise UsageError(f"the pattern has {shape.size} elements; expected {size}, finite and not all zero")
    values = telegraph(n_frames, seed) if signal == "telegraph" else chirp(n_frames)
    flat = resting(poke, rest, size)
    sampler = Sampler(measure, timeout_s)
    stepped = step_through(
        sender(poke, size),
        sampler,
        lambda k: flat + amplitude * values[k] * shape,
        n_frames,
        flat,
        progress=progress,
    )
    return _found(stepped, values, max_delay, sampler.span)


def _found(stepped: Stepped, values: FloatArray, max_delay: int, span: Span) -> Delay:
    n_lags = max_delay + 3
    use = np.flatnonzero(stepped.trusted(n_lags))
    if use.size < 5 * n_lags:
        raise DataError(
            f"only {use.size} of {len(values)} frames can be trusted, too few for delays up to {max_delay}; the others "
            f"are next to missed ones. Use more frames, or a quieter CPU"
        )
    sent = values[stepped.sent]
    past = np.stack([sent[use - lag] for lag in range(1, n_lags + 1)], axis=1)
    past = past - past.mean(axis=0)
    measured = stepped.measured[use] - stepped.measured[use].mean(axis=0)
    inverse = np.linalg.pinv(past)
    responses = inverse @ measured
    _, strengths, directions = np.linalg.svd(responses, full_matrices=False)
    along = measured @ directions[0]
    impulse = inverse @ along
    impulse *= np.sign(impulse[np.argmax(np.abs(impulse))])
    variance = float(np.mean((along - along.mean()) ** 2))
    left = float(np.sum((along - past @ (inverse @ along)) ** 2)) / max(use.size - n_lags, 1)
    # By chance a direction of n_measurements explains about (√lags + √measurements)² / frames of the noise.
    chance = (np.sqrt(n_lags) + np.sqrt(measured.shape[1])) / np.sqrt(use.size)
    noise = _noise(measured, past, inverse)
    found = noise == 0.0 or strengths[0] * np.sqrt(np.mean(past**2)) > 2.0 * noise * chance
    if not variance > 0.0 or not strengths[0] > 0.0 or not found:
        raise DataError(
            "the sequence is not found in the measurement; raise the amplitude or the number of frames, and see that "
            "the mirror is in the sensor's light"
        )
    peak = int(np.argmax(impulse))
    near = np.arange(max(peak - 2, 0), min(peak + 4, n_lags))
    share = impulse[near] / impulse[near].sum()
    frames = float((near + 1) @ share)
    each = np.sqrt(left * np.diag(inverse @ inverse.T)[near]) / impulse[near].sum()
    error = float(np.sqrt(np.sum((each * (near + 1 - frames)) ** 2)))
    n_periods = span.last_count - span.first_count
    period = (span.last_ns - span.first_ns) / 1e9 / n_periods if span.first_ns and n_periods else float("nan")
    whole = np.zeros(n_lags)
    whole[near] = share
    explained = max(1.0 - left / variance, 0.0)
    return Delay(
        frames, error, frames * period, period, whole, float(np.sqrt(explained)), use.size, replace(span)
    )


def _noise(measured: FloatArray, past: FloatArray, inverse: NDArray[np.float64]) -> float:
    """Rms of what the sequence does not explain, over all measurements."""
    rest = measured - past @ (inverse @ measured)
    return float(np.sqrt(np.sum(rest**2) / (len(past) - past.shape[1]) / measured.shape[1]))
