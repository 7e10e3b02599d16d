"""The atmosphere over a telescope: layers of turbulence without end, in frozen flow."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError
from framebus.sim.compiled import Compiled
from framebus.sim.infinite_screen import (
    TAPS,
    Growth,
    Position,
    blow,
    first_screens,
    started_words,
    tap_weights,
)
from framebus.sim.turbulence import R0_WAVELENGTH_M

Floats: TypeAlias = npt.NDArray[np.float32]

_UM_PER_RAD = R0_WAVELENGTH_M * 1e6 / (2 * np.pi)


class Atmosphere:
    """Layers of turbulence without end, in frozen flow, over a square of ``n_px`` pixels.

    Attributes:
        wavefront: (n_px, n_px) float32, µm, piston and all; ``step`` fills it.
        strength: factor on the turbulence; 0 for calibration. The wind goes on.
    """

    def __init__(
        self,
        n_px: int,
        pixel_m: float,
        r0_m: float,
        outer_scale_m: float,
        layers: npt.ArrayLike,
        seed: int = 1,
    ) -> None:
        """Args.

        Args:
            n_px: pixels across.
            pixel_m: length of a pixel.
            r0_m: Fried parameter at 500 nm, all layers together.
            outer_scale_m: L0.
            layers: (n_layers, 3) of share of the turbulence, wind speed in m/s and direction in degrees.
            seed: the same seed makes the same turbulence.

        Raises:
            UsageError: there is no layer, a number is not finite or positive, or the outer scale is too long.
        """
        table = np.asarray(layers, dtype=np.float64)
        if table.ndim != 2 or table.shape[1:] != (3,) or not len(table) or not np.isfinite(table).all():
            raise UsageError("layers must be one or more, each of a fraction, a wind speed and a direction")
        if not (table[:, 0] > 0.0).all() or not (pixel_m > 0.0 and r0_m > 0.0 and outer_scale_m > 0.0):
            raise UsageError("the fractions of the layers, pixel_m, r0_m and outer_scale_m must be positive")
        size, n_layers = n_px + TAPS - 1, len(table)
        growth = Growth.of(size, pixel_m, outer_scale_m)
        # The window moves against the wind.
        angle = np.deg2rad(table[:, 2])
        self._velocity = -np.stack([np.sin(angle), np.cos(angle)], axis=1) * table[:, 1:2] / pixel_m
        self._r0_gain = _UM_PER_RAD * r0_m ** (-5 / 6) * np.sqrt(table[:, 0] / table[:, 0].sum())
        self._position = Position(np.zeros((n_layers, 2)))
        self.strength = 1.0
        self.wavefront = np.zeros((n_px, n_px), np.float32)
        self._arrays: dict[str, npt.NDArray[Any]] = {
            "points": growth.points,
            "predict": growth.predict,
            "spread": growth.spread,
            "lines": np.zeros((n_layers, 2), np.int64),
            "taps": np.zeros((n_layers, 2, TAPS), np.float32),
            "gains": np.zeros(n_layers, np.float32),
            "screens": first_screens(size, pixel_m, outer_scale_m, [(seed, k) for k in range(n_layers)]),
            "origin": np.zeros((n_layers, 2), np.int64),
            "random": started_words(n_layers, seed),
            "known": np.zeros(len(growth.points), np.float32),
            "noise": np.zeros(size, np.float32),
            "line": np.zeros((2, size), np.float32),
            "wavefront": self.wavefront,
        }
        self._blow = Compiled(blow, self._arrays)

    def step(self, time_s: float) -> Floats:
        """Let the wind blow for so long, 0 or more; returns ``wavefront``."""
        arrays = self._arrays
        arrays["lines"][:] = self._position.move(self._velocity * time_s)
        arrays["taps"][:] = tap_weights(self._position.fraction)
        arrays["gains"][:] = self.strength * self._r0_gain
        self._blow()
        return self.wavefront
