"""Ending processes one after the other, the last started first, all within a time."""

from __future__ import annotations

from collections.abc import Sequence

from framebus.pipeline.keeper import Keeper

__all__ = ["Shutdown"]


class Shutdown:
    """An ordered end.

    Each process is asked to end when the one before it has ended, or has had its share of the time; when the whole time
    is over, what is left is killed.

    Args:
        keepers: in the order in which they were started.
        timeout_s: for all of them together, s.
        now_s: when it begins.
    """

    def __init__(self, keepers: Sequence[Keeper], timeout_s: float, now_s: float) -> None:
        self._waiting = list(keepers)
        self._asked: list[Keeper] = []
        self._share_s = timeout_s / max(1, len(self._waiting))
        self._deadline_s = now_s + timeout_s
        self._next_s = now_s

    def look(self, now_s: float, *, kill: bool = False) -> bool:
        """Do what is due; whether all have ended.

        Args:
            now_s: time.
            kill: do not wait any longer.
        """
        if kill or now_s >= self._deadline_s:
            while self._waiting:
                self._ask(now_s)
            for keeper in self._asked:
                keeper.kill()
        while self._waiting and (now_s >= self._next_s or all(keeper.gone for keeper in self._asked)):
            self._ask(now_s)
        return not self._waiting and all(keeper.gone for keeper in self._asked)

    def _ask(self, now_s: float) -> None:
        keeper = self._waiting.pop()
        keeper.stop(now_s)
        self._asked.append(keeper)
        self._next_s = now_s + self._share_s
