from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from framebus.ao import calibrate, intensities, normalise
from framebus.errors import BindingError
from framebus.unit import ArraySpec
from support.run_unit import Bench

FLOAT = np.dtype("float32")
RNG = np.random.default_rng(1)


@pytest.fixture(params=["interpreted", "compiled"])
def compiled(request: pytest.FixtureRequest) -> bool:
    return bool(request.param == "compiled")


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_calibrate_takes_out_dark_and_flat(compiled: bool, dtype: str) -> None:
    raw = RNG.integers(100, 1000, (5, 7)).astype(dtype)
    dark = RNG.random((5, 7)).astype("float32")
    gain = RNG.random((5, 7)).astype("float32") + 0.5
    pixels = np.zeros((5, 7), "float32")
    (calibrate.jit if compiled else calibrate)(raw, dark, gain, pixels)
    np.testing.assert_allclose(pixels, (raw - dark) * gain, rtol=1e-6)


def test_a_bad_pixel_is_zero_whatever_it_reads(compiled: bool) -> None:
    raw = np.array([np.nan, np.inf, 5.0], "float32")
    dark = np.array([0.0, np.nan, 1.0], "float32")
    gain = np.array([0.0, 0.0, 2.0], "float32")
    pixels = np.ones(3, "float32")
    (calibrate.jit if compiled else calibrate)(raw, dark, gain, pixels)
    np.testing.assert_array_equal(pixels, [0.0, 0.0, 8.0])


def test_what_is_not_finite_is_zero(compiled: bool) -> None:
    raw = np.array([np.nan, np.inf, -np.inf, 3e38, 5.0, 5.0, 5.0], "float32")
    dark = np.array([0.0, 0.0, 0.0, 0.0, np.nan, 0.0, 0.0], "float32")
    gain = np.array([1.0, 1.0, 1.0, 10.0, 1.0, np.inf, np.nan], "float32")
    pixels = np.ones(7, "float32")
    with np.errstate(all="ignore"):
        (calibrate.jit if compiled else calibrate)(raw, dark, gain, pixels)
    np.testing.assert_array_equal(pixels, 0.0)


def test_calibrate_wants_one_shape() -> None:
    specs = {name: ArraySpec((4, 5), FLOAT) for name in ("raw", "dark", "gain")}
    assert calibrate.resolve(specs)["pixels"] == ArraySpec((4, 5), FLOAT)
    specs["gain"] = ArraySpec((5, 4), FLOAT)
    with pytest.raises(BindingError, match=r"'gain'.*\(5, 4\).*expected \(4, 5\)"):
        calibrate.resolve(specs)


def measure(
    compiled: bool, frame: NDArray[Any], valid: list[int], reference: list[float], **parameters: Any
) -> NDArray[np.float32]:
    measurement = np.full(len(valid), 7.0, "float32")
    parameters = {"normalise": False, "min_flux": 0.0} | parameters
    with np.errstate(invalid="ignore"):  # pixels that are not finite, in the interpreter
        (intensities.jit if compiled else intensities)(
            frame, np.array(valid, "int32"), np.array(reference, "float32"), measurement, **parameters
        )
    return measurement


def test_intensities_are_the_valid_pixels_less_the_reference(compiled: bool) -> None:
    frame = np.arange(12, dtype="uint16").reshape(3, 4)
    np.testing.assert_array_equal(measure(compiled, frame, [1, 6, 11], [1.0, 1.0, 1.0]), [0.0, 5.0, 10.0])


def test_normalised_intensities_do_not_depend_on_the_flux(compiled: bool) -> None:
    frame = RNG.random((3, 4)).astype("float32")
    valid = [0, 3, 5, 8]
    reference = [0.25, 0.25, 0.25, 0.25]
    once = measure(compiled, frame, valid, reference, normalise=True)
    brighter = measure(compiled, 20 * frame, valid, reference, normalise=True)
    light = frame.ravel()[valid]
    np.testing.assert_allclose(once, light / light.sum() - 0.25, atol=1e-6)
    np.testing.assert_allclose(brighter, once, atol=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.5, -1.0, np.nan, np.inf])
def test_a_normalised_frame_without_light_reads_zero(compiled: bool, level: float) -> None:
    frame = np.full((2, 2), level, "float32")
    measured = measure(compiled, frame, [0, 1, 2], [0.3, 0.3, 0.3], normalise=True, min_flux=2.0)
    np.testing.assert_array_equal(measured, 0.0)


@pytest.mark.parametrize("normalise", [False, True])
def test_an_index_outside_the_frame_is_a_dark_pixel(compiled: bool, normalise: bool) -> None:
    frame = np.full((2, 3), 2.0, "float32")
    valid = [-1, 6, -(2**31), 2**31 - 1, 0, 5]
    measured = measure(compiled, frame, valid, [0.0] * 6, normalise=normalise)
    bright = 0.5 if normalise else 2.0
    np.testing.assert_array_equal(measured, [0.0, 0.0, 0.0, 0.0, bright, bright])


def test_a_pixel_that_is_not_finite_measures_nothing(compiled: bool) -> None:
    frame = np.array([1.0, np.nan, np.inf], "float32")
    np.testing.assert_array_equal(measure(compiled, frame, [0, 1, 2], [0.5, 0.5, 0.5]), [0.5, 0.0, 0.0])


def test_a_reference_that_is_not_finite_measures_nothing(compiled: bool) -> None:
    frame = np.ones(3, "float32")
    np.testing.assert_array_equal(measure(compiled, frame, [0, 1, 2], [0.5, np.nan, np.inf]), [0.5, 0.0, 0.0])


def test_normalise_divides_by_the_light_of_the_mask(compiled: bool) -> None:
    frame = RNG.random((6, 7)).astype("float32")
    mask = RNG.random((6, 7)).astype("float32") * (RNG.random((6, 7)) > 0.3)
    bench = Bench(normalise, {"frame": frame, "mask": mask.astype("float32")}, compiled=compiled, level=50.0)
    bench.step()
    expected = 50.0 * frame * mask / (frame * mask).sum()
    np.testing.assert_allclose(bench["pixels"], expected, rtol=1e-5)
    bench.step(frame=frame * np.float32(100))
    np.testing.assert_allclose(bench["pixels"], expected, rtol=1e-5)


@pytest.mark.parametrize("level", [0.0, 0.3, -2.0, np.nan, np.inf, 3e38])
def test_normalise_makes_zeros_of_a_frame_without_light(compiled: bool, level: float) -> None:
    inputs = {"frame": np.full((2, 3), level, "float32"), "mask": np.ones((2, 3), "float32")}
    bench = Bench(normalise, inputs, compiled=compiled, min_flux=2.0)
    bench.step()
    np.testing.assert_array_equal(bench["pixels"], 0.0)


def test_normalise_takes_bad_pixels_and_weights_for_dark(compiled: bool) -> None:
    frame = np.array([1.0, np.nan, np.inf, 3.0, 5.0], "float32")
    mask = np.array([1.0, 1.0, 1.0, 1.0, np.nan], "float32")
    bench = Bench(normalise, {"frame": frame, "mask": mask}, compiled=compiled)
    bench.step()
    np.testing.assert_allclose(bench["pixels"], [0.25, 0.0, 0.0, 0.75, 0.0])


def test_normalise_wants_a_mask_of_the_frames_shape() -> None:
    specs = {"frame": ArraySpec((4, 5), np.dtype("uint16")), "mask": ArraySpec((5, 4), FLOAT)}
    with pytest.raises(BindingError, match=r"'mask'.*\(5, 4\), expected \(4, 5\)"):
        normalise.resolve(specs)


def test_intensities_wants_a_reference_of_the_same_length() -> None:
    specs = {
        "frame": ArraySpec((4, 5), np.dtype("uint16")),
        "valid": ArraySpec((7,), np.dtype("int32")),
        "reference": ArraySpec((7,), FLOAT),
    }
    assert intensities.resolve(specs)["measurement"] == ArraySpec((7,), FLOAT)
    with pytest.raises(BindingError, match="'reference'"):
        intensities.resolve(specs | {"reference": ArraySpec((8,), FLOAT)})
    with pytest.raises(BindingError, match="complex64"):
        intensities.resolve(specs | {"frame": ArraySpec((4, 5), np.dtype("complex64"))})
