"""The unit ``average``: many frames into one."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from framebus.ops.windows import REAL
from framebus.unit.arrays import Array, ArraySpec, In, Out, State
from framebus.unit.declare import unit
from framebus.unit.parameters import Range
from framebus.unit.stage import SKIP


@unit
def average(
    source: Annotated[In, Array(..., dtype=REAL), "any shape"],
    target: Annotated[Out, Array(..., dtype=("float32", "float64")), "the means, in the source's shape"],
    sums: Annotated[State, Array(("size",), dtype="float64"), "of the block so far"],
    done: Annotated[State, Array((1,), dtype="int64"), "frames of the block so far"],
    *,
    frames: Annotated[int, Range(1, None), "frames of a block"] = 10,
) -> int:
    """Target = mean of each element over ``frames`` frames, published once for every block of them.

    Blocks follow one another without overlap. A value that is not finite makes its element's mean so.
    """
    values, means = source.reshape(-1), target.reshape(-1)
    if values.size != means.size:
        raise ValueError("average: source and target have different sizes")
    if done[0] == 0:
        sums[:] = 0.0
    for i in range(values.size):
        sums[i] += np.float64(values[i])
    done[0] += 1
    if done[0] < frames:
        return SKIP
    for i in range(values.size):
        means[i] = sums[i] / np.float64(done[0])
    done[0] = 0
    return 0


@average.shapes
def _shapes(source: ArraySpec) -> dict[str, Any]:
    return {
        "target": (source.shape, mean_dtype(source.dtype)),
        "sums": ((int(np.prod(source.shape)),), "float64"),
    }


def mean_dtype(*dtypes: np.dtype[Any]) -> np.dtype[Any]:
    """What means and sums of such values are held in: float32 where that keeps their digits, else float64.

    Of complex values the complex type of that precision.
    """
    return np.result_type(np.float32, *dtypes)
