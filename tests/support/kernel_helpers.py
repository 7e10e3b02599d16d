"""Functions and constants in another module, for units that reach over."""

from __future__ import annotations

import numpy as np

GAIN = 3.0
TABLE = np.array([1.0, 2.0, 4.0], np.float32)


def twice(x: float) -> float:
    return 2 * x


def scaled(x: float, *, offset: float = 1.0) -> float:
    return GAIN * twice(x) + offset
