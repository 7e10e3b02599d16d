"""Slices of a stream, written behind its name: ``wfs[10:29,-*,::4b]``.

The text is milk's: one entry per axis, x (the fastest axis, NumPy's last) first; indices start at 0, **both ends
are included**, negative ones count from the end of the axis. Axes that are not mentioned are whole.

============== =====================================================================================
``*``, nothing the whole axis
``-*``         the whole axis, flipped
``7``          one index; the axis stays, with length 1
``3:9``        indices 3 to 9; ``9:3`` is the same ones from 9 down; a missing end is the axis' own
``3:9:2``      every second one; ``3:9::2`` is the same; a negative step goes down (``::-1`` is ``-*``)
``3:9:2b``     bins of two indices, each replaced by its mean; a last bin that is not full is left out
============== =====================================================================================

A text is parsed once; what depends on the stream's shape is checked when the slices meet an array.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from framebus.errors import NameFormatError, UsageError

__all__ = ["AxisSlice", "Slices", "check_storable"]

MAX_AXES = 3
"""A stream has at most three axes."""

_MAX_DIGITS = 10  # an axis is at most 2**32 - 1 long; also keeps int() away from absurd texts
_AXIS = re.compile(r"(-?[0-9]+)?(?:(:)(-?[0-9]+)?(?:::?(-?[0-9]+)([bB])?)?)?")
_EXPECTED = "expected '*', '-*', an index, 'first:last', 'first:last:step' or 'first:last:4b'"


@dataclass(frozen=True, slots=True)
class AxisSlice:
    """What is taken of one axis; both ends are included, ``None`` is the axis' own end."""

    first: int | None = None
    last: int | None = None
    step: int = 1
    binned: bool = False

    def __post_init__(self) -> None:
        if self.step == 0:
            raise NameFormatError("slice step is 0; expected 1 or more (or -1 and less to go down)")

    def __str__(self) -> str:
        if (self.first, self.last, self.binned) == (None, None, False) and abs(self.step) == 1:
            return "*" if self.step == 1 else "-*"
        if self.first is not None and (self.first, self.step) == (self.last, 1) and not self.binned:
            return str(self.first)
        first, last = ("" if end is None else str(end) for end in (self.first, self.last))
        if self.step == 1 and not self.binned:
            return f"{first}:{last}"
        return f"{first}:{last}:{self.step}{'b' if self.binned else ''}"


class _Run(NamedTuple):
    """An axis slice on an axis of known size: which pixels, the slice's length, and how many pixels make one bin."""

    pixels: slice
    length: int
    bin: int


@dataclass(frozen=True, slots=True)
class Slices:
    """A parsed slice text. ``axes[0]`` is x, that is NumPy's last axis. ``str()`` gives the canonical text."""

    axes: tuple[AxisSlice, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.axes) <= MAX_AXES:
            raise NameFormatError(f"{len(self.axes)} axes in a slice; expected 1 to {MAX_AXES}")

    @classmethod
    def parse(cls, text: str) -> Slices:
        """Read ``[...]``, brackets included. Raises ``NameFormatError`` with the place of what is wrong."""
        return parse_slices(text, text, 0)

    def __str__(self) -> str:
        return f"[{','.join(map(str, self.axes))}]"

    def shape(self, full_shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of the slice of an array of ``full_shape`` (both NumPy's, x last).

        Raises:
            NameFormatError: the slices have more axes, or reach outside one, or hold nothing.
        """
        return tuple(run.length for run in self._runs(full_shape))

    def apply(self, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Copy the slice out of ``array``: a new C-contiguous array of the same dtype.

        Bins are means: for integers exact and rounded to the nearest (halves to even), for float16/32 and
        complex64 summed in double precision.

        Raises:
            NameFormatError: the slices do not fit the array's shape.
        """
        runs = self._runs(array.shape)
        taken = array[tuple(run.pixels for run in runs)]
        if all(run.bin == 1 for run in runs):
            return taken.copy()
        return _bin_means(taken, runs)

    def assign(self, full_array: npt.NDArray[Any], values: npt.ArrayLike) -> None:
        """Write ``values`` to where ``apply`` would read: every pixel of a bin gets the bin's value.

        So ``apply`` then gives back what was written; pixels outside the slice (also those that a stride skips)
        keep their values.

        Args:
            full_array: array to write into, of any shape that the slices fit.
            values: one number, or an array of exactly ``self.shape(full_array.shape)``; integers must fit the
                dtype of ``full_array``, and nothing is made less than it was (float to integer, complex to real).

        Raises:
            NameFormatError: the slices do not fit the array's shape.
            UsageError: ``values`` has another shape or cannot be stored; nothing was written.
        """
        runs = self._runs(full_array.shape)
        shape = tuple(run.length for run in runs)
        new = np.asarray(values)
        if new.shape not in ((), shape):
            raise UsageError(
                f"values of shape {new.shape} for the slice {self}; expected {shape} or one number"
            )
        check_storable(new, full_array.dtype)
        if new.shape:
            for axis, run in enumerate(runs):
                new = new if run.bin == 1 else np.repeat(new, run.bin, axis)
        full_array[tuple(run.pixels for run in runs)] = new

    def _runs(self, full_shape: tuple[int, ...]) -> list[_Run]:
        """One run per NumPy axis of ``full_shape``."""
        if len(self.axes) > len(full_shape):
            raise NameFormatError(
                f"slice {self} has {len(self.axes)} axes, but the stream of shape {full_shape} has"
                f" {len(full_shape)}; leave out {len(self.axes) - len(full_shape)}"
            )
        runs = [_Run(slice(None), size, 1) for size in full_shape]
        for i in range(len(self.axes)):
            runs[-1 - i] = self._run(i, full_shape[-1 - i])
        return runs

    def _run(self, i: int, size: int) -> _Run:
        axis = self.axes[i]
        if size == 0:
            raise self._misfit(i, "the axis is empty")
        default_first, default_last = (0, size - 1) if axis.step > 0 else (size - 1, 0)
        first = self._pixel(i, axis.first, default_first, size)
        last = self._pixel(i, axis.last, default_last, size)
        if axis.step < 0 and last > first:
            raise self._misfit(
                i, f"a step of {axis.step} from {first} never comes to {last}; write the larger first"
            )
        way = -1 if axis.step < 0 or last < first else 1
        stride, bin_ = (1, abs(axis.step)) if axis.binned else (abs(axis.step), 1)
        count = abs(last - first) // stride + 1
        if count < bin_:
            raise self._misfit(i, f"{count} pixels hold no bin of {bin_}; expected a bin of at most {count}")
        count //= bin_
        end = first + way * stride * count * bin_  # one step past the last pixel used
        return _Run(slice(first, None if end < 0 else end, way * stride), count, bin_)

    def _pixel(self, i: int, index: int | None, default: int, size: int) -> int:
        if index is None:
            return default
        if not -size <= index < size:
            raise self._misfit(
                i,
                f"index {index} is outside the axis of {size} pixels; expected 0 to {size - 1}, or -{size} to -1",
            )
        return index % size

    def _misfit(self, i: int, reason: str) -> NameFormatError:
        return NameFormatError(f"slice {self}, axis {i} ({'xyz'[i]}) '{self.axes[i]}': {reason}")


def parse_slices(text: str, whole: str, offset: int) -> Slices:
    """Parse ``text`` = ``whole[offset:]``; errors quote ``whole`` and count characters in it from 1."""

    def wrong(at: int, what: str) -> NameFormatError:
        return NameFormatError(f"stream name {whole!r}, character {offset + at + 1}: {what}")

    if not text.startswith("["):
        raise wrong(0, "expected '[' to begin the slice, as in [10:29,*]")
    if not text.endswith("]"):
        raise wrong(max(len(text) - 1, 0), "the slice does not end; expected ']' as the last character")
    inside = text[1:-1]
    if not inside.strip(" "):
        raise wrong(1, f"empty slice; {_EXPECTED}, per axis, or leave out the brackets")
    axes: list[AxisSlice] = []
    at = 1
    for number, part in enumerate(inside.split(",")):
        entry = part.strip(" ")
        begin = at + len(part) - len(part.lstrip(" "))
        if number == MAX_AXES:
            raise wrong(begin, f"a slice for axis {number + 1}; expected at most {MAX_AXES} axes")
        axes.append(_parse_axis(entry, partial(wrong, begin)))
        at += len(part) + 1
    return Slices(tuple(axes))


def _parse_axis(entry: str, wrong: Callable[[str], NameFormatError]) -> AxisSlice:
    if entry in ("", "*"):
        return AxisSlice()
    if entry == "-*":
        return AxisSlice(step=-1)
    match = _AXIS.fullmatch(entry)
    if match is None:
        raise wrong(f"{entry!r} is not a slice of an axis; {_EXPECTED}")
    first, colon, last, step, binned = match.groups()
    for number in (first, last, step):
        if number is not None and len(number.lstrip("-")) > _MAX_DIGITS:
            raise wrong(f"the number {number[:_MAX_DIGITS]}... is longer than any axis")
    if step is not None and int(step) == 0:
        raise wrong(f"step 0 in {entry!r}; expected 1 or more (or -1 and less to go down)")
    lower, upper = (None if end is None else int(end) for end in (first, last))
    return AxisSlice(lower, upper if colon else lower, 1 if step is None else int(step), binned is not None)


def check_storable(values: npt.NDArray[Any], dtype: np.dtype[Any]) -> None:
    """Raise ``UsageError`` unless ``values`` become ``dtype`` without change of kind and no integer overflows."""
    if values.dtype.kind in "iu" and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        low, high = int(values.min()), int(values.max())
        if low < limits.min or high > limits.max:
            raise UsageError(
                f"values from {low} to {high} do not fit {dtype}; expected {limits.min} to {limits.max}"
            )
    elif not np.can_cast(values.dtype, dtype, "same_kind"):
        raise UsageError(
            f"values of dtype {values.dtype} cannot be stored as {dtype}; convert them with astype()"
        )


def _bin_means(pixels: npt.NDArray[Any], runs: list[_Run]) -> npt.NDArray[Any]:
    """Mean of each block of ``run.bin`` pixels per axis, in the dtype of ``pixels``."""
    blocks = pixels.reshape([n for run in runs for n in (run.length, run.bin)])
    inner = tuple(range(1, blocks.ndim, 2))
    dtype = pixels.dtype
    if dtype.kind not in "iu":
        with np.errstate(over="ignore", invalid="ignore"):  # inf and nan pixels give inf and nan, silently
            mean: npt.NDArray[Any] = blocks.mean(axis=inner, dtype=np.result_type(dtype, np.float64))
            return mean.astype(dtype)
    # Quotients and remainders are summed apart, so that even 64-bit pixels cannot overflow (for signed ones the
    # quotients' sum may wrap, and wraps back): sum(p) / n = sum(p // n) + sum(p % n) / n.
    n = math.prod(run.bin for run in runs)
    wide = blocks.astype(np.uint64 if dtype.kind == "u" else np.int64)
    quotient, remainder = np.divmod(wide, wide.dtype.type(n))
    more, rest = np.divmod(remainder.sum(axis=inner, dtype=wide.dtype), wide.dtype.type(n))
    whole = quotient.sum(axis=inner, dtype=wide.dtype) + more
    up = (2 * rest > n) | ((2 * rest == n) & (whole % 2 == 1))
    rounded: npt.NDArray[Any] = (whole + up.astype(wide.dtype)).astype(dtype)
    return rounded
