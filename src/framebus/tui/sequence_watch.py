"""Sequences, looked at through their status files, which are read again when they were replaced."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from framebus.errors import DataError, NotFoundError
from framebus.sequence import SequenceStatus
from framebus.sequence.status import ENDED, Place

__all__ = ["SequenceWatch"]

_ALIVE_NS = 500_000_000
"""How old may be what the kernel said of a sequence's process."""


class SequenceWatch:
    """All sequences of a directory.

    Args:
        folder: where their places lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, SequenceStatus] = {}
        self._stamps: dict[str, tuple[int, int]] = {}
        self._asked_ns = 0

    def look(self, names: Iterable[str], now_ns: int) -> dict[str, SequenceStatus]:
        """How the sequences of these names stand; those that cannot be read, or are just forgotten, are left out."""
        ask = now_ns - self._asked_ns > _ALIVE_NS
        self._asked_ns = now_ns if ask else self._asked_ns
        found = {}
        for name in names:
            status = self._look(name, ask)
            if status is not None:
                found[name] = status
        self._known = found
        return found

    def _look(self, name: str, ask: bool) -> SequenceStatus | None:
        place = Place(name, self._folder)
        try:
            file = os.stat(place.path / "status.json")
            stamp = (file.st_ino, file.st_mtime_ns)
            known = self._known.get(name)
            if known is None or self._stamps.get(name) != stamp:
                known = place.read()
                self._stamps[name] = stamp
            elif ask and known.state not in ENDED and not known.alive:
                return replace(known, state="dead")
        except (NotFoundError, DataError, OSError):
            return None
        return known
