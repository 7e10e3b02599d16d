"""Turbulence in the space of a mirror's actuators, for instruments of which only the response is known.

A von Kármán screen blows over the mirror and is expressed, instant by instant, as the commands that would make
the same wavefront: each actuator then has the spatial and temporal spectrum of real turbulence.
"""

from __future__ import annotations

import math
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError
from framebus.sim.turbulence import periodic_screen, window

Floats: TypeAlias = npt.NDArray[np.float32]

TURNS = (5, 2)
"""Times that the wind goes round the periodic screen, along x and y, until it starts again."""


def grid_projector(
    mask: npt.NDArray[np.bool_], actuators: npt.NDArray[np.integer]
) -> tuple[tuple[int, int], Floats]:
    """Window and projector of actuators on a grid: a pixel per grid point, the wavefront at an actuator.

    Args:
        mask: (ny, nx), the actuators in use; the others get 0.
        actuators: (n_act,), the element of the mask (C order) at which each actuator sits.

    Returns:
        The window's (ny, nx) and the projector (n_act, ny · nx) float32.
    """
    projector = np.zeros((len(actuators), mask.size), dtype=np.float32)
    projector[np.arange(len(actuators)), actuators] = mask.ravel()[actuators]
    return (mask.shape[0], mask.shape[1]), projector


def disc_projector(n_act: int) -> tuple[tuple[int, int], Floats]:
    """Window and projector of actuators of which only the number is known: spread evenly over a disc.

    In the order of Vogel's spiral, H. Vogel, "A better way to construct the sunflower head" (1979).

    Returns:
        The window's (ny, nx) and the projector (n_act, ny · nx) float32.
    """
    across = max(4, math.ceil(2.0 * math.sqrt(n_act)))
    k = np.arange(n_act)
    radius = 0.5 * (across - 1) * np.sqrt((k + 0.5) / n_act)
    angle = k * math.pi * (3 - math.sqrt(5))
    y = np.rint(0.5 * (across - 1) + radius * np.sin(angle)).astype(np.intp)
    x = np.rint(0.5 * (across - 1) + radius * np.cos(angle)).astype(np.intp)
    projector = np.zeros((n_act, across * across), dtype=np.float32)
    projector[k, y * across + x] = 1.0
    return (across, across), projector


def influence_projector(influence: npt.ArrayLike) -> tuple[tuple[int, int], Floats]:
    """Window and projector of a mirror with known influence functions: the least-squares fit.

    Directions in which the influence functions add up to little (below a tenth of the strongest) are left
    alone, for there a small wavefront would ask for large commands.

    Args:
        influence: (n_act, ny, nx), finite.

    Returns:
        The window's (ny, nx) and the projector (n_act, ny · nx) float32.

    Raises:
        UsageError: the array has not three axes, is all 0, or a value is not finite.
    """
    functions = np.asarray(influence)
    matrix = _within_mirror(functions)
    projector = np.zeros((len(functions), matrix[0].size), dtype=np.float32)
    lit = matrix.any(axis=0)
    projector[:, lit] = np.linalg.pinv(matrix[:, lit].T, rcond=0.1)
    return (functions.shape[1], functions.shape[2]), projector


def influence_metric(influence: npt.ArrayLike) -> Floats:
    """The matrix M for which commandsᵀ · M · commands is the wavefront's variance: (n_act, n_act) float32.

    Over the pixels where the mirror acts, without piston, per command unit squared.

    Args:
        influence: (n_act, ny, nx), finite.

    Raises:
        UsageError: as ``influence_projector``.
    """
    matrix = _within_mirror(np.asarray(influence))
    matrix = matrix[:, matrix.any(axis=0)]
    matrix = matrix - matrix.mean(axis=1, keepdims=True)
    metric: Floats = (matrix @ matrix.T / matrix.shape[1]).astype(np.float32)
    return metric


def weight_metric(weights: npt.ArrayLike) -> Floats:
    """The matrix M for which commandsᵀ · M · commands is their weighted variance: (n_act, n_act) float32.

    Args:
        weights: (n_act,), 0 or more, not all 0.
    """
    w = np.asarray(weights, dtype=np.float64)
    w = w / w.sum()
    return (np.diag(w) - np.outer(w, w)).astype(np.float32)


def _within_mirror(influence: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Influence functions as (n_act, pixels), 0 where all together do little: the wavefront's edge."""
    if influence.ndim != 3 or not np.isfinite(influence).all() or not influence.any():
        raise UsageError(
            f"influence functions of shape {influence.shape} must be finite, not all 0, with axes actuator, y, x"
        )
    matrix = influence.reshape(len(influence), -1).astype(np.float64)
    strength = np.abs(matrix).sum(axis=0)
    return np.where(strength > 0.2 * strength.max(), matrix, 0.0)


def actuator_turbulence(
    shape: tuple[int, int],
    projector: Floats,
    *,
    n_vectors: int = 8192,
    outer_scale: float = 3.0,
    seed: int = 0,
) -> Floats:
    """Command vectors of turbulence that blows over a mirror: (n_vectors, n_act) float32, in rad for D/r0 = 1.

    The last vector is followed by the first, as the wind has then come round the periodic screen. From one to
    the next it moves by ``wind_step`` diameters.

    Args:
        shape: (ny, nx) of the window, in pixels; its larger side is the mirror's diameter D.
        projector: (n_act, ny · nx), from a wavefront in the window to commands.
        n_vectors: how many.
        outer_scale: L0 / D.
        seed: the same seed makes the same vectors.

    Raises:
        UsageError: the projector does not fit the window, or a number is out of its limits.
    """
    if projector.ndim != 2 or projector.shape[1] != shape[0] * shape[1]:
        raise UsageError(f"a projector of shape {projector.shape} does not fit a window of shape {shape}")
    if n_vectors < 1:
        raise UsageError(f"n_vectors = {n_vectors}: use at least 1")
    diameter = max(shape)
    size = screen_size(shape)
    screen = periodic_screen(size, 1.0, diameter, outer_scale * diameter, seed)
    vectors = np.empty((n_vectors, len(projector)), dtype=np.float32)
    # Some at a time, for the wavefronts of all would be large.
    for start in range(0, n_vectors, 256):
        turns = np.arange(start, min(start + 256, n_vectors)) / n_vectors
        windows = [window(screen, shape, -TURNS[0] * size * turn, -TURNS[1] * size * turn) for turn in turns]
        seen = np.array(windows).reshape(len(turns), -1)
        # No sensor sees piston, and the limits of a mirror are for better things.
        vectors[start : start + len(turns)] = (seen - seen.mean(axis=1, keepdims=True)) @ projector.T
    return vectors


def screen_size(shape: tuple[int, int]) -> int:
    """Pixels on a side of the periodic screen for a window of that shape: eight windows."""
    return max(64, 8 * max(shape))


def wind_step(shape: tuple[int, int], n_vectors: int) -> float:
    """How far the wind goes from one vector to the next, in diameters of the mirror."""
    return math.hypot(*TURNS) * screen_size(shape) / max(shape) / n_vectors
