from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

from framebus.ao.pupils import find_pupils
from framebus.errors import DataError, UsageError

SHIFTS = np.array([[0, 0], [0, 58], [60, 0], [60, 58]])


def frame(
    centre: Any = (30.3, 31.6),
    radius: float = 24.0,
    inner: float = 6.0,
    light: Any = (1, 1, 1, 1),
    shifts: Any = SHIFTS,
) -> NDArray[Any]:
    """Four annuli with a spider, blurred, over a background of 20 and with noise."""
    y, x = np.indices((124, 122)).astype(float)
    image = np.zeros((124, 122))
    for shift, level in zip(shifts, light, strict=True):
        dy, dx = y - centre[0] - shift[0], x - centre[1] - shift[1]
        distance = np.hypot(dy, dx)
        image += level * ((distance < radius) & (distance > inner) & (np.abs(dy - 0.7 * dx) > 1.2))
    blurred = ndimage.gaussian_filter(image, 0.8)
    return 20.0 + 100.0 * blurred + np.random.default_rng(0).normal(0, 3.0, image.shape)


@given(st.floats(28.5, 32.5), st.floats(28.5, 32.5), st.floats(20.0, 26.0))
@settings(max_examples=15)
def test_pupils_are_found_to_a_fraction_of_a_pixel(y: float, x: float, radius: float) -> None:
    found = find_pupils(frame((y, x), radius))
    np.testing.assert_allclose(found.centres, np.array([y, x]) + SHIFTS, atol=0.3)
    np.testing.assert_allclose(found.radii, radius, atol=0.5)
    np.testing.assert_array_equal(found.shifts, SHIFTS)
    assert found.inner == pytest.approx(6.0, abs=1.5)
    assert found.doubtful == ()


def test_the_masks_are_one_pattern_without_hole_and_spider() -> None:
    found = find_pupils(frame())
    for mask, shift in zip(found.mask, found.shifts, strict=True):
        np.testing.assert_array_equal(np.argwhere(mask) - shift, np.argwhere(found.mask[0]))
    assert not found.mask[0][30, 32]
    n = int(found.mask[0].sum())
    # An annulus less two arms of 2.4 / cos(35°) across.
    assert n == pytest.approx(np.pi * (24**2 - 6**2) - 2 * 18 * 2.4 / np.hypot(1, 0.7), rel=0.06)
    assert found.valid.dtype == np.int32
    assert found.valid.size == 4 * n
    np.testing.assert_array_equal(found.valid[n : 2 * n], np.flatnonzero(found.mask[1]))


def test_what_is_doubtful_is_said() -> None:
    assert find_pupils(frame(light=(1, 1.8, 1, 1))).doubtful[0].startswith("the top right pupil has 15")
    crooked = SHIFTS + np.array([[0, 0], [0, 0], [0, 0], [3, 0]])
    assert any("parallelogram" in doubt for doubt in find_pupils(frame(shifts=crooked)).doubtful)
    assert any("cut by the frame's edge" in doubt for doubt in find_pupils(frame((22.0, 31.0))).doubtful)
    between = SHIFTS + np.array([[0, 0], [0, 0.5], [0.5, 0], [0.5, 0.5]]) * 2.6
    assert find_pupils(frame(shifts=between)).shifts.tolist() == [[0, 0], [0, 59], [61, 0], [61, 59]]


@pytest.mark.parametrize(
    ("name", "radius", "apart", "inner"), [("scexao", 25.3, 57.3, 7.0), ("ao3k", 34.9, 78.3, 11.0)]
)
def test_real_pyramids(shared_data: Path, name: str, radius: float, apart: float, inner: float) -> None:
    """Radius and distance as read off the frames by eye, to a pixel."""
    found = find_pupils(np.asarray(fits.getdata(shared_data / name / "wfsref.fits")))
    assert found.radius == pytest.approx(radius, abs=1.0)
    sides = [np.hypot(*(found.centres[b] - found.centres[a])) for a, b in ((0, 1), (0, 2), (1, 3), (2, 3))]
    np.testing.assert_allclose(sides, apart, atol=1.2)
    assert found.inner == pytest.approx(inner, abs=2.0)
    assert 0.75 < found.mask[0].sum() / (np.pi * radius**2) < 1.0


def test_a_dark_is_subtracted() -> None:
    dark = np.random.default_rng(5).uniform(0, 400, (124, 122))
    np.testing.assert_allclose(find_pupils(frame() + dark, dark).centres, find_pupils(frame()).centres)


NOISE = np.random.default_rng(1).normal(100.0, 5.0, (120, 120))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (NOISE, "no pupil stands out of the frame's noise"),
        (np.zeros((50, 50)), "the frame is even"),
        (frame(light=(1, 0, 0, 0)), "pupil"),
        (np.zeros(9), "expected \\(height, width\\)"),
        (np.full((20, 20), np.nan), "not finite"),
    ],
)
def test_frames_without_four_pupils_are_refused(image: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        find_pupils(image)


def test_arguments_are_checked() -> None:
    with pytest.raises(UsageError, match="min_light is 1"):
        find_pupils(frame(), min_light=1.0)
    with pytest.raises(UsageError, match="dark's shape"):
        find_pupils(frame(), np.zeros((3, 3)))
