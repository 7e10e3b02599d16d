"""Waiting for one of several conditions, or for all of them."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Literal

from framebus.errors import UsageError, WaitTimeout
from framebus.events.conditions import Condition, parse
from framebus.events.param_watcher import ParamWatcher
from framebus.events.state_watchers import PipelineWatcher, UnitWatcher
from framebus.events.watchers import Sighting, StreamStateWatcher, StreamWatcher, Watcher
from framebus.params.text import to_text

__all__ = ["Fired", "Mode", "wait_for", "watch"]

Mode = Literal["any", "all"]

_SLICE_S = 0.05
"""How long a thread sleeps at most before it looks whether another one was faster."""
_AWAKE_S = 1.0
"""How long whoever asked sleeps at most: a signal that comes just before a sleep begins is served after it."""


@dataclass(frozen=True, slots=True)
class Fired:
    """A condition that came true. ``str()`` says it in words.

    Attributes:
        index: its place among those that were waited for, from 0.
        condition: itself.
        values: what there is to tell: ``count`` of a stream; ``parameter``, ``value`` and, of a change, ``before``;
            ``state``, ``pid`` and, of a change, ``before``.
        time_ns: when it was seen, ns since 1970.
    """

    index: int
    condition: Condition
    values: Mapping[str, Any]
    time_ns: int

    def __str__(self) -> str:
        values = self.values
        if "parameter" in values:
            was = f" (was {to_text(values['before'])})" if values.get("before") is not None else ""
            return f"{values['parameter']} = {to_text(values['value'])}{was}"
        what = f"{self.condition.kind} '{self.condition.name}'"
        if "state" not in values:
            return f"{what}: frame {values['count']}"
        was = f" (was {values['before']})" if "before" in values else ""
        process = f", process {values['pid']}" if values.get("pid") else ""
        return f"{what}: {values['state']}{process}{was}"


def watch(condition: Condition) -> Watcher:
    """What watches a condition, from now on. The caller closes it.

    Raises:
        NotFoundError: of a parameter: the set is there, but has no such entry.
        ParameterError: the value is none of the parameter's type, or cannot be compared so.
        UsageError: several live processes run a unit of that name.
    """
    if condition.kind == "stream":
        states = condition.operator in ("==", "!=")
        return StreamStateWatcher(condition) if states else StreamWatcher(condition)
    if condition.kind == "param":
        return ParamWatcher(condition)
    return UnitWatcher(condition) if condition.kind == "unit" else PipelineWatcher(condition)


def wait_for(
    conditions: str | Condition | Iterable[str | Condition],
    *,
    mode: Mode = "any",
    timeout_s: float | None = None,
    on_absent: Callable[[str], object] | None = None,
) -> list[Fired]:
    """Wait until one of the conditions comes true, or all have.

    What happens (a frame, a change) counts from this call on. What holds for a while (a value, a state) may hold
    already; with ``all`` it must hold when the last one comes true. Streams, parameter sets and units that are not
    there are waited for, too. It sleeps in the kernel on streams, sets and records, and looks every 0.1 s for what
    wakes nobody: the death of a process, pipelines, and what is not there yet. Ctrl-C ends it.

    Args:
        conditions: texts as ``parse`` takes them, or conditions.
        mode: ``any`` or ``all``.
        timeout_s: in s; None waits for ever.
        on_absent: called at the beginning with a text for each condition about what is not there yet.

    Returns:
        Those that fired: with ``any`` the first; with ``all`` every one, in the order given.

    Raises:
        ConditionError: a text is no condition.
        UsageError: there is no condition, or an argument is wrong; several live processes run a unit of that name.
        NotFoundError, ParameterError: a parameter's set is there, but has no such entry, or one of another type.
        WaitTimeout: the message says of each condition that did not fire how things stand.
    """
    if isinstance(conditions, str | Condition):
        conditions = [conditions]
    parsed = [parse(each) if isinstance(each, str) else each for each in conditions]
    if not parsed:
        raise UsageError("there is no condition to wait for")
    if mode not in ("any", "all"):
        raise UsageError(f"mode is {mode!r}; expected 'any' or 'all'")
    if timeout_s is not None and not timeout_s >= 0:
        raise UsageError(f"timeout_s is {timeout_s!r}; expected seconds >= 0, or None to wait for ever")
    with ExitStack() as stack:
        watchers, told = [], set()
        for condition in parsed:
            watcher = watch(condition)
            stack.callback(watcher.close)
            watchers.append(watcher)
            if on_absent is not None and (absent := watcher.absent()):
                on_absent(absent)
                told.add(watcher)
        deadline = time.monotonic() + (math.inf if timeout_s is None else timeout_s)
        wait = _alone if len(watchers) == 1 else _together
        seen = wait(watchers, mode, deadline)
        done = all(seen) if mode == "all" else any(seen)
        if not done:
            missing = [
                (w not in told and w.absent()) or w.instead()  # what may be meant is told once
                for w, found in zip(watchers, seen, strict=True)
                if found is None
            ]
            raise WaitTimeout(f"{_which(len(parsed), mode)} within {timeout_s:g} s: {'; '.join(missing)}")
    fired = [Fired(i, parsed[i], s.values, s.time_ns) for i, s in enumerate(seen) if s is not None]
    return fired if mode == "all" else [min(fired, key=lambda each: each.time_ns)]


def _which(number: int, mode: Mode) -> str:
    if number == 1:
        return "nothing happened"
    return "not all conditions came true" if mode == "all" else "no condition came true"


def _alone(watchers: Sequence[Watcher], mode: Mode, deadline: float) -> list[Sighting | None]:
    """What one watcher sees in time; None for nothing."""
    del mode
    (watcher,) = watchers
    while (found := watcher.look()) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        watcher.wait(min(left, _AWAKE_S))
    return [found]


class _Together:
    """What several watchers see, each in a thread of its own."""

    def __init__(self, watchers: Sequence[Watcher], seen: Sequence[Sighting | None], mode: Mode) -> None:
        self._mode = mode
        self.seen = list(seen)
        self.error: BaseException | None = None
        self.news = threading.Event()
        self.stop = threading.Event()
        self.threads = [
            threading.Thread(
                target=self._run, args=(i, watcher), name=f"wait {watcher.condition}", daemon=True
            )
            for i, watcher in enumerate(watchers)
            if seen[i] is None or not watcher.condition.is_event  # what has happened stays so
        ]

    def _run(self, index: int, watcher: Watcher) -> None:
        try:
            while True:
                found = watcher.look()
                changed = (found is None) != (self.seen[index] is None)
                self.seen[index] = found
                if changed:
                    self.news.set()
                # One is enough for 'any', also if it does not hold any more when somebody comes to look.
                last = watcher.condition.is_event or self._mode == "any"
                if self.stop.is_set() or (found is not None and last):
                    return
                watcher.wait(_SLICE_S)
        except BaseException as error:  # noqa: BLE001 - it is raised where the conditions are waited for
            self.error = error
            self.news.set()


def _together(watchers: Sequence[Watcher], mode: Mode, deadline: float) -> list[Sighting | None]:
    """What the watchers see until enough of them see something, or until the deadline."""
    seen: list[Sighting | None] = [None] * len(watchers)
    while True:
        seen = _watch_all(_Together(watchers, seen, mode), all if mode == "all" else any, deadline)
        if mode == "any" or not all(seen):
            return seen
        # Each thread saw its own at another moment: now that they rest, look whether all of it holds at once.
        seen = [
            found if watcher.condition.is_event else watcher.look()
            for watcher, found in zip(watchers, seen, strict=True)
        ]
        if all(seen):
            return seen


def _watch_all(
    threads: _Together, enough: Callable[[Iterable[object]], bool], deadline: float
) -> list[Sighting | None]:
    try:
        for thread in threads.threads:
            thread.start()
        while True:
            threads.news.clear()
            seen = list(threads.seen)
            if threads.error is not None:
                raise threads.error
            left = deadline - time.monotonic()
            if enough(seen) or left <= 0:
                return seen
            threads.news.wait(min(left, _AWAKE_S))
    finally:
        threads.stop.set()
        for thread in threads.threads:
            if thread.ident is not None:
                thread.join()
