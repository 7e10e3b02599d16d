"""A program in a terminal of its own, typed to and read from."""

from __future__ import annotations

import builtins
import codecs
import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

_TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
"""Makes the terminal that of its session, so that Ctrl-C reaches the program; then becomes the program."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Z0-9]|[=>78])|\r")


class Terminal:
    """A program that has a pseudo-terminal for its input and outputs.

    Args:
        command: the program with its arguments.
        columns, rows: size of the terminal.
        plain: leave escapes and carriage returns out of what is read, and tell programs that ask where the cursor is.
        environment: set beside what this process has; a value of None is left out.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        columns: int = 80,
        rows: int = 24,
        plain: bool = False,
        **environment: str | None,
    ) -> None:
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        hidden = ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR")
        given = {**{k: v for k, v in os.environ.items() if k not in hidden}, "TERM": "xterm-256color"}
        given |= {k: v for k, v in environment.items() if v is not None}
        for name in (name for name, value in environment.items() if value is None):
            given.pop(name, None)
        self.modes_before = termios.tcgetattr(follower)
        self.process = subprocess.Popen(
            [sys.executable, "-c", _TAKE_TERMINAL, *command],
            stdin=follower,
            stdout=follower,
            stderr=follower,
            env=given,
            start_new_session=True,
        )
        self._leader, self._follower, self._plain = leader, follower, plain
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self.seen = ""

    def type(self, text: str) -> None:
        """Press these keys."""
        os.write(self._leader, text.encode())

    def wait_text(self, expected: str, timeout_s: float = 60.0) -> str:
        """Read until ``expected`` has appeared since the last call; returns what was read up to its end.

        Raises:
            AssertionError: it did not; with what was read.
        """
        deadline = time.monotonic() + timeout_s
        while expected not in self.seen:
            ready, _, _ = select.select([self._leader], [], [], max(0.0, deadline - time.monotonic()))
            came = self._take() if ready else False
            assert came, f"{expected!r} did not appear; what did, at the end: {self.seen[-1000:]!r}"
        told, found, self.seen = self.seen.partition(expected)
        return told + found

    def wait(self, timeout_s: float = 60.0) -> tuple[int, str]:
        """Read to the end of the program; returns its exit code and what was read since the last call."""
        deadline = time.monotonic() + timeout_s
        while self.process.poll() is None and time.monotonic() < deadline:
            if select.select([self._leader], [], [], 0.05)[0]:
                self._take()
        while select.select([self._leader], [], [], 0.0)[0] and self._take():
            pass
        told, self.seen = self.seen, ""
        return self.process.wait(1.0), told

    def hang_up(self) -> None:
        """Close it, as a window is closed or a line is lost: its program gets SIGHUP, and can write to it no more."""
        os.close(self._leader)
        self._leader = -1

    def modes(self) -> list[object]:
        """The terminal's modes now, as ``termios.tcgetattr`` gives them; at first they were ``modes_before``."""
        return termios.tcgetattr(self._follower)

    def _take(self) -> bool:
        """Take in what it shows next; False at its end."""
        try:
            read = os.read(self._leader, 65536)
        except OSError:  # Linux's way to say that nobody holds the other side any more
            return False
        self.seen += self._decode(read)
        if self._plain:  # an escape of which a part has come is left out with the rest of it
            if "\x1b[6n" in self.seen:
                os.write(self._leader, b"\x1b[1;1R")
            self.seen = _ESCAPES.sub("", self.seen)
        return bool(read)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: builtins.type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        if self._leader >= 0:
            os.close(self._leader)
        os.close(self._follower)
