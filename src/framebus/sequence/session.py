"""The sequence that runs here: what it reports, and what has come for it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import threading
import time
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from framebus import _core
from framebus.errors import UsageError
from framebus.pipeline.logs import LogFile
from framebus.pipeline.rundir import default_logs
from framebus.sequence.inbox import Message
from framebus.sequence.status import Place, SequenceStatus

__all__ = ["CHAIN", "Session", "current", "log_of", "session_or_none"]

T = TypeVar("T")

_CURRENT: ContextVar[Session | None] = ContextVar("framebus_sequence", default=None)

CHAIN: ContextVar[tuple[str, ...]] = ContextVar("framebus_sequence_files", default=())
"""The files that are run just now, the outermost first."""

_PAUSE_S = 0.1
"""What comes sooner after the status was written is written together; the state at once."""


class Session:
    """What a running sequence tells the world, from any of its threads.

    Args:
        status: its first status.
        on_change: called with the status when it has changed.
        on_line: called with each line that is logged.

    Attributes:
        messages: those that came and were not received yet.
    """

    def __init__(
        self,
        status: SequenceStatus,
        *,
        on_change: Callable[[SequenceStatus], object] | None = None,
        on_line: Callable[[str], object] | None = None,
    ) -> None:
        self.place = Place(status.name)
        self._log = log_of(status.name)
        self.status = dataclasses.replace(status, log=str(self._log.path))
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self._on_change, self._on_line = on_change, on_line
        self._lock = threading.RLock()  # signal handlers report, too
        self._written_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: threading.Timer | None = None  # writes what is not written yet
        self._refused = False

    @property
    def name(self) -> str:
        """The sequence's name."""
        return self.status.name

    def enter(self) -> None:
        """This task, and what it starts, belongs to the sequence."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
        _CURRENT.set(self)

    def deliver(self, message: Message) -> None:
        """A message has come; from any thread."""
        with self._lock:
            if self._loop is None:
                self.messages.put_nowait(message)  # nobody waits yet
                return
        with contextlib.suppress(RuntimeError):  # the loop is closed: it has ended in this moment
            self._loop.call_soon_threadsafe(self.messages.put_nowait, message)

    # ---- reporting ----

    def begin(self, bind: Callable[[Path], T]) -> T:
        """Take the name and begin the log; returns what ``bind`` makes of the path of the inbox.

        Raises:
            UsageError: a sequence of that name runs.
        """
        inbox = self.place.claim(self.status, bind)
        self._keep(self._log.rotate)
        self.write_log(f"begins: {self.status.file}")
        self._tell_change()
        return inbox

    def end(self, state: str, *, error: str = "", where: str = "") -> None:
        """Say how it ended. A failure is raised, too: whoever watches the lines is told by that."""
        said = f"{where}: {error}" if where else error
        self.update(state=state, error=error, where=where, ended_ns=_core.realtime_ns(), programs=[])
        self.write_log(f"{state}: {said}" if said else state, quietly=state == "failed")

    def detach(self) -> None:
        """From now on tell nobody but the status and the log."""
        self._on_change = self._on_line = None

    def update(self, **changes: Any) -> None:
        """Change the status, which may come thousands of times a second, and write it at once or soon."""
        with self._lock:
            self.status = dataclasses.replace(self.status, **changes)
            if not changes.keys() & {"state", "programs"}:
                if self._timer is not None:
                    return
                left_s = self._written_s + _PAUSE_S - time.monotonic()
                if left_s > 0:
                    # Not of the event loop: that may be blocked by what is told here.
                    self._timer = threading.Timer(left_s, self._flush)
                    self._timer.daemon = True
                    self._timer.start()
                    return
            self._write()
        self._tell_change()

    def log(self, text: str) -> None:
        """Add a line to the log; the status shows it as its message."""
        line = " ".join(text.split("\n"))
        self.update(message=line)
        self.write_log(line)

    def write_log(self, line: str, *, quietly: bool = False) -> None:
        """Add a line to the log; ``quietly``: to its file alone."""
        moment = datetime.fromtimestamp(_core.realtime_ns() / 1e9).astimezone()
        self._keep(lambda: self._log.write(f"{moment:%Y-%m-%d %H:%M:%S.%f} {line}"))
        if self._on_line is not None and not quietly:
            self._on_line(line)

    def _flush(self) -> None:
        with self._lock:
            if self._timer is not threading.current_thread():
                return  # written meanwhile
            self._write()
        self._tell_change()

    def _write(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._keep(lambda: self.place.tell(self.status))
        self._written_s = time.monotonic()

    def _keep(self, write: Callable[[], object]) -> None:
        """A disk that is full, or a directory that somebody removed, must not keep a sequence from its cleanup."""
        try:
            write()
        except OSError as error:
            if not self._refused:
                self._refused = True
                warnings.warn(
                    f"sequence '{self.name}' cannot be followed: {error}", RuntimeWarning, stacklevel=3
                )

    def _tell_change(self) -> None:
        if self._on_change is not None:
            self._on_change(self.status)


def log_of(name: str) -> LogFile:
    """The log of the sequence ``name``."""
    return LogFile.of(default_logs("sequences"), name, 1_000_000, 2)


def session_or_none() -> Session | None:
    """The sequence that the caller belongs to; None outside of any."""
    return _CURRENT.get()


def current(what: str) -> Session:
    """The sequence that the caller belongs to.

    Raises:
        UsageError: there is none; ``what`` says what cannot be done.
    """
    session = _CURRENT.get()
    if session is None:
        raise UsageError(
            f"{what} works within a sequence; run its file with 'framebus seq run' or run_file()"
        )
    return session
