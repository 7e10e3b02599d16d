"""AO systems made of numbers: arrays, and the right answers. A Shack-Hartmann one of any size, and AO3000's pyramid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
BOX = 8
GAIN, LEAK, THRESHOLD, LIMIT = 0.3, 0.99, 20.0, 0.5


@dataclass(frozen=True)
class System:
    """``across`` x ``across`` sub-apertures of 8 x 8 pixels, and the actuators of a round mirror behind them."""

    across: int
    sensing = "centroids"

    @property
    def name(self) -> str:
        return f"{self.across}x{self.across} ({self.slopes} slopes, {self.actuators} actuators)"

    @property
    def shape(self) -> tuple[int, int]:
        return (BOX * self.across, BOX * self.across)

    @property
    def slopes(self) -> int:
        return 2 * self.across**2

    @property
    def actuators(self) -> int:
        return round(np.pi / 4 * (self.across + 1) ** 2)

    @cached_property
    def frames(self) -> npt.NDArray[np.uint16]:
        """Four camera frames: spots off centre by up to a pixel, photon noise, and a background."""
        rng = np.random.default_rng(self.across)
        shifts = rng.uniform(-1, 1, (4, 2, self.across, self.across))
        axis = np.arange(BOX) - (BOX - 1) / 2
        y, x = np.exp(-0.5 * ((axis - shifts[..., None]) / 1.2) ** 2).swapaxes(0, 1)
        # (frame, row of boxes, y in box, column of boxes, x in box)
        spots = y.transpose(0, 1, 3, 2)[..., None] * x[:, :, None, :, :]
        light = 800 * spots.reshape(4, *self.shape) + 10
        counts: npt.NDArray[np.uint16] = rng.poisson(light).astype(np.uint16) + np.uint16(100)
        return counts

    @cached_property
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Calibration, by the argument names of framebus's AO units."""
        rng = np.random.default_rng(self.across + 1)
        corner = np.arange(self.across, dtype=np.int32) * BOX
        y0, x0 = np.meshgrid(corner, corner, indexing="ij")
        box = np.full(y0.size, BOX, np.int32)
        return {
            "dark": np.full(self.shape, 100, np.float32),
            "gain": rng.uniform(0.9, 1.1, self.shape).astype(np.float32),
            "boxes": np.stack([y0.ravel(), x0.ravel(), box, box], axis=1),
            "reference": rng.uniform(-0.1, 0.1, self.slopes).astype(np.float32),
            "flat": rng.uniform(-0.1, 0.1, self.actuators).astype(np.float32),
        }

    @cached_property
    def control_matrix(self) -> Floats:
        """Random: only its size matters to the speed."""
        rng = np.random.default_rng(self.across + 2)
        return rng.standard_normal((self.actuators, self.slopes), np.float32) / np.float32(self.slopes)

    @cached_property
    def errors(self) -> npt.NDArray[np.float64]:
        """What the reconstructor must give for each frame, in NumPy: (frame, actuator)."""
        a = self.arrays
        pixels = (self.frames.astype(np.float32) - a["dark"]) * a["gain"]
        light = np.maximum(pixels - np.float32(THRESHOLD), 0).astype(np.float64)
        boxes = light.reshape(-1, self.across, BOX, self.across, BOX)  # frame, row, y, column, x
        axis = np.arange(BOX) - (BOX - 1) / 2
        flux = boxes.sum((2, 4))
        x, y = (boxes.sum(2) * axis).sum(-1) / flux, (boxes.sum(4) * axis[:, None]).sum(2) / flux
        slopes = np.concatenate([x.reshape(len(x), -1), y.reshape(len(y), -1)], axis=1) - a["reference"]
        errors: npt.NDArray[np.float64] = slopes @ self.control_matrix.T.astype(np.float64)
        return errors


@dataclass(frozen=True)
class Pyramid:
    """As large as AO3000's: 160 x 160 pixels, all of which are measurements, and 188 actuators."""

    sensing = "intensities"
    name = "AO3000 (25600 pixels, 188 actuators)"
    shape = (160, 160)
    slopes = 25_600
    actuators = 188

    @cached_property
    def frames(self) -> npt.NDArray[np.uint16]:
        """Four camera frames: even light with photon noise, and a background."""
        rng = np.random.default_rng(3000)
        counts: npt.NDArray[np.uint16] = rng.poisson(400, (4, *self.shape)).astype(np.uint16) + np.uint16(100)
        return counts

    @cached_property
    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Calibration, by the argument names of framebus's AO units."""
        rng = np.random.default_rng(3001)
        return {
            "dark": np.full(self.shape, 100, np.float32),
            "gain": rng.uniform(0.9, 1.1, self.shape).astype(np.float32),
            "valid": np.arange(self.slopes, dtype=np.int32),
            "reference": np.full(self.slopes, 400, np.float32),
            "flat": rng.uniform(-0.1, 0.1, self.actuators).astype(np.float32),
        }

    @cached_property
    def control_matrix(self) -> Floats:
        """Random: only its size matters to the speed. Its commands are about as large as the other systems'."""
        rng = np.random.default_rng(3002)
        random = rng.standard_normal((self.actuators, self.slopes), np.float32)
        return random / np.float32(40 * self.slopes)

    @cached_property
    def errors(self) -> npt.NDArray[np.float64]:
        """What the reconstructor must give for each frame, in NumPy: (frame, actuator)."""
        a = self.arrays
        pixels = ((self.frames.astype(np.float32) - a["dark"]) * a["gain"]).reshape(len(self.frames), -1)
        errors: npt.NDArray[np.float64] = (pixels - a["reference"]) @ self.control_matrix.T.astype(np.float64)
        return errors


AO3000 = 0
"""What stands for it among the sizes of Shack-Hartmann systems."""


def system(across: int) -> System | Pyramid:
    """The system of so many sub-apertures across, or ``AO3000``."""
    return Pyramid() if across == AO3000 else System(across)
