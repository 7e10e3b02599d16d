"""A parameter's value as it is typed, and as it is shown."""

from __future__ import annotations

import math

from framebus.cli.text import safe
from framebus.errors import ParameterError
from framebus.params import ParamSpec, Value
from framebus.params.cells import limits_of

__all__ = ["as_typed", "limits_text", "parse_entry"]

_ON, _OFF = ("on", "true", "yes", "1"), ("off", "false", "no", "0")


def parse_entry(kind: str, text: str) -> Value:
    """What was typed, as a value of the type ``kind``.

    Raises:
        ParameterError: it is none.
    """
    word = text.strip()
    if kind == "onoff":
        if word.lower() not in _ON + _OFF:
            raise ParameterError(f"'{word}' is neither on nor off")
        return word.lower() in _ON
    try:
        if kind.startswith("float"):
            return float(word)
        if kind.startswith(("int", "uint")) or kind in ("pid", "timestamp"):
            return int(word, 0)
    except ValueError:
        expected = "a number" if kind.startswith("float") else "a whole number"
        raise ParameterError(f"'{word}' is no {kind}; expected {expected}") from None
    return text


def as_typed(kind: str, value: Value) -> str:
    """The value in the form in which it would be typed; all digits that a float of its type has, no more."""
    if kind == "onoff":
        return "on" if value else "off"
    if isinstance(value, float):
        if kind == "float32" and math.isfinite(value):
            return f"{value:.7g}"
        return repr(value)
    return safe(str(value))


def limits_text(spec: ParamSpec) -> str:
    """``0 … 2``, ``≥ 0``, ``≤ 1``; nothing where the type alone limits it."""
    if spec.minimum is None or spec.maximum is None or spec.type == "onoff":
        return ""
    lowest, highest = limits_of(spec.type)
    low = spec.minimum > lowest
    high = spec.maximum < highest
    if low and high:
        return f"{spec.minimum:g} … {spec.maximum:g}"
    return f"≥ {spec.minimum:g}" if low else f"≤ {spec.maximum:g}" if high else ""
