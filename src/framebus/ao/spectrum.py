"""Power spectral densities of streams: of recorded samples, of a stream as it comes, and in a unit.

One-sided, so that the sum over frequencies times their distance is the variance (Parseval). Source: P. D. Welch, "The
use of fast Fourier transform for the estimation of power spectra", IEEE Trans. Audio Electroacoust. 15 (1967) 70.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.errors import BindingError, DataError, UsageError
from framebus.unit import SKIP, About, Array, ArraySpec, In, Out, Range, State, unit

if TYPE_CHECKING:
    from framebus.stream import Stream

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Spectrum:
    """A power spectral density.

    Attributes:
        frequency_hz: float64 (n,), from 0 to half the rate.
        density: float64 (n, ...), squared units of the samples per Hz; one-sided.
        segments: how many periodograms were averaged: each value scatters by about 1 / sqrt(segments).
    """

    frequency_hz: FloatArray
    density: FloatArray
    segments: int

    @property
    def variance(self) -> Any:
        """Integral over all frequencies: the variance of the samples, a number or an array (...)."""
        step = self.frequency_hz[1] - self.frequency_hz[0]
        total = self.density.sum(axis=0) * step
        return float(total) if total.ndim == 0 else total

    def band_rms(self, low_hz: float, high_hz: float) -> Any:
        """Rms of what lies between two frequencies (both inclusive), a number or an array (...).

        Raises:
            UsageError: there is no frequency between them.
        """
        inside = (self.frequency_hz >= low_hz) & (self.frequency_hz <= high_hz)
        if not inside.any():
            raise UsageError(f"no frequency of the spectrum lies between {low_hz} and {high_hz} Hz")
        step = self.frequency_hz[1] - self.frequency_hz[0]
        rms = np.sqrt(self.density[inside].sum(axis=0) * step)
        return float(rms) if rms.ndim == 0 else rms


def power_spectrum(samples: ArrayLike, rate_hz: float, *, segment: int | None = None) -> Spectrum:
    """Welch's estimate: Hann windows of ``segment`` samples that overlap by half, each less its mean.

    Args:
        samples: (n, ...): one row per time, equally spaced.
        rate_hz: samples per second.
        segment: samples per window; the resolution is rate / segment. An eighth of the samples, but at least 8, when
            ``None``.

    Raises:
        UsageError: too few samples, ``segment`` outside 4 to their number, or a rate that is not above 0.
        DataError: a sample is not finite.
    """
    values = np.asarray(samples, dtype=np.float64)
    if values.ndim < 1 or len(values) < 4 or values.size == 0:
        raise UsageError(f"the samples have shape {values.shape}; expected (n, ...), n 4 or more")
    if not (rate_hz > 0.0 and np.isfinite(rate_hz)):
        raise UsageError(f"rate_hz is {rate_hz}; expected samples per second, above 0")
    length = min(max(len(values) // 8, 8), len(values)) if segment is None else segment
    if not 4 <= length <= len(values):
        raise UsageError(f"segment is {segment}; expected 4 to {len(values)}, the number of samples")
    if not np.isfinite(values).all():
        raise DataError(
            f"{int((~np.isfinite(values)).sum())} samples are not finite; leave them out or fill them"
        )
    window = hann(length).reshape(-1, *(1,) * (values.ndim - 1))
    starts = range(0, len(values) - length + 1, max(length // 2, 1))
    total = np.zeros((length // 2 + 1, *values.shape[1:]))
    for start in starts:
        part = values[start : start + length]
        total += np.abs(np.fft.rfft((part - part.mean(axis=0)) * window, axis=0)) ** 2
    density = total * (_sidedness(length).reshape(-1, *(1,) * (values.ndim - 1)) / len(starts))
    density /= rate_hz * float(np.square(window).sum())
    frequency_hz: FloatArray = np.arange(length // 2 + 1, dtype=np.float64) * (rate_hz / length)
    return Spectrum(frequency_hz, density, len(starts))


def stream_spectrum(
    stream: Stream, rate_hz: float, frames: int, *, segment: int | None = None, timeout_s: float = 5.0
) -> Spectrum:
    """``power_spectrum`` of the next ``frames`` frames of a stream, one series per element.

    Args:
        stream: any stream of real numbers; one with a history loses no frame while this reads.
        rate_hz: frames per second.
        frames: how many.
        segment: as for ``power_spectrum``.
        timeout_s: how long to wait for each frame, seconds.

    Raises:
        UsageError: as ``power_spectrum``.
        WaitTimeout: a frame did not come.
        DataError: a frame was missed, so that the times are not equally spaced, or is not finite.
    """
    stream.skip_to_newest()
    taken: list[FloatArray] = []
    for _ in range(frames):
        frame = stream.read_next(timeout_s=timeout_s)
        if taken and frame.missed:
            raise DataError(
                f"{frame.missed} frames of {stream.name!r} were missed after {len(taken)}; give the stream a longer "
                "history, or read fewer elements"
            )
        taken.append(np.array(frame.data, dtype=np.float64))
    return power_spectrum(np.array(taken), rate_hz, segment=segment)


def hann(length: int) -> FloatArray:
    """Hann's window, periodic: sin^2(pi n / length); for ``power_spectrum`` and the unit ``spectrum``."""
    return np.square(np.sin(np.pi * np.arange(length) / length))


def _sidedness(length: int) -> FloatArray:
    """2 for frequencies that stand for their negative, too; 1 for 0 and the Nyquist frequency."""
    sides = np.full(length // 2 + 1, 2.0)
    sides[0] = 1.0
    if length % 2 == 0:
        sides[-1] = 1.0
    return sides


@unit(fastmath={"reassoc", "contract", "nsz"})
def spectrum(
    values: Annotated[In, Array(("n",), dtype=("float32", "float64")), "one sample of every series"],
    window: Annotated[
        In, Array(("segment",), dtype="float32"), "weights of the samples of a segment, as hann() gives"
    ],
    density: Annotated[
        Out, Array((None, "n"), dtype="float32"), "(segment // 2 + 1, n), squared units per Hz"
    ],
    sample: Annotated[State, Array(("n",), dtype="float64"), "the newest, 0 where it is not finite"],
    waves: Annotated[State, Array((2, "segment"), dtype="float64"), "a cosine and a sine"],
    sums: Annotated[State, Array((2, 2, None, "n"), dtype="float64"), "two segments that overlap by half"],
    totals: Annotated[State, Array((2, "n"), dtype="float64"), "sums of their samples"],
    response: Annotated[State, Array((2, 2, None), dtype="float64"), "transforms of their windows"],
    norms: Annotated[State, Array((2,), dtype="float64"), "sums of their squared windows"],
    average: Annotated[State, Array((None, "n"), dtype="float64"), "mean of the periodograms"],
    progress: Annotated[State, Array((2,), dtype="int64"), "frames, and segments that are done"],
    *,
    rate_hz: Annotated[float, Range(1e-6, None), "frames per second", About(unit="Hz")] = 1000.0,
    segments: Annotated[float, Range(1.0, None), "time constant of the mean, segments"] = 20.0,
) -> int:
    """Welch's spectrum of every element as the frames come, one-sided; published once per half segment.

    Every frame adds its share to all frequencies of two segments that overlap by half, so that no frame takes much
    longer than another: the time goes with segment * n. Segments are taken less their mean, and averaged with the
    weight max(1 / segments, 1 / segments so far). Row j is the frequency j * rate / segment. A sample that is not
    finite counts as 0. Run it with ``every_frame``: a missed frame bends the spectrum.
    """
    length = np.int64(window.size)
    half = length // 2
    now = progress[0]
    if now == 0:
        for i in range(length):
            waves[0, i] = np.cos(2.0 * np.pi * i / length)
            waves[1, i] = np.sin(2.0 * np.pi * i / length)
    for i in range(values.size):
        newest = np.float64(values[i])
        sample[i] = newest if newest * 0.0 == 0.0 else 0.0
    progress[0] = now + 1
    done = -1
    for which in range(2):
        at = (now - which * half) % length
        if now >= which * half:
            _accumulate(
                sample,
                np.float64(window[at]),
                at,
                waves,
                sums[which],
                totals[which],
                response[which],
                norms,
                which,
            )
            done = which if at == length - 1 else done
    if done < 0:
        return SKIP
    progress[1] += 1
    share = max(1.0 / segments, 1.0 / np.float64(progress[1]))
    _finish(sums[done], totals[done], response[done], norms[done], length, share, average)
    for j in range(density.shape[0]):
        scale = (1.0 if j == 0 or 2 * j == length else 2.0) / rate_hz
        for i in range(values.size):
            value = np.float32(average[j, i] * scale)
            density[j, i] = value if value * np.float32(0.0) == np.float32(0.0) else np.float32(0.0)
    return 0


@spectrum.shapes
def _spectrum_shapes(values: ArraySpec, window: ArraySpec) -> dict[str, Any]:
    if window.shape[0] < 4:
        raise BindingError(
            f"unit 'spectrum', argument 'window': its shape is {window.shape}; expected 4 samples or more"
        )
    size, n = window.shape[0] // 2 + 1, values.shape[0]
    return {
        "density": ((size, n), "float32"),
        "sums": ((2, 2, size, n), "float64"),
        "response": ((2, 2, size), "float64"),
        "average": ((size, n), "float64"),
    }


def _accumulate(
    sample: Any,
    weight: Any,
    at: Any,
    waves: Any,
    sums: Any,
    total: Any,
    response: Any,
    norms: Any,
    which: Any,
) -> None:
    """Add sample number ``at`` of a segment to all frequencies."""
    first = at == 0
    norms[which] = (0.0 if first else norms[which]) + weight * weight
    for i in range(np.uintp(sample.size)):
        total[i] = (0.0 if first else total[i]) + sample[i]
    for j in range(np.int64(sums.shape[1])):
        phase = (j * at) % waves.shape[1]
        cosine, sine = weight * waves[0, phase], weight * waves[1, phase]
        response[0, j] = (0.0 if first else response[0, j]) + cosine
        response[1, j] = (0.0 if first else response[1, j]) - sine
        real, imaginary = sums[0, j], sums[1, j]
        if first:
            for i in range(np.uintp(sample.size)):
                real[i] = 0.0
                imaginary[i] = 0.0
        for i in range(np.uintp(sample.size)):
            real[i] += cosine * sample[i]
            imaginary[i] -= sine * sample[i]


def _finish(sums: Any, total: Any, response: Any, norm: Any, length: Any, share: Any, average: Any) -> None:
    """Mix the periodogram of a segment, less its mean, into the average; one that is not finite counts as 0."""
    for j in range(average.shape[0]):
        for i in range(average.shape[1]):
            mean = total[i] / length
            real = sums[0, j, i] - mean * response[0, j]
            imaginary = sums[1, j, i] - mean * response[1, j]
            power = (real * real + imaginary * imaginary) / norm
            power = power if norm > 0.0 and power * 0.0 == 0.0 else 0.0
            average[j, i] += share * (power - average[j, i])
