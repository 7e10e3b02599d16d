from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal

import framebus as fb
from framebus.ao import hann, power_spectrum, spectrum, stream_spectrum
from framebus.errors import BindingError, DataError, UsageError, WaitTimeout
from framebus.unit import SKIP, ArraySpec
from support.run_unit import Bench

RATE = 500.0


@settings(max_examples=40)
@given(n=st.integers(8, 200), data=st.data(), series=st.integers(1, 3))
def test_the_estimate_is_welch_s(n: int, data: st.DataObject, series: int) -> None:
    segment = data.draw(st.integers(4, n))
    samples = np.random.default_rng(50).normal(3.0, 2.0, (n, series)).cumsum(axis=0)
    found = power_spectrum(samples, RATE, segment=segment)
    frequency, density = signal.welch(
        samples, RATE, window="hann", nperseg=segment, noverlap=segment - segment // 2, axis=0
    )
    np.testing.assert_allclose(found.frequency_hz, frequency)
    np.testing.assert_allclose(found.density, density, rtol=1e-9, atol=1e-12)


def test_white_noise_has_the_level_of_its_variance() -> None:
    noise = np.random.default_rng(51).normal(0, 3.0, (20_000, 4))
    found = power_spectrum(noise, RATE, segment=100)
    assert found.segments == 399
    # One-sided: variance over half the rate; 4 series of about 200 independent segments: 3.5 % per frequency.
    np.testing.assert_allclose(found.density[2:-2].mean(axis=1), 9.0 / (RATE / 2), rtol=0.2)
    np.testing.assert_allclose(found.variance, 9.0, rtol=0.05)
    np.testing.assert_allclose(found.band_rms(50.0, 150.0), np.sqrt(9.0 * 105 / 250), rtol=0.05)


def test_a_vibration_shows_its_power_at_its_frequency() -> None:
    t = np.arange(4096) / RATE
    found = power_spectrum(7.0 + 2.0 * np.sin(2 * np.pi * 62.5 * t), RATE, segment=512)
    assert found.frequency_hz[found.density.argmax()] == pytest.approx(62.5)
    assert found.variance == pytest.approx(2.0, rel=1e-6)  # amplitude^2 / 2
    assert found.band_rms(60.0, 65.0) == pytest.approx(np.sqrt(2.0), rel=1e-6)
    assert found.band_rms(0.0, 50.0) < 1e-6


def test_kolmogorov_s_slope_is_seen() -> None:
    # Filter white noise to f^(-8/3), the temporal spectrum of tilt at high frequencies, and find the exponent again.
    generator = np.random.default_rng(52)
    frequency = np.fft.rfftfreq(2**15, 1 / RATE)
    shape = np.zeros(len(frequency))
    shape[1:] = frequency[1:] ** (-4 / 3)
    made = np.fft.irfft(shape * np.fft.rfft(generator.normal(size=2**15)))
    found = power_spectrum(made, RATE, segment=1024)
    band = (found.frequency_hz > 5) & (found.frequency_hz < 150)
    slope = np.polyfit(np.log(found.frequency_hz[band]), np.log(found.density[band]), 1)[0]
    assert slope == pytest.approx(-8 / 3, abs=0.1)


@pytest.mark.parametrize(
    ("samples", "options", "error", "message"),
    [
        (np.zeros(3), {}, UsageError, r"\(3,\)"),
        (np.zeros((8, 0)), {}, UsageError, r"\(8, 0\)"),
        (1.0, {}, UsageError, r"\(\)"),
        (np.zeros(20), {"segment": 3}, UsageError, "segment is 3; expected 4 to 20"),
        (np.zeros(20), {"segment": 21}, UsageError, "segment is 21"),
        (np.full(20, np.nan), {}, DataError, "20 samples are not finite"),
    ],
)
def test_samples_are_checked(samples: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        power_spectrum(samples, RATE, **options)


def test_rates_and_bands_are_checked() -> None:
    for rate in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(UsageError, match="rate_hz"):
            power_spectrum(np.zeros(20), rate)
    with pytest.raises(UsageError, match="between 300"):
        power_spectrum(np.zeros(20), RATE).band_rms(300.0, 400.0)


# ---- of a stream ---------------------------------------------------------------------------------------------------


class Replayed:
    """A stream of which ``burst`` frames are written whenever none is left to be read, or at every read."""

    def __init__(
        self, stream: fb.Stream, samples: NDArray[Any], burst: int, *, too_fast: bool = False
    ) -> None:
        self.stream, self.samples, self.burst, self.too_fast = stream, iter(samples), burst, too_fast
        self.left = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def read_next(self, timeout_s: float) -> Any:
        if self.left == 0 or self.too_fast:
            for _ in range(self.burst):
                self.stream.write(next(self.samples))
            self.left = self.burst
        self.left -= 1
        return self.stream.read_next(timeout_s=timeout_s)


def test_a_stream_s_spectrum_is_that_of_its_frames() -> None:
    samples = np.random.default_rng(53).normal(size=(64, 3)).astype("float32")
    with fb.create("modes", shape=(3,), dtype="float32", history=16) as stream:
        stream.write(np.full(3, 99.0, "float32"))  # from before; it does not count
        replayed: Any = Replayed(stream, samples, 8)
        found = stream_spectrum(replayed, RATE, 64, segment=16)
        stream.remove()
    np.testing.assert_allclose(found.density, power_spectrum(samples, RATE, segment=16).density)


def test_a_stream_that_loses_frames_or_stops_is_told() -> None:
    samples = np.zeros((64, 3), "float32")
    with fb.create("modes", shape=(3,), dtype="float32") as stream:
        stream.write(samples[0])
        replayed: Any = Replayed(stream, samples, 2, too_fast=True)
        with pytest.raises(DataError, match="'modes' were missed"):
            stream_spectrum(replayed, RATE, 64)
        with pytest.raises(WaitTimeout):
            stream_spectrum(stream, RATE, 64, timeout_s=0.01)
        stream.remove()


# ---- the unit ------------------------------------------------------------------------------------------------------


def run(samples: NDArray[Any], window: NDArray[Any], *, compiled: bool = True, **parameters: Any) -> Any:
    """Densities in the order in which they are published, each with the number of its last frame."""
    inputs = {"values": samples[0].copy(), "window": window.astype("float32")}
    bench = Bench(spectrum, inputs, compiled=compiled, rate_hz=RATE, **parameters)
    found = []
    for n, sample in enumerate(samples):
        code = bench.step(values=np.ascontiguousarray(sample))
        if code == 0:
            found.append((n, bench["density"]))
        else:
            assert code == SKIP
    return found


@settings(max_examples=30)
@given(segment=st.integers(4, 24), n=st.integers(0, 60), series=st.integers(1, 3), compiled=st.booleans())
def test_the_unit_gives_welch_s_estimate_frame_by_frame(
    segment: int, n: int, series: int, compiled: bool
) -> None:
    samples = np.random.default_rng(54).normal(50.0, 2.0, (segment + n, series)).astype("float32")
    found = run(samples, hann(segment), compiled=compiled, segments=1e6)
    # Segments begin at every multiple of the length, and half a length (rounded down) after these.
    starts = [s for s in range(n + 1) if s % segment == 0 or (s - segment // 2) % segment == 0]
    assert [k for k, _ in found] == [s + segment - 1 for s in starts]
    densities = [power_spectrum(samples[s : s + segment], RATE, segment=segment).density for s in starts]
    for done, (_, density) in enumerate(found, 1):
        np.testing.assert_allclose(density, np.mean(densities[:done], axis=0), rtol=1e-4, atol=1e-6)


def test_old_segments_are_forgotten() -> None:
    window = hann(16)
    quiet = np.random.default_rng(55).normal(0, 1e-3, (320, 1)).astype("float32")
    loud = np.random.default_rng(56).normal(0, 1.0, (160, 1)).astype("float32")
    last = run(np.concatenate([loud, quiet]), window, segments=2.0)[-1][1]
    assert last.sum() * RATE / 16 < 1e-5


def test_samples_that_are_not_finite_count_as_zero() -> None:
    samples = np.random.default_rng(57).normal(size=(32, 2)).astype("float32")
    samples[5, 0], samples[9, 1] = np.nan, np.inf
    filled = np.where(np.isfinite(samples), samples, 0.0)
    for compiled in (True, False):
        for (_, one), (_, other) in zip(
            run(samples, hann(8), compiled=compiled), run(filled, hann(8)), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize("level", [0.0, np.nan, np.inf])
def test_a_window_without_sense_gives_zeros(level: float) -> None:
    samples = np.ones((20, 2), "float32")
    for compiled in (True, False):
        for _, density in run(samples, np.full(8, level), compiled=compiled):
            np.testing.assert_array_equal(density, 0.0)


def test_windows_are_long_enough() -> None:
    specs = {"values": ArraySpec((5,), np.dtype("float32")), "window": ArraySpec((9,), np.dtype("float32"))}
    assert spectrum.resolve(specs)["density"] == ArraySpec((5, 5), np.dtype("float32"))
    with pytest.raises(BindingError, match="4 samples or more"):
        spectrum.resolve(specs | {"window": ArraySpec((3,), np.dtype("float32"))})
