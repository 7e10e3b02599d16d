"""The mean of many frames of a stream, and what spoils one found out: missed frames, flashes, saturation, drifts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framebus.ao.partial import Partial
from framebus.ao.sampling import FloatArray, Measure, Progress, Sampler, Span, at_least
from framebus.errors import DataError, UsageError

FIRST = 16
"""Frames that settle what an outlier is."""


@dataclass(frozen=True)
class Average:
    """Mean and noise of a stream's frames.

    Attributes:
        mean: float64, in the frame's shape.
        noise: float64, the same shape: standard deviation of one frame about it.
        n: frames averaged.
        rejected: intp, the same shape: how often an element was left out as an outlier.
        saturated: bool, the same shape: elements that reached the saturation level in some frame.
        levels: float64 (n,): mean of each frame, in order.
        span: which frames were read.
    """

    mean: FloatArray
    noise: FloatArray
    n: int
    rejected: NDArray[np.intp]
    saturated: NDArray[np.bool_]
    levels: FloatArray
    span: Span

    @property
    def variation(self) -> float:
        """Standard deviation of the frames' means, in the frame's units."""
        return float(self.levels.std())


def average_frames(
    measure: Measure,
    n: int,
    *,
    reject_sigma: float = 6.0,
    saturation: float | None = None,
    allow_missed: bool = False,
    partial: str | PathLike[str] | None = None,
    timeout_s: float = 5.0,
    progress: Progress | None = None,
) -> Average:
    """Average the next ``n`` frames, each element without its outliers (cosmic rays, flashes of a hot pixel).

    The first 16 frames give each element's median and scatter (from the median absolute deviation, at least that
    of most elements); values further than ``reject_sigma`` scatters from the median are left out and counted.

    Args:
        measure: a stream, or a function that returns one frame.
        n: how many, 2 or more.
        reject_sigma: what is an outlier; ``inf`` keeps all.
        saturation: level that counts as saturated; when ``None`` the largest value of an unsigned dtype, and a
            full 8 to 15-bit range at which five pixels or more pile up.
        allow_missed: go on where frames were missed, and count them; else that is an error.
        partial: file that keeps what is done when interrupted; the next call with the same settings goes on from it.
        timeout_s: how long to wait for a frame, seconds.
        progress: called with frames done and ``n``.

    Raises:
        UsageError: an argument is out of range, or ``partial`` is of another measurement.
        WaitTimeout: a frame did not come; the message says why.
        DataError: frames were missed, are not finite, or change their shape.
    """
    at_least("n", n, 2)
    if not reject_sigma > 0.0:
        raise UsageError(f"reject_sigma is {reject_sigma}; expected more than 0, usually 5 to 8")
    sampler = Sampler(measure, timeout_s)
    settings = {"stream": sampler.span.stream, "n": n, "reject_sigma": reject_sigma, "saturation": saturation}
    keep = Partial(partial, settings)
    earlier = keep.load()
    sums = _Sums(reject_sigma, saturation, None if callable(measure) else measure.dtype)
    if earlier is not None:
        sums.resume(earlier)
        sampler.span.resume(earlier["span"].astype(np.int64))
        sampler.shape = sums.frames[0].shape if sums.frames else sums.total.shape

    def state() -> dict[str, Any]:
        return {**sums.state(), "span": sampler.span.as_array()}

    try:
        sampler.start()
        while len(sums.levels) < n:
            sample = sampler.next()
            if sample.missed and not allow_missed:
                sampler.span.missed -= (
                    sample.missed
                )  # the next try takes this frame's successors, and misses nothing
                raise DataError(
                    f"{sample.missed} frames of {sampler.span.stream!r} were missed before frame {sample.count}; give "
                    f"the stream a longer history, run on a quieter CPU, or allow missed frames"
                )
            sums.add(sample.values)
            if progress is not None:
                progress(len(sums.levels), n)
            keep.save(state())
    except BaseException:
        keep.save(state(), now=True)
        raise
    found = sums.result(replace(sampler.span))
    keep.done()
    return found


class _Sums:
    """Sums over the frames so far; the first ones are kept until they settle what an outlier is."""

    def __init__(self, reject_sigma: float, saturation: float | None, dtype: np.dtype[Any] | None) -> None:
        self.reject_sigma, self.saturation, self.dtype = reject_sigma, saturation, dtype
        self.frames: list[FloatArray] = []
        self.levels: list[float] = []
        self.centre = self.scatter = self.total = self.squares = np.zeros(0)
        self.counted = np.zeros(0, np.intp)
        self.saturated = np.zeros(0, bool)

    def state(self) -> dict[str, Any]:
        names = ("centre", "scatter", "total", "squares", "counted", "saturated")
        return {
            **{name: getattr(self, name) for name in names},
            "frames": np.array(self.frames),
            "levels": np.array(self.levels),
        }

    def resume(self, arrays: dict[str, NDArray[Any]]) -> None:
        for name in ("centre", "scatter", "total", "squares", "counted", "saturated"):
            setattr(self, name, arrays[name])
        self.frames, self.levels = list(arrays["frames"]), [float(level) for level in arrays["levels"]]

    def add(self, frame: FloatArray) -> None:
        self.levels.append(float(frame.mean()))
        if self.saturated.size == 0:
            self.saturated = np.zeros(frame.shape, bool)
        self.saturated |= saturated_elements(frame, self.saturation, self.dtype)
        if len(self.levels) <= FIRST:
            self.frames.append(frame)
        else:
            self._settle()
            self._count(frame)

    def _settle(self) -> None:
        """The first frames are in: find centre and scatter, and add them up."""
        if not self.frames:
            return
        stack = np.array(self.frames)
        self.frames = []
        self.centre = np.median(stack, axis=0)
        scatter = 1.4826 * np.median(np.abs(stack - self.centre), axis=0)
        # Rounding to whole counts is noise too, and a small sample's scatter can be far too small by chance.
        least = max(
            float(np.median(scatter)), np.sqrt(1 / 12) if np.array_equal(stack, np.rint(stack)) else 0.0
        )
        self.scatter = np.maximum(scatter, least)
        self.total, self.squares = np.zeros_like(self.centre), np.zeros_like(self.centre)
        self.counted = np.zeros(self.centre.shape, np.intp)
        for frame in stack:
            self._count(frame)

    def _count(self, frame: FloatArray) -> None:
        away = frame - self.centre
        # Where nothing ever varies there is no scale to call something an outlier.
        inside = (np.abs(away) <= self.reject_sigma * self.scatter) | (self.scatter == 0.0)
        kept = np.where(inside, away, 0.0)
        self.total = self.total + kept
        self.squares = self.squares + kept**2
        self.counted = self.counted + inside

    def result(self, span: Span) -> Average:
        self._settle()
        n = len(self.levels)
        count = np.maximum(self.counted, 1)
        off = self.total / count
        variance = (self.squares - count * off**2) / np.maximum(count - 1, 1)
        return Average(
            mean=self.centre + off,
            noise=np.sqrt(np.maximum(variance, 0.0)),
            n=n,
            rejected=(n - self.counted).astype(np.intp),
            saturated=self.saturated,
            levels=np.array(self.levels),
            span=span,
        )


def saturated_elements(
    frame: FloatArray, level: float | None = None, dtype: np.dtype[Any] | None = None
) -> NDArray[np.bool_]:
    """Which elements of a frame are at or above ``level``, or the ceiling that the frame itself shows."""
    if level is not None:
        return np.asarray(frame >= level)
    if dtype is None or dtype.kind != "u":
        return np.zeros(frame.shape, bool)
    top = float(frame.max())
    if top >= np.iinfo(dtype).max:
        return np.asarray(frame >= top)
    full = top >= 255 and float(top + 1).is_integer() and np.log2(top + 1).is_integer()
    at_top = frame == top
    piled = (
        at_top.sum() >= 5
        and at_top.sum() > 2 * np.count_nonzero(frame == top - 1)
        and at_top.sum() < frame.size
    )
    return at_top if full and piled else np.zeros(frame.shape, bool)


def check_light(average: Average, *, max_variation: float, max_saturated: float = 0.001) -> None:
    """Refuse an average whose light was saturated or unsteady.

    Args:
        average: of illuminated frames, on any background.
        max_variation: standard deviation of the frames' means, as a share of their mean; ``inf`` to allow any.
        max_saturated: share of the elements that may be saturated.

    Raises:
        DataError: what was found, and what to do.
    """
    share = float(average.saturated.mean())
    if share > max_saturated:
        raise DataError(
            f"{int(average.saturated.sum())} elements ({share:.1%}) are saturated; lower the light, the exposure time "
            f"or the gain (allowed: {max_saturated:.1%})"
        )
    mean = abs(float(average.levels.mean()))
    if average.variation > max_variation * mean:
        raise DataError(
            f"the light varies by {average.variation / mean if mean else np.inf:.1%} rms from frame to frame, allowed "
            f"are {max_variation:.1%}; wait until the source is steady, or allow more"
        )
