"""Which files lie in the shared-memory directory, listed anew only when that may have changed."""

from __future__ import annotations

import os
import time
from pathlib import Path

__all__ = ["Folder"]

_AGAIN_S = 1.0
"""The longest time between two listings: two changes within one tick of the kernel's clock leave one time stamp."""


class Folder:
    """The directory's files by the ending of their names.

    Args:
        path: of the directory; it need not be there.
        endings: those that count, the dot included.

    Attributes:
        path: of the directory.
    """

    def __init__(self, path: Path, endings: tuple[str, ...]) -> None:
        self.path, self._endings = path, endings
        self._seen_ns = -1
        self._listed_s = -_AGAIN_S
        self._found: dict[str, dict[str, int]] = {ending: {} for ending in endings}

    def look(self) -> None:
        """List it again if it changed."""
        try:
            changed_ns = os.stat(self.path).st_mtime_ns
        except OSError:
            changed_ns = -1  # nobody has made it yet
        now_s = time.monotonic()
        if changed_ns == self._seen_ns and now_s - self._listed_s < _AGAIN_S:
            return
        self._seen_ns, self._listed_s = changed_ns, now_s
        self._found = self._list()

    def files(self, ending: str) -> dict[str, int]:
        """Inodes by name, the ending left out, in alphabetic order."""
        return self._found[ending]

    def _list(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {ending: {} for ending in self._endings}
        try:
            with os.scandir(self.path) as entries:
                each = sorted((entry.name, entry.inode()) for entry in entries)
        except OSError:
            return found
        for name, inode in each:
            if name.startswith("."):
                continue
            for ending in self._endings:
                if name.endswith(ending):
                    found[ending][name.removesuffix(ending)] = inode
        return found
