"""How many processes have each stream mapped, found out a little at a time: looking into a process is dear."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from framebus.stream.names import SUFFIX

__all__ = ["Readers"]

_BUDGET_S = 0.001
"""What a look may take beyond its one process, s."""
_SWEEP_S = 0.02
"""The same before all processes were looked at once."""


class Readers:
    """Which processes map which streams.

    Args:
        folder: where the streams lie.
    """

    def __init__(self, folder: Path) -> None:
        self._prefix = f"{os.path.realpath(folder)}/"
        self._maps: dict[int, frozenset[str]] = {}
        self._due: list[int] = []
        self._urgent: list[int] = []
        self._swept = False

    def look(self, known: Iterable[int] = ()) -> None:
        """Look into some processes: those of ``known`` that are new first."""
        budget_s = _BUDGET_S if self._swept else _SWEEP_S
        start_s = time.perf_counter()
        self._urgent += [pid for pid in known if pid not in self._maps and pid not in self._urgent]
        while True:
            if self._urgent:
                self._take(self._urgent.pop())
            else:
                if not self._due and not self._list():
                    return
                self._take(self._due.pop())
                self._swept = self._swept or not self._due
            if time.perf_counter() - start_s > budget_s or not (self._due or self._urgent):
                return

    def _list(self) -> bool:
        """A new round over all processes; those that are gone are forgotten."""
        pids = {int(name) for name in os.listdir("/proc") if name.isdigit()} - {os.getpid()}
        self._maps = {pid: files for pid, files in self._maps.items() if pid in pids}
        self._due = list(pids)
        return bool(pids)

    def _take(self, pid: int) -> None:
        try:
            text = Path(f"/proc/{pid}/maps").read_text(errors="replace")
        except OSError:  # it ended, or is another user's
            self._maps[pid] = frozenset()
            return
        if self._prefix not in text:
            self._maps[pid] = frozenset()
            return
        names = (line.partition(self._prefix)[2] for line in text.splitlines())
        self._maps[pid] = frozenset(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))

    def counts(self, writers: dict[str, int]) -> dict[str, int]:
        """How many processes beside its writer map each stream, this one not counted.

        Args:
            writers: the writer's process by stream: the streams to tell about.

        Returns:
            By stream; empty until every process was looked at once.
        """
        if not self._swept:
            return {}
        counts = dict.fromkeys(writers, 0)
        for pid, names in self._maps.items():
            for name in names:
                if name in counts and writers[name] != pid:
                    counts[name] += 1
        return counts
