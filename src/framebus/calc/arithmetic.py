"""Arithmetic that is NumPy's, without what goes wrong there in silence.

Whole numbers are added, subtracted and multiplied in 64 bits whatever their type, and refused where these are not
enough: nothing wraps around. Divided, or given to a function that yields fractions, they become float64. Numbers that
are no array adapt to the arrays that they meet: a float32 image stays one.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError

__all__ = [
    "Array",
    "Value",
    "binary",
    "bounds",
    "common",
    "compare",
    "fractional",
    "item",
    "real_only",
    "unary",
    "whole",
    "widen",
]

Array: TypeAlias = npt.NDArray[Any]
Value: TypeAlias = Any
"""A Python number, a NumPy number (from a cast) or an array."""

_INT64 = np.iinfo(np.int64)
_TOO_LARGE = "whole numbers beyond 64 bits; make it fractions first, as in f64(x)"

_UFUNCS: dict[type[ast.operator], Any] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.true_divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.remainder,
    ast.Pow: np.power,
    ast.LShift: np.left_shift,
    ast.RShift: np.right_shift,
    ast.BitAnd: np.bitwise_and,
    ast.BitOr: np.bitwise_or,
    ast.BitXor: np.bitwise_xor,
}
_COMPARISONS: dict[type[ast.cmpop], Any] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
_BITS = (ast.LShift, ast.RShift, ast.BitAnd, ast.BitOr, ast.BitXor)
_EXTREMES: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


def item(value: Value) -> Value:
    """An array without axes as a Python number, which adapts to the arrays that it meets."""
    return value.item() if isinstance(value, np.ndarray | np.generic) and value.ndim == 0 else value


def kind(value: Value) -> str:
    """NumPy's letter: b, i, u, f or c."""
    return np.asarray(value).dtype.kind


def whole(*values: Value) -> bool:
    """Whether all are whole numbers or truth values."""
    return all(kind(value) in "biu" for value in values)


def real_only(what: str, *values: Value) -> None:
    """Refuse complex numbers, which have no order."""
    if any(kind(value) == "c" for value in values):
        raise UsageError(f"{what}: complex numbers have no order; take abs, real or imag first")


def bounds(value: Value, *, exact: bool = False) -> tuple[int, int]:
    """Least and greatest of whole numbers: of small types those of the type, unless they are to be exact."""
    array = np.asarray(value)
    if array.ndim == 0:
        return int(value), int(value)
    if array.dtype.kind == "b":
        return 0, 1
    if array.dtype.itemsize < 8 and not exact:
        limits = np.iinfo(array.dtype)
        return int(limits.min), int(limits.max)
    return (int(array.min()), int(array.max())) if array.size else (0, 0)


def widen(value: Value) -> Value:
    """Whole numbers in 64 bits."""
    if not isinstance(value, np.ndarray):
        return int(value)
    if value.dtype == np.uint64 and value.size and int(value.max()) > _INT64.max:
        raise UsageError(_TOO_LARGE)
    return value.astype(np.int64, copy=False)


def fractional(value: Value) -> Value:
    """Whole numbers as float64; others as they are."""
    if not whole(value):
        return value
    return value.astype(np.float64) if isinstance(value, np.ndarray) else float(value)


def binary(kind_of: type[ast.operator], a: Value, b: Value) -> Value:
    """``a + b`` and its like, element by element.

    Raises:
        UsageError: whole numbers would leave 64 bits or are divided by zero, or bits of fractions were asked for.
    """
    function = _UFUNCS[kind_of]
    if not whole(a, b):
        if kind_of in _BITS:
            raise UsageError("bits are those of whole numbers; cast them first, as in i64(x)")
        return item(function(*_weak(a, b)))
    if kind_of is ast.Div or (kind_of is ast.Pow and bounds(b, exact=True)[0] < 0):
        return item(function(*_weak(fractional(a), fractional(b))))
    if kind_of in _BITS:
        if kind(a) == kind(b) == "b" and kind_of not in (ast.LShift, ast.RShift):
            return item(function(a, b))
        return _bits(kind_of, a, b)
    if kind_of in (ast.FloorDiv, ast.Mod) and np.any(np.equal(b, 0)):
        raise UsageError("whole numbers divided by zero; with fractions, as in f64(x), this is inf or nan")
    if kind_of is ast.FloorDiv:
        _check_quotient(a, b)
    elif kind_of is ast.Pow:
        _check_power(a, b)
    elif (
        kind_of in _EXTREMES
        and not _fits(kind_of, a, b, exact=False)
        and not _fits(kind_of, a, b, exact=True)
    ):
        raise UsageError(_TOO_LARGE)
    return item(function(np.asarray(widen(a)), np.asarray(widen(b))))


def _weak(a: Value, b: Value) -> tuple[Value, Value]:
    """Two Python numbers as NumPy's, which have infinities; beside an array they stay as they are and adapt."""
    if isinstance(a, np.ndarray | np.generic) or isinstance(b, np.ndarray | np.generic):
        return a, b
    return np.asarray(a), np.asarray(b)


def _fits(kind_of: type[ast.operator], a: Value, b: Value, *, exact: bool) -> bool:
    extreme = _EXTREMES[kind_of]
    corners = [extreme(x, y) for x in bounds(a, exact=exact) for y in bounds(b, exact=exact)]
    return _INT64.min <= min(corners) and max(corners) <= _INT64.max


def _check_quotient(a: Value, b: Value) -> None:
    """Whether the one that 64 bits do not hold is among them."""
    if bounds(a)[0] == _INT64.min and np.any(np.equal(a, _INT64.min) & np.equal(b, -1)):
        raise UsageError(_TOO_LARGE)


def _check_power(a: Value, b: Value) -> None:
    """Whether the greatest power has at most 63 bits, without computing it."""
    base = max(map(abs, bounds(a, exact=True)))
    exponent = bounds(b, exact=True)[1]
    if base > 1 and (exponent > 63 or base**exponent > _INT64.max):
        raise UsageError(_TOO_LARGE)


def _bits(kind_of: type[ast.operator], a: Value, b: Value) -> Value:
    if kind_of in (ast.LShift, ast.RShift):
        low, high = bounds(b, exact=True)
        if low < 0 or high > 63:
            raise UsageError("bits are shifted by 0 to 63")
        if kind_of is ast.LShift and max(map(abs, bounds(a, exact=True))) << high > _INT64.max:
            raise UsageError(_TOO_LARGE)
    return item(_UFUNCS[kind_of](np.asarray(widen(a)), np.asarray(widen(b))))


def compare(kind_of: type[ast.cmpop], a: Value, b: Value) -> Value:
    """``a < b`` and its like, element by element: truth values."""
    if kind_of not in (ast.Eq, ast.NotEq):
        real_only("a comparison", a, b)
    return item(_COMPARISONS[kind_of](a, b))


def unary(kind_of: type[ast.unaryop], value: Value) -> Value:
    """``-a``, ``+a``, ``not a``, ``~a``."""
    if kind_of is ast.Not:
        return item(np.logical_not(value))
    if kind_of is ast.Invert:
        if not whole(value):
            raise UsageError("bits are those of whole numbers; cast them first, as in i64(x)")
        return item(np.invert(value))
    if kind_of is ast.UAdd:
        return item(np.positive(widen(value) if kind(value) == "b" else value))
    return binary(ast.Sub, 0, value) if whole(value) else item(np.negative(value))


def common(*values: Value) -> list[Array]:
    """Values that become one another's neighbours, in the type that holds them all: that of the arrays, if it can."""
    strong = [value.dtype for value in values if isinstance(value, np.ndarray | np.generic)]
    weak = [value for value in values if not isinstance(value, np.ndarray | np.generic)]
    if not strong:
        dtype = np.result_type(*(np.asarray(value) for value in weak))
    else:
        dtype = np.result_type(*strong)
        if all(known.kind in "biu" for known in strong) and dtype.kind == "f":  # uint64 beside a signed one
            values = tuple(widen(value) for value in values)
            dtype = np.dtype(np.int64)
        for value in weak:
            dtype = _adapted(dtype, value)
    return [np.asarray(value, dtype) for value in values]


def _adapted(dtype: np.dtype[Any], value: Value) -> np.dtype[Any]:
    """The type of an array that takes up a Python number."""
    if isinstance(value, complex):
        return np.result_type(dtype, np.complex64)
    if isinstance(value, float):
        return dtype if dtype.kind in "fc" else np.dtype(np.float64)
    if dtype.kind in "fc" or isinstance(value, bool):
        return dtype
    if dtype.kind in "iu" and np.iinfo(dtype).min <= value <= np.iinfo(dtype).max:
        return dtype
    return np.dtype(np.int64)
