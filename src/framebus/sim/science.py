"""A science camera: the image of a star behind the mirror, and how good it is."""

from __future__ import annotations

import math
from typing import Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError
from framebus.sim.compiled import Compiled
from framebus.sim.lenslets import diffraction_spots, fields
from framebus.unit import Array, In, Out, State, unit

Floats: TypeAlias = npt.NDArray[np.float32]


@unit(fastmath={"reassoc", "contract", "nsz"})
def assess(
    wavefront: Annotated[In, Array(("n_px", "n_px"), dtype="float32"), "µm"],
    amplitude: Annotated[In, Array(("n_px", "n_px"), dtype="float32"), "of the light in the pupil"],
    phase: Annotated[Out, Array(("n_px", "n_px"), dtype="float32"), "µm without piston; 0 outside the pupil"],
    field: Annotated[State, Array((2, "n_px"), dtype="float32"), "work space"],
    truth: Annotated[Out, Array((2,), dtype="float64"), "rms µm, Strehl ratio on axis"],
    *,
    waves_per_um: Annotated[float, "1 / wavelength"] = 1.0,
) -> None:
    """Phase, its rms weighted by the light, and |<field>|² over <amplitude>², the Strehl ratio on axis."""
    n_px = wavefront.shape[0]
    light = 0.0
    total = 0.0
    for y in range(n_px):
        for x in range(n_px):
            weight = amplitude[y, x] * amplitude[y, x]
            light += weight
            total += weight * wavefront[y, x]
    mean = np.float32(total / light) if light > 0.0 else np.float32(0.0)
    squares = 0.0
    real = 0.0
    imaginary = 0.0
    possible = 0.0
    for y in range(n_px):
        for x in range(n_px):
            value = wavefront[y, x] - mean if amplitude[y, x] > np.float32(0.0) else np.float32(0.0)
            phase[y, x] = value
            squares += amplitude[y, x] * amplitude[y, x] * value * value
        fields(phase[y], amplitude[y], np.float32(waves_per_um), field[0], field[1])
        for x in range(n_px):
            real += field[0, x]
            imaginary += field[1, x]
            possible += amplitude[y, x]
    truth[0] = math.sqrt(squares / light) if light > 0.0 else 0.0
    truth[1] = (real * real + imaginary * imaginary) / (possible * possible) if possible > 0.0 else 0.0


@unit(fastmath={"reassoc", "contract", "nsz"})
def weigh(
    wavefront: Annotated[In, Array(("n_px", "n_px"), dtype="float32"), "µm"],
    light: Annotated[In, Array(("n_px", "n_px"), dtype="float32"), "in the pupil; its sum is 1"],
    rms_um: Annotated[Out, Array((1,), dtype="float64"), "µm"],
) -> None:
    """Rms of a wavefront without piston, weighted by the light."""
    mean = 0.0
    squares = 0.0
    # Relative to a value of its own, for piston may be large.
    level = wavefront[wavefront.shape[0] // 2, wavefront.shape[1] // 2]
    for y in range(wavefront.shape[0]):
        first: Any = np.float32(0.0)
        second: Any = np.float32(0.0)
        for x in range(wavefront.shape[1]):
            value = wavefront[y, x] - level
            first += light[y, x] * value
            second += light[y, x] * value * value
        mean += first
        squares += second
    rms_um[0] = math.sqrt(max(squares - mean * mean, 0.0))


class Rms:
    """The rms of one array of wavefront, µm, without piston and weighted by the light.

    Attributes:
        rms_um: when it was looked at last.
    """

    def __init__(self, wavefront: Floats, amplitude: Floats) -> None:
        """Both (n_px, n_px) float32; ``wavefront`` is the array that ``look`` looks at."""
        light = np.square(amplitude, dtype=np.float64)
        self._rms_um = np.zeros(1)
        arrays = {"wavefront": wavefront, "light": (light / light.sum()).astype(np.float32)}
        self._weigh = Compiled(weigh, {**arrays, "rms_um": self._rms_um})

    def look(self) -> None:
        """Take the wavefront as it is now."""
        self._weigh()

    @property
    def rms_um(self) -> float:
        """Rms of what was looked at last."""
        return float(self._rms_um[0])


class ScienceCamera:
    """A camera in the focus behind the mirror, without noise.

    Attributes:
        pixels: across its image; a star on axis is in pixel ``pixels // 2`` of both axes.
        phase: (n_px, n_px) float32: the wavefront that was looked at last, µm, without piston, 0 outside the pupil.
        rms_um: of that phase, weighted by the light.
        strehl: the light on the axis, of what a flat wavefront would bring there. Tilt counts.
    """

    def __init__(
        self,
        wavefront: Floats,
        amplitude: Floats,
        wavelength_um: float = 1.65,
        pixels: int = 64,
        spot_px: float = 4.0,
    ) -> None:
        """Args.

        Args:
            wavefront: (n_px, n_px) float32, µm: the array that ``look`` looks at.
            amplitude: (n_px, n_px) float32, of the light in the pupil.
            wavelength_um: of the image.
            pixels: across the image.
            spot_px: wavelength / diameter, in pixels.

        Raises:
            UsageError: a number is not positive, or the image is wider than the pupil's pixels tell.
        """
        n_px = len(wavefront)
        if pixels < 1 or not (spot_px > 0.0 and wavelength_um > 0.0):
            raise UsageError(
                f"pixels = {pixels}, spot_px = {spot_px}, wavelength_um = {wavelength_um}: use more than 0"
            )
        if pixels > n_px * spot_px:
            raise UsageError(
                f"an image of {pixels} pixels is {pixels / spot_px:.3g} wavelengths / diameter wide, but {n_px} pixels "
                f"across the pupil tell only {n_px}; use fewer pixels or a larger spot_px"
            )
        self.pixels = pixels
        self.phase = np.zeros_like(wavefront)
        self._truth = np.zeros(2)
        self._image = np.zeros((pixels, pixels), np.float32)
        seen: dict[str, Any] = {
            "wavefront": wavefront,
            "amplitude": amplitude,
            "phase": self.phase,
            "truth": self._truth,
        }
        seen["field"] = np.zeros((2, n_px), np.float32)
        self._assess = Compiled(assess, seen, waves_per_um=1.0 / wavelength_um)
        point = np.arange(n_px) - 0.5 * (n_px - 1)
        kernel = np.exp(-2j * np.pi / (spot_px * n_px) * np.outer(np.arange(pixels) - pixels // 2, point))
        kernel /= math.sqrt(float(amplitude.sum(dtype=np.float64)))
        # One lenslet as large as the pupil.
        focus = {
            "wavefront": self.phase,
            "amplitude": amplitude,
            "matrix": np.ascontiguousarray([kernel.real, kernel.imag], dtype=np.float32),
            "span": np.array([[0, 1]], np.int32),
            "field": np.zeros((2, n_px, n_px), np.float32),
            "half": np.zeros((2, n_px), np.float32),
            "turned": np.zeros((2, n_px, pixels), np.float32),
            "focus": np.zeros((2, pixels), np.float32),
            "light": self._image,
        }
        self._focus = Compiled(diffraction_spots, focus, waves_per_um=1.0 / wavelength_um)

    @property
    def rms_um(self) -> float:
        """Rms of the phase."""
        return float(self._truth[0])

    @property
    def strehl(self) -> float:
        """Strehl ratio on axis."""
        return float(self._truth[1])

    def look(self) -> None:
        """Take the wavefront as it is now: sets ``phase``, ``rms_um`` and ``strehl``."""
        self._assess()

    def image(self) -> Floats:
        """The image of what was looked at last: (pixels, pixels) float32, 1 = peak of a flat wavefront.

        By two matrix products: R. Soummer et al., Opt. Express 15 (2007).
        """
        self._focus()
        return self._image.copy()
