"""Histograms of times as text: one line each for many, or bars side by side for a few."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

from framebus.process.histogram import EDGES_US, Histogram

__all__ = ["bars", "duration_us", "scale", "strip"]

_LEVELS = " ▁▂▃▄▅▆▇█"
_WIDTH = 2
"""Columns of a bin in a strip."""

_EIGHTHS = " ▏▎▍▌▋▊▉█"


def strip(histogram: Histogram) -> str:
    """All bins in one line, two columns each; heights are logarithmic, so that a single late one shows."""
    most = max(histogram.counts, default=0)
    return "".join(_LEVELS[_level(count, most)] * _WIDTH for count in histogram.counts)


def scale() -> str:
    """The line above strips: where decades begin, as wide as they are."""
    line = [" "] * (_WIDTH * (len(EDGES_US) + 1))
    for index, edge in enumerate(EDGES_US):
        if index % 3 == 0:
            name = duration_us(edge).replace(" ", "")
            at = _WIDTH * (index + 1)
            line[at : at + len(name)] = name
    return "".join(line).rstrip().ljust(_WIDTH * (len(EDGES_US) + 1))


def bars(histograms: Sequence[Histogram], titles: Sequence[str], width: int) -> list[str]:
    """Histograms side by side, a row for each bin that one of them has something in.

    Bars are logarithmic; the count stands behind each.

    Args:
        histograms: any number, but as many as fit.
        titles: what each is of.
        width: columns that there are.
    """
    full = [h.occupied for h in histograms if h.n]
    if not full:
        return []
    label, gap = 16, 2
    column = (width - label) // len(histograms) - gap
    figures = max(len(str(max(h.counts))) for h in histograms)
    room = max(4, column - figures - 1)
    lines = [" " * label + "".join(f"{title:<{column + gap}}" for title in titles).rstrip()]
    for index in range(min(r.start for r in full), max(r.stop for r in full)):
        cells = [_cell(h.counts[index], max(h.counts), room, figures) for h in histograms]
        row = "".join(f"{cell:<{column + gap}}" for cell in cells)
        lines.append(f"{_bin(index):>{label - 2}}  {row}".rstrip())
    return lines


def duration_us(value: float) -> str:
    """``5 µs``, ``1 ms``: three digits at most."""
    for unit, size in (("µs", 1.0), ("ms", 1e3)):
        if value < 999.5 * size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e6:.3g} s"


def _bin(index: int) -> str:
    """What a bin holds."""
    if index == 0:
        return f"< {duration_us(EDGES_US[0])}"
    if index == len(EDGES_US):
        return f">= {duration_us(EDGES_US[-1])}"
    low, high = duration_us(EDGES_US[index - 1]).split(), duration_us(EDGES_US[index]).split()
    return f"{low[0]} - {high[0]} {high[1]}" if low[1] == high[1] else f"{' '.join(low)} - {' '.join(high)}"


def _cell(count: int, most: int, room: int, figures: int) -> str:
    if not count:
        return ""
    eighths = max(1, round(8 * room * log(1 + count) / log(1 + most)))
    whole, rest = divmod(eighths, 8)
    bar = "█" * whole + (_EIGHTHS[rest] if rest else "")
    return f"{bar} {count:>{figures}}" if len(bar) >= room else f"{bar} {count}"


def _level(count: int, most: int) -> int:
    if not count:
        return 0
    return max(1, round((len(_LEVELS) - 1) * log(1 + count) / log(1 + most)))
