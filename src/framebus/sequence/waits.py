"""Waiting for frames, parameters, units and other sequences; each raises ``WaitTimeout`` rather than go on without."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from contextlib import closing

from framebus.errors import NotFoundError, UsageError, WaitTimeout
from framebus.events.conditions import parse
from framebus.events.state_watchers import UnitWatcher
from framebus.events.watchers import Sighting, StreamWatcher, Watcher
from framebus.params import Value
from framebus.pipeline.running import UnitStatus, find_unit
from framebus.sequence.status import ENDED, Place, SequenceStatus
from framebus.sequence.threads import wait_in_slices
from framebus.sequence.values import ConditionLike, param_watcher

__all__ = ["DEFAULT_TIMEOUT_S", "pause", "wait_param", "wait_sequence", "wait_stream", "wait_unit"]

DEFAULT_TIMEOUT_S = 5.0
"""How long a wait takes at most unless told otherwise, s."""

_LOOK_S = 0.02
"""How often the status of a sequence, which wakes nobody, is looked at."""


async def pause(seconds: float) -> None:
    """Wait so long, and no shorter."""
    await asyncio.sleep(seconds)


async def wait_stream(
    name: str, frames: int = 1, timeout_s: float | None = DEFAULT_TIMEOUT_S, *, since: int | None = None
) -> int:
    """Wait until a stream has ``frames`` frames that it does not have now; a stream that is not there may yet come.

    Of a stream that is made anew, all frames count.

    Args:
        name: the stream.
        frames: how many, 1 or more, by its counter: frames that nobody read count too.
        timeout_s: for all of them together, s; None: as long as it takes.
        since: the counter from which on frames count, instead of its value at the call.

    Returns:
        The stream's count at the end.

    Raises:
        WaitTimeout: fewer came in time; the message says how many, and whether their writer lives.
        UsageError: an argument is wrong.
    """
    if frames < 1:
        raise UsageError(f"wait_stream('{name}'): frames is {frames}, expected 1 or more")
    came = 0

    def enough(found: Sighting) -> bool:
        nonlocal came
        came += found.events
        return came >= frames

    def instead() -> str:
        if absent := watcher.absent():
            return absent
        return f"{f'{came} of {frames} frames' if came else 'no new frame'} came; {watcher.instead()}"

    # Made at the call, not in the thread: what is published from now on counts.
    watcher = StreamWatcher(parse(f"stream:{name}"), since)
    found = await _seen(watcher, f"stream '{name}'", timeout_s, enough, instead)
    return int(found.values["count"])


async def wait_param(condition: ConditionLike, timeout_s: float | None = DEFAULT_TIMEOUT_S) -> Value:
    """Wait until a condition on a parameter holds; returns its value. Its set, if it is not there, may yet come.

    Args:
        condition: ``"loop.gain>=0.5"``, or the parameter's name and a function of its value.
        timeout_s: s; None: as long as it takes.

    Raises:
        WaitTimeout: it did not hold in time; the message says what the value is.
        NotFoundError: the set has no such entry.
        ParameterError: the value is none of the parameter's type, or cannot be compared so.
        UsageError: that is no condition, or an argument is wrong.
    """
    said = condition if isinstance(condition, str) else f"{condition[0]} to be as wanted"
    found = await _seen(param_watcher(condition), said, timeout_s)
    value: Value = found.values["value"]
    return value


async def wait_unit(
    name: str, state: str = "running", timeout_s: float | None = DEFAULT_TIMEOUT_S
) -> UnitStatus:
    """Wait until a unit is in a state; it need not be there yet.

    Args:
        name: ``"unit"``, ``"pipeline/unit"`` or ``"unit.pid"``.
        state: as ``framebus ps`` shows it: ``running``, ``idle``, ``error``, ``dead`` ...; ``gone``: no process runs
            it.
        timeout_s: s; None: as long as it takes.

    Returns:
        What is known of it then; of one that is gone not even the process.

    Raises:
        WaitTimeout: it was not in time; the message says in which state it is, and why.
        UsageError: several units have that name, there is no such state, or an argument is wrong.
    """
    watcher = UnitWatcher(parse(f"unit:{name}={state}"))
    found = await _seen(watcher, f"unit '{name}' to be {state}", timeout_s)
    try:
        unit = find_unit(name)
    except NotFoundError:
        unit = UnitStatus(name.rpartition("/")[2])
    return dataclasses.replace(unit, state=found.values["state"])


async def wait_sequence(
    name: str, state: str = "ended", timeout_s: float | None = DEFAULT_TIMEOUT_S
) -> SequenceStatus:
    """Wait until another sequence is in a state.

    Args:
        name: the sequence's.
        state: ``starting``, ``running``, ``stopping``, ``done``, ``failed``, ``stopped``, ``dead``, or ``ended``: any
            of the last four.
        timeout_s: s; None: as long as it takes.

    Raises:
        WaitTimeout: it was not in time; the message says in which state it is.
    """
    _check_timeout(timeout_s)
    place, said = Place(name), ""

    def look(seconds: float) -> SequenceStatus | None:
        nonlocal said
        try:
            status = place.read()
        except NotFoundError as error:
            said = str(error)
        else:
            if state in (status.state, "ended" if status.state in ENDED else ""):
                return status
            said = f"it is {status.state}{f' ({status.error})' if status.error else ''}"
        time.sleep(min(seconds, _LOOK_S))
        return None

    found = await wait_in_slices(look, timeout_s)
    if found is None:
        raise WaitTimeout(f"waited {timeout_s:g} s for sequence '{name}' to be {state}: {said}")
    return found


async def _seen(
    watcher: Watcher,
    what: str,
    timeout_s: float | None,
    enough: Callable[[Sighting], bool] = lambda _: True,
    instead: Callable[[], str] | None = None,
) -> Sighting:
    """What a watcher, which is closed then, sees as soon as that is enough."""

    def look(seconds: float) -> Sighting | None:
        found = watcher.look()
        if found is None:
            watcher.wait(seconds)
            found = watcher.look()
        return found if found is not None and enough(found) else None

    with closing(watcher):
        _check_timeout(timeout_s)
        found = await wait_in_slices(look, timeout_s)
        if found is None:
            told = instead() if instead is not None else watcher.absent() or watcher.instead()
            raise WaitTimeout(f"waited {timeout_s:g} s for {what}: {told}")
        return found


def _check_timeout(timeout_s: float | None) -> None:
    if timeout_s is not None and not timeout_s >= 0:
        raise UsageError(f"timeout_s is {timeout_s!r}; expected seconds >= 0, or None to wait for ever")
