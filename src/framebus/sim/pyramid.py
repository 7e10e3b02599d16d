"""A modulated pyramid sensor by Fourier optics.

For each point of the modulation the tilted field goes to the pyramid's tip by one transform and to the camera by
another, and the light of all points is added: R. Ragazzoni, "Pupil plane wavefront sensing with an oscillating prism",
J. Mod. Opt. 43 (1996); for the model C. Vérinaud, "On the nature of the measurements provided by a pyramid wave-front
sensor", Opt. Commun. 233 (2004).
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError

Floats: TypeAlias = npt.NDArray[np.float32]


class Pyramid:
    """A four-sided pyramid behind a pupil.

    Its frame is four quadrants, each with an image of the pupil in its middle. Light in the focal plane's half towards
    +x goes to the quadrants at +x, and likewise along y.

    Attributes:
        n_px: pixels across the wavefront.
        pixels: camera pixels across an image of the pupil.
        quadrant: camera pixels across a quadrant.
        shape: of the frame, two quadrants across.
        modulation: (n_points, 2) tilts along y and x, in wavelengths per diameter.
    """

    def __init__(
        self,
        amplitude: npt.ArrayLike,
        pixels: int,
        modulation: float = 3.0,
        points: int = 0,
        separation: float = 1.3,
    ) -> None:
        """Args, of which lengths are in diameters of the pupil.

        Args:
            amplitude: (n_px, n_px), of the light in the pupil.
            pixels: camera pixels across an image of the pupil; even, and a divisor of n_px.
            modulation: radius of the circle that the star is moved round in one frame, in wavelengths / diameter.
            points: of that circle; 0: one per wavelength / diameter, at least 8, and one alone without modulation.
            separation: from the middle of one image to that of its neighbour, at least 1.

        Raises:
            UsageError: a number is out of its limits, or the pupil is not square.
        """
        pupil = np.asarray(amplitude, dtype=np.float32)
        if pupil.ndim != 2 or pupil.shape[0] != pupil.shape[1]:
            raise UsageError(f"a pupil of shape {pupil.shape} for a pyramid: it must be square")
        self.n_px = len(pupil)
        if pixels < 2 or pixels % 2 or self.n_px % pixels:
            raise UsageError(
                f"pixels = {pixels}: use an even number that divides the pupil's {self.n_px} pixels"
            )
        if (
            not (modulation >= 0.0 and math.isfinite(modulation))
            or points < 0
            or not 1.0 <= separation <= 8.0
        ):
            raise UsageError(
                f"modulation = {modulation}, points = {points}, separation = {separation}: modulation and points "
                f"must be 0 or more, separation from 1 to 8"
            )
        from scipy.fft import next_fast_len

        self.pixels = pixels
        self.quadrant = pixels + 2 * round(0.5 * (separation - 1.0) * pixels)
        self.shape = (2 * self.quadrant, 2 * self.quadrant)
        self.modulation = _circle(modulation, points)
        self._bin = self.n_px // pixels
        self._window = 2 * self.quadrant * self._bin
        # Twice the pupil's width at least, so that the tip of the pyramid is well sampled.
        self._size = next_fast_len(max(self._window, 3 * self.n_px))
        self._size += self._size % 2
        self._fields = self._tilted(pupil)
        self._prism = self._faces()

    def _tilted(self, pupil: Floats) -> npt.NDArray[np.complex64]:
        """The pupil's amplitude with the tilt of each point: (n_points, n_px, n_px)."""
        at = np.arange(self.n_px) - 0.5 * (self.n_px - 1)
        # Half a sample less along both axes: the edges of the pyramid lie between samples.
        waves = self.modulation / self.n_px - 0.5 / self._size
        tilts = np.exp(2j * np.pi * waves[:, :, None] * at)
        fields: Any = pupil * tilts[:, 0, :, None] * tilts[:, 1, None, :]
        return np.asarray(fields, dtype=np.complex64)

    def _faces(self) -> npt.NDArray[np.complex64]:
        """What the glass does to the focal plane: each face shifts its image by half a quadrant."""
        frequency = np.fft.fftfreq(self._size) + 0.5 / self._size
        shift = 0.5 * self.quadrant * self._bin
        # The images are to be in the middle of the array; the pupil is put at its beginning.
        centre = 0.5 * (self._window - self.n_px)
        edge = np.exp(-2j * np.pi * (shift * np.abs(frequency) + centre * frequency))
        return np.outer(edge, edge).astype(np.complex64)

    def light(self, wavefront_um: npt.ArrayLike, wavelength_um: float) -> Floats:
        """Light on the camera, squared amplitude summed in each pixel and averaged over the modulation.

        Args:
            wavefront_um: (n_px, n_px), µm.
            wavelength_um: of the sensor.

        Returns:
            ``shape`` float32. Its sum is that of the squared amplitude in the pupil, less what is diffracted out of it.
        """
        from scipy.fft import fft, ifft

        waves = np.asarray(wavefront_um, dtype=np.float32) * np.float32(2 * np.pi / wavelength_um)
        field = np.empty(waves.shape, np.complex64)
        field.real, field.imag = np.cos(waves), np.sin(waves)
        total = np.zeros((self._window, self._window), np.float32)
        for tilted in self._fields:
            # Rows of zeros are not transformed, and rows that nobody looks at are not computed.
            focus = fft(field * tilted, n=self._size, axis=1, norm="ortho")
            focus = fft(focus, n=self._size, axis=0, norm="ortho", overwrite_x=True)
            focus *= self._prism
            image = ifft(focus, axis=0, norm="ortho", overwrite_x=True)[: self._window]
            image = ifft(image, axis=1, norm="ortho")[:, : self._window]
            total += image.real**2 + image.imag**2
        across = 2 * self.quadrant
        binned = total.reshape(across, self._bin, across, self._bin).sum(axis=(1, 3))
        light: Floats = (binned / np.float32(len(self._fields))).astype(np.float32, copy=False)
        return light

    def images(self, frame: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """The four images of the pupil in a frame: (2, 2, pixels, pixels), first by y, then by x. A view."""
        border = (self.quadrant - self.pixels) // 2
        quadrants = frame.reshape(2, self.quadrant, 2, self.quadrant).transpose(0, 2, 1, 3)
        return quadrants[:, :, border : border + self.pixels, border : border + self.pixels]


def _circle(radius: float, points: int) -> npt.NDArray[np.float64]:
    count = points or max(8, 4 * math.ceil(0.5 * math.pi * radius))
    if radius == 0.0:
        count = 1
    angle = 2 * np.pi * (np.arange(count) + 0.5) / count
    return radius * np.stack([np.sin(angle), np.cos(angle)], axis=1)
