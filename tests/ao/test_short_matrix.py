from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from framebus.ao import from_bfloat16, reconstruct_bfloat16, reconstruct_int16, to_bfloat16, to_int16
from framebus.errors import BindingError, DataError, UsageError
from framebus.unit import ArraySpec

RNG = np.random.default_rng(6)
VALUES = hnp.arrays(np.float32, (3, 5), elements=st.floats(-(2.0**100), 2.0**100, width=32))


@given(VALUES)
def test_bfloat16_is_right_to_half_a_step(matrix: NDArray[np.float32]) -> None:
    back = from_bfloat16(to_bfloat16(matrix)).astype("float64")
    # 8 bits of precision; below the smallest normal number a step is its 128th part.
    assert (np.abs(back - matrix) <= np.maximum(np.abs(matrix) * 2.0**-8, 2.0**-134)).all()
    np.testing.assert_array_equal(from_bfloat16(to_bfloat16(back)), back)


def test_bfloat16_rounds_ties_to_even() -> None:
    step = 2.0**-7
    given_values = [1 + step / 2, 1 + 1.5 * step, 1 + 0.51 * step, -1 - step / 2]
    np.testing.assert_array_equal(from_bfloat16(to_bfloat16(given_values)), [1, 1 + 2 * step, 1 + step, -1])


@given(VALUES)
def test_int16_is_right_to_half_a_scale(matrix: NDArray[np.float32]) -> None:
    stored, scales = to_int16(matrix)
    assert np.abs(stored).max() <= 32767
    back = scales[:, None].astype("float64") * stored
    largest = np.abs(matrix).max(axis=1, keepdims=True).astype("float64")
    assert (np.abs(back - matrix) <= np.maximum(largest / 65534 * (1 + 1e-2), 1e-37)).all()


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (4, 9), (7, 30)])
def test_they_reconstruct_with_what_is_stored(shape: tuple[int, int], compiled: bool) -> None:
    matrix = RNG.normal(size=shape) * 10.0 ** RNG.integers(-6, 6, (shape[0], 1))
    slopes = RNG.normal(size=shape[1]).astype("float32")
    modes = np.full(shape[0], 9.0, "float32")
    size = np.abs(matrix) @ np.abs(slopes)
    halves = to_bfloat16(matrix)
    (reconstruct_bfloat16.jit if compiled else reconstruct_bfloat16)(slopes, halves, modes)
    assert (np.abs(modes - from_bfloat16(halves).astype("float64") @ slopes) <= 1e-5 * size).all()
    stored, scales = to_int16(matrix)
    (reconstruct_int16.jit if compiled else reconstruct_int16)(slopes, stored, scales, modes)
    assert (np.abs(modes - scales * (stored.astype("float64") @ slopes)) <= 1e-5 * size).all()


def test_matrices_that_cannot_be_stored_are_refused() -> None:
    for bad in (np.nan, np.inf, 1e39):
        with np.errstate(over="ignore"):
            for store in (to_bfloat16, to_int16):
                with pytest.raises(DataError):
                    store(np.array([[1.0, bad]]))
    with pytest.raises(DataError, match="too large"):
        to_bfloat16([3.4e38])
    with pytest.raises(UsageError):
        to_int16(np.ones(3))
    specs = {
        "slopes": ArraySpec((8,), np.dtype("float32")),
        "control_matrix": ArraySpec((3, 8), np.dtype("float32")),
    }
    with pytest.raises(BindingError, match="uint16"):
        reconstruct_bfloat16.resolve(specs)
