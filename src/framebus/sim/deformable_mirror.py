"""A deformable mirror of Gaussian influence functions on a square grid, and the kernel that shapes it.

Commands and wavefront are in micrometres of optical path: a command of 1 pushes the wavefront at its actuator
by 1 µm.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError

Floats: TypeAlias = npt.NDArray[np.float32]

_NEGLIGIBLE = 1e-7
"""Influence, as a fraction of the peak, below which an actuator's row is passed over."""


def actuator_profiles(n_act: int, n_px: int, coupling: float = 0.3) -> Floats:
    """Profiles along one axis of a row of Gaussian actuators: (n_act, n_px) float32, peak 1.

    Actuators stand from edge to edge of the grid, so with n_act - 1 sub-apertures across they are at the
    sub-apertures' corners (Fried geometry). The influence function of actuator (j, i) is the product of
    profile j along y and profile i along x: exp(ln(coupling) · (distance / pitch)²).

    Args:
        n_act: actuators across, at least 2.
        n_px: pixels across the wavefront grid, at least 1.
        coupling: influence of an actuator at its neighbour, in (0, 1).

    Raises:
        UsageError: an argument is out of its limits.
    """
    if n_act < 2 or n_px < 1:
        raise UsageError(f"{n_act} actuators on {n_px} pixels: use at least 2 actuators and 1 pixel")
    if not 0.0 < coupling < 1.0:
        raise UsageError(f"coupling = {coupling} must be above 0 and below 1")
    pitch = n_px / (n_act - 1)
    centres = pitch * np.arange(n_act) - 0.5
    distance = (np.arange(n_px)[None, :] - centres[:, None]) / pitch
    profiles: Floats = np.exp(math.log(coupling) * distance**2).astype(np.float32)
    return profiles


def influence_functions(n_act: int, n_px: int, coupling: float = 0.3) -> Floats:
    """Influence functions of an n_act × n_act mirror: (n_act², n_px, n_px) float32, row by row of actuators.

    For analysis and for mirrors written to files; ``add_mirror`` needs only the profiles.

    Raises:
        UsageError: as ``actuator_profiles``.
    """
    profiles = actuator_profiles(n_act, n_px, coupling)
    functions: Floats = np.einsum("jy,ix->jiyx", profiles, profiles)
    return functions.reshape(n_act * n_act, n_px, n_px)


def add_mirror(commands: Any, profiles: Any, stroke_um: float, rows: Any, wavefront: Any) -> None:
    """Add the mirror's shape to ``wavefront``. A helper for compiled units.

    The shape is profilesᵀ · commands · profiles, in two steps, so that its cost grows with the actuators
    across, not with their number. Commands beyond the stroke are clipped and NaN counts as 0, as electronics
    would: nothing that is sent to the mirror makes the wavefront infinite.

    Args:
        commands: (n_act, n_act) float32, µm.
        profiles: (n_act, n_px) float32.
        stroke_um: largest command of either sign.
        rows: (n_act, n_px) float32, work space.
        wavefront: (n_px, n_px) float32, µm.
    """
    n_act, n_px = profiles.shape
    limit = np.float32(stroke_um)
    for j in range(n_act):
        for x in range(n_px):
            rows[j, x] = 0.0
        for i in range(n_act):
            command = clipped(commands[j, i], limit)
            if command != 0.0:
                for x in range(n_px):
                    rows[j, x] += command * profiles[i, x]
    for y in range(n_px):
        for j in range(n_act):
            weight = profiles[j, y]
            if abs(weight) > _NEGLIGIBLE:
                for x in range(n_px):
                    wavefront[y, x] += weight * rows[j, x]


def clipped(value: Any, limit: Any) -> Any:
    """``value`` within ±``limit``; 0 for NaN. The comparisons are written so that NaN fails them."""
    if value >= -limit and value <= limit:
        return value
    if value > limit:
        return limit
    if value < -limit:
        return -limit
    return limit * np.float32(0.0)
