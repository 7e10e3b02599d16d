"""A condition's occurrences, one after another, for who does something at each of them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from framebus.errors import UsageError, WaitTimeout
from framebus.events.conditions import Condition, parse
from framebus.events.waiting import Fired, watch
from framebus.events.watchers import Sighting

__all__ = ["Occurrence", "Occurrences"]

_SLICE_S = 0.05
"""How long the thread sleeps at most before it looks whether it is to end."""
_AWAKE_S = 1.0
"""How long whoever asked sleeps at most: a signal that comes just before a sleep begins is served after it."""


@dataclass(frozen=True, slots=True)
class Occurrence(Fired):
    """One occurrence of a condition: the newest when it was asked for.

    Attributes:
        index: its number, from 0.
        skipped: occurrences since the one before that were passed over.
    """

    skipped: int = 0


class Occurrences:
    """Watches a condition in a thread from when it is made until it is closed, and gives its newest occurrence.

    Something that happens (a frame, a change) occurs each time; something that holds for a while occurs when it comes
    true, also if it was true from the start. Whoever is busy, or asked for a pause, gets the newest occurrence
    afterwards, and is told how many were skipped: frames by the stream's counter; of others, what comes and goes
    between two looks at a value or state counts as one, or as none where it is as before.

        with Occurrences("stream:wfs", every_s=0.1) as occurrences:
            for each in occurrences:
                print(each, each.skipped)

    Args:
        condition: a text as ``parse`` takes it, or a condition.
        every_s: time between two that are given, at least, in s.

    Attributes:
        absent: that what is watched was not there at the beginning, in words; empty if it was.

    Raises:
        ConditionError: the text is no condition. UsageError: ``every_s`` is negative.
        NotFoundError, ParameterError: as for ``wait_for``.
    """

    def __init__(self, condition: str | Condition, *, every_s: float = 0.0) -> None:
        if not 0 <= every_s < math.inf:
            raise UsageError(f"every_s is {every_s!r}; expected seconds >= 0")
        self._condition = parse(condition) if isinstance(condition, str) else condition
        self._every_s = every_s
        self._given, self._given_at = 0, -math.inf
        self._lock = threading.Lock()
        self._newest: Sighting | None = None
        self._events = 0  # since the last one that was given
        self._skipped = 0
        self._error: BaseException | None = None
        self._news, self._closing = threading.Event(), threading.Event()
        self._watcher = watch(self._condition)
        self.absent = self._watcher.absent()
        self._thread = threading.Thread(target=self._run, name=f"on {self._condition}", daemon=True)
        self._thread.start()

    @property
    def skipped(self) -> int:
        """Occurrences that were not given, in all; those that nobody has asked for yet included."""
        with self._lock:
            return self._skipped + self._events

    def next(self, timeout_s: float | None = None) -> Occurrence:
        """The newest occurrence that was not given yet; waits for it.

        Args:
            timeout_s: for one to occur, s; None: as long as it takes. One that only has to wait for its turn
                (``every_s``) is given then.

        Raises:
            WaitTimeout: there was none in time.
            UsageError: this is closed; or what ended the watching: see ``wait_for``.
        """
        deadline = time.monotonic() + (math.inf if timeout_s is None else timeout_s)
        while True:
            self._check_open()
            now = time.monotonic()
            pause_s = self._given_at + self._every_s - now
            if pause_s <= 0 and (found := self._take()) is not None:
                return found
            if now >= deadline and not self._pending:
                raise WaitTimeout(f"'{self._condition}' did not occur within {timeout_s:g} s")
            if pause_s > 0:
                self._closing.wait(min(pause_s, deadline - now) if now < deadline else pause_s)
            else:
                self._news.wait(min(deadline - now, _AWAKE_S))

    @property
    def _pending(self) -> bool:
        """Whether there is something to give, be it an error."""
        with self._lock:
            return self._newest is not None or self._error is not None

    def _take(self) -> Occurrence | None:
        with self._lock:
            self._check_open()  # closing sets the news, too, which must not be cleared
            self._news.clear()
            if self._error is not None:
                raise self._error
            found, events = self._newest, self._events
            if found is None:
                return None
            self._newest, self._events = None, 0
            self._skipped += events - 1
        number, self._given, self._given_at = self._given, self._given + 1, time.monotonic()
        return Occurrence(number, self._condition, found.values, found.time_ns, events - 1)

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise UsageError(f"'{self._condition}' is not watched any more; it was closed")

    def __iter__(self) -> Iterator[Occurrence]:
        while True:
            yield self.next()

    def close(self) -> None:
        """End the watching. A second call does nothing."""
        with self._lock:
            self._closing.set()
            self._news.set()
        self._thread.join()
        self._watcher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        held = False
        try:
            while not self._closing.is_set():
                found = self._watcher.look()
                if found is not None and not (held and not self._condition.is_event):
                    with self._lock:
                        self._newest = found
                        self._events += found.events
                        self._news.set()
                held = found is not None
                self._watcher.wait(_SLICE_S)
        except BaseException as error:  # noqa: BLE001 - it is raised where the occurrences are asked for
            with self._lock:
                self._error = error
                self._news.set()
