"""What happened since the watch began: state changes, errors, deaths, restarts, and what supervisors logged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from framebus.pipeline.logs import Added
from framebus.tui.looks import TROUBLE, WRONG, PipelineLook, Snapshot, StreamLook, UnitLook

__all__ = ["Event", "EventLog", "Level"]

Level = Literal["info", "good", "warn", "bad"]

MOST = 2000
"""Events that are kept; the oldest go first."""
_LINES_BEFORE = 20
"""Of a supervisor's log: lines from before the watch began."""

_UNIT_LEVELS: dict[str, Level] = {
    **dict.fromkeys(TROUBLE, "warn"),
    **dict.fromkeys(WRONG, "bad"),
    "running": "good",
}
_SEQUENCE_LEVELS: dict[str, Level] = {
    **dict.fromkeys(WRONG, "bad"),
    "stopped": "warn",
    "running": "good",
    "done": "good",
}
_FAILURES = (
    *(": ended: ", ": did not start: ", ": given up after ", " was not replaced: "),
    *("could not start: ", "could not be written: ", "were not saved: ", "but for what has failed: "),
)
"""What the lines of supervisors have in them that tell of something that went wrong."""
_STREAM_CHANGES: dict[str, tuple[Level, str]] = {
    "dead": ("bad", "DEAD: its writer, process {pid}, is gone"),
    "bad": ("bad", "cannot be opened: {error}"),
    "stale": ("warn", "no frames come any more; its writer, process {pid}, lives"),
    "live": ("good", "frames come"),
}


class Event(NamedTuple):
    """Something that happened.

    Attributes:
        time_ns: when it was seen, or logged (CLOCK_REALTIME).
        level: ``info``, ``good``, ``warn`` or ``bad``.
        subject: what it is about: ``stream wfs``, ``unit loop/slopes``, ``pipeline loop``.
        text: what happened.
    """

    time_ns: int
    level: Level
    subject: str
    text: str


class EventLog:
    """Tells what changed from one snapshot to the next.

    Attributes:
        events: in the order in which they happened.
        bad: how many of them were of the level ``bad`` since the watch began.
    """

    def __init__(self) -> None:
        self.events: deque[Event] = deque(maxlen=MOST)
        self.bad = 0
        self._before: Snapshot | None = None
        self._since_ns = 0
        self._logs: dict[str, Added] = {}

    def add(self, snapshot: Snapshot) -> list[Event]:
        """Take in the next snapshot; returns what is new. The first says only what is wrong already."""
        before = self._before
        self._before = snapshot
        new: list[Event] = []
        if before is None:
            self._since_ns = snapshot.time_ns + 1
        else:
            new += _pipeline_events(before, snapshot)
        new += self._supervisors(snapshot)
        new += _stream_events(before, snapshot)
        new += _unit_events(before, snapshot)
        new += _sequence_events(before, snapshot)
        self.bad += sum(1 for event in new if event.level == "bad" and event.time_ns >= self._since_ns)
        self.events.extend(new)
        return new

    def _supervisors(self, snapshot: Snapshot) -> Iterator[Event]:
        for name, pipeline in snapshot.pipelines.items():
            for line in self._new_lines(pipeline.log):
                yield _logged(name, line, snapshot.time_ns)

    def _new_lines(self, log: str) -> list[str]:
        """Lines that were added to a log since this was asked last; at first, the last ones there are."""
        try:
            if log not in self._logs:
                self._logs[log] = Added(Path(log), _LINES_BEFORE)
            return self._logs[log].lines()
        except OSError:  # another user's, say
            return []


def _logged(pipeline: str, line: str, now_ns: int) -> Event:
    stamp, _, text = line.partition(" ")
    try:
        time_ns = round(datetime.fromisoformat(stamp).timestamp() * 1e9)
    except ValueError:
        time_ns, text = now_ns, line
    bad = any(words in text for words in _FAILURES)
    return Event(time_ns, "bad" if bad else "info", f"supervisor {pipeline}", text)


def _pipeline_events(before: Snapshot, now: Snapshot) -> Iterator[Event]:
    for name in before.pipelines.keys() - now.pipelines.keys():
        yield Event(now.time_ns, "info", f"pipeline {name}", "is down")
    for name, pipeline in now.pipelines.items():
        old = before.pipelines.get(name)
        trouble, told = pipeline.trouble, old.trouble if old is not None else ""
        if old is None:
            yield Event(now.time_ns, "info", f"pipeline {name}", f"is {pipeline.phase}")
        if trouble and trouble != told:
            yield Event(now.time_ns, "bad", f"pipeline {name}", _about(pipeline, trouble))
        elif told and not trouble:
            yield Event(now.time_ns, "good", f"pipeline {name}", "its supervisor looks after it again")


def _about(pipeline: PipelineLook, trouble: str) -> str:
    return trouble.removeprefix(f"pipeline '{pipeline.name}'").lstrip(": ")


def _stream_events(before: Snapshot | None, now: Snapshot) -> Iterator[Event]:
    if before is not None:
        for name in before.streams.keys() - now.streams.keys():
            yield Event(now.time_ns, "info", f"stream {name}", "was removed")
    for name in now.streams:
        if name not in now.changed_streams:
            continue
        stream = now.streams[name]
        old = None if before is None else before.streams.get(name)
        if old is not None and old.state == stream.state and old.inode == stream.inode:
            continue
        if old is None and before is not None:
            yield Event(now.time_ns, "info", f"stream {name}", f"is there, {_shape(stream)}")
        if old is not None and old.inode != stream.inode:
            yield Event(now.time_ns, "warn", f"stream {name}", f"was made anew, {_shape(stream)}")
        if (old is None or old.state != stream.state) and stream.state in _STREAM_CHANGES:
            level, text = _STREAM_CHANGES[stream.state]
            if stream.state != "live" or (old is not None and old.state != "still"):
                said = text.format(pid=stream.writer_pid, error=stream.error)
                yield Event(now.time_ns, level, f"stream {name}", said)
        if stream.state == "left" and old is not None and old.inode == stream.inode:
            # The end of what makes a matrix or a dark is as it should be; of what makes frame after frame it may not.
            level = "warn" if old.state in ("live", "stale") else "info"
            said = f"its writer, process {stream.writer_pid}, has ended"
            yield Event(now.time_ns, level, f"stream {name}", said)


def _shape(stream: StreamLook) -> str:
    return f"{'x'.join(map(str, stream.shape))} {stream.dtype}".strip() or "of no format that is known"


def _unit_events(before: Snapshot | None, now: Snapshot) -> Iterator[Event]:
    if before is not None:
        for key in before.units.keys() - now.units.keys():
            yield Event(now.time_ns, "info", f"unit {key}", "is gone")
    for key in now.units:
        if key in now.changed_units:
            unit = now.units[key]
            old = None if before is None else before.units.get(key)
            yield from _of_unit(now.time_ns, unit, old, before is None)


def _of_unit(time_ns: int, unit: UnitLook, old: UnitLook | None, first: bool) -> Iterator[Event]:
    subject = f"unit {unit.key}"
    level = _UNIT_LEVELS.get(unit.state, "info")
    if old is None:
        if level in ("bad", "warn") or not first:
            yield Event(time_ns, level, subject, _with_message(f"is {unit.state}", unit.message))
        return
    changed, anew = unit.state != old.state, bool(unit.pid and old.pid and unit.pid != old.pid)
    # What was seen dead or in error is counted later, when its supervisor sees it; "failed" is told below.
    seen = old.state in ("dead", "error") or (changed and unit.state == "failed")
    if (deaths := unit.failures - old.failures - seen) > 0:
        yield Event(time_ns, "bad", subject, f"its process died{f' {deaths} times' if deaths > 1 else ''}")
    if anew or (
        unit.pid and not old.pid and unit.restarts
    ):  # between the two it may have been seen without a process
        yield Event(time_ns, "warn", subject, f"was started anew as process {unit.pid}")
    if changed:
        text = f"{old.state} → {unit.state}"
        yield Event(time_ns, level, subject, _with_message(text, unit.message if level == "bad" else ""))
    elif unit.message and (unit.message != old.message or (anew and level == "bad")):
        yield Event(time_ns, "bad" if level == "bad" else "info", subject, unit.message)
    if unit.alarms > old.alarms and unit.state == old.state:
        n = unit.alarms - old.alarms
        yield Event(time_ns, "warn", subject, f"{n} alarm{'s' if n > 1 else ''}: a limit was exceeded")


def _sequence_events(before: Snapshot | None, now: Snapshot) -> Iterator[Event]:
    known = {} if before is None else before.sequences
    for name in known.keys() - now.sequences.keys():
        yield Event(now.time_ns, "info", f"sequence {name}", "was forgotten")
    for name, status in now.sequences.items():
        old = known.get(name)
        if old is not None and (old.state, old.started_ns) == (status.state, status.started_ns):
            continue
        level = _SEQUENCE_LEVELS.get(status.state, "info")
        if before is not None or level == "bad":
            yield Event(
                now.time_ns, level, f"sequence {name}", _with_message(f"is {status.state}", status.error)
            )


def _with_message(text: str, message: str) -> str:
    return f"{text}: {message}" if message else text
