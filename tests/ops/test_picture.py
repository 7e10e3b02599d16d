"""Frames as images of RGB pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from framebus.errors import UsageError
from framebus.ops.picture import (
    COLORMAPS,
    LEVELS,
    NOT_FINITE,
    Limits,
    as_image,
    colormap,
    coloured,
    fitted_size,
    levels_of,
    resized,
    robust_limits,
    thinned,
)

FRAMES = arrays(np.float64, array_shapes(max_dims=4, max_side=9), elements=st.floats(width=64))


@given(FRAMES)
def test_any_frame_becomes_an_image_and_is_coloured(frame: npt.NDArray[Any]) -> None:
    image = as_image(frame)
    assert image.ndim == 2
    assert image.size > 0
    limits = robust_limits(image)
    pixels = coloured(resized(image, 5, 7), limits)
    assert pixels.shape == (5, 7, 3)
    assert pixels.dtype == np.uint8


def test_vectors_are_folded_cubes_give_a_plane_and_complex_values_their_magnitude() -> None:
    np.testing.assert_array_equal(as_image(np.arange(3)), [[0, 1], [2, np.nan]])
    np.testing.assert_array_equal(as_image(np.arange(8).reshape(2, 2, 2)), [[0, 1], [2, 3]])
    np.testing.assert_array_equal(as_image(np.array([[3 + 4j]])), [[5.0]])
    assert as_image(np.float32(7.0)).tolist() == [[7.0]]
    assert np.isnan(as_image(np.zeros((0, 4)))).all()
    assert np.isnan(as_image(np.zeros((0, 4, 4)))).all()


def test_a_hot_pixel_does_not_set_the_limits() -> None:
    values = np.linspace(0.0, 1.0, 1000)
    values[500] = 1e6
    low, high = robust_limits(values)
    assert 0.0 < low < 0.02
    assert 0.98 < high < 1.01
    assert robust_limits(values, symmetric=True).low == -high


def test_limits_of_what_has_no_spread() -> None:
    assert robust_limits(np.full(4, 3.0)) == (3.0, 3.0)
    assert robust_limits(np.array([np.nan, np.inf])) == (0.0, 1.0)
    single = np.zeros(10_000)
    single[0] = 5.0  # too rare for the share, but all that there is to see
    assert robust_limits(single) == (0.0, 5.0)


@pytest.mark.parametrize("shape", [(), (5,), (10**6,), (1, 10**6), (2048, 2048), (4, 500, 500)])
def test_large_frames_are_thinned(shape: tuple[int, ...]) -> None:
    frame = np.zeros(shape, np.float32)
    few = thinned(frame)
    assert np.shares_memory(few, frame)
    assert few.ndim == frame.ndim
    assert min(frame.size, 10_000) <= few.size <= 65536


def test_thinning_sees_both_halves_of_an_interleaved_readout() -> None:
    frame = np.zeros((1024, 1024))
    frame[:, 1::2] = 7.0
    assert robust_limits(thinned(frame)) == robust_limits(frame) == (0.0, 7.0)


def test_values_of_any_size_are_drawn() -> None:
    large = np.array([[-1.7e308, 1.7e308], [1.7e308, 1.7e308]])
    limits = robust_limits(large)
    assert coloured(resized(large, 1, 1), limits).shape == (1, 1, 3)


def test_shrinking_takes_means_growing_repeats() -> None:
    image = np.arange(16.0).reshape(4, 4)
    np.testing.assert_array_equal(resized(image, 2, 2), [[2.5, 4.5], [10.5, 12.5]])
    np.testing.assert_array_equal(resized(image[:1, :2], 2, 4), [[0, 0, 1, 1], [0, 0, 1, 1]])


def test_means_leave_out_what_is_not_finite() -> None:
    image = np.array([[1.0, np.nan, np.nan, np.nan], [3.0, np.inf, np.nan, np.inf]])
    np.testing.assert_array_equal(resized(image, 1, 2), [[2.0, np.nan]])


@given(st.tuples(st.integers(1, 3000), st.integers(1, 3000)), st.integers(1, 300), st.integers(1, 300))
def test_a_picture_fits_and_keeps_its_proportions(shape: tuple[int, int], columns: int, rows: int) -> None:
    height, width = fitted_size(shape, columns, rows)
    assert 1 <= height <= rows
    assert 1 <= width <= columns
    scale = min(columns / shape[1], rows / shape[0])
    for size, pixels in ((height, shape[0]), (width, shape[1])):
        assert size == 1 or 0.6 * scale * pixels - 1 <= size <= scale * pixels + 1


def test_a_small_image_has_pixels_of_one_size() -> None:
    assert fitted_size((10, 10), 47, 100) == (40, 40)
    assert fitted_size((120, 120), 80, 44) == (44, 44)


def test_levels_go_from_limit_to_limit() -> None:
    image = np.array([[-1.0, 0.0, 0.5, 1.0, 9.0, np.nan, np.inf]])
    assert levels_of(image, Limits(0.0, 1.0), 11).tolist() == [[0, 0, 5, 10, 10, -1, -1]]
    assert levels_of(np.array([[3.0]]), Limits(3.0, 3.0), 11).tolist() == [[5]]


@pytest.mark.parametrize("name", COLORMAPS)
def test_colormaps_have_all_levels_and_a_colour_of_their_own_for_nan(name: str) -> None:
    shades = colormap(name)
    assert shades.shape == (LEVELS + 1, 3)
    assert tuple(shades[-1]) == NOT_FINITE
    assert NOT_FINITE not in {tuple(shade) for shade in shades[:-1].tolist()}
    assert len(np.unique(shades, axis=0)) > LEVELS // 2
    with pytest.raises(ValueError, match="read-only"):
        shades[0] = 0


def test_grey_is_black_at_the_low_limit_and_white_at_the_high_one() -> None:
    pixels = coloured(np.array([[2.0, 4.0, np.nan]]), Limits(2.0, 4.0), "grey")
    assert pixels.tolist() == [[[0, 0, 0], [255, 255, 255], list(NOT_FINITE)]]


def test_an_unknown_colormap_is_an_error_that_lists_them() -> None:
    with pytest.raises(UsageError, match="there is no colormap 'jet'; expected one of grey, viridis"):
        colormap("jet")
