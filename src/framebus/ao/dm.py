"""The last step before a deformable mirror: command plus flat, inside the mirror's limits."""

from __future__ import annotations

from math import prod
from typing import Annotated, Any

import numpy as np

from framebus.errors import BindingError
from framebus.unit import Array, ArraySpec, In, Out, unit


@unit
def dm_command(
    command: Annotated[In, Array(..., dtype="float32"), "one value per actuator, any shape"],
    flat: Annotated[
        In, Array(..., dtype="float32"), "command that makes the mirror flat, in the mirror's shape"
    ],
    dm: Annotated[Out, Array(..., dtype="float32"), "what the mirror gets, in the shape of ``flat``"],
    *,
    minimum: Annotated[float, "lowest value that an actuator takes, in its own units"] = -1.0,
    maximum: Annotated[float, "highest value that an actuator takes, in its own units"] = 1.0,
) -> None:
    """Dm = clip(flat + command, minimum, maximum).

    Actuator k of the command is element k of the flat in C order. An actuator whose sum is not finite keeps
    what it was sent last.
    """
    wanted = command.reshape(-1)
    rest = flat.reshape(-1)
    sent = dm.reshape(-1)
    low = np.float32(minimum)
    high = np.float32(maximum)
    for i in range(sent.size):
        value = rest[i] + wanted[i]
        clipped = min(max(value, low), high)
        sent[i] = clipped if np.isfinite(value) else sent[i]


@dm_command.shapes
def _dm_command_shapes(command: ArraySpec, flat: ArraySpec) -> dict[str, Any]:
    if prod(command.shape) != prod(flat.shape):
        raise BindingError(
            f"unit 'dm_command', argument 'flat': its shape is {flat.shape}, {prod(flat.shape)} actuators, but "
            f"'command' has {prod(command.shape)} ({command.shape}); expected the same number"
        )
    return {"dm": (flat.shape, "float32")}
