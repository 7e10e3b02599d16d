"""One measurement after the other, out of a stream or a function, each with its count and what was missed before it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.errors import DataError, UsageError, WaitTimeout

if TYPE_CHECKING:
    from framebus.stream import Stream

FloatArray = NDArray[np.float64]
Poke: TypeAlias = "Stream | Callable[[NDArray[np.float32]], object]"
Measure: TypeAlias = "Stream | Callable[[], ArrayLike]"
Progress: TypeAlias = Callable[[int, int], object]


@dataclass
class Span:
    """Which frames of a stream were used.

    Attributes:
        stream: its name; ``"function"`` for a function.
        first_count: count of the first frame; 0 if there was none.
        last_count: count of the last one.
        first_ns: when the first was acquired, else published, ns since the epoch; 0 if its writer did not say.
        last_ns: the same of the last.
        n_read: frames that were read.
        missed: frames in between that this reader never got.
    """

    stream: str
    first_count: int = 0
    last_count: int = 0
    first_ns: int = 0
    last_ns: int = 0
    n_read: int = 0
    missed: int = 0

    def as_array(self) -> NDArray[np.int64]:
        """Its numbers, for a partial file."""
        return np.array(
            [self.first_count, self.last_count, self.first_ns, self.last_ns, self.n_read, self.missed],
            np.int64,
        )

    def resume(self, numbers: NDArray[np.int64]) -> None:
        """Go on from an earlier try; what was published between the two was not missed, since nobody read."""
        self.first_count, self.last_count, self.first_ns, self.last_ns, self.n_read, self.missed = map(
            int, numbers
        )


class Sample(NamedTuple):
    """One measurement.

    Attributes:
        values: float64, in the measurement's shape.
        count: of its frame, from 1.
        missed: frames lost right before it.
        time_ns: when it was acquired, else published; 0 if unknown.
    """

    values: FloatArray
    count: int  # type: ignore[assignment]  # hides tuple.count
    missed: int
    time_ns: int


class Sampler:
    """Reads measurements and keeps their books in ``span``.

    Args:
        measure: a stream, or a function that returns one measurement.
        timeout_s: how long to wait for a frame of a stream, seconds.
    """

    def __init__(self, measure: Measure, timeout_s: float) -> None:
        self.measure = measure
        self.timeout_s = timeout_s
        self.since_ns = 0
        self.shape: tuple[int, ...] | None = None
        self.span = Span("function" if callable(measure) else measure.name)

    def start(self) -> None:
        """Only frames that were exposed from now on count; those passed over are not missed."""
        self.since_ns = time.time_ns()
        if not callable(self.measure):
            self.measure.skip_to_newest()

    def newest_count(self) -> int:
        """Count of the newest frame that there is, read or not."""
        return self.span.last_count if callable(self.measure) else self.measure.count

    def next(self) -> Sample:
        """The next measurement, whenever it was exposed.

        Raises:
            WaitTimeout: none came; the message says why.
            DataError: it is not finite, or its shape is not that of those before it.
        """
        if callable(self.measure):
            raw: Any = self.measure()
            count, missed, time_ns = self.span.last_count + 1, 0, 0
        else:
            frame = self.measure.read_next(timeout_s=self.timeout_s)
            raw, count, missed = frame.data, frame.count, frame.missed
            time_ns = frame.acquisition_ns or frame.write_ns
            if 0 < frame.acquisition_ns < self.since_ns:
                return self._fresh(frame.acquisition_ns)
        return self._checked(Sample(np.asarray(raw, dtype=np.float64), count, missed, time_ns))

    def _fresh(self, late_ns: int) -> Sample:
        """The next frame that does not say that it was exposed before ``start``."""
        assert not callable(self.measure)
        deadline = time.monotonic() + self.timeout_s
        while time.monotonic() < deadline:
            frame = self.measure.read_next(timeout_s=self.timeout_s)
            if frame.acquisition_ns == 0 or frame.acquisition_ns >= self.since_ns:
                values = np.asarray(frame.data, dtype=np.float64)
                return self._checked(
                    Sample(values, frame.count, frame.missed, frame.acquisition_ns or frame.write_ns)
                )
            late_ns = frame.acquisition_ns
        raise WaitTimeout(
            f"frames of {self.measure.name!r} come, but after {self.timeout_s} s still say that they were exposed "
            f"{(self.since_ns - late_ns) / 1e9:.3f} s before the command; is the clock of their writer behind?"
        )

    def _checked(self, sample: Sample) -> Sample:
        values = sample.values
        if self.shape is None:
            self.shape = values.shape
        if values.shape != self.shape:
            raise DataError(f"a measurement has shape {values.shape}, those before it {self.shape}")
        if not np.isfinite(values).all():
            bad = int((~np.isfinite(values)).sum())
            raise DataError(
                f"a measurement has {bad} values that are not finite (frame {sample.count} of "
                f"{self.span.stream!r}); mask them where they are made"
            )
        span = self.span
        if span.n_read == 0:
            span.first_count, span.first_ns = sample.count, sample.time_ns
        span.last_count, span.last_ns = sample.count, sample.time_ns
        span.n_read += 1
        span.missed += sample.missed
        return sample


def sender(poke: Poke, n_actuators: int) -> Callable[[FloatArray], object]:
    """A function that sends a command (n_actuators,) to a stream in its own shape, or to a function as float32.

    Raises:
        UsageError: the stream has another number of elements.
    """
    if callable(poke):
        function = poke
        return lambda command: function(command.astype(np.float32))
    stream = poke
    size = int(np.prod(stream.shape))
    if size != n_actuators:
        raise UsageError(
            f"the DM's stream {stream.name!r} has shape {stream.shape}, {size} actuators; expected {n_actuators}"
        )
    return lambda command: stream.write(command.astype(stream.dtype).reshape(stream.shape))


def resting(poke: Poke, rest: ArrayLike | None, n_actuators: int) -> FloatArray:
    """The command that a mirror rests at, (n_actuators,): ``rest``, else what its stream holds, else zeros.

    Raises:
        UsageError: of another size, or not finite.
    """
    if rest is None:
        if callable(poke) or poke.count == 0:
            return np.zeros(n_actuators)
        rest = poke.read()
    command = np.asarray(rest, dtype=np.float64)
    command = np.full(n_actuators, float(command)) if command.ndim == 0 else command.ravel()
    if command.size != n_actuators:
        raise UsageError(f"the flat has {command.size} elements, expected {n_actuators}, one per actuator")
    if not np.isfinite(command).all():
        raise UsageError("the flat has values that are not finite; expected a command the mirror can rest at")
    return command


def command_size(poke: Poke, n_actuators: int | None) -> int:
    """Actuators of a mirror: of its stream, or as told for a function.

    Raises:
        UsageError: a function without ``n_actuators``, or a number below 1.
    """
    if n_actuators is None:
        if callable(poke):
            raise UsageError("give n_actuators: a function does not tell the size of its commands")
        return int(np.prod(poke.shape))
    return at_least("n_actuators", n_actuators, 1)


def at_least(name: str, value: int, least: int) -> int:
    """``value``, if it is at least ``least``.

    Raises:
        UsageError: it is below.
    """
    if value < least:
        raise UsageError(f"{name} is {value}; expected {least} or more")
    return value


def nonzero(name: str, value: float) -> float:
    """``value``, if it is a finite number other than 0.

    Raises:
        UsageError: it is not.
    """
    if not (np.isfinite(value) and value != 0.0):
        raise UsageError(f"{name} is {value}; expected a finite number other than 0")
    return value
