from __future__ import annotations

import numpy as np
import pytest

from framebus.ao import grid_modes, mode_projector
from framebus.errors import DataError, UsageError


def test_modes_of_a_grid() -> None:
    there = np.ones((3, 4))
    there[0, 0] = 0
    piston, tip, tilt, waffle = grid_modes(there).reshape(4, 3, 4)
    np.testing.assert_array_equal(piston, there)
    np.testing.assert_array_equal(waffle[1], [-1, 1, -1, 1])
    assert not any(mode[0, 0] for mode in (piston, tip, tilt, waffle))
    np.testing.assert_allclose(np.diff(tip[1]), np.diff(tip[2]))
    assert np.diff(tip[1])[0] > 0
    assert np.diff(tilt[:, 1])[0] > 0
    for mode in (tip, tilt):
        assert mode.sum() == pytest.approx(0.0, abs=1e-6)
        assert np.abs(mode).max() == pytest.approx(1.0)


def test_a_projector_finds_each_mode_and_no_other() -> None:
    modes = grid_modes(np.ones((5, 5)), ["piston", "waffle"])
    np.testing.assert_allclose(mode_projector(modes) @ modes.T, np.eye(2), atol=1e-6)


def test_what_is_no_mode_is_refused() -> None:
    grid = np.ones((2, 2))
    for actuators, names in ((np.ones(4), ["piston"]), (0 * grid, ["piston"]), (grid, ["coma"]), (grid, [])):
        with pytest.raises(UsageError):
            grid_modes(actuators, names)
    with pytest.raises(UsageError):
        mode_projector(np.ones(3))
    with pytest.raises(DataError, match="independent"):
        mode_projector(np.ones((2, 5)))
    with pytest.raises(DataError, match="independent"):
        mode_projector(np.eye(3)[:, :2])
    with pytest.raises(DataError, match="finite"):
        mode_projector(np.array([[1.0, np.nan]]))
