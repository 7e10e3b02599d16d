from __future__ import annotations

from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from framebus.ao import image_quality, measure_image, perfect_concentration, perfect_image
from framebus.errors import BindingError, DataError, UsageError
from framebus.unit import ArraySpec
from support.run_unit import Bench


def run(image: NDArray[Any], *, compiled: bool = True, **parameters: Any) -> NDArray[np.float32]:
    bench = Bench(image_quality, {"image": image}, compiled=compiled, **parameters)
    bench.step()
    assert np.isfinite(bench["quality"]).all()
    return bench["quality"]


def gaussian(y0: float, x0: float, sigma: float, shape: tuple[int, int] = (64, 70)) -> NDArray[np.float64]:
    y, x = np.indices(shape)
    return np.asarray(np.exp(-((y - y0) ** 2 + (x - x0) ** 2) / (2 * sigma**2)))


@settings(max_examples=50)
@given(
    image=hnp.arrays(
        "float32",
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
        elements=st.one_of(st.integers(-30, 300).map(float), st.sampled_from([np.nan, np.inf, -np.inf])),
        unique=False,
    ),
    radius=st.floats(1.0, 20.0),
    compiled=st.booleans(),
)
def test_the_unit_tells_what_numpy_tells(image: NDArray[np.float32], radius: float, compiled: bool) -> None:
    options: dict[str, Any] = {
        "background": 3.0,
        "radius": radius,
        "ee_radius": 2.5,
        "perfect": 0.1,
        "min_flux": 5.0,
    }
    expected = measure_image(image, **options)
    measured = run(image, compiled=compiled, **options)
    np.testing.assert_allclose(measured, astuple(expected), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("sigma", [1.5, 2.0, 3.0])
def test_a_gaussian_has_its_width_and_its_energies(sigma: float) -> None:
    image = 1000 * gaussian(30.3, 33.6, sigma) + 100
    x, y, peak, flux, fwhm, encircled, half_radius, _ = run(
        image.astype("float32"), background=100.0, radius=7 * sigma, ee_radius=2 * sigma
    )
    assert x == pytest.approx(33.6, abs=0.01)
    assert y == pytest.approx(30.3, abs=0.01)
    # The star lies between pixels: the brightest one is at most half a pixel off along both axes.
    assert 1000 * np.exp(-0.25 / sigma**2) <= peak <= 1000
    assert flux == pytest.approx(2 * np.pi * sigma**2 * 1000, rel=0.01)
    # A lower peak widens the area above its half: pi 2 s^2 ln(2 / (peak / 1000)).
    assert fwhm == pytest.approx(2 * sigma * np.sqrt(2 * np.log(2000 / peak)), rel=0.02)
    assert encircled == pytest.approx(1 - np.exp(-2), abs=0.03)
    assert half_radius == pytest.approx(sigma * np.sqrt(2 * np.log(2)), rel=0.08)


def test_other_stars_and_bad_pixels_do_not_count() -> None:
    image = 1000 * gaussian(20, 20, 2.0) + 500 * gaussian(50, 50, 2.0)
    alone = run((1000 * gaussian(20, 20, 2.0)).astype("float32"), radius=12.0)
    image[60, 3], image[5, 60] = np.nan, -np.inf
    np.testing.assert_allclose(run(image.astype("float32"), radius=12.0), alone, rtol=1e-3)


def test_strehl_is_that_of_the_perfect_image() -> None:
    y, x = np.indices((32, 32)) - 15.5
    pupil = np.hypot(y, x) < 16
    perfect = perfect_image(pupil, 3.0, 65)
    concentration = perfect_concentration(perfect)
    options: dict[str, Any] = {"radius": 200.0, "perfect": concentration}
    assert run((5e4 * perfect).astype("float32"), **options)[7] == pytest.approx(1.0, rel=1e-4)
    halo = 0.5 * perfect + 0.5 * perfect.sum() / perfect.size
    assert run((1e4 * halo).astype("float32"), **options)[7] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("level", [0.0, -1.0, np.nan, np.inf, -np.inf, 3e38, 0.01])
def test_an_image_without_light_is_zero_throughout(level: float, compiled: bool) -> None:
    image = np.full((12, 12), level, "float32")
    np.testing.assert_array_equal(run(image, compiled=compiled, min_flux=5.0), 0.0)
    assert set(astuple(measure_image(image, min_flux=5.0))) == {0.0}


def test_arguments_are_checked() -> None:
    with pytest.raises(DataError, match=r"\(4,\)"):
        measure_image(np.ones(4))
    bad: list[dict[str, float]] = [{"radius": 0.5}, {"radius": np.nan}, {"perfect": -1.0}]
    for options in bad:
        with pytest.raises(UsageError, match="nothing below 0"):
            measure_image(np.ones((4, 4)), **options)
    with pytest.raises(BindingError, match="'image'"):
        image_quality.resolve({"image": ArraySpec((4,), np.dtype("float32"))})
