"""Parameter types, and Python values as the 8-byte cells and texts that shared memory holds.

A cell holds the bits of a float64, or an int64 or uint64, or 0 or 1 for on/off; float32, int32 and uint32 use
its low four bytes and leave zeros above. These are the cells that a compiled unit receives.
"""

from __future__ import annotations

import math
import operator
import os
import struct
from typing import Any

from framebus.errors import NameFormatError, ParameterError
from framebus.stream.names import parse

__all__ = ["TEXT_TYPES", "TYPES", "TYPE_NAMES", "Value", "decode", "encode", "infer_type", "limits_of"]

Value = int | float | str
"""What a parameter's value is in Python; an on/off value is a bool."""

TYPES = {
    "int32": 1,
    "int64": 2,
    "uint32": 3,
    "uint64": 4,
    "float32": 5,
    "float64": 6,
    "onoff": 7,
    "string": 8,
    "path": 9,
    "stream": 10,
    "pid": 11,
    "timestamp": 12,
}
"""Number of each type in the file. A timestamp is integer nanoseconds since 1970 (UTC)."""

TYPE_NAMES = {number: name for name, number in TYPES.items()}
TEXT_TYPES = frozenset({"string", "path", "stream"})
TEXT_BYTES = 255
SAID = 80  # characters of a wrong value that a message repeats

_FORMATS = {"int32": "<i4x", "uint32": "<I4x", "uint64": "<Q", "float32": "<f4x", "float64": "<d"}
_FLOATS = frozenset({"float32", "float64"})
_RANGES: dict[str, tuple[int, int]] = {
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
    "onoff": (0, 1),
    "pid": (0, 2**31 - 1),
    "timestamp": (0, 2**63 - 1),
}


def limits_of(kind: str) -> tuple[float, float] | tuple[int, int]:
    """Smallest and largest value of a numeric type."""
    return (-math.inf, math.inf) if kind in _FLOATS else _RANGES[kind]


def infer_type(default: object) -> str:
    """The type of an entry that is declared by its default alone: onoff, int64, float64, string or path.

    Raises:
        ParameterError: the default is none of bool, int, float, str, path.
    """
    if isinstance(default, bool) or type(default).__name__ in {"bool", "bool_"}:
        return "onoff"
    if isinstance(default, str):
        return "string"
    if isinstance(default, os.PathLike):
        return "path"
    if hasattr(default, "__index__"):
        return "int64"
    if hasattr(default, "__float__"):
        return "float64"
    raise ParameterError(
        f"{default!r} ({type(default).__name__}) cannot be a parameter's default; "
        "expected bool, int, float, str or path"
    )


def encode(kind: str, value: object) -> tuple[int, str]:
    """``value`` as (cell, text) of the type ``kind``.

    Raises:
        ParameterError: the value is not of that type; the message says the value and what is expected, and
            wants the parameter's name before it.
    """
    if kind in TEXT_TYPES:
        return 0, _text(kind, value)
    if kind in _FLOATS:
        return _cell(kind, _float(kind, value)), ""
    return _cell(kind, _integer(kind, value)), ""


def decode(kind: str, cell: int, text: str) -> Value:
    """The Python value of a cell and a text."""
    if kind in TEXT_TYPES:
        return text
    if kind == "onoff":
        return cell != 0
    layout = _FORMATS.get(kind)
    if layout is None:
        return cell
    value: int | float = struct.unpack(layout, struct.pack("<q", cell))[0]
    return value


def _cell(kind: str, number: float) -> int:
    cell: int = struct.unpack("<q", struct.pack(_FORMATS.get(kind, "<q"), number))[0]
    return cell


def _bad(value: object, expected: str) -> ParameterError:
    said = repr(value)
    if len(said) > SAID:
        said = f"{said[: SAID - 1]}…"
    return ParameterError(f"= {said} ({type(value).__name__}): expected {expected}")


def _is_bool(value: object) -> bool:
    return isinstance(value, bool) or type(value).__name__ in {"bool", "bool_"}


def _float(kind: str, value: Any) -> float:
    if (
        _is_bool(value)
        or isinstance(value, str | bytes)
        or not (hasattr(value, "__float__") or hasattr(value, "__index__"))
    ):
        raise _bad(value, f"a number ({kind})")
    try:
        number = float(value)
    except OverflowError as error:
        raise _bad(value, f"a number that fits into {kind}") from error
    except (TypeError, ValueError) as error:
        raise _bad(value, f"one number ({kind})") from error
    if math.isnan(number):
        raise _bad(value, f"a number ({kind}), not NaN")
    if kind == "float32" and math.isfinite(number):
        try:
            struct.pack("<f", number)
        except OverflowError as error:
            raise _bad(value, "a number that fits into float32 (at most 3.4e38)") from error
    return number


def _integer(kind: str, value: Any) -> int:
    low, high = _RANGES[kind]
    if kind == "onoff":
        expected = "True or False (or 1 or 0)"
    else:
        expected = f"an integer ({kind}, {low} to {high})"
        if _is_bool(value):
            raise _bad(value, expected)
    try:
        number = int(value) if _is_bool(value) else operator.index(value)
    except TypeError as error:
        raise _bad(value, expected) from error
    if not low <= number <= high:
        raise _bad(value, expected)
    return number


def _text(kind: str, value: object) -> str:
    if kind == "path" and isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise _bad(value, "a text" if kind != "path" else "a text or a path")
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise _bad(value, "a text that UTF-8 can hold") from error
    if size > TEXT_BYTES or "\0" in value:
        raise _bad(
            value, f"a text of at most {TEXT_BYTES} bytes in UTF-8 ({size} given) without NUL characters"
        )
    if kind == "stream" and value:
        try:
            parse(value)
        except NameFormatError as error:
            raise ParameterError(f"= {value!r}: expected the name of a stream: {error}") from error
    return value
