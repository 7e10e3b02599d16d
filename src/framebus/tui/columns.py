"""Columns of a table, and how they share the width there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["GAP", "Column", "laid_out"]

GAP = 1
"""Blanks between two columns."""


class Column(NamedTuple):
    """One column.

    Attributes:
        key: what it is called in code.
        title: what stands above it.
        width: columns of the screen; of those that stretch, the least.
        right: whether its cells stand at its right edge.
        rank: those of the highest rank are the first to be left out where there is no room.
        weight: share of the room that is left; 0: it does not stretch.
        most: columns that it stretches to at most; 0: no limit.
    """

    key: str
    title: str
    width: int
    right: bool = False
    rank: int = 0
    weight: int = 0
    most: int = 0


def laid_out(columns: Sequence[Column], width: int) -> list[tuple[int, int]]:
    """Index and width of each column that is shown, from left to right."""
    shown = list(range(len(columns)))

    def needed() -> int:
        return sum(columns[i].width for i in shown) + GAP * (len(shown) - 1)

    while len(shown) > 1 and needed() > width:
        worst = max(shown, key=lambda i: (columns[i].rank, i))
        shown.remove(worst)
    left = max(0, width - needed())
    widths = {i: columns[i].width for i in shown}
    stretching = [i for i in shown if columns[i].weight]
    while left > 0 and stretching:
        total = sum(columns[i].weight for i in stretching)
        given = 0
        for i in list(stretching):
            share = max(1, left * columns[i].weight // total)
            most = columns[i].most or width
            share = min(share, most - widths[i], left - given)
            widths[i] += share
            given += share
            if widths[i] >= most:
                stretching.remove(i)
        left -= given
        if not given:
            break
    return [(i, widths[i]) for i in shown]
