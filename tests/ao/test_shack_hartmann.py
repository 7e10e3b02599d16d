from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import ArrayLike, NDArray

from framebus.ao import centroids, measure_centroids, regular_grid
from framebus.errors import BindingError
from framebus.unit import ArraySpec

FLOAT = np.dtype("float32")
RNG = np.random.default_rng(2)
GUARD = np.float32(-12345.0)


def measure(
    pixels: NDArray[Any],
    boxes: ArrayLike,
    reference: ArrayLike | None = None,
    *,
    compiled: bool = True,
    threshold: float = 0.0,
    min_flux: float = 0.0,
) -> NDArray[np.float32]:
    """Run the unit with guard cells round everything that it writes."""
    places = np.array(boxes, "int32").reshape(-1, 4)
    count, width = len(places), pixels.shape[1]
    zero = np.zeros(2 * count, "float32") if reference is None else np.array(reference, "float32")
    slopes = np.full(2 * count + 20, GUARD)
    columns = np.full((4, width), GUARD)
    columns[1:3] = 0
    run = centroids.jit if compiled else centroids
    with np.errstate(invalid="ignore"):  # infinite pixels, in the interpreter
        run(pixels, places, zero, slopes[10:-10], columns[1:3], threshold=threshold, min_flux=min_flux)
    assert (slopes[:10] == GUARD).all()
    assert (slopes[-10:] == GUARD).all()
    assert (columns[[0, 3]] == GUARD).all()
    return slopes[10:-10].copy()


def spots(boxes: NDArray[np.int32], shifts: NDArray[Any], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Gaussian spots, one in each box, moved from its middle by (x, y)."""
    y, x = np.indices(shape)
    image = np.zeros(shape)
    for (top, left, height, width), (dx, dy) in zip(boxes.tolist(), shifts, strict=True):
        centre_y, centre_x = top + (height - 1) / 2 + dy, left + (width - 1) / 2 + dx
        inside = (y >= top) & (y < top + height) & (x >= left) & (x < left + width)
        image += inside * np.exp(-((y - centre_y) ** 2 + (x - centre_x) ** 2) / (2 * 1.0**2))
    return image.astype("float32")


@pytest.mark.parametrize("size", [8, 9, 12, 20])
def test_known_shifts_are_recovered(size: int) -> None:
    boxes = regular_grid(4, size)
    shifts = RNG.uniform(-0.5, 0.5, (16, 2))
    measured = measure(1000 * spots(boxes, shifts, (4 * size, 4 * size)), boxes)
    # What is left is the light that a box cuts off.
    np.testing.assert_allclose(measured, shifts.T.ravel(), atol=0.02 if size < 12 else 1e-3)


def test_x_comes_first_and_the_middle_of_a_box_is_zero() -> None:
    pixels = np.zeros((8, 8), "float32")
    pixels[3:5, 3:5] = 1.0
    np.testing.assert_array_equal(measure(pixels, [0, 0, 8, 8]), [0.0, 0.0])
    pixels[:] = 0
    pixels[1, 6] = 3.0
    np.testing.assert_allclose(measure(pixels, [0, 0, 8, 8]), [2.5, -2.5], atol=1e-6)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "uint16"])
def test_it_agrees_with_the_plain_definition(compiled: bool, dtype: str) -> None:
    pixels = RNG.integers(0, 4000, (30, 41)).astype(dtype)
    boxes = [[0, 0, 7, 8], [0, 8, 7, 8], [0, 20, 7, 3], [7, 2, 5, 9], [12, 30, 18, 11], [12, 25, 18, 11]]
    reference = RNG.normal(size=12)
    measured = measure(pixels, boxes, reference, compiled=compiled, threshold=900.5, min_flux=10.0)
    expected = measure_centroids(pixels, boxes, reference, threshold=900.5, min_flux=10.0)
    np.testing.assert_allclose(measured, expected, atol=2e-5)


def test_noise_scatters_slopes_as_theory_says() -> None:
    # Photon noise of a Gaussian spot of width s: sigma = s / sqrt(photons).
    boxes = regular_grid(20, 12)
    ideal = spots(boxes, np.zeros((400, 2)), (240, 240))
    photons = 5000.0
    frame = RNG.poisson(ideal * photons / (2 * np.pi)).astype("uint16")
    measured = measure(frame, boxes)
    assert measured.std() == pytest.approx(1.0 / np.sqrt(photons), rel=0.15)
    assert abs(measured.mean()) < 5 * measured.std() / np.sqrt(measured.size)


def test_threshold_removes_a_background() -> None:
    boxes = regular_grid(2, 10)
    shifts = np.array([[0.4, -0.3]] * 4)
    frame = 100 + 1000 * spots(boxes, shifts, (20, 20))
    biased = measure(frame, boxes)
    clean = measure(frame, boxes, threshold=101.0)
    assert np.abs(clean - np.repeat([0.4, -0.3], 4)).max() < 0.02
    assert np.abs(biased).max() < 0.3


@pytest.mark.parametrize("size", [8, 10])
@pytest.mark.parametrize("faint", [0.0, 0.02, 0.5, 30.0, 1000.0])
def test_faint_light_over_a_high_threshold_is_measured_exactly(faint: float, size: int) -> None:
    level = 10_000.3
    pixels = np.full((4 * size, 4 * size), level - 1.0, "float32")
    pixels[2::size, 5::size] = np.float32(level) + np.float32(faint)
    light = float(pixels[2, 5]) - float(np.float32(level))
    measured = measure(pixels, regular_grid(4, size), threshold=level)
    expected = [5 - (size - 1) / 2, 2 - (size - 1) / 2] if light > 0 else [0.0, 0.0]
    np.testing.assert_allclose(measured, np.repeat(expected, 16), atol=1e-3)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_box_without_light_reads_zero(compiled: bool) -> None:
    pixels = np.zeros((8, 32), "float32")
    pixels[2, 1] = 5.0
    pixels[2, 9] = 50.0
    pixels[2, 17] = np.inf
    pixels[2, 25] = np.nan
    boxes = regular_grid((1, 4), 8)
    measured = measure(pixels, boxes, np.full(8, 0.25), min_flux=10.0, compiled=compiled)
    np.testing.assert_allclose(measured, [0.0, -2.75, 0.0, 0.0, 0.0, -1.75, 0.0, 0.0], atol=1e-6)


def test_nan_pixels_count_as_dark() -> None:
    pixels = np.full((8, 8), np.nan, "float32")
    pixels[2:4, 5] = 1.0
    np.testing.assert_allclose(measure(pixels, [0, 0, 8, 8]), [1.5, -1.0], atol=1e-6)


def test_the_order_and_the_neighbours_of_boxes_do_not_matter() -> None:
    pixels = RNG.random((60, 60)).astype("float32")
    boxes = regular_grid(6, 10)
    order = RNG.permutation(36)
    straight = measure(pixels, boxes).reshape(2, 36)
    shuffled = measure(pixels, boxes[order]).reshape(2, 36)
    np.testing.assert_allclose(shuffled, straight[:, order], atol=1e-5)


@given(
    boxes=hnp.arrays("int32", st.tuples(st.integers(1, 12), st.just(4)), elements=st.integers(-15, 40)),
    same_row=st.booleans(),
    eights=st.booleans(),
)
def test_boxes_may_lie_anywhere(boxes: NDArray[np.int32], same_row: bool, eights: bool) -> None:
    if same_row:
        boxes[:, [0, 2]] = boxes[0, [0, 2]]
    if eights:
        boxes[:, 2:] = 8
    pixels = np.random.default_rng(3).random((17, 23)).astype("float32")
    np.testing.assert_allclose(measure(pixels, boxes), measure_centroids(pixels, boxes), atol=1e-4)


@settings(max_examples=300)
@given(
    boxes=hnp.arrays(
        "int32",
        st.tuples(st.integers(1, 8), st.just(4)),
        elements=st.one_of(
            st.sampled_from([-(2**31), 2**31 - 1, -1, 0, 1, 22, 23]), st.integers(-(2**31), 2**31 - 1)
        ),
    )
)
def test_no_content_of_boxes_reaches_outside(boxes: NDArray[np.int32]) -> None:
    pixels = np.ones((17, 23), "uint16")
    assert np.isfinite(measure(pixels, boxes)).all()
    assert np.isfinite(measure(pixels, boxes, compiled=False)).all()


def test_reference_must_have_two_slopes_per_box() -> None:
    specs = {
        "pixels": ArraySpec((40, 48), np.dtype("uint16")),
        "boxes": ArraySpec((9, 4), np.dtype("int32")),
        "reference": ArraySpec((18,), FLOAT),
    }
    resolved = centroids.resolve(specs)
    assert resolved["slopes"] == ArraySpec((18,), FLOAT)
    assert resolved["columns"] == ArraySpec((2, 48), FLOAT)
    with pytest.raises(BindingError, match=r"'reference'.*\(9,\).*expected \(18,\)"):
        centroids.resolve(specs | {"reference": ArraySpec((9,), FLOAT)})
    with pytest.raises(BindingError, match="'boxes'"):
        centroids.resolve(specs | {"boxes": ArraySpec((9, 3), np.dtype("int32"))})
