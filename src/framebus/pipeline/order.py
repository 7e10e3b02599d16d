"""Putting things in order of what must come first, and finding what is in its own way."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Set
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)


def sort(
    items: Iterable[Item], needed: Set[tuple[Item, Item]], wished: Set[tuple[Item, Item]] = frozenset()
) -> list[Item]:
    """Items so that of every pair the first comes first, as long as that is possible.

    Pairs that are wished for give way to those that are needed; in a cycle, and among equals, the given order decides.
    """
    left = list(items)
    done: list[Item] = []

    def free(item: Item, pairs: Set[tuple[Item, Item]]) -> bool:
        return not any(later == item and earlier in left for earlier, later in pairs if earlier != item)

    while left:
        ready = [item for item in left if free(item, needed)] or left
        chosen = next((item for item in ready if free(item, wished)), ready[0])
        left.remove(chosen)
        done.append(chosen)
    return done


def cycles(before: Mapping[Item, Iterable[Item]]) -> list[list[Item]]:
    """Cycles of a graph given by what stands before each item: one for items that are in each other's way.

    Each begins with the item that is first in ``before``, and goes on with one that stands before it, and so on.
    """
    found: list[list[Item]] = []
    seen: set[Item] = set()
    for start in before:
        if start in seen:
            continue
        way = _way_back(before, start)
        if way:
            found.append(way)
            seen |= {other for other in _reached(before, start) if start in _reached(before, other)}
    return found


def _reached(before: Mapping[Item, Iterable[Item]], start: Item) -> set[Item]:
    """Everything that stands before an item, directly or not."""
    reached: set[Item] = set()
    left = [start]
    while left:
        for other in before[left.pop()]:
            if other not in reached:
                reached.add(other)
                left.append(other)
    return reached


def _way_back(before: Mapping[Item, Iterable[Item]], start: Item) -> list[Item]:
    """The shortest way from an item to itself; empty if there is none."""
    ways = [[start]]
    reached: set[Item] = set()
    for way in ways:
        for other in before[way[-1]]:
            if other == start:
                return way
            if other not in reached:
                reached.add(other)
                ways.append([*way, other])
    return []
