"""The C function around a compiled unit: three pointers in, one code out.

Each argument of the unit is read by a small intrinsic that says in LLVM's terms where it lies, which compiles
several times faster than the same in Numba's Python; LLVM inlines all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba as typed_numba
from llvmlite import ir
from numba.extending import intrinsic
from numba.np import arrayobj as typed_arrayobj

numba: Any = typed_numba  # its type hints leave out much of what it offers
arrayobj: Any = typed_arrayobj
types = numba.types

FAILED = -(2**31)
"""What a kernel returns when the unit raised."""

_LARGEST_CODE = 2**31 - 1
_SIGNATURE = types.int32(
    types.CPointer(types.voidptr), types.CPointer(types.int64), types.CPointer(types.int64)
)


def wrap(function: Any, arrays: Sequence[Any], parameters: Sequence[Any], returned: Any) -> Any:
    """``function``, a Numba dispatcher, as a Numba callback with the kernel's C signature.

    Args:
        function: takes the arrays, then the parameters.
        arrays: Numba types of its arrays, C-contiguous.
        parameters: Numba types of its parameters.
        returned: Numba type of what it returns: nothing, an integer, or either.
    """
    namespace: dict[str, Any] = {"function": function}
    calls, axis = [], 0
    for index, kind in enumerate(arrays):
        namespace[f"array_{index}"] = _array_reader(kind, index, axis)
        calls.append(f"array_{index}(arrays, dims)")
        axis += kind.ndim
    for index, kind in enumerate(parameters):
        namespace[f"cell_{index}"] = _cell_reader(kind, index)
        calls.append(f"cell_{index}(params)")
    lines = [
        "try:",
        f"    code = function({', '.join(calls)})",
        "except Exception:",
        f"    return {FAILED}",
        *_result(returned),
    ]
    exec("def kernel(arrays, dims, params):\n" + "".join(f"    {line}\n" for line in lines), namespace)
    return numba.cfunc(_SIGNATURE, error_model="numpy")(namespace["kernel"])


def _result(returned: Any) -> list[str]:
    """Lines that turn what the unit returned into the kernel's code."""
    if isinstance(returned, types.NoneType):
        return ["return 0"]
    none = ["if code is None:", "    return 0"] if isinstance(returned, types.Optional) else []
    # Beyond 32 bits a code must not become 0 or FAILED.
    bounds = f"if code > {_LARGEST_CODE} or code < -{_LARGEST_CODE}:"
    return [*none, bounds, f"    return {_LARGEST_CODE}", "return code"]


def _array_reader(kind: Any, index: int, axis: int) -> Any:
    """Function of ``(arrays, dims)``: the array number ``index``, whose sizes start at ``dims[axis]``."""

    @intrinsic
    def read(_typing: Any, arrays: Any, dims: Any) -> Any:
        def build(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            word = context.get_value_type(types.intp)
            item = context.get_data_type(kind.dtype)
            shape = [_load(builder, values[1], axis + offset) for offset in range(kind.ndim)]
            itemsize = ir.Constant(word, context.get_abi_sizeof(item))
            strides = [itemsize]
            for size in reversed(shape[1:]):
                strides.insert(0, builder.mul(strides[0], size, flags=["nsw"]))
            array = arrayobj.make_array(kind)(context, builder)
            data = builder.bitcast(_load(builder, values[0], index), item.as_pointer())
            arrayobj.populate_array(
                array, data=data, shape=shape, strides=strides, itemsize=itemsize, meminfo=None
            )
            return array._getvalue()

        return kind(arrays, dims), build

    return read


def _cell_reader(kind: Any, index: int) -> Any:
    """Function of ``(params,)``: the parameter in the cell number ``index``."""

    @intrinsic
    def read(_typing: Any, params: Any) -> Any:
        def build(context: Any, builder: Any, _signature: Any, values: Any) -> Any:
            cell = _load(builder, values[0], index)
            if kind == types.boolean:
                return builder.icmp_signed("!=", cell, ir.Constant(cell.type, 0))
            bits = (
                cell if kind.bitwidth == cell.type.width else builder.trunc(cell, ir.IntType(kind.bitwidth))
            )
            return builder.bitcast(bits, context.get_value_type(kind))

        return kind(params), build

    return read


def _load(builder: Any, pointer: Any, index: int) -> Any:
    return builder.load(builder.gep(pointer, [ir.Constant(ir.IntType(64), index)]))
