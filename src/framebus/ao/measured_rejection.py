"""How much of the turbulence a loop rejects, measured from telemetry, beside what was predicted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.telemetry import as_series, spectra
from framebus.errors import DataError, UsageError

FloatArray = NDArray[np.float64]
Predicted: TypeAlias = "Callable[[FloatArray], ArrayLike] | ArrayLike"


@dataclass(frozen=True)
class MeasuredRejection:
    """Rejection of a loop: residual over open loop, in dB of amplitude; below 0 dB the loop helps.

    Attributes:
        frequency_hz: float64 (n_frequencies,).
        rejection_db: float64 (n_frequencies, n_channels).
        low_db: lower end of the confidence interval, the same shape.
        high_db: upper end of it.
        confidence: of the interval.
        bandwidth_hz: float64 (n_channels,): where the rejection, averaged over five frequencies, first
            rises through 0 dB; NaN if it never does.
        predicted_db: float64 (n_frequencies, n_channels), or ``None``.
        rms_difference_db: float64 (n_channels,), measured against predicted, or ``None``.
        inside: float64 (n_channels,): share of the frequencies at which the prediction lies in the interval, or
            ``None``.
    """

    frequency_hz: FloatArray
    rejection_db: FloatArray
    low_db: FloatArray
    high_db: FloatArray
    confidence: float
    bandwidth_hz: FloatArray
    predicted_db: FloatArray | None
    rms_difference_db: FloatArray | None
    inside: FloatArray | None


def rejection_from_loop(
    residual: ArrayLike,
    open_loop: ArrayLike,
    rate_hz: float,
    *,
    predicted: Predicted | None = None,
    segment: int | None = None,
    confidence: float = 0.95,
) -> MeasuredRejection:
    """From one recording of a closed loop: residuals, and the pseudo-open-loop series of the same frames.

    The transfer function is the cross spectrum over the open loop's spectrum; its interval is from the coherence γ and
    Fisher's F with 2 and 2n - 2 degrees of freedom: the squared error of H is at most F / (n - 1) × (1 - γ²)
    S_residual / S_open. Source: J. S. Bendat and A. G. Piersol, "Random Data", chapter 9.

    Args:
        residual: (n_frames, n_channels), measured in the loop.
        open_loop: the same frames, by ``open_loop_telemetry`` (leave the first residuals out, as it does).
        rate_hz: frames per second.
        predicted: rejection as a function of the frequencies in Hz, or its values at them; complex or magnitude,
            (n_frequencies,) or (n_frequencies, n_channels).
        segment: frames in a segment, as for ``spectra``.
        confidence: of the interval.

    Raises:
        UsageError: shapes that differ, an argument out of range, or fewer than 3 segments.
        DataError: a value is not finite, or the open loop has no power somewhere.
    """
    from scipy.stats import f as fisher

    _check_confidence(confidence)
    found = spectra(open_loop, residual, rate_hz, segment)
    if found.averages < 2:
        raise UsageError(
            f"{found.averages:.1f} segments; expected 3 or more. Record more, or shorten 'segment'"
        )
    _check_power(found.first, found.second)
    transfer = np.abs(found.cross) / found.first
    coherence = np.square(np.abs(found.cross)) / (found.first * found.second)
    n = found.averages
    spread = fisher.ppf(confidence, 2, 2 * n - 2) / (n - 1)
    radius = np.sqrt(spread * np.maximum(1 - coherence, 0.0) * found.second / found.first)
    low = np.maximum(transfer - radius, 1e-6 * transfer)
    return _result(found.frequency_hz, transfer, (low, transfer + radius), confidence, predicted)


def rejection_from_pair(
    closed: ArrayLike,
    open_loop: ArrayLike,
    rate_hz: float,
    *,
    predicted: Predicted | None = None,
    segment: int | None = None,
    confidence: float = 0.95,
) -> MeasuredRejection:
    """From two recordings, one with the loop closed and one with it open, at other times but of the same turbulence.

    The square root of the ratio of the spectra. That of two independent spectra of n segments each has Fisher's F
    distribution with 2n and 2n degrees of freedom, which gives the interval; what the turbulence changed between the
    two is not in it.

    Args:
        closed: (n_frames, n_channels), residuals of the closed loop.
        open_loop: (n_frames, n_channels), the other recording; as many channels, any number of frames.
        rate_hz: frames per second of both.
        predicted: as for ``rejection_from_loop``.
        segment: frames in a segment of both; an eighth of the shorter if ``None``.
        confidence: of the interval.

    Raises:
        UsageError: other channels, or an argument out of range.
        DataError: a value is not finite, or a recording has no power somewhere.
    """
    from scipy.stats import f as fisher

    _check_confidence(confidence)
    one, other = as_series("closed", closed), as_series("open_loop", open_loop)
    if one.shape[1] != other.shape[1]:
        raise UsageError(
            f"the recordings have {one.shape[1]} and {other.shape[1]} channels; expected the same"
        )
    length = max(min(len(one), len(other)) // 8, 16) if segment is None else segment
    left, there = spectra(one, one, rate_hz, length), spectra(other, other, rate_hz, length)
    _check_power(there.first, left.first)
    ratio = left.first / there.first
    degrees = 2 * left.averages, 2 * there.averages
    high_f, low_f = (fisher.ppf(p, *degrees) for p in (0.5 + confidence / 2, 0.5 - confidence / 2))
    interval = np.sqrt(ratio / high_f), np.sqrt(ratio / low_f)
    return _result(left.frequency_hz, np.sqrt(ratio), interval, confidence, predicted)


def _result(
    frequency_hz: FloatArray,
    magnitude: FloatArray,
    interval: tuple[FloatArray, FloatArray],
    confidence: float,
    predicted: Predicted | None,
) -> MeasuredRejection:
    measured, low, high = (20 * np.log10(each) for each in (magnitude, *interval))
    expected: FloatArray | None = None
    difference: FloatArray | None = None
    inside: FloatArray | None = None
    if predicted is not None:
        values = np.abs(np.asarray(predicted(frequency_hz) if callable(predicted) else predicted))
        if values.shape == frequency_hz.shape:
            values = values[:, None]
        if values.shape not in (measured.shape, (len(frequency_hz), 1)):
            raise UsageError(
                f"the prediction's shape is {values.shape}; expected {frequency_hz.shape} or {measured.shape}, "
                f"one value for each of the measured frequencies"
            )
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise DataError("the prediction has values that are not positive and finite")
        expected = np.broadcast_to(20 * np.log10(values), measured.shape).copy()
        difference = np.sqrt(np.mean(np.square(measured - expected), axis=0))
        inside = np.mean((expected >= low) & (expected <= high), axis=0)
    return MeasuredRejection(
        frequency_hz=frequency_hz,
        rejection_db=measured,
        low_db=low,
        high_db=high,
        confidence=confidence,
        bandwidth_hz=_bandwidth(frequency_hz, measured),
        predicted_db=expected,
        rms_difference_db=difference,
        inside=inside,
    )


def _bandwidth(frequency_hz: FloatArray, rejection_db: FloatArray) -> FloatArray:
    """Where each channel first rises through 0 dB; of means over five frequencies, which single outliers don't move."""
    found = np.full(rejection_db.shape[1], np.nan)
    window = np.full(min(5, len(frequency_hz)), 1 / min(5, len(frequency_hz)))
    places = np.convolve(frequency_hz, window, mode="valid")
    for channel, curve in enumerate(rejection_db.T):
        smooth = np.convolve(curve, window, mode="valid")
        rising = np.flatnonzero((smooth[:-1] < 0) & (smooth[1:] >= 0))
        if rising.size:
            k = int(rising[0])
            share = -smooth[k] / (smooth[k + 1] - smooth[k])
            found[channel] = places[k] + share * (places[k + 1] - places[k])
    return found


def _check_confidence(confidence: float) -> None:
    if not 0.0 < confidence < 1.0:
        raise UsageError(f"confidence is {confidence}; expected a share between 0 and 1")


def _check_power(*densities: FloatArray) -> None:
    for density in densities:
        dark = int((density <= 0).any(axis=0).sum())
        if dark:
            raise DataError(
                f"{dark} channels have no power at some frequency; leave channels out that do not move"
            )
