"""From measurements to modes or actuators: one matrix-vector product per frame; and modes taken out of a vector."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from framebus.ao.history import LARGEST, put
from framebus.unit import Array, In, Out, unit


@unit(fastmath={"reassoc", "contract", "nsz"})
def reconstruct(
    slopes: Annotated[In, Array(("n_in",), dtype="float32"), "measurement"],
    control_matrix: Annotated[In, Array(("n_out", "n_in"), dtype="float32"), "one row per output"],
    modes: Annotated[Out, Array(("n_out",), dtype="float32"), "modes or actuators"],
) -> None:
    """Modes = control_matrix @ slopes, in float32.

    Also takes modes to actuators, with a matrix of one row per actuator.
    """
    n_out, n_in = control_matrix.shape
    # Four rows at a time, so that each slope is loaded once for all of them.
    fours = n_out - n_out % 4
    for i in range(0, fours, 4):
        a, b, c, d = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for j in range(n_in):
            slope = slopes[j]
            a += control_matrix[i, j] * slope
            b += control_matrix[i + 1, j] * slope
            c += control_matrix[i + 2, j] * slope
            d += control_matrix[i + 3, j] * slope
        modes[i] = a
        modes[i + 1] = b
        modes[i + 2] = c
        modes[i + 3] = d
    for i in range(fours, n_out):
        a = np.float32(0.0)
        for j in range(n_in):
            a += control_matrix[i, j] * slopes[j]
        modes[i] = a


@unit(fastmath={"reassoc", "contract", "nsz"})
def split_modes(
    vector: Annotated[In, Array(("n",), dtype="float32"), "slopes, actuators or modes"],
    modes: Annotated[In, Array(("n_modes", "n"), dtype="float32"), "what is split off, one row per mode"],
    projector: Annotated[
        In, Array(("n_modes", "n"), dtype="float32"), "as ``mode_projector`` makes it of them"
    ],
    amplitudes: Annotated[Out, Array(("n_modes",), dtype="float32"), "how much of each mode there was"],
    rest: Annotated[Out, Array(("n",), dtype="float32"), "the vector without them"],
) -> None:
    """Amplitudes = projector @ vector; rest = vector - amplitudes @ modes.

    Splits tip and tilt from slopes, piston and waffle from a mirror's command, a woofer's part from a tweeter's. For a
    few modes: the matrices are read in two passes. An element that is not finite is none of the modes' and stays in
    the rest.
    """
    n_modes, n = modes.shape
    zero = np.float32(0.0)
    for k in range(n_modes):
        total = zero
        for i in range(n):
            total += projector[k, i] * (vector[i] if abs(vector[i]) <= LARGEST else zero)
        amplitudes[k] = total
    put(rest, vector)
    for k in range(n_modes):
        size = amplitudes[k]
        for i in range(n):
            rest[i] -= size * modes[k, i]
