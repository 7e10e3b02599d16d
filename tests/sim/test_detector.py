from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from framebus.errors import UsageError
from framebus.sim import noise
from framebus.sim.detector import Detector, FrameDelay, expose
from framebus.unit.helpers import dispatcher

compiled_expose = dispatcher(cast(Any, expose), False)


def exposed(light: np.ndarray, read_noise: float, bias: float) -> np.ndarray:
    random = np.zeros(noise.RANDOM_WORDS, np.uint64)
    frame = np.empty(light.shape, np.uint16)
    compiled_expose(light.astype(np.float32), frame, noise.started(random, 1), read_noise, bias)
    return frame


def test_a_dark_frame_is_the_bias_with_read_noise() -> None:
    frame = exposed(np.zeros((300, 300)), 3.0, 100.0)
    assert frame.mean() == pytest.approx(100.0, abs=0.05)
    # Rounding to whole counts adds 1/12.
    assert frame.var() == pytest.approx(9.0 + 1 / 12, rel=0.03)


def test_photon_noise_is_the_square_root_of_the_light() -> None:
    frame = exposed(np.full((300, 300), 400.0), 0.0, 0.0)
    assert frame.mean() == pytest.approx(400.0, abs=0.4)
    assert frame.var() == pytest.approx(400.0, rel=0.03)


def test_counts_stop_at_the_ends_of_the_scale() -> None:
    assert (exposed(np.full((4, 4), 1e9), 0.0, 100.0) == 65535).all()
    assert (exposed(np.full((4, 4), np.inf), 0.0, 100.0) >= 0).all()
    assert (exposed(np.zeros((50, 50)), 30.0, 0.0) < 300).all()


def test_light_that_is_no_number_counts_as_none() -> None:
    assert (exposed(np.array([[np.nan, -10.0]]), 0.0, 100.0) == 100).all()


# ---- read_out and what is around it ----------------------------------------------------------------------------------


def frames_of(light: float, count: int = 1, **parameters: Any) -> np.ndarray:
    detector = Detector((200, 200), seed=3, **parameters)
    return np.array(
        [detector.frame.copy() for _ in range(count) if detector.expose(np.full((200, 200), light))]
    )


@pytest.mark.parametrize("light", [3.0, 50.0])
@pytest.mark.parametrize("read_noise", [0.0, 2.0])
def test_variance_of_photons_and_read_noise(light: float, read_noise: float) -> None:
    frame = frames_of(light, read_noise=read_noise, bias=50.0, quantum_efficiency=0.8, dark=1.0)
    electrons = 0.8 * light + 1.0
    rounding = 1 / 12 if read_noise or electrons > 20 else 0.0
    assert frame.mean() - 50.0 == pytest.approx(electrons, abs=4 * np.sqrt(electrons + 4.0) / 200)
    assert frame.var() == pytest.approx(electrons + read_noise**2 + rounding, rel=0.03)


@pytest.mark.parametrize("light", [0.5, 5.0, 60.0])
def test_multiplication_doubles_the_photons_variance(light: float) -> None:
    gain, read_noise = 50.0, 20.0
    frame = frames_of(light, em_gain=gain, read_noise=read_noise, bias=500.0)
    assert frame.mean() - 500.0 == pytest.approx(gain * light, abs=4 * gain * np.sqrt(2 * light) / 200 + 0.5)
    assert frame.var() == pytest.approx(2 * gain**2 * light + read_noise**2, rel=0.05)


def test_one_electron_is_multiplied_to_an_exponential() -> None:
    frame = frames_of(0.01, em_gain=1000.0)
    lit = frame[frame > 0]
    # Nearly all of them had one electron: gamma of shape 1.
    assert np.mean(lit > 1000) == pytest.approx(np.exp(-1.0), abs=0.08)


def test_counts_per_electron_and_bits_quantise() -> None:
    frame = frames_of(1000.0, counts_per_electron=0.25, photon_noise=False, bias=3.0)
    assert (frame == 253).all()
    assert (frames_of(1e6, bits=12) == 4095).all()
    assert (frames_of(1e6, full_well=3000.0, counts_per_electron=2.0) == 6000).all()
    assert (frames_of(1e6, full_well=30.0, em_gain=100.0, photon_noise=False) == 3000).all()


def test_light_without_noise_is_exact() -> None:
    assert (frames_of(12.0, photon_noise=False) == 12).all()
    detector = Detector((1, 3), photon_noise=False)
    detector.expose(np.array([[np.nan, -5.0, 7.0]]))
    np.testing.assert_array_equal(detector.frame, [[0, 0, 7]])


def test_the_same_seed_makes_the_same_frames() -> None:
    np.testing.assert_array_equal(frames_of(5.0, 3, read_noise=1.0), frames_of(5.0, 3, read_noise=1.0))
    one = Detector((9, 9), seed=1)
    other = Detector((9, 9), seed=2)
    one.expose(np.full((9, 9), 30.0))
    other.expose(np.full((9, 9), 30.0))
    assert (one.frame != other.frame).any()


@pytest.mark.parametrize("frames", [0.0, 0.25, 1.0, 1.5, 3.0])
def test_a_delay_mixes_the_frames_between_which_it_falls(frames: float) -> None:
    detector = Detector((1, 1), FrameDelay(frames), photon_noise=False)
    light = [0.0, 100.0, 40.0, 80.0, 0.0, 0.0, 0.0, 20.0, 0.0, 0.0]
    found = []
    for value in light:
        assert detector.expose([[value]])
        found.append(float(detector.frame[0, 0]))
    whole, rest = divmod(frames, 1.0)
    late = [0.0] * 5 + light
    at = [k + 5 - int(whole) for k in range(len(light))]
    np.testing.assert_allclose(found, [(1 - rest) * late[k] + rest * late[k - 1] for k in at], atol=1e-4)


def test_lost_frames_are_lost_as_said() -> None:
    every = Detector((1, 1), FrameDelay(lose_every=4))
    assert [every.expose([[1.0]]) for _ in range(8)] == [True, True, True, False] * 2
    assert every.lost == 2
    some = Detector((1, 1), FrameDelay(lost=0.1), seed=4)
    kept = [some.expose([[1.0]]) for _ in range(4000)]
    # Binomial: 400 of them, within 4 of its standard deviation of 19.
    assert abs(some.lost - 400) < 76
    again = Detector((1, 1), FrameDelay(lost=0.1), seed=4)
    assert kept == [again.expose([[1.0]]) for _ in range(4000)]


def test_parameters_change_from_the_next_frame_on() -> None:
    detector = Detector((2, 2), photon_noise=False)
    detector.set(bias=70.0)
    detector.expose(np.zeros((2, 2)))
    assert (detector.frame == 70).all()


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: FrameDelay(-1.0), "delay"),
        (lambda: FrameDelay(lost=1.0), "lost"),
        (lambda: FrameDelay(lose_every=1), "lose_every"),
        (lambda: Detector((2, 2), em_gain=0.5), "em_gain"),
        (lambda: Detector((2, 2), sparkle=1.0), "sparkle"),
        (lambda: Detector((2, 2)).expose(np.zeros((2, 3))), "shape"),
    ],
)
def test_bad_detectors_are_refused(make: Any, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        make()
