"""Handing slow and large motions to another mirror: tip-tilt to a stage, low orders from a tweeter to a woofer."""

from __future__ import annotations

from typing import Annotated

import numpy as np

from framebus.ao.history import LARGEST
from framebus.unit import SKIP, Array, In, Out, Range, State, unit


@unit(fastmath={"reassoc", "contract", "nsz"})
def offload(
    command: Annotated[In, Array(("n",), dtype="float32"), "of the fast mirror"],
    projector: Annotated[
        In,
        Array(("n_slow", "n"), dtype="float32"),
        "command of the slow mirror for that of the fast one, a row each",
    ],
    slow: Annotated[Out, Array(("n_slow",), dtype="float32"), "command of the slow mirror; starts at zero"],
    total: Annotated[State, Array(("n_slow",), dtype="float64"), "sums of the frames since the last update"],
    frames: Annotated[State, Array((1,), dtype="int64"), "how many these are"],
    *,
    gain: Annotated[float, Range(0.0, 1.0), "share of the fast mirror's command that is taken over"] = 0.01,
    leak: Annotated[float, Range(0.0, 1.0), "share of the slow mirror's command that is kept"] = 1.0,
    limit: Annotated[float, Range(0.0, None), "largest command of the slow mirror, either sign"] = 1.0,
    every: Annotated[int, Range(1, None), "frames that are averaged for one update"] = 1,
) -> int:
    """Slow = clip(leak * slow + gain * projector @ mean(command)); nothing is published in between.

    The fast loop sees what the slow mirror does and gives way, so the sign is that of the command: a fast mirror that
    is held off centre moves the slow one until it is centred. A frame that is not finite is not counted. Keep
    ``gain`` well below ``every`` over the slow mirror's response time in frames.
    """
    bad = np.int32(0)
    for i in range(command.size):
        bad += np.int32(0) if abs(command[i]) <= LARGEST else np.int32(1)
    if bad > 0:
        return SKIP
    for k in range(total.size):
        value = np.float32(0.0)
        for i in range(command.size):
            value += projector[k, i] * command[i]
        total[k] += np.float64(value)
    frames[0] += 1
    if frames[0] < every:
        return SKIP
    bound = np.float32(limit)
    for k in range(total.size):
        new = np.float32(leak) * slow[k] + np.float32(gain * total[k] / np.float64(frames[0]))
        new = min(max(new, -bound), bound)
        slow[k] = new if abs(new) <= LARGEST else slow[k]
        total[k] = 0.0
    frames[0] = 0
    return 0
