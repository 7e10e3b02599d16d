"""Parts of frames: the units ``crop``, a window of each frame, and ``bin``, its pixels put together.

Their targets' shapes say how large window and bins are, so these streams are there before the units:
``framebus.ops.operators`` makes them, and a pipeline declares them. (An axis with a name that no input has says so.)
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from framebus.unit.arrays import Array, In, Out
from framebus.unit.declare import unit
from framebus.unit.parameters import Range

REAL = (
    *("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float32", "float64"),
)
ANY = (*REAL, "complex64", "complex128")
"""What compiled code computes with: all that a stream holds, float16 aside."""


@unit(carries=True)
def crop(
    source: Annotated[In, Array(..., dtype=ANY), "1 to 3 axes"],
    target: Annotated[
        Out,
        Array(("first", ...), dtype=ANY),
        "as many axes, of the source's dtype; its shape is the window's",
    ],
    *,
    x: Annotated[int, Range(0, None), "first pixel taken along the last axis"] = 0,
    y: Annotated[int, Range(0, None), "along the last but one"] = 0,
    z: Annotated[int, Range(0, None), "along the first of three"] = 0,
    step_x: Annotated[int, "from one pixel taken to the next; negative: downwards"] = 1,
    step_y: int = 1,
    step_z: int = 1,
) -> None:
    """Target = a window of each frame, under the frame's own count, with its keywords.

    The window may be moved while it runs. One that would reach over an edge is moved back until it does not.
    """
    rank = source.ndim
    if target.ndim != rank:
        raise ValueError("crop: source and target have different numbers of axes")
    nx = target.shape[rank - 1]
    ny = target.shape[rank - 2] if rank > 1 else 1
    nz = target.shape[0] if rank > 2 else 1
    # All as three axes, the first ones of length 1 where the frame has fewer.
    wide = source.shape[rank - 1]
    high = source.shape[rank - 2] if rank > 1 else 1
    deep = source.shape[0] if rank > 2 else 1
    first_x = inside(x, step_x, nx, wide)
    first_y = inside(y, step_y, ny, high)
    first_z = inside(z, step_z, nz, deep)
    pixels, window = source.reshape(-1), target.reshape(-1)
    for k in range(nz):
        for j in range(ny):
            row = ((first_z + k * step_z) * high + first_y + j * step_y) * wide + first_x
            at = (k * ny + j) * nx
            for i in range(nx):
                window[at + i] = pixels[row + i * step_x]


def inside(first: Any, step: Any, n: Any, size: Any) -> Any:
    """``first``, or the nearest pixel from which ``n`` steps stay within ``size`` pixels."""
    reach = (n - 1) * step
    lowest, highest = max(0, -reach), size - 1 - max(0, reach)
    if lowest > highest:
        raise ValueError("crop: the window is larger than the frame")
    return min(max(first, lowest), highest)


@unit(carries=True)
def bin(  # noqa: A001 - milk's and everybody's word for it
    source: Annotated[In, Array(..., dtype=REAL), "1 to 3 axes"],
    target: Annotated[
        Out, Array(..., dtype=("float32", "float64")), "as many axes; one element for each bin"
    ],
    *,
    x: Annotated[int, Range(1, None), "pixels of a bin along the last axis"] = 1,
    y: Annotated[int, Range(1, None), "along the last but one"] = 1,
    z: Annotated[int, Range(1, None), "along the first of three"] = 1,
    total: Annotated[bool, "sum up instead of averaging"] = False,
) -> None:
    """Target = mean (or sum) of the pixels of each bin, under the frame's own count, with its keywords.

    Bins begin at the first pixel; pixels behind the last whole bin are left out. Sums are made in float64.
    """
    rank = source.ndim
    if target.ndim != rank:
        raise ValueError("bin: source and target have different numbers of axes")
    nx = target.shape[rank - 1]
    ny = target.shape[rank - 2] if rank > 1 else 1
    nz = target.shape[0] if rank > 2 else 1
    wide = source.shape[rank - 1]
    high = source.shape[rank - 2] if rank > 1 else 1
    deep = source.shape[0] if rank > 2 else 1
    of_y = y if rank > 1 else 1
    of_z = z if rank > 2 else 1
    if nx * x > wide or ny * of_y > high or nz * of_z > deep:
        raise ValueError("bin: the target has more bins than the source has pixels for")
    pixels, bins = source.reshape(-1), target.reshape(-1)
    share = 1.0 if total else 1.0 / np.float64(x * of_y * of_z)
    for k in range(nz):
        for j in range(ny):
            for i in range(nx):
                value = 0.0
                for dk in range(of_z):
                    for dj in range(of_y):
                        row = ((k * of_z + dk) * high + j * of_y + dj) * wide + i * x
                        for di in range(x):
                            value += np.float64(pixels[row + di])
                bins[(k * ny + j) * nx + i] = value * share
