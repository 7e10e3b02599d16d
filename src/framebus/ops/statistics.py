"""What the values of a stream's frames are: mean, scatter and extremes, of every element and of all together."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError, WaitTimeout
from framebus.ops.cubes import Progress
from framebus.ops.targets import open_existing

__all__ = ["FrameStatistics", "RunningStatistics", "statistics"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class FrameStatistics:
    """Figures of some frames; all in float64, of complex values those of their magnitudes.

    Attributes:
        name: of the stream.
        frames: how many frames.
        missed: frames that passed between them unseen.
        first, last: counts of the first and the last one.
        mean, std, minimum, maximum: of all finite elements of all frames together; NaN if none is finite.
        noise: rms over the elements of their standard deviation in time (over n - 1); 0 for one frame.
        not_finite: how many elements were left out, as infinite or no numbers.
        mean_frame, std_frame: of each element over the frames, in the shape of a frame; NaN where it was never finite.
    """

    name: str
    frames: int
    missed: int
    first: int
    last: int
    mean: float
    std: float
    minimum: float
    maximum: float
    noise: float
    not_finite: int
    mean_frame: FloatArray
    std_frame: FloatArray


@dataclass(slots=True)
class RunningStatistics:
    """Statistics that grow frame by frame, and that can be asked for at any time.

    Source: B. P. Welford, "Note on a method for calculating corrected sums of squares and products", Technometrics 4
    (1962) 419; it loses no digits to a large mean.
    """

    frames: int = 0
    not_finite: int = 0
    minimum: float = math.inf
    maximum: float = -math.inf
    _numbers: FloatArray = field(default_factory=lambda: np.zeros(0))
    _means: FloatArray = field(default_factory=lambda: np.zeros(0))
    _squares: FloatArray = field(default_factory=lambda: np.zeros(0))

    def add(self, frame: npt.NDArray[Any]) -> None:
        """Take in one frame; all have one shape."""
        values = np.abs(frame) if frame.dtype.kind == "c" else frame
        values = values.astype(np.float64)
        if self.frames == 0:
            self._numbers, self._means, self._squares = (np.zeros(values.shape) for _ in range(3))
        self.frames += 1
        finite = np.isfinite(values)
        good = int(np.count_nonzero(finite))
        self.not_finite += values.size - good
        if good:
            kept = values[finite]
            self.minimum = min(self.minimum, float(kept.min()))
            self.maximum = max(self.maximum, float(kept.max()))
        self._numbers += finite
        away = np.where(finite, values - self._means, 0.0) if good < values.size else values - self._means
        self._means += away / np.maximum(self._numbers, 1.0)
        self._squares += (
            away * np.where(finite, values - self._means, 0.0)
            if good < values.size
            else (away * (values - self._means))
        )

    def result(self, name: str, first: int, last: int, missed: int) -> FrameStatistics:
        """The figures so far."""
        seen = self._numbers > 0
        numbers, means, squares = self._numbers[seen], self._means[seen], self._squares[seen]
        total = float(numbers.sum())
        mean = std = noise = math.nan
        if total:
            mean = float((numbers * means).sum() / total)
            within, between = float(squares.sum()), float((numbers * (means - mean) ** 2).sum())
            std = math.sqrt((within + between) / total)
            noise = math.sqrt(float((squares / np.maximum(numbers - 1.0, 1.0)).mean()))
        variances = np.where(seen, self._squares / np.maximum(self._numbers - 1.0, 1.0), math.nan)
        return FrameStatistics(
            name,
            self.frames,
            missed,
            first,
            last,
            mean,
            std,
            self.minimum if total else math.nan,
            self.maximum if total else math.nan,
            noise,
            self.not_finite,
            np.where(seen, self._means, math.nan),
            np.sqrt(variances),
        )


def statistics(
    name: str, frames: int = 100, *, timeout_s: float | None = 5.0, progress: Progress | None = None
) -> FrameStatistics:
    """Statistics of the next ``frames`` frames of a stream.

    Args:
        name: of the stream, or a slice of it.
        frames: how many; 0: of the newest one as it stands.
        timeout_s: how long to wait for each, in s; None: for ever.
        progress: called after every frame.

    Raises:
        UsageError: ``frames`` is negative.
        WaitTimeout: none came; the message says how old the last one is and whether its writer lives.
        StreamNotFound, StreamFormatError, NameFormatError, StreamRecreated: as ``open`` and ``read_next``.
    """
    if frames < 0:
        raise UsageError(f"statistics of {frames} frames cannot be made; expected 0 or more")
    running = RunningStatistics()
    first = last = missed = 0
    with open_existing(name) as stream:
        stream.skip_to_newest()
        for k in range(max(frames, 1)):
            try:
                frame = (
                    stream.read_next(timeout_s=timeout_s) if frames else stream.newest(timeout_s=timeout_s)
                )
            except WaitTimeout as error:
                why = str(error).removeprefix(f"{stream.path}: ")
                instead = (
                    "; the newest frame as it is: --frames 0 (in Python: frames=0)" if stream.count else ""
                )
                raise WaitTimeout(f"{stream.name}: {why}{instead}") from error
            running.add(frame.data)
            first, last = first or frame.count, frame.count
            missed += frame.missed if k else 0  # what passed before the first frame is no loss
            if progress is not None:
                progress(k + 1, max(frames, 1))
        return running.result(stream.name, first, last, missed)
