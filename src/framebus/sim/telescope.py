"""A simulated telescope with its adaptive optics, put together from a few numbers.

``Bench`` makes every array that ``shack_hartmann_camera`` reads, and the geometry that the sensor's side needs,
so that a program only has to put them into streams.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError
from framebus.sim.deformable_mirror import actuator_profiles
from framebus.sim.turbulence import PhaseScreen

Floats: TypeAlias = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Layer:
    """One layer of the atmosphere.

    Attributes:
        fraction: its share of the turbulence, Cn² dh; shares are relative to their sum.
        wind_speed_m_s: wind speed.
        wind_direction_deg: where the wind blows to: 0 towards +x, 90 towards +y.
    """

    fraction: float
    wind_speed_m_s: float
    wind_direction_deg: float


# Winds that are oblique to the periodic screens, so that one comes back on its own track only after many turns.
TWO_LAYERS = (Layer(0.7, 6.0, 20.9), Layer(0.3, 12.0, 110.9))


@dataclass(frozen=True)
class Bench:
    """A telescope, its turbulence, a mirror and a Shack-Hartmann sensor in Fried geometry.

    The wavefront is computed on n_sub · pixels points across; the sensor has as many pixels.

    Attributes:
        n_sub: sub-apertures across.
        pixels: pixels across a sub-aperture, at least 4.
        subaperture_m: size of a sub-aperture on the primary mirror.
        obscuration: diameter of the central hole over that of the pupil.
        r0_m: Fried parameter at 500 nm, all layers together.
        outer_scale_m: L0.
        layers: the atmosphere.
        coupling: influence of an actuator at its neighbour.
        min_flux: light that a sub-aperture must have to be used, 1 = fully lit.
        seed: of the turbulence.

    Raises:
        UsageError: a number is out of its limits.
    """

    n_sub: int = 10
    pixels: int = 8
    subaperture_m: float = 0.2
    obscuration: float = 0.2
    r0_m: float = 0.15
    outer_scale_m: float = 25.0
    layers: tuple[Layer, ...] = TWO_LAYERS
    coupling: float = 0.3
    min_flux: float = 0.5
    seed: int = 1

    def __post_init__(self) -> None:
        if self.n_sub < 1 or self.pixels < 4:
            raise UsageError(
                f"n_sub = {self.n_sub}, pixels = {self.pixels}: use at least 1 sub-aperture of at least 4 pixels"
            )
        if not 0.0 <= self.obscuration < 1.0:
            raise UsageError(f"obscuration = {self.obscuration} must be at least 0 and below 1")
        if not self.subaperture_m > 0.0:
            raise UsageError(f"subaperture_m = {self.subaperture_m} must be positive, in metres")
        if not self.layers or min(layer.fraction for layer in self.layers) <= 0.0:
            raise UsageError("layers must be one or more, each with a fraction above 0")

    @property
    def n_px(self) -> int:
        """Pixels across the pupil, the wavefront and the camera."""
        return self.n_sub * self.pixels

    @property
    def n_act(self) -> int:
        """Actuators across the mirror."""
        return self.n_sub + 1

    @property
    def dm_shape(self) -> tuple[int, int]:
        """Shape of the mirror's commands, float32."""
        return self.n_act, self.n_act

    @property
    def wfs_shape(self) -> tuple[int, int]:
        """Shape of the camera's frames, uint16."""
        return self.n_px, self.n_px

    @cached_property
    def pupil(self) -> Floats:
        """1 where light passes: (n_px, n_px) float32."""
        axis = np.arange(self.n_px) - 0.5 * (self.n_px - 1)
        radius = np.hypot(axis[:, None], axis[None, :]) / (0.5 * self.n_px)
        lit: Floats = ((radius <= 1.0) & (radius >= self.obscuration)).astype(np.float32)
        return lit

    @cached_property
    def flux(self) -> Floats:
        """Light of each sub-aperture, 1 = fully lit: (n_sub, n_sub) float32."""
        blocks = self.pupil.reshape(self.n_sub, self.pixels, self.n_sub, self.pixels)
        light: Floats = blocks.mean(axis=(1, 3))
        return light

    @cached_property
    def valid(self) -> npt.NDArray[np.bool_]:
        """Sub-apertures that have enough light: (n_sub, n_sub)."""
        return np.asarray(self.flux >= self.min_flux)

    @cached_property
    def boxes(self) -> npt.NDArray[np.int32]:
        """Pixels of the valid sub-apertures, row by row: (n_valid, 4) int32 of y0, x0, height, width."""
        corner = np.argwhere(self.valid) * self.pixels
        return np.hstack([corner, np.full_like(corner, self.pixels)]).astype(np.int32)

    @cached_property
    def dm_mask(self) -> npt.NDArray[np.bool_]:
        """Actuators at a corner of a valid sub-aperture: (n_act, n_act). The others are hardly seen."""
        padded = np.pad(self.valid, 1)
        return padded[:-1, :-1] | padded[1:, :-1] | padded[:-1, 1:] | padded[1:, 1:]

    @cached_property
    def phase_screens(self) -> tuple[PhaseScreen, ...]:
        """One screen per layer, of eight pupils' width, in rad at 500 nm."""
        total = sum(layer.fraction for layer in self.layers)
        return tuple(
            PhaseScreen(
                shape=self.wfs_shape,
                pixel_m=self.subaperture_m / self.pixels,
                r0_m=self.r0_m * (layer.fraction / total) ** (-3 / 5),
                outer_scale_m=self.outer_scale_m,
                wind_speed_m_s=layer.wind_speed_m_s,
                wind_direction_deg=layer.wind_direction_deg,
                size=max(512, 8 * self.n_px),
                seed=(self.seed, k),
            )
            for k, layer in enumerate(self.layers)
        )

    def streams(self) -> dict[str, npt.NDArray[Any]]:
        """Inputs of ``shack_hartmann_camera`` by the names of its arguments, all but ``dm``."""
        um_per_rad = [screen.wavelength_m * 1e6 / (2 * np.pi) for screen in self.phase_screens]
        pairs = zip(self.phase_screens, um_per_rad, strict=True)
        return {
            "screens": np.stack([screen.screen * np.float32(scale) for screen, scale in pairs]),
            "wind": np.array([screen.velocity_px_s for screen in self.phase_screens], dtype=np.float32),
            "profiles": actuator_profiles(self.n_act, self.n_px, self.coupling),
            "optics": np.stack([self.pupil, *gradient_weights(self.pupil, self.n_sub)]),
            "flux": self.flux,
        }


def gradient_weights(pupil: npt.ArrayLike, n_sub: int) -> Floats:
    """Weights that give the mean rise of a wavefront across each sub-aperture: (2, n_px, n_px) float32, x then y.

    The sum of weights times wavefront over a sub-aperture is the mean difference of its neighbouring lit pixels
    times its width in pixels; a sub-aperture with no such pair gets 0.

    Args:
        pupil: (n_px, n_px), above 0 where light passes.
        n_sub: sub-apertures across.

    Raises:
        UsageError: the pupil is not square or n_sub does not divide its width.
    """
    lit = np.asarray(pupil) > 0
    n_px = lit.shape[0]
    if lit.ndim != 2 or lit.shape[1] != n_px or n_sub < 1 or n_px % n_sub:
        raise UsageError(f"a pupil of shape {lit.shape} cannot be cut into {n_sub}×{n_sub} sub-apertures")
    return np.stack([_rise_along_x(lit, n_sub), _rise_along_x(lit.T, n_sub).T])


def _rise_along_x(lit: npt.NDArray[np.bool_], n_sub: int) -> Floats:
    width = lit.shape[0] // n_sub
    # [..., k] is the pair of pixels k and k + 1 of a row within one sub-aperture.
    blocks = lit.reshape(n_sub, width, n_sub, width)
    pairs = (blocks[..., :-1] & blocks[..., 1:]).astype(np.float64)
    count = pairs.sum(axis=(1, 3), keepdims=True)
    pairs *= width / np.maximum(count, 1)
    weights = np.zeros(blocks.shape)
    weights[..., 1:] += pairs
    weights[..., :-1] -= pairs
    return weights.reshape(lit.shape).astype(np.float32)
