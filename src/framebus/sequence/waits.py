"""Waiting for frames, parameters, units and other sequences; each raises ``WaitTimeout`` rather than go on without."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

from framebus.errors import NotFoundError, StreamRecreated, UsageError, WaitTimeout
from framebus.params import Params, Value
from framebus.pipeline.running import UnitStatus, find_unit
from framebus.process import ProcessRecord
from framebus.sequence.condition import Condition, ConditionLike, condition_of, open_entry
from framebus.sequence.status import ENDED, Place, SequenceStatus
from framebus.sequence.threads import wait_in_slices
from framebus.stream import Stream
from framebus.stream import open as open_stream

__all__ = ["DEFAULT_TIMEOUT_S", "pause", "wait_param", "wait_sequence", "wait_stream", "wait_unit"]

T = TypeVar("T")

DEFAULT_TIMEOUT_S = 5.0
"""How long a wait takes at most unless told otherwise, s."""

_LOOK_S = 0.02
"""How often what sends no wake-up is looked at."""


async def pause(seconds: float) -> None:
    """Wait so long, and no shorter."""
    await asyncio.sleep(seconds)


async def wait_stream(
    name: str, frames: int = 1, timeout_s: float | None = DEFAULT_TIMEOUT_S, *, since: int | None = None
) -> int:
    """Wait until a stream has ``frames`` frames that it does not have now; a stream that is not there may yet come.

    Args:
        name: the stream.
        frames: how many, 1 or more, by its counter: frames that nobody read count too.
        timeout_s: for all of them together, s; None: as long as it takes.
        since: the counter from which on frames count, instead of its value at the call.

    Returns:
        The stream's count at the end.

    Raises:
        WaitTimeout: fewer came in time; the message says how many, and whether their writer lives.
        StreamRecreated: it was made anew with another shape or dtype.
        UsageError: an argument is wrong.
    """
    _check_timeout(timeout_s)
    if frames < 1:
        raise UsageError(f"wait_stream('{name}'): frames is {frames}, expected 1 or more")
    waiting = _Frames(name, frames, since)
    try:
        found = await wait_in_slices(waiting.look, timeout_s)
    finally:
        waiting.close()
    if found is None:
        raise WaitTimeout(waiting.complaint(timeout_s))
    return found


class _Frames:
    """Frames that a stream gets, counted across its being made anew."""

    def __init__(self, name: str, frames: int, since: int | None) -> None:
        self._name, self._frames = name, frames
        self._gained, self._seen = 0, 0
        self._missing = ""
        self._stream: Stream | None = None
        # Opened at the call, not in the thread: what is published from now on counts.
        if self._open():
            assert self._stream is not None
            self._seen = self._stream.count if since is None else since

    def _open(self) -> bool:
        try:
            self._stream = open_stream(self._name)
        except NotFoundError as error:
            self._missing = str(error)
            return False
        return True

    def look(self, seconds: float) -> int | None:
        if self._stream is None and not self._open():
            _sleep(seconds)
            return None
        assert self._stream is not None
        count = self._stream.count
        if count == self._seen:
            try:
                count = self._stream.wait_newer(self._seen, timeout_s=seconds)
            except WaitTimeout:
                return None
        # Made anew, a stream counts from 1 again: then all that it has is new.
        self._gained += count - self._seen if count > self._seen else count
        self._seen = count
        return count if self._gained >= self._frames else None

    def complaint(self, timeout_s: float | None) -> str:
        if self._stream is None:
            return f"waited {timeout_s:g} s for stream '{self._name}': {self._missing}"
        came = f"{self._gained} of {self._frames} frames came" if self._gained else "no new frame came"
        return f"waited {timeout_s:g} s for stream '{self._name}': {came}{self._doubt}"

    _doubt = ""

    def close(self) -> None:
        if self._stream is None:
            return
        try:
            self._stream.wait_newer(self._stream.count, timeout_s=0.0)
        except WaitTimeout as told:
            self._doubt = f"; {str(told).partition('; ')[2]}"
        except StreamRecreated as told:
            self._doubt = f"; {told}"
        self._stream.close()


async def wait_param(condition: ConditionLike, timeout_s: float | None = DEFAULT_TIMEOUT_S) -> Value:
    """Wait until a condition on a parameter holds; returns its value. Its set, if it is not there, may yet come.

    Args:
        condition: ``"loop.gain>=0.5"``, or the parameter's name and a function of its value.
        timeout_s: s; None: as long as it takes.

    Raises:
        WaitTimeout: it did not hold in time; the message says what the value is.
        ParameterError: the set has no such entry. UsageError: that is no condition, or an argument is wrong.
    """
    _check_timeout(timeout_s)
    wanted = condition_of(condition)
    waiting = _Parameter(wanted)
    try:
        found = await wait_in_slices(waiting.look, timeout_s)
    finally:
        waiting.close()
    if found is None:
        raise WaitTimeout(f"waited {timeout_s:g} s for {wanted.text}: {waiting.state}")
    return found[0]


class _Parameter:
    """One parameter, looked at whenever its set changes."""

    def __init__(self, wanted: Condition) -> None:
        self._wanted = wanted
        self._params: Params | None = None
        self._entry = ""
        self._looked = -1  # the generation of the last look
        self.state = ""

    def look(self, seconds: float) -> tuple[Value] | None:
        if self._params is None:
            try:
                self._params, self._entry = open_entry(self._wanted.target)
            except NotFoundError as error:
                self.state = str(error)
                _sleep(seconds)
                return None
            self._looked = -1
        try:
            if self._looked == self._params.generation:
                self._params.wait_changed(since=self._looked, timeout_s=seconds)
            self._looked = self._params.generation
            value = self._params[self._entry]
        except WaitTimeout:
            return None
        except StreamRecreated:  # another took its place, or will
            self.close()
            return None
        self.state = f"it is {value!r}"
        return (value,) if self._wanted.holds(value) else None

    def close(self) -> None:
        if self._params is not None:
            self._params.close()
            self._params = None


async def wait_unit(
    name: str, state: str = "running", timeout_s: float | None = DEFAULT_TIMEOUT_S
) -> UnitStatus:
    """Wait until a unit is in a state; it need not be there yet.

    Args:
        name: ``"unit"``, or ``"pipeline/unit"``.
        state: as ``framebus ps`` shows it: ``running``, ``idle``, ``error``, ``dead`` ...
        timeout_s: s; None: as long as it takes.

    Raises:
        WaitTimeout: it was not in time; the message says in which state it is, and why.
        UsageError: several units have that name, or an argument is wrong.
    """
    _check_timeout(timeout_s)
    waiting = _Unit(name, state)
    try:
        found = await wait_in_slices(waiting.look, timeout_s)
    finally:
        waiting.close()
    if found is None:
        raise WaitTimeout(f"waited {timeout_s:g} s for unit '{name}' to be {state}: {waiting.said}")
    return found


class _Unit:
    """One unit: found by going through all that run, then by its record alone as long as its process lives."""

    def __init__(self, name: str, state: str) -> None:
        self._name, self._state = name, state
        self._record: ProcessRecord | None = None
        self.said = ""

    def look(self, seconds: float) -> UnitStatus | None:
        if self._record is not None and self._record.alive:
            self.said = f"it is {self._record.state.name.lower()}"
            if self._record.state.name.lower() != self._state:
                _sleep(seconds)
                return None
        self.close()
        try:
            unit = find_unit(self._name)
        except NotFoundError as error:
            self.said = str(error)
            _sleep(seconds)
            return None
        if unit.state == self._state:
            return unit
        self.said = f"it is {unit.state}{f' ({unit.message})' if unit.message else ''}"
        if unit.pid and unit.state != "dead":
            self._record = _or_none(unit.record)
        _sleep(seconds)
        return None

    def close(self) -> None:
        if self._record is not None:
            self._record.close()
            self._record = None


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
        _sleep(seconds)
        return None

    found = await wait_in_slices(look, timeout_s)
    if found is None:
        raise WaitTimeout(f"waited {timeout_s:g} s for sequence '{name}' to be {state}: {said}")
    return found


def _check_timeout(timeout_s: float | None) -> None:
    if timeout_s is not None and not timeout_s >= 0:
        raise UsageError(f"timeout_s is {timeout_s!r}; expected seconds >= 0, or None to wait for ever")


def _sleep(seconds: float) -> None:
    """Until the next look: a directory, a record and a file wake nobody who waits for them to change."""
    time.sleep(min(seconds, _LOOK_S))


def _or_none(get: Callable[[], T]) -> T | None:
    try:
        return get()
    except NotFoundError:
        return None
