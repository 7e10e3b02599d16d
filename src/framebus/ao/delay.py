"""Controllers that know the loop's delay: Smith predictor, pseudo-open-loop measurements.

Their model is that of ``framebus.ao.transfer``: with a delay of m + f frames the error of frame k has the commands
(1 - f) * command[k - m] + f * command[k - m - 1] in it. When such a unit is started again, the command that it finds
counts as the past. For ``excess`` see ``framebus.ao.control``.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from framebus.ao.history import LARGEST, MAX_DELAY, ROWS, fill, put, row, split_delay, take_back
from framebus.unit import About, Array, In, Out, Range, State, unit


@unit
def smith_predictor(
    error: Annotated[In, Array(("n",), dtype="float32"), "reconstructed error, in units of the command"],
    excess: Annotated[In, Array(("n",), dtype="float32"), "what of the last command the mirror did not do"],
    command: Annotated[Out, Array(("n",), dtype="float32"), "starts at zero"],
    past: Annotated[State, Array((ROWS, "n"), dtype="float32"), "past commands, rows in turn"],
    frames: Annotated[State, Array((1,), dtype="int64"), "how many there were"],
    *,
    gain: Annotated[float, Range(0.0, 2.0), "of the integrator inside"] = 0.3,
    leak: Annotated[float, Range(0.0, 1.0), "of the integrator inside"] = 0.99,
    delay: Annotated[float, Range(1.0, MAX_DELAY), About(unit="frames"), "of the loop, whole or not"] = 2.0,
    tracking: Annotated[float, Range(0.0, 1.0), "share of the excess that is taken back per frame"] = 1.0,
) -> None:
    """Leaky integrator on error + command[k-1] - delayed command: on the error that a delay of one frame would leave.

    With the right ``delay`` the loop has the stability of one with a delay of a single frame, whatever the delay is.
    A wrong one costs that stability: see ``smith_controller`` and ``is_stable``. Source: O. J. M. Smith, "Closer
    control of loops with dead time", Chem. Eng. Prog. 53 (1957) 217.
    """
    keep, step, share = np.float32(leak), np.float32(gain), np.float32(tracking)
    frame = frames[0]
    frames[0] = frame + 1
    if frame == 0:
        fill(past, command)
    whole, rest = split_delay(delay)
    last = past[row(frame, 1)]
    take_back(last, excess, share)
    near, far, here = past[row(frame, whole)], past[row(frame, whole + 1)], past[row(frame, 0)]
    for i in range(command.size):
        delayed = near[i] + rest * (far[i] - near[i])
        new = keep * last[i] - step * (error[i] + (last[i] - delayed))
        held = new if abs(new) <= LARGEST else last[i]
        command[i] = held
        here[i] = held


@unit
def pseudo_open_loop(
    error: Annotated[In, Array(("n",), dtype="float32"), "reconstructed error, in units of the command"],
    command: Annotated[In, Array(("n",), dtype="float32"), "what the mirror did last, read as it stands"],
    turbulence: Annotated[
        Out, Array(("n",), dtype="float32"), "the error that there would be without commands"
    ],
    past: Annotated[State, Array((ROWS, "n"), dtype="float32"), "past commands, rows in turn"],
    frames: Annotated[State, Array((1,), dtype="int64"), "how many there were"],
    *,
    delay: Annotated[float, Range(1.0, MAX_DELAY), About(unit="frames"), "of the loop, whole or not"] = 2.0,
) -> None:
    """Turbulence = error - ((1 - f) * command[k - m] + f * command[k - m - 1]) for a delay of m + f frames.

    ``command`` must be that of the frame before: put this unit and what makes the command into one loop (``fuse``),
    or see to it that commands are out before the next frame comes. An element that is not finite keeps its last
    value. Source: B. L. Ellerbroek and C. R. Vogel, "Simulations of closed-loop wavefront reconstruction for
    multiconjugate adaptive optics on giant telescopes", Proc. SPIE 5169 (2003) 206.
    """
    frame = frames[0]
    frames[0] = frame + 1
    if frame == 0:
        fill(past, command)
    put(past[row(frame, 1)], command)
    whole, rest = split_delay(delay)
    near, far = past[row(frame, whole)], past[row(frame, whole + 1)]
    for i in range(turbulence.size):
        value = error[i] - (near[i] + rest * (far[i] - near[i]))
        turbulence[i] = value if abs(value) <= LARGEST else turbulence[i]


@unit(fastmath={"reassoc", "contract", "nsz"})
def pseudo_open_loop_slopes(
    slopes: Annotated[In, Array(("n_slopes",), dtype="float32"), "slopes as measured"],
    interaction_matrix: Annotated[
        In,
        Array(("n_actuators", "n_slopes"), dtype="float32"),
        "slopes of each actuator or mode, one row each",
    ],
    command: Annotated[
        In, Array(("n_actuators",), dtype="float32"), "what the mirror did last, read as it stands"
    ],
    open_slopes: Annotated[
        Out, Array(("n_slopes",), dtype="float32"), "slopes that there would be without commands"
    ],
    past: Annotated[State, Array((ROWS, "n_actuators"), dtype="float32"), "past commands, rows in turn"],
    delayed: Annotated[State, Array(("n_actuators",), dtype="float32"), "those that are in the slopes"],
    frames: Annotated[State, Array((1,), dtype="int64"), "how many there were"],
    *,
    delay: Annotated[float, Range(1.0, MAX_DELAY), About(unit="frames"), "of the loop, whole or not"] = 2.0,
) -> None:
    """open_slopes = slopes - delayed command @ interaction_matrix; delay and command as for ``pseudo_open_loop``.

    An actuator whose command is not finite counts as 0.
    """
    frame = frames[0]
    frames[0] = frame + 1
    if frame == 0:
        fill(past, command)
    put(past[row(frame, 1)], command)
    whole, rest = split_delay(delay)
    near, far = past[row(frame, whole)], past[row(frame, whole + 1)]
    for j in range(delayed.size):
        value = near[j] + rest * (far[j] - near[j])
        delayed[j] = value if abs(value) <= LARGEST else np.float32(0.0)
    put(open_slopes, slopes)
    n = np.uintp(delayed.size)
    fours = n - n % np.uintp(4)
    # Four rows at a time, so that the slopes are loaded and stored once for all of them.
    for j in range(np.uintp(0), fours, np.uintp(4)):
        a, b, c, d = delayed[j], delayed[j + np.uintp(1)], delayed[j + np.uintp(2)], delayed[j + np.uintp(3)]
        row_a, row_b = interaction_matrix[j], interaction_matrix[j + np.uintp(1)]
        row_c, row_d = interaction_matrix[j + np.uintp(2)], interaction_matrix[j + np.uintp(3)]
        for i in range(open_slopes.size):
            open_slopes[i] -= (a * row_a[i] + b * row_b[i]) + (c * row_c[i] + d * row_d[i])
    for j in range(fours, n):
        a = delayed[j]
        row_a = interaction_matrix[j]
        for i in range(open_slopes.size):
            open_slopes[i] -= a * row_a[i]
