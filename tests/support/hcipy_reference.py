"""HCIPy's wavefront sensors as a reference for ours."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]


def _wavefront(library: Any, grid: Any, amplitude: Doubles, waves: Doubles, wavelength: float) -> Any:
    field = library.Field((amplitude * np.exp(2j * np.pi * waves)).ravel(), grid)
    return library.Wavefront(field, wavelength)


def shack_hartmann(library: Any, amplitude: Doubles, waves: Doubles, n_sub: int, spot_px: float) -> Doubles:
    """Light behind n_sub × n_sub lenslets, with a camera pixel for each point of the wavefront."""
    n_px = len(amplitude)
    wavelength = 1e-6
    with warnings.catch_warnings(action="ignore"):
        grid = library.make_pupil_grid(n_px, 1.0)
        centres = (np.arange(n_sub) - 0.5 * (n_sub - 1)) / n_sub
        lenslets = library.CartesianGrid(library.SeparatedCoords((centres, centres)))
        # A spot of wavelength · focal length / size is to be so many points wide.
        focal_length = spot_px / (n_px * n_sub * wavelength)
        array = library.MicroLensArray(grid, lenslets, focal_length)
        light = library.FresnelPropagator(grid, focal_length)(
            array(_wavefront(library, grid, amplitude, waves, wavelength))
        )
        return np.array(light.power.shaped)


def pyramid(
    library: Any,
    amplitude: Doubles,
    waves: Doubles,
    quadrant: int,
    pixels: int,
    modulation: float,
    points: int,
) -> Doubles:
    """Frame of a modulated pyramid whose quadrants have so many pixels, of which the pupil's image takes ``pixels``."""
    n_px = len(amplitude)
    each = n_px // pixels
    across = 2 * quadrant
    with warnings.catch_warnings(action="ignore"):
        grid = library.make_pupil_grid(n_px, 1.0)
        camera = library.make_pupil_grid(across * each, across / pixels)
        optics = library.PyramidWavefrontSensorOptics(
            grid,
            camera,
            separation=quadrant / pixels,
            pupil_diameter=1.0,
            wavelength_0=1.0,
            q=4,
            num_airy=n_px / 2,
        )
        moved = library.ModulatedPyramidWavefrontSensorOptics(optics, modulation, num_steps=points)
        frames = moved.forward(_wavefront(library, grid, amplitude, waves, 1.0))
        light = np.mean([np.array(frame.power.shaped) for frame in frames], axis=0)
    # Two transforms forward turn the image round.
    turned = light[::-1, ::-1].reshape(across, each, across, each)
    return np.asarray(turned.sum(axis=(1, 3)))
