"""Machine code of a unit for the native loop. Importing this module imports Numba.

The loop calls ``int32_t kernel(void **arrays, const int64_t *dims, const int64_t *params)`` without the GIL:

* ``arrays``: data of all arrays in the order of the signature, C-contiguous; dtype and rank are compiled in.
* ``dims``: their sizes, all axes of all arrays one after another, so that the code serves any size.
* ``params``: one 8-byte cell per parameter in the order of the signature, as ``Parameter.pack`` makes it.

It returns 0, or the unit's own non-zero code, or ``FAILED`` when the unit raised. It never calls the interpreter.
"""

from __future__ import annotations

import functools
import hashlib
import linecache
import os
import platform
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import llvmlite
import numba as typed_numba
import numpy as np
from numba.core.compiler_lock import global_compiler_lock

from framebus.errors import BindingError
from framebus.unit import cache, object_code
from framebus.unit.arrays import ArraySpec, Role
from framebus.unit.declare import FunctionUnit
from framebus.unit.explain import explain
from framebus.unit.sources import Uncacheable, fingerprint
from framebus.unit.wrapper import FAILED, wrap

__all__ = ["FAILED", "Kernel", "compile_kernel", "replay_error"]

numba: Any = typed_numba  # its type hints leave out much of what it offers

_WRAPPERS: list[Any] = []
"""Numba's callbacks whose code a loop may run until the process ends."""

_REMEDY = "Change it, or run the unit in the interpreter with @unit(compiled=False)."


@dataclass(frozen=True)
class Kernel:
    """A compiled unit; its code stays in memory until the process ends.

    Attributes:
        address: of the C function described above.
        from_cache: it was loaded, not compiled.
        compile_s: seconds that either took.
    """

    address: int
    from_cache: bool
    compile_s: float


def compile_kernel(unit: FunctionUnit, specs: Mapping[str, ArraySpec]) -> Kernel:
    """Machine code of ``unit`` for arrays of these dtypes and ranks, out of the cache where it can be.

    Args:
        unit: a unit declared with ``compiled=True``.
        specs: of all its arrays, as ``unit.resolve`` gives them.

    Raises:
        BindingError: the unit cannot be compiled; the message says which line and why.
    """
    start = time.perf_counter()
    array_types = _array_types(unit, specs)
    # Numba and LLVM share one context in the process; this is the lock that Numba compiles under.
    with global_compiler_lock:
        key = _key(unit, array_types)
        code = cache.load(key) if key is not None else None
        address = object_code.load(code) if code is not None else None
        if address is not None:
            return Kernel(address, True, time.perf_counter() - start)
        wrapper = _compile(unit, array_types)
        code = object_code.emit(wrapper.inspect_llvm(), wrapper.native_name, _symbol(unit))
        address = object_code.load(code)
        if address is None:  # functions that call one another may need what only Numba's own engine holds
            _WRAPPERS.append(wrapper)
            address = int(wrapper.address)
        # Addresses of this process in the code, such as those of large arrays, mean nothing to another one.
        elif key is not None and not wrapper._library.has_dynamic_globals:
            cache.store(key, code)
    return Kernel(address, False, time.perf_counter() - start)


def replay_error(
    unit: FunctionUnit, arrays: Sequence[np.ndarray[Any, Any]], params: Mapping[str, Any]
) -> str:
    """What a compiled unit raises when it is called once more: ``"ValueError: flux is 0 (units.py, line 12: ...)"``.

    Args:
        unit: the unit whose kernel returned an error.
        arrays: copies of its arrays from before the failing call, in order.
        params: its parameters then, by name.
    """
    try:
        code = unit.jit(*arrays, **params)
    except Exception as error:  # noqa: BLE001 - whatever the unit raises is the answer
        frame = traceback.extract_tb(error.__traceback__)[-1]
        line = linecache.getline(frame.filename, frame.lineno or 0).strip()
        where = f"{os.path.basename(frame.filename)}, line {frame.lineno}" + (f": {line}" if line else "")
        return (
            f"{type(error).__name__}: {error} ({where})"
            if str(error)
            else f"{type(error).__name__} ({where})"
        )
    return f"it returned {code}" if code else "no error when called again with the same arrays and parameters"


def _array_types(unit: FunctionUnit, specs: Mapping[str, ArraySpec]) -> dict[str, Any]:
    """Numba's types of the arrays. Inputs are read-only: they may be mapped so, and others read them too."""
    if numba.config.DISABLE_JIT:
        raise BindingError(f"unit {unit.name!r} cannot be compiled while NUMBA_DISABLE_JIT is set; unset it")
    found = {}
    for argument in unit.arguments:
        where = f"unit {unit.name!r}, argument {argument.name!r} ({argument.role.value})"
        if argument.name not in specs:
            raise BindingError(f"{where}: its shape and dtype are not given")
        spec = specs[argument.name]
        if spec.dtype.name == "float16":
            raise BindingError(
                f"{where}: compiled units cannot compute with float16; use a float32 stream, or run the unit in the "
                f"interpreter with @unit(compiled=False)"
            )
        readonly = argument.role is Role.IN
        found[argument.name] = numba.types.Array(
            numba.from_dtype(spec.dtype), len(spec.shape), "C", readonly=readonly
        )
    return found


def _key(unit: FunctionUnit, array_types: Mapping[str, Any]) -> str | None:
    """Hash of all that the code is made of and for; ``None`` when that cannot be told."""
    try:
        source = fingerprint(unit.function)
    except Uncacheable:
        return None
    config = numba.config
    options = (config.OPT, config.LOOP_VECTORIZE, config.SLP_VECTORIZE, config.BOUNDSCHECK, config.USING_SVML)
    versions = (platform.python_version(), numba.__version__, llvmlite.__version__, np.__version__)
    fastmath = unit.fastmath if isinstance(unit.fastmath, bool) else sorted(unit.fastmath)
    parameters = [(parameter.name, parameter.type) for parameter in unit.parameters]
    shape = [(name, str(kind)) for name, kind in array_types.items()]
    made_for = (_pipeline(), versions, object_code.processor(), list(map(str, options)))
    parts = (made_for, fastmath, shape, parameters, source)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


@functools.cache
def _pipeline() -> str:
    """Hash of the modules that make kernels."""
    here = Path(__file__).parent
    content = [
        (here / name).read_bytes() for name in ("kernel.py", "helpers.py", "wrapper.py", "object_code.py")
    ]
    return hashlib.sha256(b"".join(content)).hexdigest()


def _symbol(unit: FunctionUnit) -> str:
    """The name under which debuggers and profilers see the kernel."""
    return "framebus_" + "".join(letter if letter.isalnum() else "_" for letter in unit.name)


def _compile(unit: FunctionUnit, array_types: Mapping[str, Any]) -> Any:
    """The unit behind the kernel's C signature, as one of Numba's callbacks."""
    kinds = [numba.boolean if p.type == "onoff" else getattr(numba, p.type) for p in unit.parameters]
    signature = (*array_types.values(), *kinds)
    function = unit.jit
    try:
        function.compile(signature)
    except Exception as error:  # Numba raises whatever comes
        reason = explain(error, unit.function, writes_input=_compiles_when_writable(function, signature))
        raise BindingError(f"unit {unit.name!r} cannot be compiled: {reason}\n{_REMEDY}") from error
    returned = function.overloads[signature].signature.return_type
    kind = returned.type if isinstance(returned, numba.types.Optional) else returned
    if not isinstance(kind, numba.types.NoneType | numba.types.Integer):
        raise BindingError(
            f"unit {unit.name!r} returns {returned}; expected nothing, or an int: 0 to publish, another to report an "
            f"error. Fill an Out argument with the result."
        )
    wrapper = wrap(function, list(array_types.values()), kinds, returned)
    if object_code.interpreter_calls(wrapper.inspect_llvm(), wrapper.native_name):
        raise BindingError(
            f"unit {unit.name!r} cannot be compiled: it calls the interpreter (print, objmode and the like), which "
            f"the loop must never wait for.\n{_REMEDY}"
        )
    return wrapper


def _compiles_when_writable(function: Any, signature: tuple[Any, ...]) -> bool:
    """Whether all that is wrong is that inputs are read-only: Numba often fails on that in a way of its own."""
    arrays = [
        kind.copy(readonly=False) if isinstance(kind, numba.types.Array) else kind for kind in signature
    ]
    try:
        function.compile(tuple(arrays))
    except Exception:  # noqa: BLE001 - the first error is the one to explain
        return False
    return True
