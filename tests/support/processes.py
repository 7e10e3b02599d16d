"""Other processes under a test's control: they say what they reached, line by line, and wait to be told to go on.

A test waits on what a process says, never on time passing::

    def test_reader_sees_what_another_process_writes(spawn):
        writer = spawn('''
            import framebus as fb
            s = fb.create("image", shape=(4,), dtype="float32")
            print("created")
            input()
            s.write([1, 2, 3, 4])
        ''')
        writer.expect("created")
        s = fb.open("image")
        writer.send()
        assert s.read_next(timeout_s=5).data.tolist() == [1, 2, 3, 4]
        assert writer.wait() == 0
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Mapping, Sequence
from typing import IO

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TIMEOUT_S = 60.0
"""How long a process may take to say what a test expects: far longer than it takes, so that only a hang fails."""


class Spawned:
    """A Python process that was started by a test.

    Args:
        command: what to run.
        env: the process's environment variables.

    Attributes:
        pid: its process id.
        lines: every line of its standard output that was read so far, in order, without line ends.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str]) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, bufsize=0, env=env
        )
        self.pid = self._process.pid
        self.lines: list[str] = []
        self._read = 0  # how many of lines expect() has used up
        self._rest = b""  # the beginning of a line that is not complete
        self._closed = False
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

    def expect(self, text: str, timeout_s: float = TIMEOUT_S) -> str:
        """The next line of output that begins with ``text``, whole; lines before it are passed over.

        Raises:
            AssertionError: the process ended, or the deadline passed, without such a line. The message has what it
                said instead, on both outputs.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            while self._read < len(self.lines):
                line = self.lines[self._read]
                self._read += 1
                if line.startswith(text):
                    return line
            if self._closed:
                raise AssertionError(self._report(f"ended without saying {text!r}"))
            if not self._receive(deadline):
                raise AssertionError(self._report(f"did not say {text!r} within {timeout_s:g} s"))

    def send(self, line: str = "") -> None:
        """Give it one line of input; ``input()`` there returns it."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode() + b"\n")

    def end_input(self) -> None:
        """Close its input; ``input()`` there raises EOFError."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once (SIGKILL) and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self._process.wait()

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """Wait until it ends, reading what it still says; its exit status (negative: the signal that ended it).

        Raises:
            AssertionError: it did not end in time.
        """
        deadline = time.monotonic() + timeout_s
        while not self._closed:
            if not self._receive(deadline):
                raise AssertionError(self._report(f"did not end within {timeout_s:g} s"))
        try:
            return self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise AssertionError(
                self._report(f"closed its output but did not end within {timeout_s:g} s")
            ) from None

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    @property
    def errors(self) -> str:
        """What it wrote to standard error so far."""
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")

    def close(self) -> None:
        """Kill it if it still runs, and give back its pipes. A second call does nothing."""
        if self._errors.closed:
            return
        if self.running:
            self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        self._errors.close()

    def _receive(self, deadline: float) -> bool:
        """Take in what it says next; False when the deadline passed before it said anything."""
        pipe = self._process.stdout
        assert pipe is not None
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            if not selector.select(max(0.0, deadline - time.monotonic())):
                return False
        chunk = os.read(pipe.fileno(), 65536)
        *complete, self._rest = (self._rest + chunk).split(b"\n")
        if not chunk:
            self._closed = True
            complete, self._rest = ([self._rest] if self._rest else []), b""
        self.lines += [line.decode(errors="replace") for line in complete]
        return True

    def _report(self, what: str) -> str:
        status = "still running" if self.running else f"exit status {self._process.returncode}"
        said = "\n".join(self.lines[-50:]) or "(nothing)"
        errors = self.errors[-8000:] or "(nothing)"
        return f"process {self.pid} {what} ({status})\n-- it said:\n{said}\n-- on standard error:\n{errors}"


class Spawner:
    """Starts processes for one test and ends them all with it: what the ``spawn`` fixture gives."""

    def __init__(self) -> None:
        self._spawned: list[Spawned] = []

    def __call__(
        self,
        source: str | None = None,
        *args: str,
        module: str | None = None,
        command: Sequence[str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Spawned:
        """Start a Python process on ``source`` (indented as you like), on ``-m module``, or any ``command``.

        Args:
            source: text of a program; its ``print`` is not buffered.
            args: its command-line arguments.
            module: run this module instead.
            command: run this command instead.
            env: environment variables to add to the test's own.
        """
        if sum(given is not None for given in (source, module, command)) != 1:
            raise TypeError("spawn() needs one of: source, module, command")
        if command is None:
            what = ["-c", textwrap.dedent(source)] if source is not None else ["-m", str(module)]
            command = [sys.executable, "-u", *what]
        # What helps tests helps their programs: `import support...`.
        path = os.pathsep.join(filter(None, [TESTS, os.environ.get("PYTHONPATH")]))
        process = Spawned([*command, *args], {**os.environ, "PYTHONPATH": path, **(env or {})})
        self._spawned.append(process)
        return process

    def close(self) -> None:
        """End every process that was started and still runs."""
        while self._spawned:
            self._spawned.pop().close()
