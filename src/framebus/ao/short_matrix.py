"""Matrices of 16 bits per element: half the memory to read for each frame, sums in float32 all the same.

int16 with a scale for each row is right to 1/65534 of the row's largest element. bfloat16, the upper half of a
float32 kept as uint16, needs no scales and has 8 bits of precision (errors up to 0.4 % of each element): for matrices
that come in it. float16 would lie between them in precision, and costs more than it saves: compiled code knows no
such type, and taking its bits apart takes twice as long as reading a float32.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.errors import DataError, UsageError
from framebus.unit import Array, In, Out, unit


@unit(fastmath={"reassoc", "contract", "nsz"})
def reconstruct_bfloat16(
    slopes: Annotated[In, Array(("n_in",), dtype="float32"), "measurement"],
    control_matrix: Annotated[In, Array(("n_out", "n_in"), dtype="uint16"), "as ``to_bfloat16`` makes it"],
    modes: Annotated[Out, Array(("n_out",), dtype="float32"), "modes or actuators"],
) -> None:
    """Modes = control_matrix @ slopes, the matrix in bfloat16, products and sums in float32."""
    n_out, n_in = control_matrix.shape
    fours = n_out - n_out % 4
    for i in range(0, fours, 4):
        a, b, c, d = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for j in range(n_in):
            slope = slopes[j]
            a += _from_bfloat16(control_matrix[i, j]) * slope
            b += _from_bfloat16(control_matrix[i + 1, j]) * slope
            c += _from_bfloat16(control_matrix[i + 2, j]) * slope
            d += _from_bfloat16(control_matrix[i + 3, j]) * slope
        modes[i] = a
        modes[i + 1] = b
        modes[i + 2] = c
        modes[i + 3] = d
    for i in range(fours, n_out):
        a = np.float32(0.0)
        for j in range(n_in):
            a += _from_bfloat16(control_matrix[i, j]) * slopes[j]
        modes[i] = a


@unit(fastmath={"reassoc", "contract", "nsz"})
def reconstruct_int16(
    slopes: Annotated[In, Array(("n_in",), dtype="float32"), "measurement"],
    control_matrix: Annotated[In, Array(("n_out", "n_in"), dtype="int16"), "as ``to_int16`` makes it"],
    scales: Annotated[In, Array(("n_out",), dtype="float32"), "one per row, likewise"],
    modes: Annotated[Out, Array(("n_out",), dtype="float32"), "modes or actuators"],
) -> None:
    """Modes = scales * (control_matrix @ slopes), the matrix in int16, products and sums in float32."""
    n_out, n_in = control_matrix.shape
    fours = n_out - n_out % 4
    for i in range(0, fours, 4):
        a, b, c, d = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
        for j in range(n_in):
            slope = slopes[j]
            a += np.float32(control_matrix[i, j]) * slope
            b += np.float32(control_matrix[i + 1, j]) * slope
            c += np.float32(control_matrix[i + 2, j]) * slope
            d += np.float32(control_matrix[i + 3, j]) * slope
        modes[i] = scales[i] * a
        modes[i + 1] = scales[i + 1] * b
        modes[i + 2] = scales[i + 2] * c
        modes[i + 3] = scales[i + 3] * d
    for i in range(fours, n_out):
        a = np.float32(0.0)
        for j in range(n_in):
            a += np.float32(control_matrix[i, j]) * slopes[j]
        modes[i] = scales[i] * a


def to_bfloat16(matrix: ArrayLike) -> NDArray[np.uint16]:
    """A matrix in bfloat16, rounded to nearest, ties to even: uint16 in its shape.

    Raises:
        DataError: an element is not finite, or too large.
    """
    values = _finite(matrix)
    bits = values.view(np.uint32)
    rounded = (bits + (np.uint32(0x7FFF) + ((bits >> 16) & 1))) >> 16
    if ((rounded & 0x7F80) == 0x7F80).any():
        raise DataError("an element of the matrix is too large for bfloat16; expected less than 3.39e38")
    return np.ascontiguousarray(rounded.astype(np.uint16))


def to_int16(matrix: ArrayLike) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """A matrix in int16 with a scale for each row: the row's largest element becomes 32767.

    Args:
        matrix: (rows, columns).

    Returns:
        Rounded elements, and a float32 scale per row: matrix = scales[:, None] * elements to half a scale.

    Raises:
        UsageError: it is no matrix.
        DataError: an element is not finite.
    """
    values = _finite(matrix)
    if values.ndim != 2:
        raise UsageError(f"the matrix has shape {values.shape}; expected (rows, columns)")
    largest = np.abs(values).max(axis=1).astype(np.float64)
    # Not below the smallest normal float32: a row of zeros, or nearly so, gets zeros.
    scales = np.maximum(largest / 32767, np.finfo(np.float32).tiny).astype(np.float32)
    steps = np.clip(np.rint(values / scales[:, None].astype(np.float64)), -32767, 32767)
    return np.ascontiguousarray(steps.astype(np.int16)), scales


def from_bfloat16(stored: ArrayLike) -> NDArray[np.float32]:
    """The float32 values of uint16 as ``to_bfloat16`` makes them."""
    return np.asarray(np.asarray(stored, np.uint16).astype(np.uint32) << 16, np.uint32).view(np.float32)


def _finite(matrix: ArrayLike) -> NDArray[np.float32]:
    values = np.ascontiguousarray(matrix, dtype=np.float32)
    if values.size == 0 or not np.isfinite(values).all():
        raise DataError("the matrix is empty, or an element of it is not finite as float32")
    return values


def _from_bfloat16(bits: Any) -> Any:
    # Numba's integers widen with every operation.
    return np.uint32(np.uint32(bits) << np.uint32(16)).view(np.float32)
