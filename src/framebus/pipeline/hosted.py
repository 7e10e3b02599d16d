"""One process of a pipeline: a host of loops, started, watched and ended."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from typing import IO, Any

from framebus import errors
from framebus.errors import FramebusError, UnitError

END_S = 5.0
"""How long a process may take to end before it is told more firmly, in s."""


class HostedProcess:
    """A child process that runs ``framebus.unit.host``. It ends when this process does."""

    def __init__(self, name: str) -> None:
        self.name = name
        # Appended to by the child, read here by offset: two processes that share a file share its position.
        self._errors: IO[bytes] = tempfile.TemporaryFile("a+b")  # noqa: SIM115 - lives as long as the child
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        try:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "framebus.unit.host"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environment,
                bufsize=0,
                start_new_session=True,  # Ctrl-C in a terminal is for the pipeline, which ends its processes in order
            )
        except BaseException:
            self._errors.close()
            raise

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended: as Python's ``subprocess`` has it; ``None`` while it runs."""
        return self._child.poll()

    def begin(self, plan: dict[str, Any], timeout_s: float) -> None:
        """Start a loop in it, and wait until it runs.

        Raises:
            FramebusError: what the loop's start raised there.
            UnitError: the process ended, or took too long; the message holds what it said.
        """
        answer = self._ask(json.dumps(plan), time.monotonic() + timeout_s)
        if not answer:
            self._child.wait()
            raise UnitError(self.fate())
        told = json.loads(answer)
        if "error" in told:
            kind = getattr(errors, told["error"], None)
            where = f"process '{self.name}' did not start"
            if isinstance(kind, type) and issubclass(kind, FramebusError):
                raise kind(f"{where}: {told['message']}")
            raise UnitError(f"{where}: {told['error']}: {told['message']}")

    def watch(self) -> None:
        """Say that all its loops are there: from now on it ends with them."""
        self._send("watch")

    def _send(self, line: str) -> None:
        stdin = self._child.stdin
        assert stdin is not None
        data = line.encode() + b"\n"
        try:
            while data:
                data = data[stdin.write(data) :]
        except BrokenPipeError:
            pass  # it has ended; its answer, or its exit code, tells why

    def _ask(self, line: str, deadline: float) -> bytes:
        """Its one line of answer; nothing if it ended instead."""
        self._send(line)
        stdout = self._child.stdout
        assert stdout is not None
        answer = b""
        while not answer.endswith(b"\n"):
            left = deadline - time.monotonic()
            readable, _, _ = select.select([stdout], [], [], max(0.0, left))
            if not readable:
                raise UnitError(
                    f"process '{self.name}' was not ready in time: {self.said() or 'it said nothing'}"
                )
            received = os.read(stdout.fileno(), 65536)
            if not received:
                return b""
            answer += received
        return answer

    def said(self) -> str:
        """The end of what it wrote to standard error."""
        size = os.fstat(self._errors.fileno()).st_size
        return os.pread(self._errors.fileno(), 4000, max(0, size - 4000)).decode(errors="replace").strip()

    def fate(self) -> str:
        """How it ended and what it had to say."""
        code = self._child.wait()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        return f"process '{self.name}' has ended: {how}; {self.said() or 'it said nothing'}"

    def end(self) -> str:
        """End it, kindly first. Returns what it had to say if it did not end well, else an empty text."""
        child = self._child
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.close()
        for urge in (child.terminate, child.kill):
            try:
                child.wait(END_S)
                break
            except subprocess.TimeoutExpired:
                urge()
        said = "" if child.wait() == 0 else self.fate()
        child.stdout.close()
        self._errors.close()
        return said
