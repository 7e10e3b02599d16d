from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from framebus.errors import UsageError
from framebus.sim.compiled import Compiled
from framebus.sim.lenslets import diffraction_spots, lit_spans, transform


def spots(
    amplitude: Any, wavefront_um: Any, n_sub: int, pixels: int, spot_px: float, wavelength_um: float
) -> Any:
    n_px = len(amplitude)
    width = n_px // n_sub
    matrix = transform(width, pixels, spot_px)
    row = matrix.shape[1] * n_sub
    arrays = {
        "wavefront": wavefront_um.astype(np.float32),
        "amplitude": amplitude.astype(np.float32),
        "matrix": matrix,
        "span": lit_spans(np.square(amplitude).reshape(n_sub, width, n_sub, width).sum(axis=(1, 3))),
        "field": np.zeros((2, width, n_px), np.float32),
        "half": np.zeros((2, n_px), np.float32),
        "turned": np.zeros((2, width, row), np.float32),
        "focus": np.zeros((2, row), np.float32),
        "light": np.full((n_sub * pixels,) * 2, 7.0, np.float32),
    }
    Compiled(diffraction_spots, arrays, waves_per_um=1.0 / wavelength_um)()
    return arrays["light"]


def by_fft(field: Any, pixels: int, spot_px: int, each: int) -> Any:
    """The same spot by a padded FFT, for whole numbers."""
    width = len(field)
    size = width * spot_px * each
    at = np.arange(width) - 0.5 * (width - 1)
    half = 0.5 * (pixels * each - 1)
    # So that sample 0 is that in the corner of the box.
    corner = np.exp(2j * np.pi * half * at / size)
    focus = np.fft.fft2(field * np.outer(corner, corner), (size, size)) / size
    light = np.abs(focus[: pixels * each, : pixels * each]) ** 2
    return light.reshape(pixels, each, pixels, each).sum(axis=(1, 3))


@pytest.mark.parametrize(("width", "pixels", "spot_px", "each"), [(8, 8, 2, 2), (6, 10, 4, 1), (5, 4, 1, 4)])
def test_spots_are_those_of_an_fft(width: int, pixels: int, spot_px: int, each: int) -> None:
    n_sub = 3
    rng = np.random.default_rng(0)
    amplitude = rng.random((n_sub * width,) * 2) * (rng.random((n_sub * width,) * 2) > 0.2)
    wavefront = 3.0 * rng.standard_normal((n_sub * width,) * 2)  # many waves: the sine's range is reduced
    light = spots(amplitude, wavefront, n_sub, pixels, spot_px, 0.7)
    for j in range(n_sub):
        for i in range(n_sub):
            cut = np.s_[j * width : (j + 1) * width, i * width : (i + 1) * width]
            field = amplitude[cut] * np.exp(2j * np.pi / 0.7 * wavefront[cut])
            box = light[j * pixels : (j + 1) * pixels, i * pixels : (i + 1) * pixels]
            np.testing.assert_allclose(box, by_fft(field, pixels, spot_px, each), atol=2e-5)


def test_all_light_is_kept_in_the_whole_period() -> None:
    amplitude = np.random.default_rng(1).random((16, 16))
    light = spots(amplitude, amplitude, 2, 16, 2.0, 1.0)
    np.testing.assert_allclose(light.sum(), np.square(amplitude).sum(), rtol=1e-5)


def test_lenslets_without_light_are_dark_and_bad_values_stay_where_they_are() -> None:
    amplitude = np.ones((24, 24))
    amplitude[:8] = 0.0
    wavefront = np.zeros((24, 24))
    wavefront[8:16, 8:16] = np.nan
    wavefront[16:, :8] = 1e30
    boxes = spots(amplitude, wavefront, 3, 8, 2.0, 1.0).reshape(3, 8, 3, 8).sum(axis=(1, 3))
    dark = np.array([[True, True, True], [False, True, False], [True, False, False]])
    np.testing.assert_array_equal(boxes == 0.0, dark)
    np.testing.assert_allclose(boxes[~dark], boxes[2, 2], rtol=1e-5)


def test_lit_spans() -> None:
    flux = [[0, 0, 0, 0], [0, 0.1, 1, 0], [1, 0, 1, 1], [1, 0, 0, 0]]
    np.testing.assert_array_equal(lit_spans(np.array(flux)), [[0, 0], [1, 3], [0, 4], [0, 1]])


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((0, 8, 2.0), "must be positive"),
        ((8, 0, 2.0), "must be positive"),
        ((8, 8, 0.0), "must be positive"),
        ((8, 8, np.nan), "must be positive"),
        ((8, 17, 2.0), "use more points of wavefront"),
    ],
)
def test_bad_transforms_are_refused(arguments: tuple[Any, ...], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        transform(*arguments)
