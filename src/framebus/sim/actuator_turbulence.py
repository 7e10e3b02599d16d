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


def grid_projector(mask: npt.ArrayLike) -> tuple[tuple[int, int], Floats]:
    """Window and projector of actuators on a grid: a pixel per grid point, the wavefront at an actuator.

    Args:
        mask: (ny, nx), above 0 where an actuator is in use. All ny · nx have a command, in C order; those
            not in use get 0.

    Returns:
        The window's (ny, nx) and the projector (ny · nx, ny · nx) float32.
    """
    used = np.asarray(mask) > 0
    if used.ndim != 2:
        raise UsageError(f"the mask's shape is {used.shape}; expected the two axes of the actuators' grid")
    return (used.shape[0], used.shape[1]), np.diag(used.ravel().astype(np.float32))


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

    Directions in which the influence functions add up to little (below 3 % of the strongest) are left alone,
    for there a small wavefront would ask for large commands.

    Args:
        influence: (n_act, ny, nx), finite.

    Returns:
        The window's (ny, nx) and the projector (n_act, ny · nx) float32.

    Raises:
        UsageError: the array has not three axes, or a value is not finite.
    """
    functions = np.asarray(influence, dtype=np.float64)
    if functions.ndim != 3 or not np.isfinite(functions).all():
        raise UsageError(f"influence functions of shape {functions.shape} must be finite, with axes actuator, y, x")
    matrix = functions.reshape(len(functions), -1)
    # Only where the mirror acts is the wavefront fitted.
    strength = np.abs(matrix).sum(axis=0)
    matrix = np.where(strength > 0.2 * strength.max(initial=0.0), matrix, 0.0)
    return (functions.shape[1], functions.shape[2]), np.linalg.pinv(matrix.T, rcond=0.03).astype(np.float32)


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
        seen = [window(screen, shape, -TURNS[0] * size * turn, -TURNS[1] * size * turn).ravel() for turn in turns]
        vectors[start : start + len(turns)] = np.array(seen) @ projector.T
    return vectors


def screen_size(shape: tuple[int, int]) -> int:
    """Pixels on a side of the periodic screen for a window of that shape: eight windows."""
    return max(64, 8 * max(shape))


def wind_step(shape: tuple[int, int], n_vectors: int) -> float:
    """How far the wind goes from one vector to the next, in diameters of the mirror."""
    return math.hypot(*TURNS) * screen_size(shape) / max(shape) / n_vectors
