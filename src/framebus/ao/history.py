"""Past commands of a controller, for units that must know what the mirror did when a frame was exposed.

Rows of a ``State`` are used in turn: frame k writes row k mod ``ROWS``. How many frames were seen lies in another
``State``, which is 0 at first, so that a unit that is started again can take the command it finds for its past.
"""

from __future__ import annotations

from typing import Any

import numpy as np

ROWS = 9
"""Past commands that are kept."""
MAX_DELAY = ROWS - 1.0
"""The longest delay that they can serve, frames."""
LARGEST = np.float32(3.4028235e38)
"""The largest finite float32. ``abs(x) <= LARGEST`` is false for infinity and NaN, whatever fastmath allows."""


def row(frame: Any, ago: Any) -> Any:
    """The row of the frame that was ``ago`` frames before number ``frame``, 0 to ``ROWS`` ago."""
    return (np.int64(frame) + np.int64(2 * ROWS) - np.int64(ago)) % np.int64(ROWS)


def put(target: Any, source: Any) -> None:
    """Copy a vector. As a loop: ``target[:] = source`` takes Numba seconds to compile."""
    for i in range(target.size):
        target[i] = source[i]


def fill(past: Any, values: Any) -> None:
    """Let every row be ``values``: as if the mirror had stood there for long."""
    for k in range(past.shape[0]):
        for i in range(values.size):
            past[k, i] = values[i]


def take_back(last: Any, excess: Any, share: Any) -> None:
    """Take out of the last command the share of what the mirror did not do; what is not finite is left alone."""
    for i in range(last.size):
        done = last[i] - share * excess[i]
        last[i] = done if abs(done) <= LARGEST else last[i]


def split_delay(delay: Any) -> Any:
    """Whole frames and the rest of a delay, which is held within 1 to ``MAX_DELAY``."""
    bounded = min(max(delay, 1.0), MAX_DELAY)
    whole = np.int64(bounded)
    return whole, np.float32(bounded - np.float64(whole))
