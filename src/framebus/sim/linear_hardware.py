"""An instrument known by its measured response matrix: wfs = reference + response · (dm + disturbance)."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np

from framebus.errors import BindingError
from framebus.sim.deformable_mirror import clipped
from framebus.sim.noise import normal, started
from framebus.unit import Array, ArraySpec, In, Out, Range, State, unit


@unit(fastmath={"reassoc", "contract", "nsz"})
def linear_hardware(
    dm: Annotated[In, Array(None, dtype="float32")],
    response: Annotated[In, Array(("n_act", "n_measure"), dtype="float32")],
    reference: Annotated[In, Array(None, dtype="float32")],
    disturbance: Annotated[In, Array(("n_vectors", "n_act"), dtype="float32")],
    weights: Annotated[In, Array(("n_act",), dtype="float32")],
    wfs: Annotated[Out, Array(None, dtype="float32")],
    residual: Annotated[Out, Array((3,), dtype="float32")],
    error: Annotated[State, Array(("n_act",), dtype="float32")],
    position: Annotated[State, Array((1,), dtype="float64")],
    random: Annotated[State, Array((2,), dtype="uint64")],
    *,
    rate_hz: Annotated[float, Range(0.001, 1e6), "frames per second of simulated time"] = 1000.0,
    turbulence: Annotated[float, Range(0.0, 1000.0), "factor on the disturbance; 0 for calibration"] = 1.0,
    vectors_per_s: Annotated[float, Range(0.0, 1e6), "disturbance vectors per second: the wind"] = 500.0,
    stroke: Annotated[float, Range(0.0, 1e9), "largest command of either sign"] = 1e6,
    read_noise: Annotated[float, Range(0.0, 1e6), "rms of each measurement, in the sensor's units"] = 0.0,
    nm_per_unit: Annotated[float, Range(0.0, 1e9), "wavefront per command"] = 1000.0,
    science_um: Annotated[float, Range(0.1, 100.0), "wavelength of the Strehl ratio"] = 1.65,
    seed: Annotated[int, Range(0, 2**31 - 1), "of the noise; a new one starts it anew"] = 1,
) -> None:
    """One frame of a sensor that answers linearly, to the mirror and to turbulence in the mirror's own space.

    Time advances by 1 / ``rate_hz`` per frame, whatever the clock says. The mirror's commands are used as they
    stand: trigger the unit by a delay of the same rate. ``LinearHardware`` makes all inputs but ``dm``.

    Args:
        dm: commands, any shape, actuators in the order of the response's rows. Actuators that are missing
            count as 0, further ones are ignored; commands are clipped to the stroke, NaN counts as 0.
        response: change of each measurement per unit command.
        reference: what the sensor gives when all is flat; its shape is the frame's.
        disturbance: turbulence as commands, played in a circle with linear interpolation.
        weights: how much each actuator counts in the rms wavefront, 0 or more.
        wfs: reference + response · (dm + turbulence · disturbance) + noise.
        residual: rms wavefront of dm + disturbance in nm; its Strehl ratio at ``science_um`` by Maréchal's
            approximation, exp(-(2π rms / λ)²); rms wavefront of the disturbance alone in nm.
        error: dm + disturbance.
        position: disturbance vector that is played, with its fraction.
        random: state of the noise.
    """
    n_vectors = disturbance.shape[0]
    at = position[0]
    first = int(at)
    fraction = at - first
    for i in range(error.size):
        now = disturbance[first, i]
        error[i] = turbulence * (now + fraction * (disturbance[(first + 1) % n_vectors, i] - now))
    at = (at + vectors_per_s / rate_hz) % n_vectors
    position[0] = at if 0.0 <= at < n_vectors else 0.0
    residual[2] = nm_per_unit * weighted_rms(error, weights)
    commands = dm.reshape(dm.size)
    for i in range(min(error.size, commands.size)):
        error[i] += clipped(commands[i], np.float32(stroke))
    rms_nm = nm_per_unit * weighted_rms(error, weights)
    residual[0] = rms_nm
    residual[1] = math.exp(-((2.0e-3 * math.pi * rms_nm / science_um) ** 2))
    frame = wfs.reshape(wfs.size)
    respond(error, response, reference.reshape(reference.size), frame)
    if read_noise > 0.0:
        random[0] = add_noise(frame, started(random, seed), read_noise)


@linear_hardware.shapes
def _shapes(response: ArraySpec, reference: ArraySpec) -> dict[str, Any]:
    if math.prod(reference.shape) != response.shape[1]:
        raise BindingError(
            f"unit 'linear_hardware', argument 'reference': its shape is {reference.shape}, "
            f"{math.prod(reference.shape)} measurements, but 'response' {response.shape} has {response.shape[1]} per "
            f"actuator; expected the same number"
        )
    return {"wfs": (reference.shape, "float32")}


def weighted_rms(values: Any, weights: Any) -> float:
    """Weighted standard deviation of ``values``: the rms without piston. 0 when no weight is above 0."""
    total = 0.0
    mean = 0.0
    for i in range(values.size):
        total += weights[i]
        mean += weights[i] * values[i]
    if not total > 0.0:
        return 0.0
    mean /= total
    variance = 0.0
    for i in range(values.size):
        variance += weights[i] * (values[i] - mean) ** 2
    return math.sqrt(max(variance / total, 0.0))


def respond(error: Any, response: Any, reference: Any, frame: Any) -> None:
    """Frame = reference + error · response, in float32. A helper for compiled units.

    The matrix is read once, a block of rows at a time, so that the frame is loaded and stored once for all of
    them and the time is that of reading the matrix. Blocks of actuators at 0 are passed over.

    Args:
        error: (n_act,) float32.
        response: (n_act, n_measure) float32.
        reference: (n_measure,) float32.
        frame: (n_measure,) float32, filled.
    """
    n_act, n_measure = response.shape
    for k in range(n_measure):
        frame[k] = reference[k]
    fours = n_act - n_act % 4
    for i in range(0, fours, 4):
        a, b, c, d = error[i], error[i + 1], error[i + 2], error[i + 3]
        if a != 0.0 or b != 0.0 or c != 0.0 or d != 0.0:
            for k in range(n_measure):
                left = a * response[i, k] + b * response[i + 1, k]
                frame[k] += left + (c * response[i + 2, k] + d * response[i + 3, k])
    for i in range(fours, n_act):
        a = error[i]
        if a != 0.0:
            for k in range(n_measure):
                frame[k] += a * response[i, k]


def add_noise(frame: Any, word: Any, read_noise: float) -> Any:
    """Add a normal of rms ``read_noise`` to each value of a vector and return the generator's next word."""
    for k in range(frame.size):
        drawn, word = normal(word)
        frame[k] += np.float32(read_noise * drawn)
    return word
