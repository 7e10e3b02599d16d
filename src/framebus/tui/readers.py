"""How many processes use each stream, found out a little at a time: looking into a process is dear."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from framebus.stream.names import SUFFIX

__all__ = ["Readers"]

_ENDING = SUFFIX.encode()

_BUDGET_S = 0.0003
"""What a look may take on average, s; one process may take more, and the next looks then do nothing."""
_SWEEP_S = 0.02
"""The same before all processes were looked at once."""


class Readers:
    """Which processes map which streams for writing, as all do that can be woken; dashboards, which only look, do not.

    Args:
        folder: where the streams lie.
    """

    def __init__(self, folder: Path) -> None:
        self._prefix = os.fsencode(os.path.realpath(folder)) + b"/"
        self._maps: dict[int, frozenset[str]] = {}
        self._due: list[int] = []
        self._urgent: list[int] = []
        self._swept = False
        self._left_s = 0.0

    def look(self, known: Iterable[int] = ()) -> None:
        """Look into some processes: those of ``known`` that are new first."""
        self._left_s = min(0.0, self._left_s) + (_BUDGET_S if self._swept else _SWEEP_S)
        # Who looks may write streams itself: a shell.
        new = set(known).difference(self._maps, self._urgent, [os.getpid()])
        self._urgent += new
        before_s = time.perf_counter()
        while self._left_s > 0:
            if self._urgent:
                self._take(self._urgent.pop())
            elif self._due or self._list():
                self._take(self._due.pop())
                self._swept = self._swept or not self._due
            else:
                return
            now_s = time.perf_counter()
            self._left_s -= now_s - before_s
            before_s = now_s
            if self._swept and not self._due:
                return  # the next round begins with the next look

    def _list(self) -> bool:
        """A new round over all processes; those that are gone are forgotten."""
        pids = {int(name) for name in os.listdir("/proc") if name.isdigit()} - {os.getpid()}
        self._maps = {pid: files for pid, files in self._maps.items() if pid in pids}
        self._due = list(pids)
        return bool(pids)

    def _take(self, pid: int) -> None:
        try:
            with open(f"/proc/{pid}/maps", "rb") as file:
                text = file.read()
        except OSError:  # it ended, or is another user's
            self._maps[pid] = frozenset()
            return
        if self._prefix not in text:
            self._maps[pid] = frozenset()
            return
        names = (line.partition(self._prefix)[2] for line in text.splitlines() if b" rw-s " in line)
        self._maps[pid] = frozenset(
            os.fsdecode(name.removesuffix(_ENDING)) for name in names if name.endswith(_ENDING)
        )

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
