from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from framebus.ao import perfect_concentration, perfect_image, residual_rms, strehl_of_image, strehl_ratio
from framebus.errors import DataError, UsageError


def test_rms_is_taken_about_the_mean() -> None:
    assert residual_rms([[3.0, 5.0], [3.0, 5.0]]) == pytest.approx(1.0)
    assert residual_rms(np.full((4, 4), 7.0)) == 0.0


def test_a_mask_says_what_counts() -> None:
    phase = np.array([1.0, 2.0, np.nan])
    assert residual_rms(phase, [1, 1, 0]) == pytest.approx(0.5)
    with pytest.raises(DataError, match="not finite"):
        residual_rms(phase)
    with pytest.raises(UsageError, match=r"\(2,\), expected \(3,\)"):
        residual_rms(phase, [True, True])
    with pytest.raises(UsageError, match="at least one"):
        residual_rms(phase, [False, False, False])


def test_strehl_of_a_small_wavefront_is_that_of_its_image() -> None:
    # The ratio of on-axis intensities is |<exp(i phase)>|^2.
    phase = np.random.default_rng(5).normal(0.0, 0.4, 200_000)
    exact = abs(np.exp(1j * phase).mean()) ** 2
    assert strehl_ratio(residual_rms(phase)) == pytest.approx(exact, abs=0.005)


def test_strehl_takes_numbers_and_arrays() -> None:
    assert strehl_ratio(0.0) == 1.0
    assert isinstance(strehl_ratio(1.0), float)
    np.testing.assert_allclose(strehl_ratio([0.0, 1.0]), [1.0, np.exp(-1.0)])


@pytest.mark.parametrize("rms", [-0.1, np.nan])
def test_strehl_refuses_what_is_no_rms(rms: float) -> None:
    with pytest.raises(UsageError, match="0 or more"):
        strehl_ratio(rms)


def disc(n: int = 48) -> NDArray[np.float64]:
    y, x = np.indices((n, n)) - (n - 1) / 2
    return np.asarray(np.hypot(y, x) <= n / 2, dtype=np.float64)


def aberrated(pupil: NDArray[np.float64], phase: NDArray[np.float64], sampling: float, size: int) -> Any:
    """The image with a phase, by the same Fourier integral, evaluated pixel by pixel."""
    n = len(pupil)
    pixel = (np.arange(size) - size // 2) / sampling
    kernel = np.exp(-2j * np.pi * np.outer(pixel, (np.arange(n) - (n - 1) / 2) / n))
    return np.abs(kernel @ (pupil * np.exp(1j * phase)) @ kernel.T) ** 2


def test_the_perfect_image_holds_the_light_of_the_pupil() -> None:
    # All light is 1; an Airy disc keeps 83.8 % within 1.22 lambda / D, and has its peak pi / 4 / sampling^2 high.
    image = perfect_image(disc(), 3.0, 144)
    assert image.sum() == pytest.approx(1.0, rel=1e-6)
    y, x = np.indices(image.shape) - 72
    assert image[np.hypot(y, x) <= 1.22 * 3.0].sum() == pytest.approx(0.838, abs=0.02)
    assert image.max() == image[72, 72] == pytest.approx(np.pi / 4 / 9, rel=0.01)
    assert perfect_concentration(image) == pytest.approx(image.max(), rel=1e-6)


def test_strehl_of_an_image_is_that_of_its_phase() -> None:
    pupil = disc()
    y, x = (np.indices(pupil.shape) - 23.5) / 24
    perfect = perfect_image(pupil, 2.5, 120)
    for amount in (0.0, 0.3, 0.7):
        phase = amount * (2 * (x**2 + y**2) - 1) + 0.5 * amount * x * y
        exact = abs((pupil * np.exp(1j * phase)).sum() / pupil.sum()) ** 2
        image = 12.0 * aberrated(pupil, phase, 2.5, 120) + 40.0
        assert strehl_of_image(image, perfect, background=40.0) == pytest.approx(exact, rel=1e-3)
        assert strehl_ratio(residual_rms(phase, pupil)) == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("shift", [(0.5, 0.5), (0.3, -0.4), (7.25, -3.1)])
def test_strehl_does_not_depend_on_where_between_pixels_the_star_is(shift: tuple[float, float]) -> None:
    pupil = disc()
    y, x = (np.indices(pupil.shape) - 23.5) / 48
    perfect = perfect_image(pupil, 2.5, 120)
    moved = aberrated(pupil, 2 * np.pi * (shift[0] * y + shift[1] * x) / 2.5, 2.5, 120)
    assert strehl_of_image(moved, perfect) == pytest.approx(1.0, rel=2e-3)
    assert strehl_of_image(moved[:-1], perfect[:-1]) == pytest.approx(1.0, rel=0.01)


def test_images_are_checked() -> None:
    image = np.ones((8, 8))
    with pytest.raises(UsageError, match=r"\(8, 8\) and \(8, 7\)"):
        strehl_of_image(image, image[:, :7])
    with pytest.raises(DataError, match="the image has no light"):
        strehl_of_image(image, image, background=1.0)
    with pytest.raises(DataError, match="the perfect image has no light"):
        strehl_of_image(image, 0 * image)
    with pytest.raises(DataError, match="all finite"):
        strehl_of_image(image * np.nan, image)
    with pytest.raises(DataError, match=r"\(8,\)"):
        perfect_concentration(image[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.ones((4, 5)), 2.0, 8), r"\(4, 5\)"),
        ((np.full((4, 4), np.nan), 2.0, 8), "finite"),
        ((np.zeros((4, 4)), 2.0, 8), "no light"),
        ((np.ones((4, 4)), 0.0, 8), "sampling 0.0"),
        ((np.ones((4, 4)), np.inf, 8), "sampling inf"),
        ((np.ones((4, 4)), 2.0, 0), "size 0"),
    ],
)
def test_pupils_are_checked(arguments: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        perfect_image(*arguments)
