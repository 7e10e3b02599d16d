"""Programs in a pseudo-terminal: what they show, and keys for them."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

TIMEOUT_S = 60.0
"""Far longer than anything takes, so that only a hang fails."""

_ESCAPES = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[()][A-Z0-9]|[=>78])")


class Terminal:
    """A program in a terminal of its own.

    Args:
        command: what to run.
        env: its environment variables.
        columns: of the terminal, which has 40 rows.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], columns: int = 100) -> None:
        self._leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        try:
            self._process = subprocess.Popen(
                command, stdin=follower, stdout=follower, stderr=follower, env=env, start_new_session=True
            )
        finally:
            os.close(follower)
        self.pid = self._process.pid
        self._shown = b""
        self._read = 0  # how much of the text expect() has used up

    @property
    def text(self) -> str:
        """All that was shown so far, without escapes."""
        return _ESCAPES.sub(b"", self._shown).decode(errors="replace").replace("\r", "")

    def expect(self, wanted: str, timeout_s: float = TIMEOUT_S) -> str:
        """Wait until a text is shown, behind what was expected before; returns what stands before it.

        Raises:
            AssertionError: it does not come.
        """
        deadline = time.monotonic() + timeout_s
        while (found := self.text.find(wanted, self._read)) < 0:
            left = deadline - time.monotonic()
            assert left > 0, f"{wanted!r} was not shown; there was:\n{self.text}"
            assert self._receive(left), f"it ended without {wanted!r}; there was:\n{self.text}"
        passed = self.text[self._read : found]
        self._read = found + len(wanted)
        return passed

    def press(self, keys: str) -> None:
        """Press keys; ``"\\r"`` is Enter, ``"\\t"`` Tab, ``"\\x04"`` Ctrl-D."""
        os.write(self._leader, keys.encode())

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """Wait until it ends; its exit status."""
        deadline = time.monotonic() + timeout_s
        while self._receive(max(0.0, deadline - time.monotonic())):
            pass
        return self._process.wait(max(0.0, deadline - time.monotonic()))

    def _receive(self, timeout_s: float) -> bool:
        """Take in what it shows next; False at its end, or when the time is over."""
        if not select.select([self._leader], [], [], timeout_s)[0]:
            return False
        try:
            chunk = os.read(self._leader, 65536)
        except OSError:  # Linux's way to say that nobody holds the other side any more
            return False
        self._shown += chunk
        if b"\x1b[6n" in chunk:  # it asks where the cursor is
            os.write(self._leader, b"\x1b[1;1R")
        return bool(chunk)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._leader)
