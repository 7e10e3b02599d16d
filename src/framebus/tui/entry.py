"""A parameter's value as it is typed, and its limits."""

from __future__ import annotations

import numpy as np

from framebus.params import ParamSpec, Value
from framebus.params.cells import limits_of
from framebus.params.text import to_text

__all__ = ["as_typed", "limits_text"]


def as_typed(kind: str, value: Value) -> str:
    """The value as ``framebus.params.text.from_text`` reads it back: all digits that a float of its type has, no more.

    A text is as it stands, with whatever is in it.
    """
    if kind == "float32":
        return str(np.float32(value))
    return to_text(bool(value) if kind == "onoff" else value)


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
