from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from framebus.errors import UsageError
from framebus.sim import Spider, make_pupil


@pytest.mark.parametrize(("n_px", "obscuration"), [(64, 0.0), (101, 0.3), (160, 0.5)])
def test_the_area_is_that_of_a_ring(n_px: int, obscuration: float) -> None:
    pupil = make_pupil(n_px, obscuration, oversampling=8)
    assert pupil.dtype == np.float32
    assert pupil.mean() == pytest.approx(np.pi / 4 * (1 - obscuration**2), rel=2e-3)
    np.testing.assert_array_equal(pupil, pupil[::-1, ::-1])
    np.testing.assert_array_equal(pupil, pupil.T)


def test_without_oversampling_it_is_0_or_1() -> None:
    assert set(np.unique(make_pupil(33, 0.2))) == {0.0, 1.0}


@pytest.mark.parametrize("angle", [0.0, 37.0, 90.0, 200.0, -60.0])
def test_a_spider_takes_its_width_times_its_length(angle: float) -> None:
    without, with_one = (make_pupil(128, 0.2, spiders, 8) for spiders in ((), [Spider(angle, 1 / 32)]))
    assert (without - with_one).sum() / 128**2 == pytest.approx(0.4 / 32, rel=0.02)
    y, x = np.mgrid[:128, :128] - 63.5
    lost = (without - with_one) > 0
    # It lies where it points to.
    assert (x[lost] * np.cos(np.deg2rad(angle)) + y[lost] * np.sin(np.deg2rad(angle))).min() > 0.0


def test_a_spider_may_stand_beside_the_centre() -> None:
    pupil = make_pupil(64, 0.0, [Spider(0.0, 0.04, offset=0.25)], 8)
    lost = (make_pupil(64, 0.0, (), 8) - pupil).sum(axis=1)
    # To the left of +x is +y: a quarter of the diameter above the middle.
    assert np.average(np.arange(64), weights=lost) == pytest.approx(31.5 + 16.0, abs=0.1)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ((0,), "at least 1"),
        ((8, 0.0, (), 0), "at least 1"),
        ((8, 1.0), "obscuration"),
        ((8, 0.0, [Spider(np.nan, 0.1)]), "angle"),
        ((8, 0.0, [Spider(0.0, -0.1)]), "width"),
        ((8, 0.0, [Spider(0.0, 3.0), Spider(180.0, 3.0)]), "no light"),
    ],
)
def test_bad_pupils_are_refused(arguments: tuple[Any, ...], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        make_pupil(*arguments)
