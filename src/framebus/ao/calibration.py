"""Calibrating a loop: reference, interaction matrix, control matrix.

Matrices have one row per actuator, as instruments' response files have: an interaction matrix is
(n_actuators, n_measurements) and measurement = command @ interaction_matrix.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.patterns import hadamard_patterns, zonal_patterns
from framebus.errors import DataError, UsageError, WaitTimeout

if TYPE_CHECKING:
    from framebus.stream import Stream

FloatArray = NDArray[np.float64]
Poke: TypeAlias = "Stream | Callable[[NDArray[np.float32]], object]"
Measure: TypeAlias = "Stream | Callable[[], ArrayLike]"
Progress: TypeAlias = Callable[[int, int], object]


@dataclass(frozen=True)
class ControlMatrix:
    """A truncated inverse of an interaction matrix.

    Attributes:
        matrix: float32 (n_actuators, n_measurements): command = matrix @ measurement.
        singular_values: float64, of the interaction matrix, all of them, the largest first.
        n_kept: how many modes the inverse uses.
        condition_number: largest over smallest singular value that is used.
        slopes_to_modes: float32 (n_kept, n_measurements): modes = slopes_to_modes @ measurement.
        modes_to_actuators: float32 (n_actuators, n_kept), orthonormal columns; matrix is
            modes_to_actuators @ slopes_to_modes.
    """

    matrix: NDArray[np.float32]
    singular_values: FloatArray
    n_kept: int
    condition_number: float
    slopes_to_modes: NDArray[np.float32]
    modes_to_actuators: NDArray[np.float32]


def measure_reference(measure: Measure, n: int = 100, *, timeout_s: float = 5.0) -> NDArray[np.float32]:
    """Mean of the next ``n`` measurements, float32 in their shape.

    Args:
        measure: a stream, or a function that returns one measurement.
        n: how many.
        timeout_s: how long to wait for each frame of a stream, seconds.

    Raises:
        UsageError: ``n`` below 1.
        WaitTimeout: a frame did not come.
        DataError: a measurement is not finite, or its shape changes.
    """
    _check_at_least("n", n, 1)
    sampler = _Sampler(measure, 0, timeout_s)
    sampler.start()
    return sampler.mean(n).astype(np.float32)


def measure_interaction_matrix(
    poke: Poke,
    measure: Measure,
    n_actuators: int,
    amplitude: float,
    *,
    averages: int = 1,
    settle_frames: int = 2,
    patterns: Literal["zonal", "hadamard"] | ArrayLike = "zonal",
    active: ArrayLike | None = None,
    offset: ArrayLike | None = None,
    timeout_s: float = 5.0,
    progress: Progress | None = None,
) -> NDArray[np.float32]:
    """Response of the measurement to every actuator, by pushing and pulling, as on the sky.

    For every pattern the command offset + amplitude * pattern is sent, the frames that were exposed before it
    and ``settle_frames`` more are passed over, ``averages`` are averaged; the same with - amplitude; half the
    difference over the amplitude is the response. The mirror is back at the offset afterwards, also after an error.

    Args:
        poke: the DM's stream (its size is ``n_actuators``, actuators in C order), or a function that sends a
            float32 command (n_actuators,).
        measure: the stream of measurements, or a function that returns one made after the command was sent.
        n_actuators: size of a command.
        amplitude: size of a poke, in the DM's units.
        averages: measurements averaged per poke.
        settle_frames: measurements passed over after each command, beside those exposed before it: the DM's
            settling and the frames already on their way.
        patterns: ``"zonal"``: one actuator at a time; ``"hadamard"``: all at once, which needs about as many pokes
            and has far less noise, so few averages do, but pushes neighbours together, so use a smaller
            amplitude; or an array (n_patterns, number of active actuators) of full column rank.
        active: which actuators to poke, bool (n_actuators,) or in the DM's shape; the others get rows of zeros.
        offset: command that the mirror rests at; zeros when ``None``.
        timeout_s: how long to wait for a frame of a stream, seconds.
        progress: called with the number of patterns done and their total.

    Returns:
        float32 (n_actuators, n_measurements), measurements flattened in C order, per unit of command.

    Raises:
        UsageError: an argument has the wrong shape or value.
        WaitTimeout: no frame, or none that was exposed after the command, came in time.
        DataError: a measurement is not finite, or its shape changes.
    """
    _check_at_least("n_actuators", n_actuators, 1)
    _check_at_least("averages", averages, 1)
    _check_at_least("settle_frames", settle_frames, 0)
    if not (np.isfinite(amplitude) and amplitude != 0.0):
        raise UsageError(f"amplitude is {amplitude}; expected a finite number other than 0")
    chosen = np.flatnonzero(_command("active", True if active is None else active, n_actuators))
    if chosen.size == 0:
        raise UsageError("'active' leaves no actuator to poke; it must be true somewhere")
    rest = _command("offset", 0.0 if offset is None else offset, n_actuators)
    pokes = _pattern_matrix(patterns, chosen.size)
    send = _sender(poke, n_actuators)
    sampler = _Sampler(measure, settle_frames, timeout_s)

    def respond(command: FloatArray) -> FloatArray:
        full = rest.copy()
        full[chosen] += command
        send(full.astype(np.float32))
        sampler.start()
        return sampler.mean(averages).ravel()

    responses = []
    try:
        for k, pattern in enumerate(pokes):
            pushed, pulled = respond(amplitude * pattern), respond(-amplitude * pattern)
            responses.append((pushed - pulled) / (2.0 * amplitude))
            if progress is not None:
                progress(k + 1, len(pokes))
    finally:
        send(rest.astype(np.float32))
    solved = _solve(pokes, np.array(responses))
    matrix = np.zeros((n_actuators, solved.shape[1]), np.float32)
    matrix[chosen] = solved
    return matrix


def control_matrix(
    interaction_matrix: ArrayLike, *, condition: float = 100.0, n_modes: int | None = None
) -> ControlMatrix:
    """Least-squares inverse of an interaction matrix by singular values, the weakest modes left out.

    Args:
        interaction_matrix: (n_actuators, n_measurements), one row per actuator.
        condition: modes whose singular value is below the largest one over this are left out.
        n_modes: at most so many modes, the strongest; ``None``: all that ``condition`` leaves.

    Raises:
        UsageError: not 2-D, ``condition`` below 1, or ``n_modes`` outside 1 to the number of singular values.
        DataError: a value is not finite, or all are zero.
    """
    response = np.asarray(interaction_matrix, dtype=np.float64)
    if response.ndim != 2 or response.size == 0:
        raise UsageError(
            f"the interaction matrix's shape is {response.shape}; expected (n_actuators, n_measurements)"
        )
    if not condition >= 1.0:
        raise UsageError(f"condition is {condition}; expected 1 or more")
    if n_modes is not None and not 1 <= n_modes <= min(response.shape):
        raise UsageError(f"n_modes is {n_modes}; expected 1 to {min(response.shape)}")
    bad = int((~np.isfinite(response)).any(axis=1).sum())
    if bad:
        raise DataError(
            f"the interaction matrix has values that are not finite, in the rows of {bad} actuators"
        )
    if not response.any():
        raise DataError("the interaction matrix is all zeros: no actuator moved the measurement")
    actuators, values, measurements = np.linalg.svd(response, full_matrices=False)
    kept = int((values >= values[0] / condition).sum())
    kept = kept if n_modes is None else min(kept, n_modes)
    to_modes = measurements[:kept] / values[:kept, None]
    to_actuators = actuators[:, :kept]
    return ControlMatrix(
        matrix=(to_actuators @ to_modes).astype(np.float32),
        singular_values=values,
        n_kept=kept,
        condition_number=float(values[0] / values[kept - 1]),
        slopes_to_modes=to_modes.astype(np.float32),
        modes_to_actuators=np.ascontiguousarray(to_actuators, dtype=np.float32),
    )


class _Sampler:
    """Averages measurements of a stream or a function, those from before ``start`` and the settling ones left out."""

    def __init__(self, measure: Measure, settle_frames: int, timeout_s: float) -> None:
        self.measure = measure
        self.settle_frames = settle_frames
        self.timeout_s = timeout_s
        self.since_ns = 0
        self.shape: tuple[int, ...] | None = None

    def start(self) -> None:
        """Only frames that were exposed from now on count."""
        self.since_ns = time.time_ns()
        if not callable(self.measure):
            self.measure.skip_to_newest()

    def mean(self, n: int) -> FloatArray:
        """Mean of ``n`` measurements after the settling ones."""
        for _ in range(self.settle_frames):
            self.one()
        total = self.one()
        for _ in range(n - 1):
            total = total + self.one()
        return total / n

    def one(self) -> FloatArray:
        values = np.asarray(
            self.measure() if callable(self.measure) else self.exposed_since(), dtype=np.float64
        )
        if self.shape is None:
            self.shape = values.shape
        if values.shape != self.shape:
            raise DataError(f"a measurement has shape {values.shape}, those before it {self.shape}")
        if not np.isfinite(values).all():
            raise DataError(
                f"a measurement has {int((~np.isfinite(values)).sum())} values that are not finite"
            )
        return values

    def exposed_since(self) -> ArrayLike:
        """The next frame that does not say that it was exposed before ``start``."""
        assert not callable(self.measure)
        deadline = time.monotonic() + self.timeout_s
        while True:
            frame = self.measure.read_next(timeout_s=self.timeout_s)
            if frame.acquisition_ns == 0 or frame.acquisition_ns >= self.since_ns:
                return frame.data
            if time.monotonic() > deadline:
                late = (self.since_ns - frame.acquisition_ns) / 1e9
                raise WaitTimeout(
                    f"frames of {self.measure.name!r} come, but after {self.timeout_s} s still say that they were "
                    f"exposed {late:.3f} s before the poke; is the clock of their writer behind?"
                )


def _sender(poke: Poke, n_actuators: int) -> Callable[[NDArray[np.float32]], object]:
    if callable(poke):
        return poke
    stream = poke
    if int(np.prod(stream.shape)) != n_actuators:
        raise UsageError(
            f"the DM's stream {stream.name!r} has shape {stream.shape}, {int(np.prod(stream.shape))} actuators; "
            f"expected {n_actuators}"
        )
    return lambda command: stream.write(command.reshape(stream.shape))


def _command(name: str, value: ArrayLike, n_actuators: int) -> FloatArray:
    """``value`` as one float per actuator; a number stands for all of them."""
    array = np.asarray(value, dtype=np.float64)
    if array.ndim == 0:
        return np.full(n_actuators, float(array))
    if array.size != n_actuators:
        raise UsageError(
            f"{name!r} has {array.size} elements {array.shape}, expected {n_actuators}, one per actuator"
        )
    if not np.isfinite(array).all():
        raise UsageError(f"{name!r} has values that are not finite")
    return array.ravel()


def _pattern_matrix(patterns: str | ArrayLike, n: int) -> FloatArray:
    if isinstance(patterns, str):
        makers = {"zonal": zonal_patterns, "hadamard": hadamard_patterns}
        if patterns not in makers:
            raise UsageError(f"patterns is {patterns!r}; expected 'zonal', 'hadamard' or an array")
        return makers[patterns](n)
    matrix = np.asarray(patterns, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != n:
        raise UsageError(
            f"the patterns' shape is {matrix.shape}, expected (n_patterns, {n}), one column per actuator"
        )
    if not np.isfinite(matrix).all() or np.linalg.matrix_rank(matrix) < n:
        raise UsageError(f"the patterns cannot tell {n} actuators apart: their rank must be {n}")
    return matrix


def _solve(pokes: FloatArray, responses: FloatArray) -> FloatArray:
    """Responses of single actuators from those of the patterns, by least squares."""
    gram = pokes.T @ pokes
    if np.array_equal(gram, gram[0, 0] * np.eye(len(gram))):
        return np.asarray(pokes.T @ responses / gram[0, 0])
    return np.asarray(np.linalg.lstsq(pokes, responses, rcond=None)[0])


def _check_at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise UsageError(f"{name} is {value}; expected {least} or more")
