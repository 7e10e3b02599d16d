"""Figures of an array, or along an axis of it; sums are made in double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from framebus.calc.arithmetic import Array, Value, bounds, common, fractional, item, real_only, whole, widen
from framebus.errors import UsageError

__all__ = ["extreme", "index_of", "mean", "median", "percentile", "plain_reduction", "std", "total", "var"]

_INT64 = np.iinfo(np.int64)
_PRECISE = {"f": np.float64, "c": np.complex128}


def _filled(value: Value, what: str) -> Array:
    array = np.asarray(value)
    if not array.size:
        raise UsageError(f"{what} of no elements")
    return array


def _as_given(result: Any, array: Array, axis: Value) -> Value:
    """Figures along an axis have the type of what they are of, single figures all digits."""
    if axis is not None and array.dtype.kind in "fc" and isinstance(result, np.ndarray):
        real = array.dtype.kind == "c" and result.dtype.kind == "f"
        result = result.astype(array.real.dtype if real else array.dtype, copy=False)
    return item(result)


def _precise(function: Any, what: str) -> Callable[..., Value]:
    def call(value: Value, axis: Value = None) -> Value:
        array = _filled(fractional(value), what)
        result = function(array, axis=axis, dtype=_PRECISE[array.dtype.kind])
        return _as_given(result, array, axis)

    return call


mean = _precise(np.mean, "mean")
std = _precise(np.std, "std")
var = _precise(np.var, "var")


def total(value: Value, axis: Value = None) -> Value:
    """The sum: of whole numbers in 64 bits.

    Raises:
        UsageError: these are not enough.
    """
    array = np.asarray(value)
    if not whole(array):
        return _as_given(np.sum(array, axis=axis, dtype=_PRECISE[array.dtype.kind]), array, axis)
    most = max(map(abs, bounds(array)))
    if most * array.size > _INT64.max and max(map(abs, bounds(array, exact=True))) * array.size > _INT64.max:
        raise UsageError("the sum may have more than 64 bits; make it fractions first, as in sum(f64(x))")
    return item(np.sum(np.asarray(widen(value)), axis=axis))


def median(value: Value, axis: Value = None) -> Value:
    """The median: of whole numbers in float64."""
    real_only("median", value)
    array = _filled(fractional(value), "median")
    return _as_given(np.median(array, axis=axis), array, axis)


def percentile(value: Value, q: Value, axis: Value = None) -> Value:
    """The value below which ``q`` percent lie, interpolated linearly."""
    real_only("percentile", value)
    if isinstance(q, np.ndarray | tuple | complex) or not 0 <= q <= 100:
        raise UsageError("percentile(x, q) takes one q, from 0 to 100")
    array = _filled(fractional(value), "percentile")
    return _as_given(np.percentile(array, q, axis=axis), array, axis)


def plain_reduction(function: Any) -> Callable[..., Value]:
    """``all`` and ``any``."""
    return lambda value, axis=None: item(function(np.asarray(value), axis=axis))


def index_of(function: Any) -> Callable[..., Value]:
    """``argmin`` and ``argmax``."""

    def call(value: Value, axis: Value = None) -> Value:
        real_only(function.__name__, value)
        if isinstance(axis, tuple):
            raise UsageError(f"{function.__name__} goes along one axis")
        return item(function(_filled(value, function.__name__), axis=axis))

    return call


def extreme(pair: Any, single: Any) -> Callable[..., Value]:
    """``min`` and ``max``: of one array, or of two element by element."""

    def call(value: Value, *other: Value, axis: Value = None) -> Value:
        real_only(single.__name__.removeprefix("a"), value, *other)
        if not other:
            return item(single(_filled(value, single.__name__.removeprefix("a")), axis=axis))
        if axis is not None:
            raise UsageError("an axis goes with one array only, as in max(im, axis=0)")
        return item(pair(*common(value, *other)))

    return call
