"""The interaction matrix as it is measured: disturbed pokes repeated, noise known, interruptions survived."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from os import PathLike
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.interruptible import Interruptible
from framebus.ao.partial import Partial
from framebus.ao.patterns import hadamard_patterns, zonal_patterns
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
)
from framebus.errors import DataError, UsageError

Method = Literal["zonal", "hadamard", "modal", "patterns"]


@dataclass(frozen=True)
class Response:
    """A measured interaction matrix.

    Attributes:
        matrix: float32 (n_rows, n_measurements): response to a unit command of every actuator, or of every mode;
            rows of actuators that were not poked are 0.
        signal_to_noise: float64 (n_rows,): rms of a row over the rms noise in it; 0 for rows not poked.
        noise: float64 (n_measurements,): standard deviation of one measurement.
        method: how it was measured.
        amplitude: of the pokes, in the mirror's units.
        averages: measurements per poke.
        settle_frames: passed over after each command.
        repeated: pokes done again because frames were missed or something disturbed them.
        rest: float64 (n_actuators,): the command the mirror was and is left at.
        modes: float64 (n_modes, n_actuators), the basis of ``"modal"``; else ``None``.
        span: which frames were read.
    """

    matrix: NDArray[np.float32]
    signal_to_noise: FloatArray
    noise: FloatArray
    method: Method
    amplitude: float
    averages: int
    settle_frames: int
    repeated: int
    rest: FloatArray
    modes: FloatArray | None
    span: Span

    def weak(self, least: float = 3.0) -> NDArray[np.intp]:
        """Rows that were poked and hardly moved the sensor: signal to noise below ``least``."""
        poked = self.matrix.any(axis=1)
        return np.flatnonzero(poked & (self.signal_to_noise < least))


def measure_response(
    poke: Poke,
    measure: Measure,
    amplitude: float,
    *,
    method: Method = "zonal",
    modes: ArrayLike | None = None,
    patterns: ArrayLike | None = None,
    active: ArrayLike | None = None,
    rest: ArrayLike | None = None,
    n_actuators: int | None = None,
    averages: int = 1,
    settle_frames: int = 2,
    tries: int = 4,
    partial: str | PathLike[str] | None = None,
    timeout_s: float = 5.0,
    progress: Progress | None = None,
) -> Response:
    """Measure the response to every actuator or mode by pushing and pulling about the mirror's flat.

    A poke between whose frames some were missed is done again at once; one whose mean of push and pull stands out
    from that of the others by 6 of their scatters, at the end. The same means give the noise, so the signal to
    noise is measured too: half the difference of push and pull has a noise of σ / (a √(2 k)) for an amplitude a
    and k averages, and N Hadamard patterns lower it by √N. The mirror is at its flat afterwards, also after an
    error or Ctrl-C.

    Args:
        poke: the mirror's stream, or a function that sends a float32 command (n_actuators,).
        measure: the stream of measurements, or a function that returns one made after the command was sent.
        amplitude: of a poke, in the mirror's units; of modes, the factor on each.
        method: ``"zonal"``, one actuator at a time; ``"hadamard"``, all at once; ``"modal"``, one mode at a time;
            ``"patterns"``, actuators by pokes of your own.
        modes: the basis of ``"modal"``: (n_modes, ...), each with as many elements as actuators.
        patterns: those pokes, (n_patterns, number of active actuators), of full column rank.
        active: actuators to poke, bool in the command's size; all when ``None``. Not for ``"modal"``.
        rest: the mirror's flat; what its stream holds now when ``None``.
        n_actuators: size of a command; needed for a function.
        averages: measurements averaged per poke.
        settle_frames: passed over after each command, beside those exposed before it.
        tries: how often a poke is done before giving up.
        partial: file that keeps what is done when interrupted; the next call with the same settings goes on from it.
        timeout_s: how long to wait for a frame, seconds.
        progress: called with pokes done and their total.

    Raises:
        UsageError: an argument has the wrong shape or value, or ``partial`` is of another measurement.
        WaitTimeout: no frame came.
        DataError: a measurement is not finite or changes shape, pokes stay disturbed, or nothing responds.
    """
    size = command_size(poke, n_actuators)
    nonzero("amplitude", amplitude)
    pokes, commands, chosen = _commands(method, modes, patterns, active, size)
    settings = {
        "method": method,
        "amplitude": amplitude,
        "averages": at_least("averages", averages, 1),
        "settle_frames": at_least("settle_frames", settle_frames, 0),
        "commands": hashlib.sha256(commands.tobytes()).hexdigest()[:16],
    }
    run = _Run(
        poke,
        Sampler(measure, timeout_s),
        commands,
        amplitude,
        averages,
        settle_frames,
        at_least("tries", tries, 1),
        progress,
    )
    keep = Partial(partial, settings)
    run.begin(keep, poke, rest)
    run.measure_all(keep)
    found = _solved(run, pokes)
    matrix = np.zeros((len(commands) if method == "modal" else size, run.pushed.shape[1]), np.float32)
    snr = np.zeros(len(matrix))
    matrix[chosen], snr[chosen] = found[0], found[1]
    keep.done()
    return Response(
        matrix=matrix,
        signal_to_noise=snr,
        noise=found[2],
        method=method,
        amplitude=amplitude,
        averages=averages,
        settle_frames=settle_frames,
        repeated=int(run.repeated),
        rest=run.rest,
        modes=commands if method == "modal" else None,
        span=replace(run.sampler.span),
    )


def basis(modes: ArrayLike | None, n_actuators: int) -> FloatArray:
    """Modes as (n_modes, n_actuators).

    Raises:
        UsageError: of another size, not finite, or one of them is all zeros.
    """
    if modes is None:
        raise UsageError("give the modes: an array (n_modes, n_actuators), or one picture of the mirror each")
    array = np.asarray(modes, dtype=np.float64)
    if array.ndim < 2 or array.size != len(array) * n_actuators or len(array) == 0:
        raise UsageError(
            f"the modes' shape is {array.shape}; expected (n_modes, ...) with {n_actuators} actuators each"
        )
    array = array.reshape(len(array), n_actuators)
    if not np.isfinite(array).all() or not array.any(axis=1).all():
        raise UsageError("a mode is all zeros or not finite; expected shapes that move the mirror")
    return array


def _commands(
    method: str, modes: ArrayLike | None, own: ArrayLike | None, active: ArrayLike | None, size: int
) -> tuple[FloatArray, FloatArray, NDArray[np.intp]]:
    """Patterns over what is to be found, the commands that they are, and the rows that they fill."""
    if own is not None and method != "patterns":
        raise UsageError(f"patterns are for the method 'patterns'; this one is {method!r}")
    if method == "modal":
        if active is not None:
            raise UsageError(
                "'active' and modes exclude each other: a mode says itself which actuators it moves"
            )
        commands = basis(modes, size)
        return np.eye(len(commands)), commands, np.arange(len(commands))
    if modes is not None:
        raise UsageError(f"modes are for the method 'modal'; this one is {method!r}")
    makers: dict[str, Callable[[int], FloatArray]] = {"zonal": zonal_patterns, "hadamard": hadamard_patterns}
    if method not in (*makers, "patterns"):
        raise UsageError(f"method is {method!r}; expected 'zonal', 'hadamard', 'modal' or 'patterns'")
    mask = np.ones(size, bool) if active is None else np.asarray(active).astype(bool).ravel()
    if mask.size != size or not mask.any():
        raise UsageError(
            f"'active' has {mask.size} elements, {int(mask.sum())} of them true; expected {size}, one per actuator, "
            f"and at least one true"
        )
    chosen = np.flatnonzero(mask)
    patterns = _own(own, chosen.size) if method == "patterns" else makers[method](chosen.size)
    commands = np.zeros((len(patterns), size))
    commands[:, chosen] = patterns
    return patterns, commands, chosen


def _own(patterns: ArrayLike | None, n: int) -> FloatArray:
    matrix = np.asarray([] if patterns is None else patterns, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[1] != n:
        raise UsageError(
            f"the patterns' shape is {matrix.shape}, expected (n_patterns, {n}), one column per active actuator"
        )
    if not np.isfinite(matrix).all() or np.linalg.matrix_rank(matrix) < n:
        raise UsageError(f"the patterns cannot tell {n} actuators apart: their rank must be {n}")
    return matrix


class _Run(Interruptible):
    """Pushes and pulls of every pattern, some of them from an earlier try."""

    KEPT = ("done", "pushed", "pulled", "repeated")

    def __init__(
        self,
        poke: Poke,
        sampler: Sampler,
        commands: FloatArray,
        amplitude: float,
        averages: int,
        settle_frames: int,
        tries: int,
        progress: Progress | None,
    ) -> None:
        super().__init__(poke, sampler, commands.shape[1])
        self.commands, self.amplitude, self.averages = commands, amplitude, averages
        self.settle_frames, self.tries, self.progress = settle_frames, tries, progress
        self.done = np.zeros(len(commands), bool)
        self.pushed = np.zeros((len(commands), 0))
        self.pulled = np.zeros((len(commands), 0))
        self.repeated = np.zeros((), np.int64)

    def measure_all(self, keep: Partial) -> None:
        """Until no pattern is missing or disturbed."""
        with self.interruptible(keep):
            for _ in range(self.tries):
                for k in np.flatnonzero(~self.done):
                    self._pair(int(k))
                    keep.save(self.state())
                disturbed = self._disturbed()
                if disturbed.size == 0:
                    return
                self.done[disturbed] = False
                self.repeated += disturbed.size
            listed = ", ".join(map(str, np.flatnonzero(~self.done)[:5]))
            raise DataError(
                f"{int((~self.done).sum())} pokes stay disturbed after {self.tries} tries (numbers {listed}); is the "
                f"light steady and the loop open?"
            )

    def _pair(self, k: int) -> None:
        step = self.amplitude * self.commands[k]
        pushed, pulled = self._poke(self.rest + step, k), self._poke(self.rest - step, k)
        if self.pushed.shape[1] == 0:
            self.pushed = np.zeros((len(self.commands), pushed.size))
            self.pulled = self.pushed.copy()
        self.check_length(pushed.size, self.pushed.shape[1])
        self.pushed[k], self.pulled[k], self.done[k] = pushed, pulled, True
        if self.progress is not None:
            self.progress(int(self.done.sum()), len(self.done))

    def _poke(self, command: FloatArray, k: int) -> FloatArray:
        """Mean of the measurements of a command, none of them missed."""
        for _ in range(self.tries):
            self.send(command)
            self.sampler.start()
            for _ in range(self.settle_frames):
                self.sampler.next()
            first = self.sampler.next()
            total, missed = first.values.ravel(), 0
            for _ in range(self.averages - 1):
                sample = self.sampler.next()
                total = total + sample.values.ravel()
                missed += sample.missed
            if missed == 0:
                return total / self.averages
            self.repeated += 1
        raise DataError(
            f"frames of {self.sampler.span.stream!r} were missed in each of {self.tries} tries of poke {k}; give the "
            f"stream a longer history, or let this program run on a quieter CPU"
        )

    def _disturbed(self) -> NDArray[np.intp]:
        """Patterns whose mean of push and pull is far from that of the others."""
        if len(self.done) < 5:
            return np.zeros(0, np.intp)
        even = 0.5 * (self.pushed + self.pulled)
        away = np.sqrt(np.mean((even - np.median(even, axis=0)) ** 2, axis=1))
        usual = float(np.median(away))
        scatter = 1.4826 * float(np.median(np.abs(away - usual)))
        # Rounding alone is no disturbance, nor is what is small beside the pokes themselves.
        floor = 1e-3 * float(np.sqrt(np.mean((0.5 * (self.pushed - self.pulled)) ** 2)))
        return np.flatnonzero(away > usual + 6.0 * max(scatter, 0.2 * usual) + floor)


def _solved(run: _Run, patterns: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Rows by least squares, their signal to noise, the noise of one measurement."""
    odd = 0.5 * (run.pushed - run.pulled) / run.amplitude
    even = 0.5 * (run.pushed + run.pulled)
    gram = np.linalg.inv(patterns.T @ patterns)
    rows = gram @ (patterns.T @ odd)
    noise = np.zeros(even.shape[1])
    if len(even) > 1:
        noise = np.sqrt(2.0 * run.averages) * even.std(axis=0, ddof=1)
    if not rows.any():
        raise DataError(
            "no poke moved the measurement at all; is the mirror's stream the one that the mirror reads, and the "
            "sensor lit?"
        )
    in_rows = np.sqrt(np.diag(gram) * np.mean(noise**2) / (2.0 * run.averages)) / abs(run.amplitude)
    rms = np.sqrt(np.mean(rows**2, axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(in_rows > 0, rms / in_rows, np.where(rms > 0, np.inf, 0.0))
    if len(even) > 1 and np.isfinite(ratio).all() and ratio.max() < 1.5:
        raise DataError(
            f"no response: the strongest row has {ratio.max():.2f} of the noise's rms; raise the amplitude or the "
            f"averages, and see that the mirror is in the sensor's light"
        )
    return rows, ratio, noise
