"""Casts that tell what does not fit: ``u16(x)``, ``f32(x)``."""

from __future__ import annotations

from typing import Any

import numpy as np

from framebus.calc.arithmetic import Value
from framebus.errors import UsageError

__all__ = ["CASTS", "cast"]

CASTS = {
    "u8": "uint8",
    "i8": "int8",
    "u16": "uint16",
    "i16": "int16",
    "u32": "uint32",
    "i32": "int32",
    "u64": "uint64",
    "i64": "int64",
    "f16": "float16",
    "f32": "float32",
    "f64": "float64",
    "c64": "complex64",
    "c128": "complex128",
}
"""The casts and their types: those that streams can have. NumPy's names of the types are casts too."""


def cast(value: Value, dtype: str) -> Value:
    """The value in another type; fractions are cut off, as NumPy's ``astype`` does.

    Raises:
        UsageError: values are outside the type, not finite where it is whole, or complex where it is not.
    """
    wanted = np.dtype(dtype)
    array = np.asarray(value)
    if array.dtype.kind == "c" and wanted.kind != "c":
        raise UsageError(f"a cast to {dtype} would lose the imaginary part; take real, imag or abs first")
    if wanted.kind in "iu" and array.size:
        _check_range(array, wanted)
    # A number without axes becomes NumPy's own, which has a type.
    return array.astype(wanted)[()]


def _check_range(array: np.ndarray[Any, Any], wanted: np.dtype[Any]) -> None:
    limits = np.iinfo(wanted)
    if array.dtype.kind == "f":
        cut = np.trunc(array)
        # The limits of 64 bits have no float of their own: the one above is outside, its neighbour below is inside.
        outside = ~((cut >= float(limits.min)) & (cut < float(limits.max) + 1.0))
        if wanted.itemsize < 8:
            outside = ~((cut >= limits.min) & (cut <= limits.max))
    elif array.dtype.kind == "b":
        return
    else:
        if limits.min <= int(array.min()) and int(array.max()) <= limits.max:
            return
        outside = (array < limits.min) | (array > limits.max)
    if found := int(np.count_nonzero(outside)):
        raise UsageError(
            f"{found} of {array.size} values do not fit into {wanted} ({limits.min} to {limits.max}); "
            f"make them fit first, as in clip(x, {limits.min}, {limits.max})"
        )
