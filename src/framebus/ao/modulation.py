"""Responses of several modes at once, each at a temporal frequency of its own."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from os import PathLike

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.interruptible import Interruptible
from framebus.ao.partial import Partial
from framebus.ao.response import basis
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
from framebus.ao.stepping import step_through
from framebus.errors import DataError, UsageError

SETTLING = 12
"""Frames at the start of a group that are not used, and the longest delay that is understood."""


@dataclass(frozen=True)
class Modulated:
    """Responses found by modulation.

    Attributes:
        matrix: float32 (n_modes, n_measurements): response to a unit of every mode.
        signal_to_noise: float64 (n_modes,): rms of a row over the rms noise in it.
        noise: float64 (n_measurements,): standard deviation of one measurement.
        cycles: intp (n_modes,): cycles of each mode in ``n_frames``.
        delay_frames: between command and measurement, as ``measure_delay`` defines it, given or found.
        amplitude: of each mode's sine.
        n_frames: length of a group.
        n_groups: modes are spread over so many groups, one after the other.
        rest: float64 (n_actuators,): the command the mirror was and is left at.
        modes: float64 (n_modes, n_actuators).
        span: which frames were read.
    """

    matrix: NDArray[np.float32]
    signal_to_noise: FloatArray
    noise: FloatArray
    cycles: NDArray[np.intp]
    delay_frames: float
    amplitude: float
    n_frames: int
    n_groups: int
    rest: FloatArray
    modes: FloatArray
    span: Span


def measure_modulated(
    poke: Poke,
    measure: Measure,
    modes: ArrayLike,
    amplitude: float,
    *,
    at_once: int = 10,
    n_frames: int = 256,
    delay_frames: float | None = None,
    rest: ArrayLike | None = None,
    n_actuators: int | None = None,
    partial: str | PathLike[str] | None = None,
    timeout_s: float = 5.0,
    progress: Progress | None = None,
) -> Modulated:
    """Measure the response to modes by moving ``at_once`` of them together, each as a sine of its own frequency.

    The frequencies are whole cycles in ``n_frames``, between 1/32 and 1/4 of the frame rate, so that the sines are
    orthogonal; each response is the complex amplitude at its frequency, turned back by the delay. Its noise
    is σ √(2 / n_frames) / amplitude, over what the delay's fraction lets pass. Missed frames and those next to
    them are left out of the fit. The mirror is at its flat afterwards, also after an error or Ctrl-C.

    Args:
        poke: the mirror's stream, or a function that sends a float32 command (n_actuators,).
        measure: the stream of measurements, or a function.
        modes: (n_modes, ...), each with as many elements as actuators.
        amplitude: of each mode's sine; together they can reach ``at_once`` times as much.
        at_once: modes in a group.
        n_frames: frames of a group.
        delay_frames: between command and measurement; found from the phases when ``None``, which needs two
            modes or more with a clear response in a group.
        rest: the mirror's flat; what its stream holds now when ``None``.
        n_actuators: size of a command; needed for a function.
        partial: file that keeps the groups that are done; the next call with the same settings goes on from it.
        timeout_s: how long to wait for a frame, seconds.
        progress: called with frames done and their total.

    Raises:
        UsageError: an argument has the wrong shape or value, or ``partial`` is of another measurement.
        WaitTimeout: no frame came.
        DataError: too many frames were missed, or nothing responds.
    """
    size = command_size(poke, n_actuators)
    nonzero("amplitude", amplitude)
    shapes = basis(modes, size)
    at_least("at_once", at_once, 1)
    at_least("n_frames", n_frames, 32)
    lowest, highest = n_frames // 32, n_frames // 4
    if at_once > highest - lowest + 1:
        raise UsageError(
            f"at_once is {at_once}; {n_frames} frames have room for {highest - lowest + 1} frequencies. Use more frames"
        )
    if delay_frames is None and min(at_once, len(shapes)) < 2:
        raise UsageError(
            "give delay_frames: a single mode does not tell the delay from the sign; 'delay' measures it"
        )
    slots = np.unique(np.rint(np.linspace(lowest, highest, at_once)).astype(int))
    keep = Partial(
        partial,
        {
            "method": "modulated",
            "amplitude": amplitude,
            "at_once": at_once,
            "n_frames": n_frames,
            "modes": hashlib.sha256(shapes.tobytes()).hexdigest()[:16],
        },
    )
    run = _Run(poke, Sampler(measure, timeout_s), shapes, slots, amplitude, n_frames, progress)
    run.begin(keep, poke, rest)
    run.measure_all(keep)
    found = run.solved(delay_frames)
    keep.done()
    return found


def hold_filter(omega: ArrayLike, delay_frames: float) -> NDArray[np.complex128]:
    """What a delay does to a sine of ``omega`` rad per frame when commands are held and exposures fill the frame.

    A delay of n + f shows (1 - f) of a command n frames later and f of it one more frame later.
    """
    whole = np.floor(delay_frames)
    part = delay_frames - whole
    turn = np.exp(-1j * np.asarray(omega, np.float64))
    return np.asarray(turn**whole * (1.0 - part + part * turn))


class _Run(Interruptible):
    """Groups of modes, some of them from an earlier try."""

    KEPT = ("done", "used", "waves", "variance")

    def __init__(
        self,
        poke: Poke,
        sampler: Sampler,
        modes: FloatArray,
        slots: NDArray[np.intp],
        amplitude: float,
        n_frames: int,
        progress: Progress | None,
    ) -> None:
        super().__init__(poke, sampler, modes.shape[1])
        self.modes, self.amplitude = modes, amplitude
        self.n_frames, self.progress, self.slots = n_frames, progress, slots
        starts = range(0, len(modes), len(slots))
        self.groups = [np.arange(first, min(first + len(slots), len(modes))) for first in starts]
        self.cycles = np.concatenate([slots[: group.size] for group in self.groups])
        self.done = np.zeros(len(self.groups), bool)
        self.waves = np.zeros((len(modes), 0), np.complex128)
        self.variance = np.zeros((len(self.groups), 0))
        self.used = np.zeros(len(self.groups), np.intp)

    def measure_all(self, keep: Partial) -> None:
        with self.interruptible(keep):
            for number in np.flatnonzero(~self.done):
                self._group(int(number))
                keep.save(self.state(), now=True)

    def _group(self, number: int) -> None:
        group = self.groups[number]
        omega = 2.0 * np.pi * self.cycles[group] / self.n_frames
        # Schroeder's phases keep the sum of the sines low.
        phase = np.pi * np.arange(group.size) ** 2 / group.size
        length = self.n_frames + SETTLING

        def command(k: int) -> FloatArray:
            return self.rest + self.amplitude * np.sin(omega * k + phase) @ self.modes[group]

        def report(done: int, total: int) -> None:
            if self.progress is not None:
                self.progress(number * total + done, len(self.groups) * total)

        stepped = step_through(self.send, self.sampler, command, length, self.rest, progress=report)
        use = np.flatnonzero(stepped.trusted(SETTLING))
        if use.size < max(4 * group.size + 2, self.n_frames // 2):
            raise DataError(
                f"only {use.size} of {length} frames can be trusted, the others are next to missed ones; lower the "
                f"sensor's rate while measuring, or run on a quieter CPU"
            )
        angle = np.outer(use, omega) + phase
        design = np.hstack([np.ones((use.size, 1)), np.sin(angle), np.cos(angle)])
        fitted, _, _, _ = np.linalg.lstsq(design, stepped.measured[use], rcond=None)
        left = stepped.measured[use] - design @ fitted
        if self.waves.shape[1] == 0:
            self.waves = np.zeros((len(self.modes), left.shape[1]), np.complex128)
            self.variance = np.zeros((len(self.groups), left.shape[1]))
        self.check_length(left.shape[1], self.waves.shape[1])
        self.waves[group] = (fitted[1 : group.size + 1] + 1j * fitted[group.size + 1 :]) / self.amplitude
        self.variance[number] = np.sum(left**2, axis=0) / (use.size - design.shape[1])
        self.used[number], self.done[number] = use.size, True

    def solved(self, delay_frames: float | None) -> Modulated:
        omega = 2.0 * np.pi * self.cycles / self.n_frames
        noise = np.sqrt(self.variance.mean(axis=0))
        used = np.concatenate([np.full(g.size, n) for g, n in zip(self.groups, self.used, strict=True)])
        in_waves = np.sqrt(np.mean(noise**2) * 2.0 / used) / abs(self.amplitude)
        rms = np.sqrt(np.mean(np.abs(self.waves) ** 2, axis=1))
        # Noise alone has both parts of the wave: √2.
        if not (rms > 2.0 * in_waves).any():
            raise DataError(
                "no response: no mode stands out of the noise; raise the amplitude or the frames, and see that the "
                "mirror is in the sensor's light"
            )
        delay = _delay(self.waves, omega) if delay_frames is None else float(delay_frames)
        passed = hold_filter(omega, delay)
        matrix = np.real(self.waves / passed[:, None])
        in_rows = in_waves / np.abs(passed)
        with np.errstate(divide="ignore"):
            ratio = np.sqrt(np.mean(matrix**2, axis=1)) / in_rows
        return Modulated(
            matrix=matrix.astype(np.float32),
            signal_to_noise=np.nan_to_num(ratio, nan=0.0, posinf=np.inf),
            noise=noise,
            cycles=self.cycles,
            delay_frames=delay,
            amplitude=self.amplitude,
            n_frames=self.n_frames,
            n_groups=len(self.groups),
            rest=self.rest,
            modes=self.modes,
            span=replace(self.sampler.span),
        )


def _delay(waves: NDArray[np.complex128], omega: FloatArray) -> float:
    """The delay that turns the waves of all modes onto the real axis. Squares do not care for a response's sign."""
    squares = np.sum(waves**2, axis=1)
    tried = np.arange(0.0, SETTLING - 1.0, 0.01)
    filters = np.array([hold_filter(omega, delay) for delay in tried])
    turned = np.real(np.conj(filters / np.abs(filters)) ** 2 * squares).sum(axis=1)
    return float(tried[np.argmax(turned)])
