"""Controllers: from the measured error to the command.

An element whose error, or whose new value, is not finite keeps its last command: one bad number must not
stay in the integrator for ever.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from framebus.unit import Array, In, Out, Range, unit


@unit
def leaky_integrator(
    error: Annotated[In, Array(("n",), dtype="float32"), "reconstructed error, in units of the command"],
    command: Annotated[Out, Array(("n",), dtype="float32"), "starts at zero"],
    *,
    gain: Annotated[float, Range(0.0, 2.0), "share of the error that is taken out per frame"] = 0.3,
    leak: Annotated[
        float, Range(0.0, 1.0), "share of the command that is kept; 1 is a pure integrator"
    ] = 0.99,
) -> None:
    """Command = leak * command - gain * error."""
    kept = np.float32(leak)
    step = np.float32(gain)
    for i in range(command.size):
        new = kept * command[i] - step * error[i]
        command[i] = new if np.isfinite(new) else command[i]


@unit
def modal_integrator(
    error: Annotated[In, Array(("n",), dtype="float32"), "reconstructed error per mode"],
    mode_gains: Annotated[In, Array(("n",), dtype="float32"), "gain of each mode, multiplied by ``gain``"],
    command: Annotated[Out, Array(("n",), dtype="float32"), "starts at zero"],
    *,
    gain: Annotated[float, Range(0.0, 2.0), "gain of all modes"] = 0.3,
    leak: Annotated[
        float, Range(0.0, 1.0), "share of the command that is kept; 1 is a pure integrator"
    ] = 0.99,
) -> None:
    """Command = leak * command - gain * mode_gains * error, mode by mode."""
    kept = np.float32(leak)
    step = np.float32(gain)
    for i in range(command.size):
        new = kept * command[i] - step * mode_gains[i] * error[i]
        command[i] = new if np.isfinite(new) else command[i]
