"""One process of a pipeline: a host of loops, started, watched and ended."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from typing import Any

from framebus.errors import UnitError

END_S = 5.0
"""How long a process may take to end before it is told more firmly, in s."""


class HostedProcess:
    """A child process that runs ``framebus.unit.host`` with a plan. It ends when this process does."""

    def __init__(self, name: str, plan: dict[str, Any]) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the child
        environment = dict(os.environ)
        environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self._child = subprocess.Popen(
            [sys.executable, "-m", "framebus.unit.host"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment,
            text=True,
            start_new_session=True,  # Ctrl-C in a terminal is for the pipeline, which ends its processes in order
        )
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(plan) + "\n")
        self._child.stdin.flush()

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether the child runs."""
        return self._child.poll() is None

    def wait_ready(self, timeout_s: float) -> None:
        """Wait until all of its loops run.

        Raises:
            UnitError: it ended instead, or took too long; the message holds what it said.
        """
        assert self._child.stdout is not None
        deadline = time.monotonic() + timeout_s
        while (left := deadline - time.monotonic()) > 0:
            readable, _, _ = select.select([self._child.stdout], [], [], min(left, 0.5))
            if not readable:
                continue
            line = self._child.stdout.readline()
            if line.strip() == "ready":
                return
            if not line:
                self._child.wait()
                raise UnitError(f"process '{self.name}' did not start: {self.said() or 'it said nothing'}")
        raise UnitError(
            f"process '{self.name}' was not ready within {timeout_s:g} s: {self.said() or 'it said nothing'}"
        )

    def said(self) -> str:
        """The end of what it wrote to standard error."""
        self._errors.seek(0)
        return self._errors.read()[-4000:].strip()

    def end(self) -> str:
        """End it, kindly first. Returns what it had to say if it did not end well, else an empty text."""
        assert self._child.stdin is not None and self._child.stdout is not None
        try:
            self._child.stdin.close()
        except BrokenPipeError:
            pass  # it is gone already
        for urge in (self._child.terminate, self._child.kill):
            try:
                self._child.wait(END_S)
                break
            except subprocess.TimeoutExpired:
                urge()
        code = self._child.wait()
        said = self.said()
        self._child.stdout.close()
        self._errors.close()
        return (
            "" if code == 0 else f"process '{self.name}' ended with code {code}: {said or 'it said nothing'}"
        )
