"""From measurements to modes or actuators: one matrix-vector product per frame."""

from __future__ import annotations

from typing import Annotated

import numpy as np

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
