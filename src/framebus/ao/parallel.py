"""One matrix-vector product on several CPUs: each loop has a part of the rows, one of them joins the results.

The main loop fuses ``reconstruct_part`` and one ``join_parts`` for each helper; a helper is a ``reconstruct_part`` in
a loop of its own, thread or process, that the same slopes trigger. Nobody waits for anybody: a part carries the
slopes that it was computed from, and where these are not those of the frame, because the helper is late, the rows are
computed here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.history import put
from framebus.errors import BindingError, UsageError
from framebus.unit import Array, ArraySpec, In, Out, unit


@unit(fastmath={"reassoc", "contract", "nsz"})
def reconstruct_part(
    slopes: Annotated[In, Array(("n_in",), dtype="float32"), "measurement"],
    control_matrix: Annotated[
        In, Array(("n_rows", "n_in"), dtype="float32"), "some rows, as of ``split_rows``"
    ],
    part: Annotated[Out, Array((None,), dtype="float32"), "modes of these rows, then the slopes"],
) -> None:
    """Part = (control_matrix @ slopes, slopes), one after the other in one vector."""
    rows = control_matrix.shape[0]
    _product(control_matrix, slopes, part[:rows])
    put(part[rows:], slopes)


@reconstruct_part.shapes
def _reconstruct_part_shapes(control_matrix: ArraySpec) -> dict[str, Any]:
    return {"part": ((sum(control_matrix.shape),), "float32")}


@unit(fastmath={"reassoc", "contract", "nsz"})
def join_parts(
    own: Annotated[In, Array((None,), dtype="float32"), "part of the unit before, in the same loop"],
    other: Annotated[In, Array((None,), dtype="float32"), "part of the helper, read as it stands"],
    control_matrix: Annotated[In, Array(("n_rows", "n_in"), dtype="float32"), "the helper's rows"],
    modes: Annotated[Out, Array((None,), dtype="float32"), "own modes, then the helper's"],
    part: Annotated[
        Out, Array((None,), dtype="float32"), "the same, then the slopes: for the next ``join_parts``"
    ],
    status: Annotated[Out, Array((2,), dtype="int64"), "frames with the helper's modes; frames without"],
) -> None:
    """Modes = (own modes, helper's modes); these are computed here if the helper's are of other slopes.

    The result is the same, to the last digit, whoever computed it; only if a matrix is replaced, a helper may see it
    one frame earlier or later.
    """
    rows, n_in = control_matrix.shape
    before = own.size - n_in
    slopes = own[before:]
    put(modes[:before], own[:before])
    if _same(other[rows:], slopes):
        put(modes[before:], other[:rows])
        status[0] += 1
    else:
        _product(control_matrix, slopes, modes[before:])
        status[1] += 1
    put(part[: modes.size], modes)
    put(part[modes.size :], slopes)


@join_parts.shapes
def _join_parts_shapes(own: ArraySpec, other: ArraySpec, control_matrix: ArraySpec) -> dict[str, Any]:
    rows, n_in = control_matrix.shape
    if other.shape[0] != rows + n_in:
        raise BindingError(
            f"unit 'join_parts', argument 'other': it has {other.shape[0]} elements, expected {rows + n_in}, {rows} "
            f"modes and {n_in} slopes, as 'reconstruct_part' makes of the same 'control_matrix'"
        )
    if own.shape[0] <= n_in:
        raise BindingError(
            f"unit 'join_parts', argument 'own': it has {own.shape[0]} elements, expected more than {n_in}, the slopes "
            f"that 'control_matrix' is for"
        )
    return {"modes": ((own.shape[0] - n_in + rows,), "float32"), "part": ((own.shape[0] + rows,), "float32")}


def split_rows(matrix: ArrayLike, shares: Sequence[float]) -> list[NDArray[np.float32]]:
    """The rows of a matrix for several loops, float32 and contiguous, in order.

    Every part but the last has a multiple of 4 rows, which ``reconstruct_part`` takes together.

    Args:
        matrix: (rows, columns).
        shares: how much each loop gets, the main loop first; give a helper a little less than the main loop, so that
        it is
            done in time.

    Raises:
        UsageError: no matrix, a share that is not positive, or a part without a row.
    """
    rows = np.asarray(matrix, dtype=np.float32)
    parts = np.asarray(shares, dtype=np.float64)
    if rows.ndim != 2 or parts.ndim != 1 or parts.size == 0 or not (np.isfinite(parts) & (parts > 0)).all():
        raise UsageError(
            f"matrix has shape {rows.shape}, shares are {shares!r}; expected a matrix, numbers above 0"
        )
    edges = np.rint(np.cumsum(parts)[:-1] / parts.sum() * len(rows) / 4).astype(int) * 4
    found = [np.ascontiguousarray(part) for part in np.split(rows, edges)]
    if min(map(len, found)) == 0:
        raise UsageError(
            f"{len(rows)} rows are too few for {parts.size} parts of whole groups of 4; use fewer parts"
        )
    return found


def _product(matrix: Any, slopes: Any, modes: Any) -> None:
    """Modes = matrix @ slopes, four rows at a time."""
    rows, n_in = matrix.shape
    fours = rows - rows % 4
    for i in range(0, fours, 4):
        a, b, c, d = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for j in range(n_in):
            slope = slopes[j]
            a += matrix[i, j] * slope
            b += matrix[i + 1, j] * slope
            c += matrix[i + 2, j] * slope
            d += matrix[i + 3, j] * slope
        modes[i] = a
        modes[i + 1] = b
        modes[i + 2] = c
        modes[i + 3] = d
    for i in range(fours, rows):
        a = np.float32(0.0)
        for j in range(n_in):
            a += matrix[i, j] * slopes[j]
        modes[i] = a


def _same(first: Any, second: Any) -> Any:
    """Whether two vectors are the same number by number; NaN is not the same as anything."""
    different = np.int32(0)
    for i in range(first.size):
        different += np.int32(0) if first[i] == second[i] else np.int32(1)
    return different == 0
