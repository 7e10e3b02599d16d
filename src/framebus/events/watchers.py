"""What looks whether a condition holds, and sleeps until that may have changed."""

from __future__ import annotations

import contextlib
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

from framebus import _core
from framebus.errors import FramebusError, PeerError, StreamNotFound, WaitTimeout
from framebus.events.conditions import Condition
from framebus.stream import Stream
from framebus.stream import open as open_stream
from framebus.stream.listing import describe
from framebus.stream.names import near_streams, stream_path
from framebus.stream.names import parse as parse_name

__all__ = ["POLL_S", "Sighting", "StateWatcher", "StreamWatcher", "Watcher"]

POLL_S = 0.1
"""Seconds between two looks at what wakes nobody: states of processes, and what is not there yet."""


class Sighting(NamedTuple):
    """What was seen.

    Attributes:
        values: what there is to tell: ``count``; ``parameter``, ``value``, ``before``; ``state``, ``pid`` ...
        events: how many events it stands for: frames since the last sighting.
        time_ns: when it was seen, ns since 1970.
    """

    values: Mapping[str, Any]
    events: int
    time_ns: int


def sighting(events: int = 1, **values: Any) -> Sighting:
    """A sighting of this moment."""
    return Sighting(values, events, _core.realtime_ns())


class Watcher(ABC):
    """One condition, watched from when this is made on. For one thread at a time.

    Attributes:
        condition: what is watched.
    """

    def __init__(self, condition: Condition) -> None:
        self.condition = condition

    @abstractmethod
    def look(self) -> Sighting | None:
        """Look without waiting.

        Of something that happens: what did since the last look. Of something that holds for a while: what is so now.
        None: nothing did, or it does not hold.
        """

    @abstractmethod
    def wait(self, timeout_s: float) -> None:
        """Sleep until another look may give another answer, ``timeout_s`` at most."""

    @abstractmethod
    def instead(self) -> str:
        """How things stand while the condition does not hold, for a message."""

    def absent(self) -> str:
        """That what is watched is not there yet, and what may be meant instead, in words; empty if it is there."""
        return ""

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Give back what is held."""


class StreamWatcher(Watcher):
    """Frames of a stream: any newer one, or a count. Sleeps on the stream itself; one that is not there is polled for.

    A stream that was made anew starts its counts again: any frame of it is newer.

    Args:
        condition: what is watched.
        since: the count from which on frames are newer; default: that of this moment.
    """

    def __init__(self, condition: Condition, since: int | None = None) -> None:
        super().__init__(condition)
        self._stream: Stream | None = None
        self._since = 0
        self._moved = 0
        self._problem = ""
        if self._open():
            assert self._stream is not None
            self._since = self._stream.count if since is None else since

    def look(self) -> Sighting | None:
        """Look without waiting; see ``Watcher``."""
        stream = self._current()
        if stream is None:
            return None
        count, since = stream.count, self._since
        if not self.condition.is_event:
            wanted = int(self.condition.value)
            self._since = count
            holds = count >= wanted if self.condition.operator == ">=" else count > wanted
            return sighting(count=count) if holds else None
        if count == since:
            return None
        self._since = count
        # A writer that sets its counter back begins anew: what it has counted since is all that can be told.
        return sighting(count - since if count > since else max(count, 1), count=count)

    def wait(self, timeout_s: float) -> None:
        """Sleep until another look may give another answer."""
        if self._stream is None:
            time.sleep(min(timeout_s, POLL_S))
            return
        try:
            # A short sleep, so that a stream which is made anew with another shape is noticed, too.
            self._stream.wait_newer(self._since, min(timeout_s, POLL_S))
        except WaitTimeout:
            pass
        except PeerError:
            self._drop()

    def absent(self) -> str:
        """That there is no such stream yet."""
        if self._stream is not None:
            return ""
        return self.instead() + ("" if self._problem else near_streams(self.condition.name))

    def instead(self) -> str:
        """How things stand."""
        if self._stream is None:
            return self._problem or f"there is no stream '{self.condition.name}'"
        info = describe(self._stream.path)
        state = "removed" if info is None else info.state
        return f"stream '{self.condition.name}' is at frame {self._stream.count} ({state})"

    def close(self) -> None:
        """Give back what is held."""
        self._drop()

    def _current(self) -> Stream | None:
        """The stream of that name as it is now."""
        if self._stream is not None:
            moved = self._stream.statistics().recreated
            if moved != self._moved:  # it follows by itself to a new file of the same shape
                self._moved, self._since = moved, 0
            elif not self._stream.handle.current:
                self._drop()
        if self._stream is None:
            self._open()
        return self._stream

    def _open(self) -> bool:
        if not stream_path(self.condition.name).exists():  # the usual case of one that is polled for
            self._problem = ""
            return False
        try:
            # E: it must be in memory; waiting must not load a file from ./conf.
            self._stream, self._problem = open_stream(f"@E:{self.condition.name}"), ""
        except StreamNotFound:
            self._problem = ""
        except (FramebusError, OSError) as error:  # bad just now; it may be made anew
            self._problem = str(error)
        self._moved = 0
        return self._stream is not None

    def _drop(self) -> None:
        if self._stream is not None:
            self._stream.close()
        self._stream, self._since = None, 0


class StateWatcher(Watcher):
    """A state that has a name: of a stream, a unit or a pipeline."""

    def __init__(self, condition: Condition) -> None:
        super().__init__(condition)
        self._seen, _ = self.state()

    @abstractmethod
    def state(self) -> tuple[str, dict[str, Any]]:
        """The state now, and what else there is to tell."""

    def is_in(self, state: str, named: str) -> bool:
        """Whether ``state`` is what a condition calls ``named``."""
        return state == named

    def look(self) -> Sighting | None:
        """Look without waiting; see ``Watcher``."""
        state, more = self.state()
        before, self._seen = self._seen, state
        operator, value = self.condition.operator, self.condition.value
        if self.condition.is_event:
            return sighting(state=state, before=before, **more) if state != before else None
        holds = self.is_in(state, value) == (operator == "==")
        return sighting(state=state, **more) if holds else None

    def wait(self, timeout_s: float) -> None:
        """Sleep until another look may give another answer."""
        time.sleep(min(timeout_s, POLL_S))

    def instead(self) -> str:
        """How things stand."""
        return f"{self.condition.kind} '{self.condition.name}' is {self._seen}"


class StreamStateWatcher(StateWatcher):
    """The state that ``framebus ls`` shows, polled."""

    def state(self) -> tuple[str, dict[str, Any]]:
        """The state now, and what else there is to tell."""
        info = None
        with contextlib.suppress(OSError):  # gone between two looks of one description
            info = describe(stream_path(parse_name(self.condition.name)))
        return ("gone", {}) if info is None else (info.state, {"count": info.count, "pid": info.writer_pid})
