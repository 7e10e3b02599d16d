"""The tab of messages."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from framebus.cli.text import safe
from framebus.tui.columns import Column
from framebus.tui.events import Event, EventLog
from framebus.tui.painted import Line
from framebus.tui.pane import Pane, rule, wrapped
from framebus.tui.sheet import Row
from framebus.tui.styles import LEVEL_SIGNS

__all__ = ["MessagesPane"]


class MessagesPane(Pane):
    """What happened, the newest at the bottom; the cursor keeps to it as long as it is there.

    Args:
        log: of the events.
    """

    DEFAULT_CSS = "MessagesPane > Painted { height: 6; min-height: 6; }"
    NAME = "messages"
    COLUMNS = (
        Column("time", "TIME", 8),
        Column("level", " ", 1),
        Column("subject", "WHAT", 22, weight=1, most=34),
        Column("text", "HAPPENED", 20, weight=5),
    )
    SORTABLE = ("time", "subject", "level")
    EMPTY = "nothing happened since the watch began"

    def __init__(self, log: EventLog) -> None:
        super().__init__()
        self._log = log
        self._events: dict[str, Event] = {}
        self._bad_seen = 0
        self.sheet.tails = True

    def items(self) -> Mapping[str, Event]:
        """The events in the order of their times, which is not that in which they were seen: logs are read later."""
        events = sorted(self._log.events, key=lambda event: event.time_ns)
        self._events = {}
        for event in events:
            key = f"{event.time_ns} {event.subject} {event.text}"
            self._events[key] = event
        self._bad_seen = self._log.bad
        return self._events

    @property
    def unseen(self) -> int:
        """Bad ones that came since this tab was open last."""
        return self._log.bad - self._bad_seen

    def words(self, key: str) -> str:
        """Subject, text and level."""
        event = self._events[key]
        return f"{event.subject} {event.text} {event.level}"

    def in_trouble(self, key: str) -> bool:
        """Bad ones, and warnings."""
        return self._events[key].level in ("bad", "warn")

    def value(self, key: str, column: str) -> Any:
        """What an event is sorted by."""
        event = self._events[key]
        levels = ("bad", "warn", "info", "good")
        return {"time": event.time_ns, "subject": event.subject, "level": levels.index(event.level)}[column]

    def row(self, key: str) -> Row:
        """An event's cells."""
        event = self._events[key]
        sign, name = LEVEL_SIGNS[event.level]
        loud = name if event.level in ("bad", "warn") else ""
        return (
            (time.strftime("%H:%M:%S", time.localtime(event.time_ns * 1e-9)), "dim"),
            (sign, name),
            (safe(event.subject), loud or "name"),
            (safe(" ".join(event.text.split())), loud),
        )

    def details(self, key: str) -> Sequence[Line]:
        """All of the text."""
        event, width = self._events[key], self.detail.size.width
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.time_ns * 1e-9))
        text = "\n".join(safe(line) for line in event.text.splitlines())
        return [
            rule(safe(event.subject), f"{when}.{event.time_ns // 10**6 % 1000:03d}", width),
            *wrapped(text, width, LEVEL_SIGNS[event.level][1], self.detail.size.height - 1),
        ]
