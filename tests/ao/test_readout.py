from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from framebus.ao import bin_pixels, neighbour_table, remap, replace_bad_pixels
from framebus.errors import BindingError
from framebus.unit import ArraySpec
from support.run_unit import Bench

FLOAT = np.dtype("float32")
FRAME = np.random.default_rng(20).random((6, 7)).astype("float32")
INDICES = st.one_of(st.integers(-3, 45), st.sampled_from([-(2**31), 2**31 - 1]))


@settings(max_examples=50)
@given(
    table=hnp.arrays("int32", hnp.array_shapes(max_dims=3, max_side=5), elements=INDICES),
    compiled=st.booleans(),
)
def test_remap_puts_pixels_where_the_table_says(table: NDArray[np.int32], compiled: bool) -> None:
    if table.ndim != 2:
        compiled = False  # one compiled rank is enough
    bench = Bench(remap, {"frame": FRAME, "table": table}, compiled=compiled)
    bench.step()
    flat = [FRAME.ravel()[i] if 0 <= i < FRAME.size else 0.0 for i in table.ravel().tolist()]
    np.testing.assert_array_equal(bench["pixels"], np.reshape(flat, table.shape).astype("float32"))


def test_remap_keeps_counts_as_they_are() -> None:
    raw = np.arange(12, dtype="uint16").reshape(3, 4)
    bench = Bench(remap, {"frame": raw, "table": np.array([[11, 0], [-1, 5]], "int32")}, compiled=False)
    bench.step()
    assert bench["pixels"].dtype == np.uint16
    assert bench["pixels"].tolist() == [[11, 0], [0, 5]]


@settings(max_examples=50)
@given(
    table=hnp.arrays("int32", st.tuples(st.integers(1, 5), st.integers(2, 6)), elements=INDICES),
    compiled=st.booleans(),
)
def test_bad_pixels_become_the_mean_of_their_neighbours(table: NDArray[np.int32], compiled: bool) -> None:
    bench = Bench(replace_bad_pixels, {"frame": FRAME, "table": table}, compiled=compiled)
    bench.step()
    expected = FRAME.ravel().astype(float)
    for bad, *near in table.tolist():
        if 0 <= bad < FRAME.size:
            light = [float(FRAME.ravel()[i]) for i in near if 0 <= i < FRAME.size]
            expected[bad] = np.mean(light) if light else 0.0
    np.testing.assert_allclose(bench["pixels"].ravel(), expected, rtol=1e-5)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_slope_of_light_is_kept(compiled: bool) -> None:
    # A mean of neighbours on all sides restores any plane; bad pixels read what they like.
    y, x = np.indices((12, 13))
    plane = (100 + 3 * y - 2 * x).astype("float32")
    bad = np.zeros((12, 13), bool)
    bad[[2, 5, 8, 8], [3, 6, 2, 9]] = True
    broken = np.where(bad, np.resize([np.nan, np.inf, 1e9, -1e9], bad.shape), plane).astype("float32")
    bench = Bench(replace_bad_pixels, {"frame": broken, "table": neighbour_table(bad)}, compiled=compiled)
    bench.step()
    np.testing.assert_allclose(bench["pixels"], plane, rtol=1e-5)


@pytest.mark.parametrize("compiled", [True, False])
def test_pixels_that_are_not_finite_are_zero_and_no_neighbours(compiled: bool) -> None:
    frame = np.array([[np.nan, 5.0, 3.0], [np.inf, np.nan, -np.inf]], "float32")
    table = np.array([[1, 0, 2, 3], [4, 3, 5, -1]], "int32")
    bench = Bench(replace_bad_pixels, {"frame": frame, "table": table}, compiled=compiled)
    bench.step()
    np.testing.assert_array_equal(bench["pixels"], [[0.0, 3.0, 3.0], [0.0, 0.0, 0.0]])


def test_a_table_of_bad_pixels_has_neighbours() -> None:
    specs = {"frame": ArraySpec((4, 5), FLOAT), "table": ArraySpec((3, 1), np.dtype("int32"))}
    with pytest.raises(BindingError, match=r"'table'.*\(3, 1\).*neighbour_table"):
        replace_bad_pixels.resolve(specs)


def binned(frame: NDArray[Any], shape: tuple[int, int], *, compiled: bool = True, mean: bool = False) -> Any:
    bench = Bench(
        bin_pixels,
        {"frame": frame},
        outputs={"binned": ArraySpec(shape, FLOAT)},
        compiled=compiled,
        mean=mean,
    )
    bench.step()
    return bench["binned"]


@settings(max_examples=50)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    data=st.data(),
    mean=st.booleans(),
    compiled=st.booleans(),
)
def test_bins_are_sums_or_means(
    height: int, width: int, data: st.DataObject, mean: bool, compiled: bool
) -> None:
    shape = data.draw(st.tuples(st.integers(1, height), st.integers(1, width)))
    frame = np.random.default_rng(21).random((height, width)).astype("float32")
    by, bx = height // shape[0], width // shape[1]
    blocks = frame[: by * shape[0], : bx * shape[1]].reshape(shape[0], by, shape[1], bx)
    expected = blocks.mean((1, 3)) if mean else blocks.sum((1, 3))
    np.testing.assert_allclose(binned(frame, shape, compiled=compiled, mean=mean), expected, rtol=1e-5)


def test_a_bin_that_is_not_finite_is_zero() -> None:
    frame = np.array([[1.0, np.nan, 2.0, 2.0], [1.0, 1.0, 2.0, np.inf]], "float32")
    for compiled in (True, False):
        np.testing.assert_array_equal(binned(frame, (1, 2), compiled=compiled), [[0.0, 0.0]])


def test_bins_want_an_output_that_is_there_and_smaller() -> None:
    with pytest.raises(BindingError, match=r"'binned'.*create its stream before"):
        bin_pixels.resolve({"frame": ArraySpec((4, 5), FLOAT)})
    for compiled in (True, False):
        with pytest.raises(ValueError, match="larger than the frame"):
            binned(FRAME, (7, 7), compiled=compiled)
