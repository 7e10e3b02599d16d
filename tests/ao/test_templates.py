from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from framebus.ao import cut_templates, gaussian_weights, regular_grid, weighting_gain
from framebus.errors import DataError, UsageError

RNG = np.random.default_rng(8)


def test_weights_are_one_in_the_middle_and_a_half_at_half_their_width() -> None:
    weights = gaussian_weights(regular_grid((1, 2), 9), 4.0)
    assert weights.shape == (2, 9, 9)
    assert weights.dtype == np.float32
    assert weights.flags.c_contiguous
    np.testing.assert_allclose(weights[0, 4, [2, 4, 6]], [0.5, 1.0, 0.5], rtol=1e-6)
    np.testing.assert_allclose(weights[1, [2, 4, 6], 4], [0.5, 1.0, 0.5], rtol=1e-6)


def test_weights_follow_the_spots_and_the_boxes() -> None:
    boxes = np.array([[3, 5, 7, 9], [0, 0, 5, 5]])
    weights = gaussian_weights(boxes, 2.0, [1.0, 0.0, -2.0, 1.0])
    assert weights.shape == (2, 7, 9)
    assert np.unravel_index(weights[0].argmax(), (7, 9)) == (1, 5)
    assert np.unravel_index(weights[1].argmax(), (7, 9)) == (3, 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros((3, 3), int), 1.0), r"\(3, 3\)"),
        ((np.zeros((0, 4), int), 1.0), r"\(0, 4\)"),
        ((np.ones((3, 4)), 1.0), "float64"),
        (([[0, 0, 8, 0]], 1.0), r"box 0 is \[0, 0, 8, 0\]"),
        (([[0, 0, 8, 8]], 0.0), "fwhm is 0.0"),
        (([[0, 0, 8, 8]], np.inf), "fwhm is inf"),
        (([[0, 0, 8, 8]], 2.0, [1.0]), r"expected \(2,\) finite"),
        (([[0, 0, 8, 8]], 2.0, [1.0, np.nan]), "finite"),
    ],
)
def test_weights_refuse_what_makes_no_sense(arguments: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        gaussian_weights(*arguments)


def test_the_gain_is_that_of_two_gaussians() -> None:
    # Their product lies where both, weighted with the inverse of their variances, say it is.
    x = np.linspace(-40, 40, 8001)
    product = np.exp(-(x**2) / (2 * 3.0**2)) * np.exp(-((x - 1.0) ** 2) / (2 * 2.0**2))
    assert weighting_gain(3.0, 2.0) * (product @ x) / product.sum() == pytest.approx(1.0)
    for widths in ((0.0, 1.0), (1.0, -1.0), (np.nan, 1.0)):
        with pytest.raises(UsageError, match="above 0"):
            weighting_gain(*widths)


def test_templates_are_the_boxes() -> None:
    frame = RNG.random((20, 30))
    boxes = np.array([[0, 0, 6, 6], [10, 12, 6, 6]])
    templates = cut_templates(frame, boxes, threshold=0.2)
    assert templates.dtype == np.float32
    np.testing.assert_allclose(templates[1], np.clip(frame[10:16, 12:18] - 0.2, 0, None), rtol=1e-6)


def test_templates_keep_the_middle_when_they_are_larger_or_smaller() -> None:
    frame = RNG.random((20, 30))
    larger = cut_templates(frame, [[10, 12, 6, 6]], 10)[0]
    np.testing.assert_allclose(larger[2:8, 2:8], frame[10:16, 12:18], rtol=1e-6)
    assert larger.sum() == pytest.approx(frame[10:16, 12:18].sum(), rel=1e-6)
    smaller = cut_templates(frame, [[10, 12, 6, 6]], 2)[0]
    np.testing.assert_allclose(smaller, frame[12:14, 14:16], rtol=1e-6)


def test_templates_have_zeros_beyond_the_frame() -> None:
    frame = np.ones((8, 8))
    template = cut_templates(frame, [[-2, 5, 6, 6]])[0]
    expected = np.zeros((6, 6))
    expected[2:, :3] = 1.0
    np.testing.assert_array_equal(template, expected)


def test_one_template_for_all_takes_every_box_alike() -> None:
    frame = np.zeros((4, 8))
    frame[1, 1], frame[2, 6] = 100.0, 1.0
    template = cut_templates(frame, regular_grid((1, 2), 4), common=True)
    assert template.shape == (1, 4, 4)
    assert template[0, 1, 1] == template[0, 2, 2] == 0.5


def test_templates_refuse_what_makes_no_sense() -> None:
    frame = np.ones((8, 8))
    with pytest.raises(DataError, match=r"\(8,\)"):
        cut_templates(frame[0], [[0, 0, 4, 4]])
    with pytest.raises(DataError, match="finite"):
        cut_templates(frame * np.nan, [[0, 0, 4, 4]])
    with pytest.raises(UsageError, match="size is 0"):
        cut_templates(frame, [[0, 0, 4, 4]], 0)
    with pytest.raises(UsageError, match="box 1 has 4 x 4 pixels"):
        cut_templates(frame, [[0, 0, 5, 5], [0, 0, 4, 4]])
    with pytest.raises(DataError, match=r"boxes \[1\] have no light"):
        cut_templates(frame, [[0, 0, 4, 4], [20, 0, 4, 4]])
