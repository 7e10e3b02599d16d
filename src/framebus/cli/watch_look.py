"""One stream looked at again and again: its newest frame, how it stands, how fast it goes."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import numpy.typing as npt

from framebus import _core, stream
from framebus.cli.inspection import figures
from framebus.errors import FramebusError, StreamNotFound, WaitTimeout
from framebus.stream.names import parse, require

__all__ = ["Look", "Watched"]

_FRAME_TIMEOUT_S = 0.2
"""How long to wait for a whole frame when the writer is in the middle of one."""
_STALE_S, _STALE_PERIODS = 2.0, 10.0
"""Without a frame for so long, and for so many of its periods, a stream that a living process writes is stale."""


@dataclass(frozen=True, slots=True)
class Look:
    """A stream as it stood at one moment.

    Attributes:
        name: as it was asked for, slices included.
        state: ``live``, ``stale``, ``empty``, ``dead``, ``unknown`` (the file does not tell who writes it),
            ``removed`` or ``bad``.
        why: a sentence about a state that is in the way; empty for a live one.
        shape: of what is looked at (of the slice).
        dtype: its name.
        count: of the newest frame; 0 before the first.
        rate_hz: frames per second since the last look; None before there are two.
        age_s: since the newest frame, as its writer tells, or else since it was first seen; None without one.
        writer_pid: who writes; 0 if that is not known.
        figures: of the frame: shape, elements, not_finite, min, max, mean, std; None without one.
        frame: the newest whole frame that could be read; kept from an earlier look if there is none now.
    """

    name: str
    state: str
    why: str
    shape: tuple[int, ...]
    dtype: str
    count: int
    rate_hz: float | None
    age_s: float | None
    writer_pid: int
    figures: dict[str, Any] | None
    frame: npt.NDArray[Any] | None


class Watched:
    """A stream to look at. It is followed when it is removed and made anew, also with another shape.

    Args:
        name: a name, a slice of it, or the path of a stream's file. Nothing is loaded from ``./conf``.

    Raises:
        StreamNotFound, StreamFormatError, NameFormatError: as ``framebus.open``.
    """

    def __init__(self, name: str) -> None:
        parsed = require(parse(name), allowed=["S", "E", "type", "slices", "path"], context="framebus watch")
        self._name = name
        self._text = str(replace(parsed, modifiers="E"))
        self._opened: stream.Stream | None = stream.open(self._text)
        self._last = Look(
            name, "empty", "", self._opened.shape, self._opened.dtype.name, 0, None, None, 0, None, None
        )
        self._inode = _inode(self._opened)
        self._seen: tuple[int, int, int] | None = None
        self._read = 0  # the count of the frame that is held; of an earlier stream's 0
        self._changed_ns = _core.monotonic_ns()
        self._period_s = math.inf

    def look(self) -> Look:
        """How it stands now. Does not fail for what becomes of the stream: the state tells it."""
        try:
            self._last = self._look()
        except StreamNotFound:
            self._forget()
            self._last = replace(self._last, state="removed", why="it was removed", rate_hz=None)
        except FramebusError as error:  # made anew in another form, damaged
            self._forget()
            self._last = replace(self._last, state="bad", why=str(error), rate_hz=None)
        return self._last

    def _forget(self) -> None:
        if self._opened is not None:
            self._opened.close()
        self._opened, self._seen, self._read = None, None, 0

    def _open(self) -> stream.Stream:
        """The stream of that name that is there now: another one, if it was made anew."""
        if self._opened is not None and _inode(self._opened) != self._inode:
            self._forget()
        if self._opened is None:
            self._opened = stream.open(self._text)
            self._inode = _inode(self._opened)
        return self._opened

    def _look(self) -> Look:
        opened = self._open()
        info = stream.describe(opened.path)
        if info is None:
            raise StreamNotFound(f"stream '{opened.name}' was removed")
        rate_hz = self._rate(opened)
        frame, told = self._frame(opened)
        age_s = info.age_s
        if age_s is None and info.count:
            age_s = (_core.monotonic_ns() - self._changed_ns) * 1e-9
        state, why = self._standing(info, age_s)
        return Look(
            self._name, state, why, opened.shape, opened.dtype.name, info.count, rate_hz, age_s,
            info.writer_pid, told, frame,
        )  # fmt: skip

    def _rate(self, opened: stream.Stream) -> float | None:
        """Frames since the last look, over the time between their publications where the header tells it."""
        now = (opened.count, opened.handle.written_ns, _core.monotonic_ns())
        before, self._seen = self._seen, now
        if before is None:
            return None
        frames = now[0] - before[0]
        if frames <= 0:
            return 0.0
        self._changed_ns = now[2]
        told_ns = now[1] - before[1] if before[1] > 0 else 0
        rate_hz = frames * 1e9 / max(1, told_ns if told_ns > 0 else now[2] - before[2])
        self._period_s = 1.0 / rate_hz
        return rate_hz

    def _frame(self, opened: stream.Stream) -> tuple[npt.NDArray[Any] | None, dict[str, Any] | None]:
        if opened.count == 0:
            return None, None
        count = opened.count
        if count == self._read:
            return self._last.frame, self._last.figures
        try:
            frame = opened.read(timeout_s=_FRAME_TIMEOUT_S)
        except WaitTimeout:
            return self._last.frame, self._last.figures
        self._read = count
        return frame, figures(frame)

    def _standing(self, info: stream.StreamInfo, age_s: float | None) -> tuple[str, str]:
        if info.state == "dead":
            return "dead", f"its writer, process {info.writer_pid}, is gone"
        if info.state == "empty":
            return "empty", "no frame was written yet"
        if info.state in ("live", "unknown") and age_s is not None:
            usual_s = 0.0 if math.isinf(self._period_s) else _STALE_PERIODS * self._period_s
            if age_s > max(_STALE_S, usual_s):
                who = f"process {info.writer_pid}" if info.writer_pid else "whoever writes it"
                return "stale", f"{who} writes nothing"
        return info.state, ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._forget()


def _inode(opened: stream.Stream) -> int:
    """Of the file that has the stream's name now; 0 if there is none."""
    try:
        return os.stat(opened.path).st_ino
    except OSError:
        return 0
