"""Wavefront sensors of the simulated telescope: from a wavefront to light on a camera.

Each looks at one array of wavefront, which its owner changes from frame to frame, and fills one array of light.
"""

from __future__ import annotations

from typing import Annotated, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError
from framebus.sim.compiled import Compiled
from framebus.sim.lenslets import diffraction_spots, lit_spans, transform
from framebus.sim.pyramid import Pyramid
from framebus.sim.shack_hartmann import SPOT_SIGMA, gaussian
from framebus.sim.telescope import gradient_weights
from framebus.unit import Array, In, Out, State, unit

Floats: TypeAlias = npt.NDArray[np.float32]


class Sensor(Protocol):
    """What a sensor offers."""

    light: Floats
    """Photons per frame in each pixel of the camera."""

    def look(self) -> None:
        """Fill ``light`` for the wavefront as it is now."""


@unit(fastmath={"reassoc", "contract", "nsz"})
def geometric_spots(
    wavefront: Annotated[In, Array(("n_px", "n_px"), dtype="float32"), "µm"],
    weights: Annotated[In, Array((2, "n_px", "n_px"), dtype="float32"), "``gradient_weights``, x then y"],
    photons: Annotated[In, Array(("n_sub", "n_sub"), dtype="float32"), "of each sub-aperture"],
    spot: Annotated[State, Array((2, "n_cam"), dtype="float64"), "work space"],
    slopes: Annotated[Out, Array((2, "n_sub", "n_sub"), dtype="float32"), "x then y, pixels"],
    light: Annotated[Out, Array(("n_cam", "n_cam"), dtype="float32"), "photons in each pixel"],
    *,
    px_per_um: Annotated[float, "motion of a spot per µm of rise across its sub-aperture"] = 1.0,
    sigma_px: Annotated[float, "width of a spot"] = 1.0,
) -> None:
    """A Gaussian spot for each sub-aperture, moved by the mean gradient of the wavefront over it."""
    n_sub = photons.shape[0]
    width, pixels = wavefront.shape[0] // n_sub, light.shape[0] // n_sub
    middle = 0.5 * (pixels - 1)
    for j in range(n_sub):
        for i in range(n_sub):
            rise_x = np.float32(0.0)
            rise_y = np.float32(0.0)
            for y in range(j * width, (j + 1) * width):
                for x in range(i * width, (i + 1) * width):
                    rise_x += wavefront[y, x] * weights[0, y, x]
                    rise_y += wavefront[y, x] * weights[1, y, x]
            slopes[0, j, i] = px_per_um * rise_x
            slopes[1, j, i] = px_per_um * rise_y
            if photons[j, i] > np.float32(0.0):
                gaussian(spot[0, :pixels], middle + slopes[0, j, i], sigma_px)
                gaussian(spot[1, :pixels], middle + slopes[1, j, i], sigma_px)
                for y in range(pixels):
                    row = photons[j, i] * spot[1, y]
                    for x in range(pixels):
                        light[j * pixels + y, i * pixels + x] = row * spot[0, x]


@geometric_spots.shapes
def _shapes() -> dict[str, Any]:
    return {}


class GeometricShackHartmann:
    """Spots that mean gradients move: fast, and without diffraction.

    Attributes:
        light: (n_sub · pixels, n_sub · pixels) float32.
        slopes: (2, n_sub, n_sub) float32: how far each spot is from the middle of its box, x then y, pixels.
    """

    def __init__(
        self,
        wavefront: Floats,
        amplitude: Floats,
        n_sub: int,
        *,
        pixels: int = 8,
        spot_px: float = 2.0,
        wavelength_um: float = 0.75,
        photons: float = 1.0,
    ) -> None:
        """Args.

        Args:
            wavefront: (n_px, n_px) float32, µm: the array that ``look`` looks at.
            amplitude: (n_px, n_px) float32, of the light in the pupil.
            n_sub: sub-apertures across.
            pixels: camera pixels across a sub-aperture.
            spot_px: wavelength / sub-aperture's size, in pixels: the shift that one wavelength of rise makes.
            wavelength_um: of the sensor.
            photons: per frame in the whole pupil.

        Raises:
            UsageError: a number is out of its limits, or the pupil cannot be cut into so many sub-apertures.
        """
        _positive(pixels=pixels, spot_px=spot_px, wavelength_um=wavelength_um, photons=photons)
        weights = gradient_weights(amplitude, n_sub)
        across = n_sub * pixels
        self.light = np.zeros((across, across), np.float32)
        self.slopes = np.zeros((2, n_sub, n_sub), np.float32)
        arrays = {
            "wavefront": wavefront,
            "weights": weights,
            "photons": photons * shares(amplitude, n_sub),
            "spot": np.zeros((2, across)),
            "slopes": self.slopes,
            "light": self.light,
        }
        sigma = float(np.sqrt((SPOT_SIGMA * spot_px) ** 2 + 1 / 12))
        self._spots = Compiled(geometric_spots, arrays, px_per_um=spot_px / wavelength_um, sigma_px=sigma)

    def look(self) -> None:
        """Fill ``light`` and ``slopes`` for the wavefront as it is now."""
        self._spots()


class ShackHartmann:
    """Spots by diffraction; see ``lenslets``.

    Attributes:
        light: (n_sub · pixels, n_sub · pixels) float32.
    """

    def __init__(
        self,
        wavefront: Floats,
        amplitude: Floats,
        n_sub: int,
        *,
        pixels: int = 8,
        spot_px: float = 2.0,
        wavelength_um: float = 0.75,
        photons: float = 1.0,
    ) -> None:
        """Args: as of ``GeometricShackHartmann``.

        Raises:
            UsageError: as there; and a box is wider than the points of wavefront across a sub-aperture can tell.
        """
        _positive(pixels=pixels, spot_px=spot_px, wavelength_um=wavelength_um, photons=photons)
        flux = shares(amplitude, n_sub)
        n_px, width = len(wavefront), len(wavefront) // n_sub
        matrix = transform(width, pixels, spot_px)
        row = matrix.shape[1] * n_sub
        self.light = np.zeros((n_sub * pixels, n_sub * pixels), np.float32)
        arrays = {
            "wavefront": wavefront,
            "amplitude": np.sqrt(np.float32(photons)) * normalised(amplitude),
            "matrix": matrix,
            "span": lit_spans(flux),
            "field": np.zeros((2, width, n_px), np.float32),
            "half": np.zeros((2, n_px), np.float32),
            "turned": np.zeros((2, width, row), np.float32),
            "focus": np.zeros((2, row), np.float32),
            "light": self.light,
        }
        self._spots = Compiled(diffraction_spots, arrays, waves_per_um=1.0 / wavelength_um)

    def look(self) -> None:
        """Fill ``light`` for the wavefront as it is now."""
        self._spots()


class PyramidSensor:
    """A modulated pyramid; see ``Pyramid``.

    Attributes:
        light: ``Pyramid.shape`` float32.
        pyramid: the optics.
    """

    def __init__(
        self,
        wavefront: Floats,
        amplitude: Floats,
        pixels: int,
        *,
        modulation: float = 3.0,
        points: int = 0,
        separation: float = 1.3,
        wavelength_um: float = 0.75,
        photons: float = 1.0,
    ) -> None:
        """Args: as of ``Pyramid`` and of ``GeometricShackHartmann``.

        Raises:
            UsageError: a number is out of its limits.
        """
        _positive(wavelength_um=wavelength_um, photons=photons)
        self._wavefront, self._wavelength_um = wavefront, wavelength_um
        scaled = np.sqrt(np.float32(photons)) * normalised(amplitude)
        self.pyramid = Pyramid(scaled, pixels, modulation, points, separation)
        self.light = np.zeros(self.pyramid.shape, np.float32)

    def look(self) -> None:
        """Fill ``light`` for the wavefront as it is now."""
        self.light[:] = self.pyramid.light(self._wavefront, self._wavelength_um)


def shares(amplitude: npt.ArrayLike, n_sub: int) -> Floats:
    """The share of all light that each sub-aperture gets: (n_sub, n_sub) float32.

    Raises:
        UsageError: n_sub does not divide the pupil's width.
    """
    light = normalised(amplitude) ** 2
    n_px = len(light)
    if n_sub < 1 or n_px % n_sub:
        raise UsageError(
            f"a pupil of {n_px} pixels cannot be cut into {n_sub} sub-apertures across; use a multiple of {n_sub}"
        )
    width = n_px // n_sub
    return np.asarray(light.reshape(n_sub, width, n_sub, width).sum(axis=(1, 3)), dtype=np.float32)


def normalised(amplitude: npt.ArrayLike) -> Floats:
    """The amplitude with squares that add up to 1, float32."""
    values = np.asarray(amplitude, dtype=np.float64)
    return np.asarray(values / np.sqrt(np.square(values).sum()), dtype=np.float32)


def _positive(**numbers: float) -> None:
    for name, value in numbers.items():
        if not (value > 0.0 and np.isfinite(value)):
            raise UsageError(f"{name} = {value} must be positive and finite")
