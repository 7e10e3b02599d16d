"""Integrators: from the measured error to the command.

An element whose error, or whose new value, is not finite keeps its last command: one bad number must not
stay in the integrator for ever.

Controllers with an input ``excess`` go on from what the mirror did, not from what they asked for: that input says by
how much the last command went beyond it (``shortfall`` makes it), and is 0 as long as nothing was limited.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from framebus.ao.shapes import same_number
from framebus.unit import Array, ArraySpec, In, Out, Range, unit


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


@unit
def map_integrator(
    error: Annotated[In, Array(..., dtype="float32"), "reconstructed error, any shape"],
    gains: Annotated[In, Array(..., dtype="float32"), "gain of each element, multiplied by ``gain``"],
    leaks: Annotated[In, Array(..., dtype="float32"), "leak of each element, multiplied by ``leak``"],
    excess: Annotated[In, Array(..., dtype="float32"), "what of the last command the mirror did not do"],
    command: Annotated[Out, Array(..., dtype="float32"), "in the shape of the error; starts at zero"],
    *,
    gain: Annotated[float, Range(0.0, 2.0), "gain of all elements"] = 0.3,
    leak: Annotated[float, Range(0.0, 1.0), "leak of all elements; 1 is a pure integrator"] = 1.0,
    tracking: Annotated[float, Range(0.0, 1.0), "share of the excess that is taken back per frame"] = 1.0,
) -> None:
    """Command = leak * leaks * (command - tracking * excess) - gain * gains * error, element by element.

    All inputs have as many elements as the error, in any shapes: gains and leaks per mode, or as maps in the mirror's
    shape. A ``tracking`` of 1 lets nothing wind up while the mirror is limited (back-calculation, K. J. Astrom and
    T. Hagglund, "PID Controllers", 2nd ed., 1995, section 3.5). Choose about 0.5 where the excess comes a frame late,
    which it may if the mirror's unit is in another loop.
    """
    measured, kept, given = error.reshape(-1), leaks.reshape(-1), command.reshape(-1)
    factor, beyond = gains.reshape(-1), excess.reshape(-1)
    keep, step, share = np.float32(leak), np.float32(gain), np.float32(tracking)
    for i in range(given.size):
        base = given[i] - share * beyond[i]
        new = keep * kept[i] * base - step * factor[i] * measured[i]
        given[i] = new if np.isfinite(new) else given[i]


@map_integrator.shapes
def _map_integrator_shapes(
    error: ArraySpec, gains: ArraySpec, leaks: ArraySpec, excess: ArraySpec
) -> dict[str, Any]:
    same_number("map_integrator", "error", error, {"gains": gains, "leaks": leaks, "excess": excess})
    return {"command": (error.shape, "float32")}


@unit
def open_loop_integrator(
    turbulence: Annotated[
        In, Array(("n",), dtype="float32"), "error that there would be with the loop open, as estimated"
    ],
    excess: Annotated[In, Array(("n",), dtype="float32"), "what of the last command the mirror did not do"],
    command: Annotated[Out, Array(("n",), dtype="float32"), "starts at zero"],
    *,
    gain: Annotated[float, Range(0.0, 1.0), "share of the way to the new estimate"] = 0.5,
    tracking: Annotated[float, Range(0.0, 1.0), "share of the excess that is taken back per frame"] = 1.0,
) -> None:
    """Command = (1 - gain) * (command - tracking * excess) - gain * turbulence.

    The controller behind ``pseudo_open_loop`` or ``pseudo_open_loop_slopes`` and a reconstructor that knows the
    turbulence's statistics. Source: L. Gilles, "Closed-loop stability and performance analysis of least-squares and
    minimum-variance control algorithms for multiconjugate adaptive optics", Appl. Opt. 44 (2005) 993.
    """
    step, share = np.float32(gain), np.float32(tracking)
    keep = np.float32(1.0) - step
    for i in range(command.size):
        new = keep * (command[i] - share * excess[i]) - step * turbulence[i]
        command[i] = new if np.isfinite(new) else command[i]


@unit
def shortfall(
    command: Annotated[In, Array(..., dtype="float32"), "what the controller asked for"],
    passed: Annotated[
        In, Array(..., dtype="float32"), "what the guard let through; without one, the command"
    ],
    wanted: Annotated[In, Array(..., dtype="float32"), "what the mirror was asked for, all channels"],
    dm: Annotated[In, Array(..., dtype="float32"), "what it was sent"],
    excess: Annotated[Out, Array(..., dtype="float32"), "in the shape of the command"],
) -> None:
    """Excess = (command - passed) + (wanted - dm): what of the command the mirror did not do; 0 where not finite.

    All four have one value per actuator, in any shapes. A controller of modes gets its excess through ``reconstruct``
    with the matrix from actuators to modes.
    """
    asked, let, whole, sent = command.reshape(-1), passed.reshape(-1), wanted.reshape(-1), dm.reshape(-1)
    beyond = excess.reshape(-1)
    for i in range(beyond.size):
        value = (asked[i] - let[i]) + (whole[i] - sent[i])
        beyond[i] = value if np.isfinite(value) else np.float32(0.0)


@shortfall.shapes
def _shortfall_shapes(
    command: ArraySpec, passed: ArraySpec, wanted: ArraySpec, dm: ArraySpec
) -> dict[str, Any]:
    same_number("shortfall", "command", command, {"passed": passed, "wanted": wanted, "dm": dm})
    return {"excess": (command.shape, "float32")}
