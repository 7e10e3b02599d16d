"""One stream looked at again and again: its newest frame, how it stands, how fast it goes."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

import numpy.typing as npt

from framebus import _core, stream
from framebus.cli.inspection import figures
from framebus.errors import FramebusError, StreamNotFound, WaitTimeout
from framebus.ops.flow import stream_flow
from framebus.stream.names import parse, require

__all__ = ["Look", "Watched"]

_FRAME_TIMEOUT_S = 0.2
"""How long to wait for a whole frame when the writer is in the middle of one."""


@dataclass(frozen=True, slots=True)
class Look:
    """A stream as it stood at one moment.

    Attributes:
        name: as it was asked for, slices included.
        state: ``live`` (frames come), ``stale`` (they have stopped, and the writer lives), ``still`` (the writer lives
            and writes now and then), ``empty``, ``dead``, ``unknown`` (the file does not tell who writes it),
            ``removed`` or ``bad``.
        why: a sentence about a state that is in the way; empty for a live one.
        shape: of what is looked at (of the slice).
        dtype: its name.
        count: of the newest frame; 0 before the first.
        rate_hz: frames per second, over the last second or the last two frames, 0.0 while none come; None at a first
            look at a stream that does not tell it.
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
        self._follow(self._opened)

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
        self._opened = None

    def _open(self) -> stream.Stream:
        """The stream of that name that is there now: another one, if it was made anew."""
        if self._opened is not None and _inode(self._opened) != self._inode:
            self._forget()
        if self._opened is None:
            self._opened = stream.open(self._text)
            self._follow(self._opened)
        return self._opened

    def _follow(self, opened: stream.Stream) -> None:
        self._inode = _inode(opened)
        self._flow, self._looks = stream_flow(opened.handle), 0
        self._read = 0  # the count of the frame that is held; of an earlier stream's 0
        self._changed_ns = _core.realtime_ns()

    def _look(self) -> Look:
        opened = self._open()
        info = stream.describe(opened.path)
        if info is None:
            raise StreamNotFound(f"stream '{opened.name}' was removed")
        now_ns = _core.realtime_ns()
        count = opened.count
        if self._flow.add(count, (opened.handle.written_ns if count else 0) or now_ns):
            self._changed_ns = now_ns
        self._looks += 1
        rate_hz = self._flow.now(now_ns)[0] if self._looks > 1 or self._flow.moved else None
        frame, told = self._frame(opened)
        age_s = info.age_s
        if age_s is None and info.count:
            age_s = max(0.0, (now_ns - self._changed_ns) * 1e-9)
        state, why = self._standing(info, now_ns)
        return Look(
            self._name, state, why, opened.shape, opened.dtype.name, info.count, rate_hz, age_s,
            info.writer_pid, told, frame,
        )  # fmt: skip

    def _frame(self, opened: stream.Stream) -> tuple[npt.NDArray[Any] | None, dict[str, Any] | None]:
        if opened.count == 0:
            return None, None
        if opened.count == self._read:
            return self._last.frame, self._last.figures
        try:
            frame, self._read, *_ = opened.newest(timeout_s=_FRAME_TIMEOUT_S)
        except WaitTimeout:
            return self._last.frame, self._last.figures
        return frame, figures(frame)

    def _standing(self, info: stream.StreamInfo, now_ns: int) -> tuple[str, str]:
        if info.state == "dead":
            return "dead", f"its writer, process {info.writer_pid}, is gone"
        if info.state == "left":
            return "left", f"its writer, process {info.writer_pid}, has ended"
        if info.state == "empty":
            return "empty", "no frame was written yet"
        if info.state != "live":
            return info.state, ""
        standing = self._flow.standing(now_ns)
        return standing, f"process {info.writer_pid} writes nothing" if standing == "stale" else ""

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
