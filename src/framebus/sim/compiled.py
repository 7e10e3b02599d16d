"""Compiled units called one frame at a time from Python: a unit's machine code bound to arrays."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import BindingError, UnitError
from framebus.unit import ArraySpec, FunctionUnit

Arrays: TypeAlias = Mapping[str, npt.NDArray[Any]]

_SIGNATURE = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)


class Compiled:
    """The machine code of ``unit``, out of the cache where it can be, for these very arrays.

    A call computes one frame in place, without the interpreter's lock. Change the arrays' content between calls, never
    the arrays.

    Args:
        unit: a ``@unit`` function.
        arrays: all of its arrays by name, C-contiguous, of the dtypes and ranks that it declares.
        parameters: values that differ from the declared defaults.

    Raises:
        BindingError: an array does not fit what the unit declares, or it cannot be compiled.
        ParameterError: a parameter is unknown or out of its limits.
    """

    def __init__(self, unit: FunctionUnit, arrays: Arrays, **parameters: Any) -> None:
        from framebus.unit.kernel import compile_kernel

        self._unit = unit
        given = {a.name: ArraySpec(arrays[a.name].shape, arrays[a.name].dtype) for a in unit.arguments}
        specs = unit.resolve(
            {a.name: given[a.name] for a in unit.inputs()}, {a.name: given[a.name] for a in unit.outputs()}
        )
        self._arrays = [arrays[name] for name in specs]
        for (name, spec), array in zip(specs.items(), self._arrays, strict=True):
            if spec != given[name] or not array.flags.c_contiguous:
                raise BindingError(
                    f"unit '{unit.name}', argument '{name}': it is {given[name].dtype} {array.shape}; expected "
                    f"{spec.dtype} {spec.shape}, C-contiguous"
                )
        self._pointers = (ctypes.c_void_p * len(self._arrays))(*(a.ctypes.data for a in self._arrays))
        self._dims = np.array([size for array in self._arrays for size in array.shape], np.int64)
        self._cells = np.zeros(max(1, len(unit.parameters)), np.int64)
        for k, parameter in enumerate(unit.parameters):
            self._cells[k] = parameter.pack(parameter.default)
        self.set(**parameters)
        self._call = _SIGNATURE(compile_kernel(unit, specs).address)
        self._where = (ctypes.addressof(self._pointers), self._dims.ctypes.data, self._cells.ctypes.data)

    def set(self, **parameters: Any) -> None:
        """Change parameters from the next call on.

        Raises:
            ParameterError: one is unknown or out of its limits.
        """
        names = [parameter.name for parameter in self._unit.parameters]
        for name, value in parameters.items():
            parameter = self._unit.parameter(name)
            self._cells[names.index(name)] = parameter.pack(parameter.check(value))

    def __call__(self) -> None:
        """Compute one frame.

        Raises:
            UnitError: the unit raised, or returned another code than 0.
        """
        code = self._call(*self._where)
        if code:
            raise UnitError(f"unit '{self._unit.name}' returned {code}")
