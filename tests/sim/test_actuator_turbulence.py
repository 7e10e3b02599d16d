from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from framebus.errors import UsageError
from framebus.sim.actuator_turbulence import (
    TURNS,
    actuator_turbulence,
    disc_projector,
    grid_projector,
    influence_metric,
    influence_projector,
    screen_size,
    weight_metric,
    wind_step,
)
from framebus.sim.deformable_mirror import influence_functions
from framebus.sim.turbulence import structure_function


def full_grid(across: int) -> Any:
    return grid_projector(np.ones((across, across), bool), np.arange(across * across))


def test_actuators_on_a_grid_see_their_pixel() -> None:
    mask = np.array([[False, True], [True, True], [True, True]])
    shape, every = grid_projector(mask, np.arange(6))
    assert shape == (3, 2)
    np.testing.assert_array_equal(every @ np.arange(6), [0, 1, 2, 3, 4, 5])
    np.testing.assert_array_equal(every @ np.full(6, 3.0), [0, 3, 3, 3, 3, 3])
    # Or only those in use have a command at all.
    _, used = grid_projector(mask, np.flatnonzero(mask))
    np.testing.assert_array_equal(used @ np.arange(6), [1, 2, 3, 4, 5])


@pytest.mark.parametrize("n_act", [1, 2, 97, 500])
def test_actuators_on_a_disc_see_one_pixel_each(n_act: int) -> None:
    shape, projector = disc_projector(n_act)
    assert projector.shape == (n_act, shape[0] * shape[1])
    np.testing.assert_array_equal(projector.sum(axis=1), 1.0)
    # Spread out: hardly any two see the same.
    assert (projector.sum(axis=0) > 0).sum() > 0.8 * n_act


def test_turbulence_over_the_actuators_is_von_karmans() -> None:
    shape, projector = full_grid(12)
    maps = np.concatenate(
        [actuator_turbulence(shape, projector, n_vectors=400, seed=seed) for seed in range(6)]
    )
    maps = maps.reshape(-1, 12, 12)
    for separation in (2, 4, 6):
        expected = structure_function(separation, 12.0, 36.0)
        along_x = np.mean((maps[:, :, separation:] - maps[:, :, :-separation]) ** 2)
        along_y = np.mean((maps[:, separation:] - maps[:, :-separation]) ** 2)
        assert along_x == pytest.approx(expected, rel=0.15)
        assert along_y == pytest.approx(expected, rel=0.15)


def test_turbulence_over_the_actuators_is_frozen_flow_in_a_circle() -> None:
    shape, projector = full_grid(12)
    # So many vectors that from one to the next the wind goes 5 pixels along x and 2 along y.
    n_vectors = screen_size(shape)
    maps = actuator_turbulence(shape, projector, n_vectors=n_vectors).reshape(-1, 12, 12)
    dx, dy = TURNS
    for k in range(n_vectors):
        before, after = maps[k], maps[(k + 1) % n_vectors]
        difference = after[dy:, dx:] - before[:-dy, :-dx]
        # Each vector is without its own piston.
        np.testing.assert_allclose(difference - difference.mean(), 0.0, atol=1e-4)
    assert wind_step(shape, n_vectors) * 12 == pytest.approx(np.hypot(dx, dy))


def test_a_seed_makes_the_vectors() -> None:
    shape, projector = full_grid(4)
    one, same, other = (actuator_turbulence(shape, projector, n_vectors=300, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    assert np.abs(one.mean(axis=1)).max() < 1e-4


def test_a_wavefront_of_the_mirror_is_fitted_by_its_commands() -> None:
    functions = influence_functions(5, 24, coupling=0.15)
    shape, projector = influence_projector(functions)
    commands = np.random.default_rng(0).standard_normal(25)
    fitted = projector @ np.tensordot(commands, functions, 1).ravel()
    assert shape == (24, 24)
    np.testing.assert_allclose(fitted, commands, atol=1e-3)


def test_the_metric_is_the_variance_of_the_wavefront() -> None:
    functions = influence_functions(5, 24)
    commands = np.random.default_rng(0).standard_normal(25)
    variance = np.tensordot(commands, functions, 1).var()
    assert commands @ influence_metric(functions) @ commands == pytest.approx(variance, rel=1e-4)


def test_only_where_the_mirror_acts_is_there_a_wavefront() -> None:
    functions = np.zeros((1, 4, 4), np.float32)
    functions[0, :, :2] = [1.0, 2.0]
    assert influence_metric(functions) == pytest.approx(0.25)


def test_the_weighted_metric_is_the_weighted_variance() -> None:
    weights, commands = np.array([0.0, 1.0, 3.0]), np.array([9.0, 1.0, 5.0])
    assert commands @ weight_metric(weights) @ commands == pytest.approx(3.0)


@pytest.mark.parametrize(
    "influence",
    [np.zeros((3, 4, 4)), np.full((3, 4, 4), np.nan), np.ones((3, 16))],
    ids=["zero", "nan", "flat"],
)
def test_bad_influence_functions_are_refused(influence: Any) -> None:
    for function in (influence_projector, influence_metric):
        with pytest.raises(UsageError, match="influence functions"):
            function(influence)


def test_bad_numbers_are_refused() -> None:
    shape, projector = full_grid(4)
    with pytest.raises(UsageError, match="does not fit a window"):
        actuator_turbulence((4, 5), projector)
    with pytest.raises(UsageError, match="n_vectors"):
        actuator_turbulence(shape, projector, n_vectors=0)
    with pytest.raises(UsageError, match="outer_scale"):
        actuator_turbulence(shape, projector, outer_scale=0.0)
