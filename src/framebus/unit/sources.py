"""What a function depends on: the code and constants that its compiled form is made of.

Numba freezes globals, closures and helper functions into the code it makes. ``fingerprint`` walks all of
them, across modules, as they are in memory, so two functions with the same fingerprint compile to the same
code. Comments, docstrings, line numbers and names of files are no part of it. Whatever cannot be
described for certain makes the function ``Uncacheable``: compiling again is slow, stale code is wrong.
"""

from __future__ import annotations

import builtins
import dis
import enum
import hashlib
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba.core.dispatcher import Dispatcher
from numba.core.types import Type
from numba.core.typing.templates import builtin_registry

from framebus.unit.declare import FunctionUnit

TRUSTED = frozenset({"builtins", "math", "cmath", "operator", "_operator", "numpy", "numba"})
"""Packages whose code is described by their version, or Python's, which are part of every cache key."""

MISSING = object()
"""The value of a name that is not defined."""

# Numba puts larger arrays into the code by address, which means nothing to another process.
_LARGEST_ARRAY = 1_000_000

_PLAIN = (bool, int, complex, str, bytes, type(None), type(...))


class Uncacheable(Exception):
    """The code depends on something that cannot be described by its content."""


@dataclass(frozen=True)
class Reference:
    """A name that a function loads from outside, followed through modules: ``("consts", "GAIN")``."""

    path: tuple[str, ...]
    value: Any
    in_closure: bool = False


def is_trusted(module: str | None) -> bool:
    """Whether the code of ``module`` is covered by the versions of Python, NumPy and Numba."""
    return module is not None and module.partition(".")[0] in TRUSTED


def is_helper(value: Any) -> bool:
    """Whether ``value`` is a plain Python function that has to be compiled along."""
    return (
        isinstance(value, types.FunctionType)
        and not is_trusted(value.__module__)
        and not _is_overloaded(value)
    )


def _is_overloaded(function: types.FunctionType) -> bool:
    """Whether somebody has taught Numba to compile calls of ``function`` as something else."""
    return any(known is function for known, _ in builtin_registry.globals)


def references(function: types.FunctionType) -> list[Reference]:
    """All names that ``function``, with the functions inside it, loads from its module or its closure."""
    cells: dict[str, Any] = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            cells[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            cells[name] = MISSING
    found: dict[tuple[bool, tuple[str, ...]], Reference] = {}
    for in_closure, chain in _loads(function.__code__):
        name, *attributes = chain
        if in_closure and name not in cells:
            continue  # a local variable of the function that an inner function shares
        value = (
            cells[name] if in_closure else function.__globals__.get(name, getattr(builtins, name, MISSING))
        )
        path = [name]
        for attribute in attributes:
            if not isinstance(value, types.ModuleType):
                break
            value = getattr(value, attribute, MISSING)
            path.append(attribute)
        found[in_closure, tuple(path)] = Reference(tuple(path), value, in_closure)
    return list(found.values())


def _loads(code: types.CodeType) -> Iterator[tuple[bool, tuple[str, ...]]]:
    """Loaded names with the attributes read from them at once: ``np.linalg.norm`` as three words."""
    chain: tuple[str, ...] = ()
    in_closure = False
    for instruction in dis.get_instructions(code):
        if chain and instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            chain = (*chain, instruction.argval)
            continue
        if chain:
            yield in_closure, chain
        chain = ()
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_DEREF", "LOAD_CLASSDEREF"):
            chain, in_closure = (instruction.argval,), "GLOBAL" not in instruction.opname
    if chain:
        yield in_closure, chain
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _loads(constant)


def fingerprint(function: types.FunctionType) -> str:
    """Hexadecimal SHA-256 of ``function`` and of everything that its compiled form is made of.

    Raises:
        Uncacheable: it depends on an object whose content cannot be described.
    """
    return hashlib.sha256(repr(_Describer().function(function)).encode()).hexdigest()


class _Describer:
    """Turns values into nested tuples of words whose ``repr`` says all that matters to the compiler."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}

    def function(self, function: types.FunctionType) -> tuple[Any, ...]:
        if id(function) in self.seen:
            return ("again", self.seen[id(function)])
        self.seen[id(function)] = len(self.seen)
        keywords = sorted((function.__kwdefaults__ or {}).items())
        outside = sorted(references(function), key=lambda reference: (reference.path, reference.in_closure))
        return (
            "function",
            self.code(function.__code__),
            self.value(function.__defaults__ or ()),
            tuple((name, self.value(value)) for name, value in keywords),
            tuple((found.path, self.reference(found)) for found in outside),
        )

    def code(self, code: types.CodeType) -> tuple[Any, ...]:
        """The instructions with the names and constants they use; unused constants are docstrings."""
        count = code.co_argcount + code.co_kwonlyargcount
        steps = []
        for step in dis.get_instructions(code):
            operand: Any = step.arg
            if isinstance(step.argval, types.CodeType):
                operand = self.code(step.argval)
            elif step.opcode in dis.hasconst:
                operand = self.value(code.co_consts[step.arg or 0])
            elif isinstance(step.argval, str):
                operand = (step.arg, step.argval)
            steps.append((step.opname, operand))
        signature = (code.co_argcount, code.co_kwonlyargcount, code.co_varnames[:count], code.co_freevars)
        return ("code", signature, tuple(steps), getattr(code, "co_exceptiontable", b""))

    def reference(self, found: Reference) -> tuple[Any, ...]:
        if found.value is MISSING:
            return ("missing",)
        if isinstance(found.value, types.ModuleType):
            if is_trusted(found.value.__name__):
                return ("module", found.value.__name__)
            raise Uncacheable(f"it passes the module {found.value.__name__!r} around")
        return self.value(found.value)

    def value(self, value: Any) -> tuple[Any, ...]:
        for kinds, describe in self.kinds():
            if isinstance(value, kinds):
                described: tuple[Any, ...] = describe(value)
                return described
        return self.special(value)

    def kinds(self) -> tuple[tuple[Any, Any], ...]:
        return (
            (enum.Enum, lambda value: ("enum", self.klass(type(value)), value.name, self.value(value.value))),
            (np.ndarray, self.array),
            (np.generic, lambda value: ("scalar", value.dtype.str, value.tobytes())),
            (np.dtype, lambda value: ("dtype", str(value), value.str)),
            (_PLAIN, lambda value: (type(value).__name__, repr(value))),
            (float, lambda value: ("float", value.hex())),
            (
                (slice, range),
                lambda value: (type(value).__name__, self.value((value.start, value.stop, value.step))),
            ),
            (tuple, lambda value: ("tuple", self.tuple_kind(type(value)), tuple(map(self.value, value)))),
            (frozenset, lambda value: ("frozenset", tuple(sorted(map(self.value, value), key=repr)))),
            (type, self.klass),
        )

    def array(self, value: np.ndarray[Any, Any]) -> tuple[Any, ...]:
        if value.dtype.hasobject or value.nbytes >= _LARGEST_ARRAY:
            raise Uncacheable(f"it uses a constant array of {value.nbytes} bytes and type {value.dtype}")
        order = (
            value.flags.c_contiguous,
            value.flags.f_contiguous,
            value.flags.aligned,
            value.flags.writeable,
        )
        digest = hashlib.sha256(value.tobytes()).hexdigest()
        return ("array", str(value.dtype), value.dtype.str, value.shape, order, digest)

    def tuple_kind(self, kind: type) -> tuple[Any, ...]:
        return (kind.__module__, kind.__qualname__, getattr(kind, "_fields", ()))

    def klass(self, kind: type) -> tuple[Any, ...]:
        name = (kind.__module__, kind.__qualname__)
        if is_trusted(kind.__module__) or issubclass(kind, BaseException):
            return ("class", *name)
        if issubclass(kind, tuple) and hasattr(kind, "_fields"):
            return (
                "class",
                *self.tuple_kind(kind),
                self.value(tuple(getattr(kind, "_field_defaults", {}).items())),
            )
        if issubclass(kind, enum.Enum):
            members = tuple((member.name, self.value(member.value)) for member in kind)
            return ("class", *name, tuple(base.__qualname__ for base in kind.__mro__), members)
        raise Uncacheable(f"it uses the class {kind.__qualname__!r}")

    def special(self, value: Any) -> tuple[Any, ...]:
        """Functions of every kind, and objects of the trusted packages."""
        if isinstance(value, FunctionUnit):
            fastmath = value.fastmath if isinstance(value.fastmath, bool) else sorted(value.fastmath)
            return ("unit", str(fastmath), self.function(value.function))
        if isinstance(value, Dispatcher) and not is_trusted(value.py_func.__module__):
            options = tuple((name, self.option(item)) for name, item in sorted(value.targetoptions.items()))
            return ("jit", options, self.function(value.py_func))
        if isinstance(value, Type) and is_trusted(type(value).__module__):
            return ("numba type", str(value))
        if is_helper(value):
            return self.function(value)
        name = str(getattr(value, "__name__", ""))
        home = (str(getattr(value, "__module__", "")), str(getattr(value, "__qualname__", name)))
        # What NumPy gives without a module: ufuncs, and methods of its global random generator.
        for module, path in (home, ("numpy", name), ("numpy.random", name)):
            if is_trusted(module) and _look_up(module, path) is value:
                return ("function of", module, path)
        raise Uncacheable(f"it uses {value!r}")

    def option(self, value: Any) -> tuple[Any, ...]:
        """One of Numba's options of ``njit``."""
        if isinstance(value, set | frozenset):
            return self.value(frozenset(value))
        if isinstance(value, dict) and not value:
            return ("dict",)
        if type(value).__module__.startswith("numba.core.options"):
            return ("option", repr(vars(value)))
        return self.value(value)


def _look_up(module: str, path: str) -> Any:
    """What ``path`` names in an imported module; ``MISSING`` when it names nothing."""
    value: Any = sys.modules.get(module, MISSING)
    for name in path.split("."):
        value = getattr(value, name, MISSING)
    return value
