"""The tab of streams."""

from __future__ import annotations

import time
from collections.abc import Container, Mapping, Sequence
from functools import lru_cache
from typing import Any

from framebus import _core
from framebus.cli.processes import command_name
from framebus.cli.text import duration, rate, safe, shape, size
from framebus.tui.columns import Column
from framebus.tui.frame_view import FrameView
from framebus.tui.looks import StreamLook
from framebus.tui.painted import Line, Span, clipped, width_of
from framebus.tui.pane import Pane, rule
from framebus.tui.sheet import Row
from framebus.tui.styles import STREAM_SIGNS
from framebus.tui.trace_view import trace_lines
from framebus.tui.watching import Watcher

__all__ = ["StreamsPane"]

_ORDER = ("dead", "bad", "stale", "unknown", "empty", "live", "still", "left")


class StreamsPane(Pane):
    """Streams: how each stands, and the selected one's values, picture and trace.

    Args:
        watcher: which has the streams open.
    """

    NAME = "streams"
    GROWS = True
    COLUMNS = (
        Column("name", "STREAM", 20, weight=1, most=32),
        Column("state", "STATE", 9),
        Column("rate", "RATE", 8, right=True),
        Column("age", "AGE", 7, right=True),
        Column("count", "COUNT", 10, right=True),
        Column("readers", "RDRS", 4, right=True),
        Column("semaphores", "SEMS", 5, right=True, rank=1),
        Column("missed", "MISSED", 7, right=True),
        Column("history", "HIST", 4, right=True, rank=2),
        Column("writer", "WRITER", 8, right=True, rank=3),
        Column("shape", "SHAPE", 10, right=True, rank=4),
        Column("dtype", "DTYPE", 8, rank=5),
        Column("size", "SIZE", 7, right=True, rank=6),
    )
    SORTABLE = ("name", "state", "rate", "age", "count", "readers", "missed", "size")
    DESCENDING = frozenset({"rate", "count", "readers", "missed", "size"})
    EMPTY = "no streams; to make some: framebus demo, or framebus up PIPELINE.toml"
    KEYS = (("t", "trace"), ("c", "colours"))

    def __init__(self, watcher: Watcher) -> None:
        super().__init__()
        self._watcher = watcher
        self._frame = FrameView(watcher)
        self.tracing = False

    def items(self) -> Mapping[str, StreamLook]:
        """The streams."""
        return self.snapshot.streams

    def in_sight(self) -> tuple[Container[str], Container[str]]:
        """The streams on the screen."""
        return self.sheet.shown, ()

    def words(self, key: str) -> str:
        """Name, state, dtype and shape."""
        look = self.snapshot.streams[key]
        return f"{look.name} {look.state} {look.dtype} {shape(look.shape)}"

    def in_trouble(self, key: str) -> bool:
        """Dead, bad or stale ones."""
        return self.snapshot.streams[key].in_trouble

    def value(self, key: str, column: str) -> Any:
        """What a stream is sorted by."""
        look = self.snapshot.streams[key]
        age_s = look.age_s(self.snapshot.time_ns)
        return {
            "name": look.name,
            "state": _ORDER.index(look.state),
            "rate": look.rate_hz,
            "age": float("inf") if age_s is None else age_s,
            "count": look.count,
            "readers": look.readers,
            "missed": look.missed,
            "size": look.size_bytes,
        }[column]

    def row(self, key: str) -> Row:
        """A stream's cells."""
        look = self.snapshot.streams[key]
        alarm = look.wrong
        name = "bad" if alarm else "warn" if look.state == "stale" else "name"
        plain = "bad" if alarm else ""
        age_s = look.age_s(self.snapshot.time_ns)
        quiet = "bad" if alarm else "warn" if look.state == "stale" else "dim"
        sign, sign_style = STREAM_SIGNS[look.state]
        known = look.state != "bad"
        return (
            (safe(look.name), name),
            (sign, sign_style),
            (rate(look.rate_hz) if look.rate_hz else "-", plain if look.rate_hz else quiet),
            (_age(age_s), quiet if age_s is None or age_s > 1 else plain),
            (str(look.count) if known else "-", plain),
            ("-" if look.readers < 0 else str(look.readers), plain if look.readers > 0 else "dim"),
            (f"{look.claimed}/{look.semaphores}" if known else "-", plain if look.claimed else "dim"),
            (str(look.missed), "warn" if look.missed else "dim"),
            (str(look.history) if look.history else "-", "dim"),
            (str(look.writer_pid) if look.writer_pid else "-", "bad" if alarm else "dim"),
            *_fixed(look.shape, look.dtype, look.size_bytes),
        )

    # ---- details ---------------------------------------------------------------------------------------------------

    def details(self, key: str) -> list[Line]:
        """The stream's facts, its last values and a picture; or its trace."""
        look = self.snapshot.streams[key]
        width, lines = self.detail.size.width, self.detail.size.height - 1
        kept = f", keeps {look.history} past frames" if look.history else ""
        note = "trace, newest step first" if self.tracing else f"{shape(look.shape)} {look.dtype}{kept}"
        head = rule(safe(look.name), note, width)
        if look.state == "bad":
            return [head, (("✖ BAD ", "alarm"), (" " + safe(look.error), "bad"))]
        if self.tracing:
            return [head, *trace_lines(look, self._watcher, width)[:lines]]
        picture = self._frame.picture(look, width * 55 // 100, lines)
        wide = max((sum(len(text) for text, _ in line) for line in picture), default=0)
        room = width - wide - (2 if wide else 0)
        facts = [*self._facts(look), *self._frame.values(look, room, lines)][:lines]
        return [head, *_beside(facts, picture, room, lines)]

    def _facts(self, look: StreamLook) -> list[Line]:
        pid = look.writer_pid
        if look.state == "dead":
            writer: Line = ((f"✖ DEAD: its writer {pid} is gone", "alarm"),)
        elif look.state == "left" or (pid and not _core.process_alive(pid)):
            writer = (("writer  ", "dim"), (f"{pid} has ended", ""))
        elif pid:
            writer = (("writer  ", "dim"), (f"{pid} {safe(command_name(pid))}, alive", ""))
        else:
            writer = (("writer  ", "dim"), ("the file does not tell", ""))
        facts: list[Line] = [writer]
        age_s = look.age_s(self.snapshot.time_ns)
        if look.state == "stale" and age_s is not None:
            facts.append(((f"◐ STALE: no frame for {duration(age_s)}", "warned"),))
        if age_s is not None:
            seconds, rest = divmod(look.written_ns, 10**9)
            clock = time.strftime("%H:%M:%S", time.localtime(seconds))
            facts.append((("frame   ", "dim"), (f"{look.count} at {clock}.{rest // 10**6:03d}", "")))
        return facts

    def toggle_trace(self) -> None:
        """Show the trace in the picture's place, or the picture again."""
        self.tracing = not self.tracing
        self.show_details()

    def next_palette(self) -> str:
        """Show pictures in other colours; returns their name."""
        name = self._frame.next_palette()
        self.show_details()
        return name


@lru_cache(maxsize=4096)
def _fixed(sizes: tuple[int, ...], dtype: str, n_bytes: int) -> tuple[Span, Span, Span]:
    """The cells that stay as they are."""
    return (
        (shape(sizes) or "-", "dim"),
        (dtype or "-", "dim"),
        (size(n_bytes) if n_bytes else "-", "dim"),
    )


def _age(age_s: float | None) -> str:
    """The age; below a tenth of a second it is another at every look, and says nothing."""
    return "-" if age_s is None else "<0.1 s" if age_s < 0.1 else duration(age_s)


def _beside(facts: list[Line], picture: Sequence[list[Span]], room: int, lines: int) -> list[Line]:
    """Facts at the left, the picture at the right."""
    found: list[Line] = []
    for y in range(lines):
        left = list(clipped(facts[y], max(0, room))) if y < len(facts) else []
        used = sum(width_of(text) for text, _ in left)
        if y < len(picture):
            left += [(" " * (room - used + 2), ""), *picture[y]]
        found.append(tuple(left))
    return found
