"""Compiling a function together with the plain Python functions that it calls.

Numba compiles calls of its own dispatchers only. So the function is rebuilt with every helper that it reaches,
in its module, in other modules or in its closure, replaced by a dispatcher, and so on for the helpers.
"""

from __future__ import annotations

import types
from typing import Any

import numba as typed_numba

from framebus.unit.declare import FastMath, FunctionUnit
from framebus.unit.sources import Reference, is_helper, references

numba: Any = typed_numba  # its type hints leave out much of what it offers


def dispatcher(function: types.FunctionType, fastmath: FastMath) -> Any:
    """A Numba dispatcher of ``function`` whose helpers are compiled along; dispatchers are left as they are.

    Division by zero gives inf or nan instead of raising. Keyword-only arguments may also be given by position.
    """
    return _Builder().build(function, fastmath)


class _Builder:
    """One rebuilding; functions that call one another meet the same dispatcher again."""

    def __init__(self) -> None:
        self.built: dict[tuple[int, FastMath], Any] = {}

    def build(self, function: types.FunctionType, fastmath: FastMath) -> Any:
        key = (id(function), fastmath)
        if key not in self.built:
            copy = _positional(function)
            options = fastmath if isinstance(fastmath, bool) else set(fastmath)
            # Only the function asked for is ever called from Python, and none by its address. To make that possible for
            # helpers, too, would take a fifth of the time that a unit takes to compile.
            inner = bool(self.built)
            self.built[key] = numba.njit(
                copy, error_model="numpy", fastmath=options, no_cpython_wrapper=inner, no_cfunc_wrapper=True
            )
            # Only now, so that a function that calls itself finds its dispatcher. Numba looks names up later.
            for found in references(function):
                replacement = self.replace(found.value, fastmath)
                if replacement is not None:
                    _put(copy, found, replacement)
        return self.built[key]

    def replace(self, value: Any, fastmath: FastMath) -> Any:
        """The dispatcher that stands for ``value``; ``None`` when it can stay."""
        if isinstance(value, FunctionUnit):
            return self.build(value.function, value.fastmath)
        return self.build(value, fastmath) if is_helper(value) else None


def _positional(function: types.FunctionType) -> types.FunctionType:
    """A copy with globals and closure of its own, its keyword-only arguments made positional.

    Numba cannot compile calls that name a keyword-only argument.
    """
    code = function.__code__
    defaults = function.__defaults__ or ()
    keywords = function.__kwdefaults__ or {}
    names = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    movable = bool(names) and not code.co_flags & 0x04 and all(name in keywords for name in names)
    if movable:
        code = code.replace(co_argcount=code.co_argcount + len(names), co_kwonlyargcount=0)
        defaults = (*defaults, *(keywords[name] for name in names))
    closure = tuple(_copied(cell) for cell in function.__closure__ or ())
    copy = types.FunctionType(code, dict(function.__globals__), function.__name__, defaults, closure)
    copy.__kwdefaults__ = None if movable else function.__kwdefaults__
    copy.__qualname__ = function.__qualname__
    copy.__doc__ = function.__doc__
    return copy


def _copied(cell: types.CellType) -> types.CellType:
    try:
        return types.CellType(cell.cell_contents)
    except ValueError:  # not assigned yet
        return types.CellType()


def _put(function: types.FunctionType, found: Reference, value: Any) -> None:
    """Let ``function`` find ``value`` where it found ``found``."""
    name, *attributes = found.path
    if attributes:
        held = function.__closure__[function.__code__.co_freevars.index(name)] if found.in_closure else None  # type: ignore[index]
        module = held.cell_contents if held is not None else function.__globals__[name]
        value = _module_with(module, attributes, value)
    if found.in_closure:
        assert function.__closure__ is not None
        function.__closure__[function.__code__.co_freevars.index(name)].cell_contents = value
    else:
        function.__globals__[name] = value


def _module_with(module: types.ModuleType, attributes: list[str], value: Any) -> types.ModuleType:
    """A stand-in for ``module`` in which ``attributes`` leads to ``value``."""
    copy = types.ModuleType(module.__name__)
    copy.__dict__.update(vars(module))
    name, *rest = attributes
    setattr(copy, name, _module_with(getattr(module, name), rest, value) if rest else value)
    return copy
