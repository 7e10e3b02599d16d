"""Between controller and mirror: what happens when the loop's measurements are no good.

The guard looks at what the sensor measured, how much light there was and how much of the mirror is at its limits, and
lets the command through, holds it, lets it leak away or opens the loop. ``shortfall`` tells the controller, so that it
goes on from what the mirror did once all is well again.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from framebus.ao.dm_limits import DM_STATUS
from framebus.ao.history import LARGEST
from framebus.unit import Array, ArraySpec, In, Out, Range, State, unit

NOTHING, HOLD, LEAK, OPEN, END = range(5)
"""What the guard can do, the stronger the higher."""

GUARD_STATUS = (
    "state",
    "reasons",
    "good_frames",
    "latched",
    "frames",
    "bad_inputs",
    "outliers",
    "flux_losses",
    "saturations",
    "held",
    "leaked",
    "opened",
    "changes",
)
"""What the elements of ``guard``'s status are. ``state``: 0 closed, 1 holding, 2 leaking, 3 open; ``reasons``: of the
last frame, 1 input not finite, 2 outliers, 4 too little light, 8 saturation, 16 opened by ``closed``. From ``frames``
on they count frames since the stream was made, and ``changes`` how often the state changed."""

ENDED = 1000
"""What the unit returns when it ends the loop, plus the reasons; its process record tells."""


@unit(fastmath={"reassoc", "contract", "nsz"})
def guard(
    command: Annotated[In, Array(..., dtype="float32"), "what the controller asks for"],
    error: Annotated[
        In, Array(..., dtype="float32"), "measurements to look at: slopes, or reconstructed errors"
    ],
    flux: Annotated[In, Array(..., dtype="float32"), "light; the sum of all its elements counts"],
    dm_status: Annotated[In, Array((len(DM_STATUS),), dtype="int64"), "of ``dm_limits``, read as it stands"],
    safe: Annotated[
        Out, Array(..., dtype="float32"), "always finite, in the shape of the command; starts at zero"
    ],
    status: Annotated[Out, Array((len(GUARD_STATUS),), dtype="int64"), "see ``GUARD_STATUS``"],
    waited: Annotated[State, Array((1,), dtype="int64"), "frames that it has been holding"],
    *,
    closed: Annotated[bool, "off opens the loop; off and on again also ends a latch"] = True,
    on_bad_input: Annotated[int, Range(0, 4), "1 hold, 2 leak, 3 open, 4 end the loop, 0 nothing"] = HOLD,
    on_flux_loss: Annotated[int, Range(0, 4), "likewise"] = HOLD,
    on_saturation: Annotated[int, Range(0, 4), "likewise"] = NOTHING,
    outlier: Annotated[
        float, Range(0.0, None), "measurements above that, either sign, are bad; 0: none is"
    ] = 0.0,
    max_bad: Annotated[int, Range(0, None), "bad measurements that a frame may have"] = 0,
    min_flux: Annotated[float, Range(0.0, None), "light that a frame needs; 0: not looked at"] = 0.0,
    max_saturated: Annotated[int, Range(0, None), "actuators that may be clipped"] = 0,
    leak: Annotated[
        float, Range(0.0, 1.0), "share of the command that is kept per frame while leaking"
    ] = 0.99,
    patience: Annotated[int, Range(0, None), "frames of holding after which it leaks; 0: holds on"] = 0,
    recover: Annotated[int, Range(1, None), "good frames in a row that close the loop again"] = 10,
    latch: Annotated[bool, "once open, stay so until ``closed`` was off"] = False,
) -> int:
    """Safe = command, or the last one, or leak * the last one, or 0, as the frame and those before it deserve.

    Each frame is looked at for measurements that are not finite or too large (more than ``max_bad``:
    ``on_bad_input``), light below ``min_flux`` or not finite (``on_flux_loss``), and more than ``max_saturated``
    clipped actuators (``on_saturation``). The strongest answer holds, and is kept until ``recover`` good frames have
    come; a stronger one replaces it at once. The command lies on top of the flat, so leaking ends there.

    An element of the command that is not finite keeps its last value in any case. With action 4 the unit ends, and
    the loop with it, with the code 1000 + reasons in its process record; the mirror keeps its last frame.
    """
    reasons, action = 0, 0
    broken, bad = _inspect(error.reshape(-1), np.float32(outlier))
    if broken > 0 and broken + bad > max_bad:
        reasons |= 1
        status[5] += 1
    if bad > 0 and broken + bad > max_bad:
        reasons |= 2
        status[6] += 1
    if reasons != 0:
        action = max(action, on_bad_input)
    if min_flux > 0.0 and not (_sum(flux.reshape(-1)) >= np.float32(min_flux)):
        reasons |= 4
        status[7] += 1
        action = max(action, on_flux_loss)
    if on_saturation != 0 and dm_status[1] > max_saturated:
        reasons |= 8
        status[8] += 1
        action = max(action, on_saturation)
    if not closed:
        reasons |= 16
    status[1] = reasons
    status[4] += 1
    if action >= END and closed:
        return ENDED + reasons
    _next_state(status, waited, min(action, OPEN), closed, patience, recover, latch)
    _pass_on(command.reshape(-1), safe.reshape(-1), status[0], np.float32(leak))
    return 0


@guard.shapes
def _guard_shapes(command: ArraySpec) -> dict[str, Any]:
    return {"safe": (command.shape, "float32")}


def _inspect(error: Any, outlier: Any) -> tuple[Any, Any]:
    """How many elements are not finite, and how many of the others are outliers."""
    limit = outlier if outlier > np.float32(0.0) else LARGEST
    broken, bad = np.int32(0), np.int32(0)
    for i in range(error.size):
        size = abs(error[i])
        broken += np.int32(0) if size <= LARGEST else np.int32(1)
        bad += np.int32(0) if size <= limit else np.int32(1)
    return np.int64(broken), np.int64(bad) - np.int64(broken)


def _sum(values: Any) -> Any:
    total = np.float32(0.0)
    for i in range(values.size):
        total += values[i]
    return total


def _next_state(
    status: Any, waited: Any, action: Any, closed: Any, patience: Any, recover: Any, latch: Any
) -> None:
    """What the guard does from this frame on, and how often it has."""
    before = status[0]
    state = min(max(before, 0), OPEN)
    status[2] = 0 if action > 0 else status[2] + 1
    if not closed:
        state = OPEN
        status[3] = 0
    elif status[3] != 0 and latch:
        state = OPEN
    else:
        status[3] = 0
        if action > 0:
            state = max(state, action)
        elif status[2] >= recover:
            state = NOTHING
        status[3] = 1 if latch and state == OPEN and action > 0 else 0
    waited[0] = waited[0] + 1 if state == HOLD else 0
    if state == HOLD and 0 < patience < waited[0]:
        state = LEAK
    status[0] = state
    if state > NOTHING:
        status[8 + state] += 1
    status[12] += 1 if state != before else 0


def _pass_on(command: Any, safe: Any, state: Any, leak: Any) -> None:
    """The command as the state has it; nothing that is not finite."""
    factor = leak if state == LEAK else np.float32(0.0) if state == OPEN else np.float32(1.0)
    for i in range(safe.size):
        last = factor * (safe[i] if abs(safe[i]) <= LARGEST else np.float32(0.0))
        safe[i] = command[i] if state == NOTHING and abs(command[i]) <= LARGEST else last
