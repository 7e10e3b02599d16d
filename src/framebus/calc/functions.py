"""The functions of expressions, in one table: what each takes, what it may need of memory, and what it does."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from framebus.calc.arithmetic import Value, bounds, common, fractional, item, real_only, whole, widen
from framebus.calc.casts import CASTS, cast
from framebus.calc.reductions import (
    extreme,
    index_of,
    mean,
    median,
    percentile,
    plain_reduction,
    std,
    total,
    var,
)
from framebus.errors import UsageError

__all__ = ["ARRAYS", "CONSTANTS", "ELEMENTWISE", "FUNCTIONS", "REDUCTIONS", "SHAPES", "TYPES", "Function"]

CONSTANTS: dict[str, Value] = {"pi": math.pi, "e": math.e, "inf": math.inf, "nan": math.nan}

ELEMENTWISE, REDUCTIONS = "element by element", "of all elements, or along an axis"
SHAPES, ARRAYS, TYPES = "shapes and transforms", "new arrays", "other types"
"""Under what the list of functions has them."""

_MOST = 3  # axes of a shape that is given by numbers


@dataclass(frozen=True)
class Function:
    """One function.

    Attributes:
        call: computes it.
        usage: how it is called.
        least, most: how many arguments it has by position.
        keywords: which it has by name.
        size: how many elements it may make of its arguments, at most; told before anything is computed.
        group: under what the list of functions has it.
    """

    call: Callable[..., Value]
    usage: str
    least: int
    most: int
    keywords: tuple[str, ...]
    size: Callable[..., int]
    group: str


def _size(value: Value) -> int:
    return value.size if isinstance(value, np.ndarray) else 1


def _joint(*values: Value, **_named: Value) -> int:
    """Of what is computed element by element."""
    shapes = [value.shape for value in values if isinstance(value, np.ndarray)]
    try:
        return math.prod(np.broadcast_shapes(*shapes))
    except ValueError:
        told = " and ".join("x".join(map(str, shape)) for shape in shapes)
        raise UsageError(f"the shapes {told} do not go together") from None


def _first(value: Value, *_others: Value, **_named: Value) -> int:
    return _size(value)


def _shape(values: tuple[Value, ...]) -> tuple[int, ...]:
    """``zeros(10, 20)``, ``zeros((10, 20))`` and ``zeros(im)``: a shape by numbers, or that of an array."""
    if len(values) == 1 and isinstance(values[0], np.ndarray):
        return tuple(map(int, values[0].shape))
    given = values[0] if len(values) == 1 and isinstance(values[0], tuple) else values
    if not 1 <= len(given) <= _MOST or not all(type(n) is int and n >= 0 for n in given):
        raise UsageError("expected 1 to 3 whole numbers of elements, or an array whose shape to take")
    return tuple(given)


def _made(*values: Value) -> int:
    return math.prod(_shape(values))


def _counted(*values: Value) -> int:
    if not all(type(value) in (int, float) and math.isfinite(value) for value in values):
        raise UsageError("expected numbers")
    start, stop, step = (0, *values, 1)[-3:] if len(values) == 1 else (*values, 1)[:3]
    if step == 0:
        raise UsageError("the step is 0")
    return max(0, math.ceil(float(stop - start) / float(step)))


def _spaced(start: Value, stop: Value, n: Value = 50) -> int:
    if any(type(value) not in (int, float, complex) for value in (start, stop)):
        raise UsageError("linspace(first, last, n) goes from one number to another")
    if type(n) is not int or n < 0:
        raise UsageError(f"the number of elements is {n!r}; expected a whole number from 0 on")
    return n


# ---- what they do ----------------------------------------------------------------------------------------------------


def _smooth(function: Any) -> Callable[[Value], Value]:
    """A function that yields fractions."""
    return lambda value: item(function(np.asarray(fractional(value))))


def _kept(function: Any) -> Callable[[Value], Value]:
    """A function that leaves whole numbers what they are."""
    return lambda value: value if whole(value) else item(function(np.asarray(value)))


def _direct(function: Any) -> Callable[[Value], Value]:
    return lambda value: item(function(np.asarray(value)))


def _absolute(value: Value) -> Value:
    if whole(value):
        if bounds(value, exact=True)[0] >= 0:
            return value
        wide = np.asarray(widen(value))
        if int(wide.min(initial=0)) == np.iinfo(np.int64).min:
            raise UsageError("a whole number beyond 64 bits; make it fractions first, as in f64(x)")
        return item(np.abs(wide))
    return item(np.abs(np.asarray(value)))


def _round(value: Value, digits: Value = 0) -> Value:
    if type(digits) is not int or not 0 <= digits <= 20:
        raise UsageError(f"round keeps {digits!r} digits; expected a whole number from 0 to 20")
    return value if whole(value) else item(np.round(np.asarray(value), digits))


def _sign(value: Value) -> Value:
    if whole(value):
        return item(np.sign(np.asarray(widen(value))))
    real_only("sign", value)
    return item(np.sign(value))


def _two(function: Any) -> Callable[[Value, Value], Value]:
    def call(a: Value, b: Value) -> Value:
        real_only(function.__name__, a, b)
        return item(function(*common(fractional(a), fractional(b))))

    return call


def _where(condition: Value, this: Value, that: Value) -> Value:
    if np.asarray(condition).dtype.kind == "c":
        raise UsageError("where: the condition is complex; compare its abs, real or imag")
    return item(np.where(np.asarray(condition).astype(bool), *common(this, that)))


def _clip(value: Value, low: Value, high: Value) -> Value:
    real_only("clip", value, low, high)
    return item(np.clip(*common(value, low, high)))


def _replaced(value: Value, by: Value = 0.0) -> Value:
    array, new = common(value, by)
    return item(np.where(np.isfinite(array), array, new))


def _roll(value: Value, by: Value, axis: Value = None) -> Value:
    return np.roll(np.asarray(value), by, axis)


def _turned(value: Value, times: Value = 1) -> Value:
    return np.rot90(np.asarray(value), times)


def _reshaped(value: Value, *sizes: Value) -> Value:
    return np.reshape(np.asarray(value), _shape(sizes))


def _transform(function: Any) -> Callable[[Value], Value]:
    def call(value: Value) -> Value:
        array = np.asarray(value)
        if array.ndim < 2:
            raise UsageError(f"{function.__name__} needs an image; this has {array.ndim} axes")
        double = array.dtype in (np.float64, np.complex128) or array.dtype.kind in "biu"
        return function(array).astype(np.complex128 if double else np.complex64, copy=False)

    return call


def _full(*values: Value) -> Value:
    *sizes, value = values
    if isinstance(value, np.ndarray | tuple):
        raise UsageError("full(ny, nx, value) has a number at its end")
    return np.full(_shape(tuple(sizes)), value)


def _random(draw: Callable[[np.random.Generator, tuple[int, ...]], Any]) -> Callable[..., Value]:
    return lambda *sizes: draw(np.random.default_rng(), _shape(sizes))


# ---- the table -------------------------------------------------------------------------------------------------------


def _table() -> dict[str, Function]:
    table: dict[str, Function] = {}

    def put(
        group: str,
        usage: str,
        call: Callable[..., Value],
        size: Callable[..., int],
        least: int,
        most: int,
        *by_name: str,
    ) -> None:
        table[usage.partition("(")[0]] = Function(call, usage, least, most, by_name, size, group)

    def each(group: str, names: str, of: Callable[[Any], Callable[..., Value]]) -> None:
        for name in names.split():
            put(group, f"{name}(x)", of(getattr(np, name)), _joint, 1, 1)

    _put_elementwise(put, each)
    reductions = (
        *(("sum", total), ("mean", mean), ("std", std), ("var", var), ("median", median)),
        *(("all", plain_reduction(np.all)), ("any", plain_reduction(np.any))),
        *(("argmin", index_of(np.argmin)), ("argmax", index_of(np.argmax))),
    )
    for name, call in reductions:
        put(REDUCTIONS, f"{name}(x, axis)", call, _first, 1, 2, "axis")
    put(REDUCTIONS, "percentile(x, q, axis)", percentile, _first, 2, 3, "axis")
    for name, pair, single in (("min", np.minimum, np.min), ("max", np.maximum, np.max)):
        put(REDUCTIONS, f"{name}(x, y, axis=...)", extreme(pair, single), _joint, 1, 2, "axis")
    _put_shapes(put)
    for short, dtype in CASTS.items():
        for name in (short, dtype):
            put(TYPES, f"{name}(x)", lambda x, dtype=dtype: cast(x, dtype), _joint, 1, 1)
    return table


def _put_elementwise(put: Callable[..., None], each: Callable[..., None]) -> None:
    group = ELEMENTWISE
    each(
        group, "sqrt exp expm1 log log2 log10 log1p sin cos tan arcsin arccos arctan sinh cosh tanh", _smooth
    )
    each(group, "floor ceil trunc", _kept)
    each(group, "isfinite isnan real imag conj", _direct)
    put(group, "angle(x)", _smooth(np.angle), _joint, 1, 1)
    put(group, "abs(x)", _absolute, _joint, 1, 1)
    put(group, "sign(x)", _sign, _joint, 1, 1)
    put(group, "round(x, digits)", _round, _joint, 1, 2)
    put(group, "arctan2(y, x)", _two(np.arctan2), _joint, 2, 2)
    put(group, "hypot(x, y)", _two(np.hypot), _joint, 2, 2)
    put(group, "where(condition, this, that)", _where, _joint, 3, 3)
    put(group, "clip(x, low, high)", _clip, _joint, 3, 3)
    put(group, "finite(x, instead)", _replaced, _joint, 1, 2)


def _put_shapes(put: Callable[..., None]) -> None:
    group = SHAPES
    put(group, "transpose(x)", lambda x: np.transpose(np.asarray(x)), _first, 1, 1)
    put(group, "flip(x, axis)", lambda x, axis=None: np.flip(np.asarray(x), axis), _first, 1, 2, "axis")
    put(group, "roll(x, by, axis)", _roll, _first, 2, 3, "axis")
    put(group, "rot90(x, times)", _turned, _first, 1, 2)
    put(group, "reshape(x, ny, nx)", _reshaped, _first, 2, 4)
    put(group, "size(x)", lambda x: int(np.size(x)), lambda _x: 1, 1, 1)
    put(group, "fftshift(x)", lambda x: np.fft.fftshift(np.asarray(x)), _first, 1, 1)
    put(group, "ifftshift(x)", lambda x: np.fft.ifftshift(np.asarray(x)), _first, 1, 1)
    # The transform, and its copies on the way.
    put(group, "fft2(x)", _transform(np.fft.fft2), lambda x: 4 * _size(x), 1, 1)
    put(group, "ifft2(x)", _transform(np.fft.ifft2), lambda x: 4 * _size(x), 1, 1)
    group = ARRAYS
    put(group, "zeros(ny, nx)", lambda *sizes: np.zeros(_shape(sizes)), _made, 1, _MOST)
    put(group, "ones(ny, nx)", lambda *sizes: np.ones(_shape(sizes)), _made, 1, _MOST)
    put(group, "full(ny, nx, value)", _full, lambda *values: _made(*values[:-1]), 2, _MOST + 1)
    put(group, "arange(first, end, step)", np.arange, _counted, 1, 3)
    put(group, "linspace(first, last, n)", np.linspace, _spaced, 2, 3)
    put(group, "random(ny, nx)", _random(lambda rng, shape: rng.random(shape)), _made, 1, _MOST)
    put(group, "normal(ny, nx)", _random(lambda rng, shape: rng.normal(size=shape)), _made, 1, _MOST)


FUNCTIONS = _table()
"""Every function by its name."""
