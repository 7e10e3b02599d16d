from __future__ import annotations

import numpy as np
import pytest

from framebus.ao import control_matrix, mode_projector, reconstruct, split_modes
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


@pytest.mark.parametrize("compiled", [True, False])
def test_tip_and_tilt_are_split_off_and_the_rest_has_none(compiled: bool) -> None:
    n = 15
    tip_tilt = np.zeros((2, 2 * n), "float32")
    tip_tilt[0, :n] = tip_tilt[1, n:] = 1.0
    slopes = RNG.normal(size=2 * n).astype("float32")
    amplitudes, rest = np.zeros(2, "float32"), np.zeros(2 * n, "float32")
    run = split_modes.jit if compiled else split_modes
    run(slopes, tip_tilt, mode_projector(tip_tilt), amplitudes, rest)
    np.testing.assert_allclose(amplitudes, [slopes[:n].mean(), slopes[n:].mean()], atol=1e-6)
    np.testing.assert_allclose(rest, slopes - amplitudes @ tip_tilt, atol=1e-6)
    np.testing.assert_allclose(tip_tilt @ rest, 0.0, atol=1e-5)


def test_split_modes_give_back_what_was_put_together() -> None:
    modes = RNG.normal(size=(3, 20)).astype("float32")
    vector = (np.array([2.0, -1.0, 0.5]) @ modes).astype("float32")
    amplitudes, rest = np.zeros(3, "float32"), np.zeros(20, "float32")
    split_modes.jit(vector, modes, mode_projector(modes), amplitudes, rest)
    np.testing.assert_allclose(amplitudes, [2.0, -1.0, 0.5], atol=1e-5)
    np.testing.assert_allclose(rest, 0.0, atol=1e-5)
    vector[4] = np.nan
    split_modes.jit(vector, modes, mode_projector(modes), amplitudes, rest)
    assert np.isfinite(amplitudes).all()
    assert np.isnan(rest[4])
    assert np.isfinite(np.delete(rest, 4)).all()
