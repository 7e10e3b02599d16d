from __future__ import annotations

import numpy as np
import pytest

from framebus.ao import control_matrix, reconstruct
from framebus.errors import BindingError
from framebus.unit import ArraySpec

FLOAT = np.dtype("float32")
RNG = np.random.default_rng(4)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (4, 8), (9, 33), (14, 2)])
def test_it_is_a_matrix_vector_product(shape: tuple[int, int], compiled: bool) -> None:
    matrix = RNG.normal(size=shape).astype("float32")
    slopes = RNG.normal(size=shape[1]).astype("float32")
    modes = np.full(shape[0], 9.0, "float32")
    (reconstruct.jit if compiled else reconstruct)(slopes, matrix, modes)
    np.testing.assert_allclose(modes, matrix @ slopes, rtol=1e-4, atol=1e-5)


def test_it_undoes_what_a_control_matrix_inverts() -> None:
    response = RNG.normal(size=(12, 40)).astype("float32")
    command = RNG.normal(size=12).astype("float32")
    found = np.zeros(12, "float32")
    reconstruct.jit((command @ response).astype("float32"), control_matrix(response).matrix, found)
    np.testing.assert_allclose(found, command, atol=1e-4)


def test_sizes_must_fit() -> None:
    specs = {"slopes": ArraySpec((8,), FLOAT), "control_matrix": ArraySpec((3, 8), FLOAT)}
    assert reconstruct.resolve(specs)["modes"] == ArraySpec((3,), FLOAT)
    with pytest.raises(BindingError, match="'control_matrix'"):
        reconstruct.resolve(specs | {"control_matrix": ArraySpec((8, 3), FLOAT)})
