"""Compiled units called on arrays: their machine code, which all processes of a test run share through the cache."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framebus.params.cells import encode
from framebus.unit import ArraySpec, FunctionUnit
from framebus.unit.kernel import FAILED, compile_kernel

_SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_CALLS: dict[Any, Any] = {}


def run(unit: FunctionUnit, arrays: Sequence[NDArray[Any]], parameters: Mapping[str, Any]) -> int | None:
    """One frame; what the unit returned, or raised.

    Args:
        unit: a ``@unit`` function.
        arrays: all of its arrays, in order.
        parameters: values that differ from the defaults.
    """
    if not all(array.flags.c_contiguous for array in arrays):
        return unit.jit(*arrays, **parameters)  # type: ignore[no-any-return]
    kinds = tuple((array.dtype.str, array.ndim) for array in arrays)
    if (unit, kinds) not in _CALLS:
        named = zip(unit.arguments, arrays, strict=True)
        specs = {argument.name: ArraySpec(array.shape, array.dtype) for argument, array in named}
        _CALLS[unit, kinds] = _SIGNATURE(compile_kernel(unit, specs).address)
    pointers = np.array([array.ctypes.data for array in arrays], np.uint64)
    dims = np.array([size for array in arrays for size in array.shape] or [0], np.int64)
    # Not ``pack``: a test may go beyond a parameter's limits, to see why they are there.
    values = [encode(p.type, parameters.get(p.name, p.default))[0] for p in unit.parameters]
    cells = np.array(values or [0], np.int64)
    code = int(_CALLS[unit, kinds](pointers.ctypes.data, dims.ctypes.data, cells.ctypes.data))
    if code == FAILED:
        return unit.jit(*arrays, **parameters)  # type: ignore[no-any-return] # raises what it was
    returns = unit.function.__annotations__.get("return")
    return None if code == 0 and returns in ("None", None) else code
