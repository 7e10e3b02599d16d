"""Statistics of recorded series: spectra, correlation times, noise, and the loop undone.

A series is (n_frames, n_channels), a channel being a slope or a mode; one channel may be (n_frames,).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.errors import DataError, UsageError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Spectra:
    """Spectra of a pair of series, averaged over segments.

    Attributes:
        frequency_hz: float64 (n_frequencies,), without 0.
        first: power spectral density of the first series, one-sided, (n_frequencies, n_channels), units² / Hz.
        second: the same of the second.
        cross: complex, conj(first) × second.
        averages: how many independent segments an element is worth.
    """

    frequency_hz: FloatArray
    first: FloatArray
    second: FloatArray
    cross: NDArray[np.complex128]
    averages: float


def spectra(first: ArrayLike, second: ArrayLike, rate_hz: float, segment: int | None = None) -> Spectra:
    """Power and cross spectral densities of two series, without the frequency 0, by averaging segments.

    Hann's window, half overlapping, each segment's mean taken away. Such segments are correlated by 1/6 in amplitude,
    so k of them are worth k / (1 + 2 (1 - 1/k) / 36) independent ones. Source: P. D. Welch, "The use of fast Fourier
    transform for the estimation of power spectra", IEEE Trans. Audio Electroacoust. 15 (1967) 70.

    Args:
        first: (n_frames, n_channels).
        second: likewise.
        rate_hz: frames per second.
        segment: frames in a segment; an eighth of all (at least 16) if ``None``.

    Raises:
        UsageError: a rate or segment out of range, too few frames, or the series differ in shape.
        DataError: a value is not finite.
    """
    one, other = as_series("first", first), as_series("second", second)
    if one.shape != other.shape:
        raise UsageError(f"the series' shapes are {one.shape} and {other.shape}; expected the same")
    check_rate(rate_hz)
    length = max(len(one) // 8, 16) if segment is None else segment
    if not 16 <= length <= len(one):
        raise UsageError(
            f"a segment of {length} frames; expected 16 to the {len(one)} frames of the series. Record more"
        )
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    scale = 2.0 / (rate_hz * np.square(window).sum())
    starts = range(0, len(one) - length + 1, length // 2)
    powers = np.zeros((2, length // 2 + 1, one.shape[1]))
    cross = np.zeros(powers.shape[1:], np.complex128)
    for start in starts:
        parts = []
        for k, values in enumerate((one, other)):
            piece = values[start : start + length]
            parts.append(np.fft.rfft((piece - piece.mean(axis=0)) * window[:, None], axis=0))
            powers[k] += np.square(np.abs(parts[k]))
        cross += parts[0].conj() * parts[1]
    count = len(starts)
    factor = np.full((length // 2 + 1, 1), scale / count)
    if length % 2 == 0:
        factor[-1] /= 2  # Nyquist's frequency has no negative twin
    powers, cross = powers * factor, cross * factor
    return Spectra(
        frequency_hz=np.asarray(np.fft.rfftfreq(length, 1 / rate_hz)[1:], dtype=np.float64),
        first=powers[0][1:],
        second=powers[1][1:],
        cross=cross[1:],
        averages=count / (1 + 2 * (1 - 1 / count) / 36),
    )


def autocovariance(series: ArrayLike, n_lags: int) -> FloatArray:
    """Covariance of a series with itself 0 to ``n_lags`` - 1 frames later, about its mean: (n_lags, n_channels).

    Divided by the number of products, so it does not fall with the lag of itself.

    Raises:
        UsageError: ``n_lags`` is not 1 to the number of frames, or another shape.
        DataError: a value is not finite.
    """
    values = as_series("series", series)
    n = len(values)
    if not 1 <= n_lags <= n:
        raise UsageError(f"n_lags is {n_lags}; expected 1 to {n}, the number of frames")
    padded = 1 << (n + n_lags).bit_length()
    spectrum = np.fft.rfft(values - values.mean(axis=0), padded, axis=0)
    products = np.fft.irfft(np.square(np.abs(spectrum)), padded, axis=0)[:n_lags]
    return np.asarray(products / (n - np.arange(n_lags))[:, None])


def correlation_time(series: ArrayLike) -> FloatArray:
    """How many frames are worth one independent one, for the mean of each channel: float64 (n_channels,), 1 or more.

    1 + 2 Σ ρ(k), summed to the first lag that is 5 times as long as the sum. Source: A. D. Sokal, "Monte Carlo
    methods in statistical mechanics" (1996), section 3.

    Raises:
        UsageError: another shape.
        DataError: a value is not finite.
    """
    values = as_series("series", series)
    covariance = autocovariance(values, max(len(values) // 4, 1))
    start = np.where(covariance[0] > 0, covariance[0], 1.0)
    sums = 2 * np.cumsum(covariance / start, axis=0) - 1
    times = np.ones(values.shape[1])
    for k in range(len(times)):
        enough = np.arange(len(sums)) >= 5 * sums[:, k]
        times[k] = sums[int(np.argmax(enough)) if enough.any() else -1, k]
    return np.maximum(times, 1.0)


def noise_variance(series: ArrayLike) -> FloatArray:
    """Variance of the white noise of each channel: float64 (n_channels,), 0 or more.

    What the covariance at lag 0 has above the even parabola through lags 1 and 2, (4 c1 - c2) / 3. Turbulence must
    change little from frame to frame, or its fastest part counts as noise. Source: the autocorrelation method of
    T. Fusco et al., Proc. SPIE 5490 (2004) 118.

    Raises:
        UsageError: fewer than 8 frames, or another shape.
        DataError: a value is not finite.
    """
    values = as_series("series", series)
    if len(values) < 8:
        raise UsageError(f"{len(values)} frames; the noise needs 8 or more, and some hundreds to be good")
    c0, c1, c2 = autocovariance(values, 3)
    return np.asarray(np.maximum(c0 - (4 * c1 - c2) / 3, 0.0))


def open_loop_telemetry(residuals: ArrayLike, commands: ArrayLike, delay_frames: float = 2.0) -> FloatArray:
    """What the sensor would have measured without the loop: residual + the command that acted at that time.

    open_loop[k] = residual[k] + command[k - delay], linearly between commands. The frames before the first command's
    effect are left out, so the result has ``ceil(delay_frames)`` fewer.

    Args:
        residuals: (n_frames, n_channels), measured in the loop.
        commands: as many, of the same channels and units; positive where the mirror makes what is subtracted.
        delay_frames: frames between the measurement that first went into a command and the one that shows its effect.

    Raises:
        UsageError: shapes that differ, or a delay that is negative or longer than the series.
        DataError: a value is not finite.
    """
    measured, sent = as_series("residuals", residuals), as_series("commands", commands)
    if measured.shape != sent.shape:
        raise UsageError(
            f"the residuals' shape is {measured.shape}, the commands' {sent.shape}; expected the same"
        )
    if not 0 <= delay_frames < len(measured):
        raise UsageError(
            f"delay_frames is {delay_frames}; expected 0 to less than the {len(measured)} frames"
        )
    late = math.ceil(delay_frames)
    share = late - delay_frames  # of the command one frame later
    acted = (1 - share) * sent[: len(sent) - late]
    if share:
        acted = acted + share * sent[1 : len(sent) - late + 1]
    return np.asarray(measured[late:] + acted)


def as_series(name: str, values: ArrayLike) -> FloatArray:
    """A series as float64 (n_frames, n_channels).

    Raises:
        UsageError: another shape, or nothing in it.
        DataError: a value is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or array.size == 0:
        raise UsageError(f"{name} has shape {array.shape}; expected (n_frames, n_channels)")
    bad = int((~np.isfinite(array)).any(axis=1).sum())
    if bad:
        raise DataError(
            f"{name} has values that are not finite, in {bad} of {len(array)} frames; leave those out"
        )
    return array


def check_rate(rate_hz: float) -> None:
    """Refuse what is no rate.

    Raises:
        UsageError: it is not positive and finite.
    """
    if not (rate_hz > 0 and math.isfinite(rate_hz)):
        raise UsageError(f"rate_hz is {rate_hz}; expected a positive, finite number of frames per second")
