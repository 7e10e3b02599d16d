from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from framebus.ao.averages import Average, average_frames
from framebus.ao.dark import check_dark, make_dark
from framebus.errors import DataError, UsageError


def dark_frames(n: int = 100, flash: float = 0.0, **pixels: Any) -> Average:
    """Frames of level 400, a fixed pattern of 3 rms and a noise of 5 rms, rounded to counts."""
    rng = np.random.default_rng(4)
    pattern = 400.0 + 3.0 * rng.normal(size=(24, 32))
    noise = np.full((24, 32), 5.0)
    pattern[2, 3], noise[4, 5], noise[6, 7], pattern[8, 9], noise[8, 9] = 900.0, 0.0, 60.0, 0.0, 0.0
    frames = (np.rint(pattern + noise * rng.normal(size=(24, 32)) + flash * rng.normal()) for _ in range(n))
    return average_frames(lambda: next(frames), n, **pixels)


def test_level_noise_and_bad_pixels() -> None:
    dark = make_dark(dark_frames())
    assert np.argwhere(dark.hot).tolist() == [[2, 3]]
    assert np.argwhere(dark.dead).tolist() == [[4, 5], [8, 9]]
    assert np.argwhere(dark.unstable).tolist() == [[6, 7]]
    assert dark.bad.sum() == 4
    assert dark.median_level == pytest.approx(400.0, abs=0.6)
    assert dark.median_noise == pytest.approx(5.0, rel=0.03)
    assert dark.level.dtype == dark.noise.dtype == np.float32


def test_a_perfect_camera_has_no_bad_pixels() -> None:
    dark = make_dark(average_frames(lambda: np.full((4, 5), 7.0), 20))
    assert not dark.bad.any()
    assert (dark.median_level, dark.median_noise) == (7.0, 0.0)


def test_light_that_comes_and_goes_is_refused() -> None:
    with pytest.raises(DataError, match="is light coming in"):
        make_dark(dark_frames(flash=8.0))


def test_saturated_frames_are_refused() -> None:
    with pytest.raises(DataError, match="saturated, in what should be dark"):
        make_dark(dark_frames(saturation=390.0))


def test_arguments_are_checked() -> None:
    average = dark_frames(20)
    with pytest.raises(UsageError, match="hot_sigma is 0"):
        make_dark(average, hot_sigma=0)
    with pytest.raises(UsageError, match="noise_factor 1"):
        make_dark(average, noise_factor=1)
    with pytest.raises(UsageError, match=r"dark's shape is \(2, 2\), expected \(3, 2\)"):
        check_dark(np.zeros((2, 2)), (3, 2))
    with pytest.raises(DataError, match="not finite"):
        check_dark(np.full((2, 2), np.nan), (2, 2))
