"""Modes that a loop treats apart, piston, tip, tilt and waffle on a grid, and how to find them in a vector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.errors import DataError, UsageError

NAMES = ("piston", "tip", "tilt", "waffle")


def grid_modes(actuators: ArrayLike, names: Sequence[str] = NAMES) -> NDArray[np.float32]:
    """Modes over the grid of a mirror, float32 (len(names), rows * columns), 0 where there is no actuator.

    ``piston`` is 1; ``tip`` grows along the columns and ``tilt`` along the rows, each with its mean taken out and 1
    at its largest; ``waffle`` is +1 and -1 in turn like a chessboard.

    Args:
        actuators: (rows, columns), not 0 where there is an actuator.
        names: which modes, in which order.

    Raises:
        UsageError: no grid, no actuator in it, or an unknown mode.
    """
    there = np.asarray(actuators) != 0
    if there.ndim != 2 or not there.any():
        raise UsageError(
            f"actuators have shape {there.shape}, {int(there.sum())} of them; expected a grid, at least one"
        )
    unknown = [name for name in names if name not in NAMES]
    if unknown or not names:
        raise UsageError(f"there is no mode {unknown[0]!r}" if unknown else "no mode is named")
    y, x = np.indices(there.shape)
    found = {
        "piston": np.ones(there.shape),
        "tip": x - x[there].mean(),
        "tilt": y - y[there].mean(),
        "waffle": 1.0 - 2.0 * ((x + y) % 2),
    }
    rows = []
    for name in names:
        values = np.where(there, found[name], 0.0).ravel()
        rows.append(values / max(np.abs(values).max(), 1e-30))
    return np.asarray(rows, dtype=np.float32)


def mode_projector(modes: ArrayLike) -> NDArray[np.float32]:
    """The matrix P with amplitudes = P @ vector, by least squares: float32 in the shape of the modes.

    Args:
        modes: one row per mode, (n_modes, n).

    Raises:
        UsageError: it is no matrix.
        DataError: a mode is not finite, or the modes are not independent.
    """
    rows = np.asarray(modes, dtype=np.float64)
    if rows.ndim != 2 or rows.size == 0:
        raise UsageError(f"modes have shape {rows.shape}; expected one row per mode")
    if not np.isfinite(rows).all():
        raise DataError("a mode has elements that are not finite")
    singular = np.linalg.svd(rows, compute_uv=False)
    if len(rows) > rows.shape[1] or singular[-1] <= 1e-6 * singular[0]:
        raise DataError(
            f"the {len(rows)} modes are not independent on {rows.shape[1]} elements (singular values "
            f"{singular[0]:.3g} to {singular[-1]:.3g}); leave one out"
        )
    return np.ascontiguousarray(np.linalg.pinv(rows).T, dtype=np.float32)
