"""A Shack-Hartmann camera that looks at moving turbulence through a deformable mirror, as one unit.

Geometric optics: each lenslet makes a spot that the mean gradient of the wavefront over its sub-aperture moves.
"""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np

from framebus.sim.deformable_mirror import add_mirror
from framebus.sim.detector import expose
from framebus.sim.noise import started
from framebus.sim.turbulence import flow, wrapped
from framebus.unit import Array, In, Out, Range, State, unit

SPOT_SIGMA = 0.376
"""Gaussian width of a square lenslet's spot in λ/d: that with the full width at half maximum of its sinc²."""

_PIXEL_VARIANCE = 1 / 12


@unit(fastmath={"reassoc", "contract", "nsz"})
def shack_hartmann_camera(
    dm: Annotated[
        In, Array(("n_act", "n_act"), dtype="float32"), "commands, µm of wavefront at the actuator"
    ],
    screens: Annotated[
        In, Array(("n_layers", None, None), dtype="float32"), "periodic layers of turbulence, µm"
    ],
    wind: Annotated[
        In, Array(("n_layers", 2), dtype="float32"), "x and y motion of each layer, pixels per second"
    ],
    profiles: Annotated[In, Array(("n_act", "n_px"), dtype="float32"), "``actuator_profiles`` of the mirror"],
    optics: Annotated[
        In, Array((3, "n_px", "n_px"), dtype="float32"), "pupil (0 or 1), ``gradient_weights`` x, y"
    ],
    flux: Annotated[
        In, Array(("n_sub", "n_sub"), dtype="float32"), "light of each sub-aperture, 1 = fully lit"
    ],
    wfs: Annotated[
        Out, Array(("n_px", "n_px"), dtype="uint16"), "camera frame: one count per electron, and bias"
    ],
    wavefront: Annotated[
        Out, Array(("n_px", "n_px"), dtype="float32"), "behind the mirror, µm; 0 outside the pupil"
    ],
    residual: Annotated[
        Out, Array((3,), dtype="float32"), "rms nm, Strehl ratio, rms nm of the turbulence alone"
    ],
    rows: Annotated[State, Array(("n_act", "n_px"), dtype="float32"), "work space of the mirror"],
    spot: Annotated[State, Array((2, "n_px"), dtype="float64"), "work space of the spots"],
    light: Annotated[State, Array(("n_px", "n_px"), dtype="float32"), "photons expected in each pixel"],
    position: Annotated[
        State, Array(("n_layers", 2), dtype="float64"), "where in its screen each layer is seen"
    ],
    random: Annotated[State, Array((2,), dtype="uint64"), "of the noise"],
    *,
    rate_hz: Annotated[float, Range(0.001, 1e6), "frames per second of simulated time"] = 1000.0,
    turbulence: Annotated[float, Range(0.0, 100.0), "factor on the turbulence; 0 for calibration"] = 1.0,
    wind_factor: Annotated[float, Range(-100.0, 100.0), "factor on the wind"] = 1.0,
    stroke_um: Annotated[float, Range(0.0, 1000.0), "largest command of the mirror"] = 20.0,
    wavelength_um: Annotated[float, Range(0.1, 100.0), "of the sensor"] = 0.75,
    spot_px: Annotated[float, Range(1.5, 100.0), "wavelength / lenslet size, in pixels"] = 2.0,
    photons: Annotated[float, Range(0.0, 1e6), "per frame in a fully lit sub-aperture"] = 2000.0,
    read_noise: Annotated[float, Range(0.0, 1000.0), "rms electrons per pixel"] = 1.0,
    bias: Annotated[float, Range(0.0, 60000.0), "counts of a dark pixel"] = 100.0,
    science_um: Annotated[float, Range(0.1, 100.0), "wavelength of the Strehl ratio"] = 1.65,
    seed: Annotated[int, Range(0, 2**31 - 1), "of the noise; a new one starts it anew"] = 1,
) -> None:
    """One frame of a Shack-Hartmann camera, and the truth about the wavefront that it saw.

    Time advances by 1 / ``rate_hz`` per frame, whatever the clock says, so the same seeds give the same
    frames. The mirror is used as it stands: trigger the unit by a delay of the same rate. ``Bench`` makes
    all inputs but ``dm``, of which values beyond the stroke are clipped and NaN counts as 0.

    A sub-aperture is n_px // n_sub pixels on a side; with an even wavefront its spot is in the middle, and a
    rise of one wavelength across it moves the spot by ``spot_px``. Light that leaves the sub-aperture is
    lost, as with a field stop. The Strehl ratio at ``science_um`` is Maréchal's approximation,
    exp(-(2π rms / λ)²); piston counts nowhere.
    """
    wavefront[:] = np.float32(0.0)
    for layer in range(wind.shape[0]):
        screen = screens[layer]
        if turbulence != 0.0:
            flow(screen, wavefront, position[layer, 0], position[layer, 1], turbulence)
        step = wind_factor / rate_hz
        position[layer, 0] = wrapped(position[layer, 0] - step * wind[layer, 0], screen.shape[1])
        position[layer, 1] = wrapped(position[layer, 1] - step * wind[layer, 1], screen.shape[0])
    pupil = optics[0]
    residual[2] = 1000.0 * remove_piston(wavefront, pupil)
    add_mirror(dm, profiles, stroke_um, rows, wavefront)
    rms_um = remove_piston(wavefront, pupil)
    residual[0] = 1000.0 * rms_um
    residual[1] = math.exp(-((2.0 * math.pi * rms_um / science_um) ** 2))
    draw_spots(wavefront, optics, flux, spot_px, spot_px / wavelength_um, photons, spot, light)
    random[0] = expose(light, wfs, started(random, seed), read_noise, bias)


def remove_piston(wavefront: Any, pupil: Any) -> float:
    """Subtract the pupil's mean from ``wavefront``, set it to 0 outside, and return its rms over the pupil.

    ``pupil`` is 1 where light passes, else 0. An empty pupil gives 0.
    """
    area = 0.0
    total = 0.0
    for y in range(pupil.shape[0]):
        for x in range(pupil.shape[1]):
            area += pupil[y, x]
            total += pupil[y, x] * wavefront[y, x]
    if not area > 0.0:
        wavefront[:] = np.float32(0.0)
        return 0.0
    mean = np.float32(total / area)
    squares = 0.0
    for y in range(pupil.shape[0]):
        for x in range(pupil.shape[1]):
            value = pupil[y, x] * (wavefront[y, x] - mean)
            wavefront[y, x] = value
            squares += value * value
    return math.sqrt(squares / area)


def draw_spots(
    wavefront: Any,
    optics: Any,
    flux: Any,
    spot_px: float,
    px_per_um: float,
    photons: float,
    spot: Any,
    light: Any,
) -> None:
    """Fill ``light`` with the spot of each sub-aperture, within its own pixels.

    Args:
        wavefront: (n_px, n_px) float32, µm.
        optics, flux, spot_px, photons, spot: as in ``shack_hartmann_camera``.
        px_per_um: motion of a spot per µm of rise across its sub-aperture.
        light: (n_px, n_px) float32, photons; pixels beyond the last whole sub-aperture are left alone.
    """
    n_sub = flux.shape[0]
    width = light.shape[0] // n_sub
    middle = 0.5 * (width - 1)
    sigma_px = math.sqrt((SPOT_SIGMA * spot_px) ** 2 + _PIXEL_VARIANCE)
    for j in range(n_sub):
        top = j * width
        for i in range(n_sub):
            left = i * width
            rise_x = 0.0
            rise_y = 0.0
            for y in range(top, top + width):
                for x in range(left, left + width):
                    rise_x += wavefront[y, x] * optics[1, y, x]
                    rise_y += wavefront[y, x] * optics[2, y, x]
            gaussian(spot[0, :width], middle + px_per_um * rise_x, sigma_px)
            gaussian(spot[1, :width], middle + px_per_um * rise_y, sigma_px)
            for y in range(width):
                row = photons * flux[j, i] * spot[1, y]
                for x in range(width):
                    light[top + y, left + x] = row * spot[0, x]


def gaussian(out: Any, centre_px: float, sigma_px: float) -> None:
    """Fill ``out`` with a Gaussian of unit area, sampled at 0, 1, 2 ..."""
    peak = 1.0 / (math.sqrt(2.0 * math.pi) * sigma_px)
    for i in range(out.size):
        u = (i - centre_px) / sigma_px
        out[i] = peak * math.exp(-0.5 * u * u)
