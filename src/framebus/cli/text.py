"""Figures and names as a person reads them in a terminal."""

from __future__ import annotations

import math
from datetime import UTC, datetime

_DURATIONS = (
    ("µs", 1e-6, 999.5e-6),  # which would be shown as 1000
    ("ms", 1e-3, 0.9995),
    ("s", 1.0, 120.0),
    ("min", 60.0, 7200.0),
    ("h", 3600.0, 172_800.0),
)
_DAY_S, _YEAR_S = 86_400.0, 31_557_600.0


def safe(text: str) -> str:
    """``text`` with every character that could move the cursor, hide or reorder what is shown written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def duration(seconds: float) -> str:
    """An age or a duration: ``12 µs``, ``1.2 ms``, ``3 s``, ``5 h``."""
    for unit, size, below in _DURATIONS:
        if seconds < below:
            return f"{_short(seconds / size)} {unit}"
    return f"{_short(seconds / _DAY_S)} d" if seconds < 2 * _YEAR_S else f"{_short(seconds / _YEAR_S)} years"


def rate(hertz: float) -> str:
    """Frames per second: ``0.5 Hz``, ``1.21 kHz``."""
    if hertz >= 1e6:
        return f"{hertz / 1e6:.3g} MHz"
    return f"{hertz / 1e3:.3g} kHz" if hertz >= 999.5 else f"{hertz:.3g} Hz"


def size(n_bytes: int) -> str:
    """A number of bytes, in powers of 1000: ``384 B``, ``1.2 MB``."""
    value = float(n_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5:
            return f"{_short(value)} {unit}"
        value /= 1000
    return f"{_short(value)} TB"


def shape(sizes: tuple[int, ...] | list[int] | None) -> str:
    """NumPy's shape without blanks: ``120x120``; nothing for None."""
    return "x".join(map(str, sizes or ()))


def iso_time(ns: int) -> str:
    """Integer ns since the epoch as ISO 8601 UTC, all digits kept; empty for 0, the number if no calendar has it."""
    if ns == 0:
        return ""
    seconds, rest = divmod(ns, 10**9)
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return f"{ns} ns"
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


def not_finite(n: int) -> str:
    """That so many values are not."""
    return "1 value is not finite" if n == 1 else f"{n} values are not finite"


def figure(value: float | int | None) -> str:
    """A number with six digits; ``-`` for none."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def _short(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") if value < 9.95 else f"{value:.0f}"
