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
    dm: Annotated[In, Array(..., dtype="float32"), "commands in the order of the response's rows, any shape"],
    response: Annotated[In, Array(("n_act", "n_measure"), dtype="float32"), "measurements per unit command"],
    reference: Annotated[
        In, Array(..., dtype="float32"), "what the sensor gives when all is flat, its own shape"
    ],
    disturbance: Annotated[
        In, Array(("n_vectors", "n_act"), dtype="float32"), "turbulence as commands, in a circle"
    ],
    metric: Annotated[
        In, Array(("n_act", "n_act"), dtype="float32"), "wavefront variance is eᵀ · metric · e"
    ],
    wfs: Annotated[Out, Array(..., dtype="float32"), "the sensor's frame, in the shape of ``reference``"],
    residual: Annotated[
        Out, Array((3,), dtype="float32"), "rms nm, Strehl ratio, rms nm of the turbulence alone"
    ],
    errors: Annotated[
        State, Array((2, "n_act"), dtype="float32"), "turbulence of this frame; its sum with dm"
    ],
    position: Annotated[
        State, Array((1,), dtype="float64"), "disturbance vector that is next, with its fraction"
    ],
    random: Annotated[State, Array((2,), dtype="uint64"), "of the noise"],
    *,
    rate_hz: Annotated[float, Range(0.001, 1e6), "frames per second of simulated time"] = 1000.0,
    turbulence: Annotated[float, Range(0.0, 1000.0), "factor on the disturbance; 0 for calibration"] = 1.0,
    vectors_per_s: Annotated[float, Range(0.0, 1e6), "disturbance vectors per second: the wind"] = 500.0,
    stroke: Annotated[float, Range(0.0, 1e9), "largest command of either sign"] = 1e6,
    read_noise: Annotated[float, Range(0.0, 1e6), "rms of each measurement, in the sensor's units"] = 0.0,
    nm_per_unit: Annotated[float, Range(0.0, 1e9), "wavefront per command"] = 1000.0,
    science_um: Annotated[float, Range(0.1, 100.0), "wavelength of the Strehl ratio"] = 0.75,
    seed: Annotated[int, Range(0, 2**31 - 1), "of the noise; a new one starts it anew"] = 1,
) -> None:
    """Wfs = reference + response · (dm + turbulence · disturbance) + noise, in float32.

    Time advances by 1 / ``rate_hz`` per frame, whatever the clock says; between disturbance vectors it is
    interpolated. The mirror is used as it stands: trigger the unit by a delay of the same rate.
    ``LinearHardware`` makes all inputs but ``dm``. Actuators that ``dm`` lacks count as 0, further ones are
    ignored; commands beyond the stroke are clipped, and NaN counts as 0. The Strehl ratio at ``science_um`` is
    Maréchal's approximation, exp(-(2π rms / λ)²).
    """
    n_act, n_vectors = errors.shape[1], disturbance.shape[0]
    at = position[0]
    first = int(at)
    fraction = at - first
    commands = dm.reshape(dm.size)
    for i in range(n_act):
        now = disturbance[first, i]
        errors[0, i] = turbulence * (now + fraction * (disturbance[(first + 1) % n_vectors, i] - now))
        command = clipped(commands[i], np.float32(stroke)) if i < commands.size else np.float32(0.0)
        errors[1, i] = errors[0, i] + command
    at = (at + vectors_per_s / rate_hz) % n_vectors
    position[0] = at if 0.0 <= at < n_vectors else 0.0
    before, after = variances(errors, metric)
    rms_nm = nm_per_unit * math.sqrt(max(after, 0.0))
    residual[0] = rms_nm
    residual[1] = math.exp(-((2.0e-3 * math.pi * rms_nm / science_um) ** 2))
    residual[2] = nm_per_unit * math.sqrt(max(before, 0.0))
    frame = wfs.reshape(wfs.size)
    respond(errors[1], response, reference.reshape(reference.size), frame)
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


def variances(errors: Any, metric: Any) -> tuple[float, float]:
    """For both rows e of (2, n_act) ``errors``: eᵀ · metric · e. The matrix is read once."""
    first = 0.0
    second = 0.0
    for i in range(metric.shape[0]):
        a = np.float32(0.0)
        b = np.float32(0.0)
        for k in range(metric.shape[1]):
            a += metric[i, k] * errors[0, k]
            b += metric[i, k] * errors[1, k]
        first += errors[0, i] * a
        second += errors[1, i] * b
    return first, second


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
