"""Durations on the command line: ``2`` and ``2s`` are seconds, ``100ms``, ``50us``, ``5min``, ``1h`` say their unit."""

from __future__ import annotations

import math
import re

import click

_UNITS = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "min": 60.0, "h": 3600.0}
_FORM = re.compile(r"([0-9.]+(?:e[-+]?[0-9]+)?)\s*([a-zµ]*)")


def seconds(text: str) -> float:
    """The duration that a text means, in s; the type of an option.

    Raises:
        click.BadParameter: it means none.
    """
    found = _FORM.fullmatch(text.strip())
    try:
        value = float(found[1]) * _UNITS[found[2]] if found else math.nan
    except (ValueError, KeyError):
        value = math.nan
    if not math.isfinite(value):
        raise click.BadParameter(f"'{text}': expected a number and s, ms, us, min or h, as in 100ms")
    return value
