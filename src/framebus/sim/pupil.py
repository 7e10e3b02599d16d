"""A telescope's pupil: a disc with a central obscuration and spiders, on any grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError

Floats: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Spider:
    """A straight vane from the pupil's centre to its edge.

    Attributes:
        angle_deg: where it points to: 0 towards +x, 90 towards +y.
        width: its width over the pupil's diameter.
        offset: of its axis from the centre, to the left of where it points, over the pupil's diameter.
    """

    angle_deg: float
    width: float
    offset: float = 0.0


def make_pupil(
    n_px: int, obscuration: float = 0.0, spiders: Sequence[Spider] = (), oversampling: int = 1
) -> Floats:
    """The share of each pixel that light passes through: (n_px, n_px) float32, from 0 to 1.

    The disc fills the grid from edge to edge.

    Args:
        n_px: pixels across, at least 1.
        obscuration: diameter of the central hole over that of the pupil.
        spiders: vanes, any number, width and angle.
        oversampling: points per pixel and axis that are looked at. 1 gives a pupil of 0 and 1.

    Raises:
        UsageError: a number is out of its limits, or no light is left.
    """
    if n_px < 1 or oversampling < 1:
        raise UsageError(f"a pupil of {n_px} pixels, oversampling {oversampling}: use at least 1 of each")
    if not 0.0 <= obscuration < 1.0:
        raise UsageError(f"obscuration = {obscuration} must be at least 0 and below 1")
    points = n_px * oversampling
    axis = (np.arange(points) - 0.5 * (points - 1)) / points
    y, x = axis[:, None], axis[None, :]
    radius = np.hypot(x, y)
    lit = (radius <= 0.5) & (radius >= 0.5 * obscuration)
    for spider in spiders:
        if not (spider.width >= 0.0 and math.isfinite(spider.angle_deg) and math.isfinite(spider.offset)):
            raise UsageError(f"{spider}: its width must be 0 or more, its angle and offset finite")
        angle = math.radians(spider.angle_deg)
        along = x * math.cos(angle) + y * math.sin(angle)
        across = y * math.cos(angle) - x * math.sin(angle) - spider.offset
        lit &= ~((along > 0.0) & (np.abs(across) < 0.5 * spider.width))
    if not lit.any():
        raise UsageError("no light passes the pupil; make the obscuration or the spiders smaller")
    shares: Floats = lit.reshape(n_px, oversampling, n_px, oversampling).mean(axis=(1, 3)).astype(np.float32)
    return shares
