"""Starting hosts so that they outlive whoever started them, and holding on to a process whoever started it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Protocol, Self

from framebus import _core
from framebus.errors import NotFoundError
from framebus.pipeline.logs import LogFile

__all__ = ["Launcher", "Running", "SubprocessLauncher", "host_command", "host_environment"]


class Running:
    """A process, held by a descriptor that means this very process as long as it is kept (``pidfd_open``).

    Attributes:
        pid: its process id.
        start_ticks: when it started, clock ticks since boot.
        descriptor: readable once it has ended.
    """

    def __init__(self, pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
        """Use ``Running.adopt`` for a process that is no child of this one.

        Raises:
            ProcessLookupError: there is no such process.
        """
        self.pid = pid
        self.descriptor = os.pidfd_open(pid)
        self.start_ticks = _core.process_start_ticks(pid)
        self._child = child

    @classmethod
    def adopt(cls, pid: int, start_ticks: int = 0) -> Self:
        """Hold a process that somebody else started.

        Raises:
            NotFoundError: it has ended, or its pid is another process' now.
        """
        try:
            found = cls(pid)
        except OSError as error:
            raise NotFoundError(f"process {pid} has ended") from error
        if not _core.process_alive(pid, start_ticks):
            found.close()
            raise NotFoundError(f"process {pid} has ended")
        return found

    @property
    def ended(self) -> bool:
        """Whether it has ended; a child is reaped."""
        if self._child is not None:
            return self._child.poll() is not None
        return not _core.process_alive(self.pid, self.start_ticks)

    @property
    def fate(self) -> str:
        """How it ended, as far as the kernel tells: its exit code is only told to its parent."""
        code = self._child.poll() if self._child is not None else None
        if code is None:
            return "killed, or ended without a word"
        if code >= 0:
            return f"exit code {code}"
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"

    def signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.descriptor, number)

    def terminate(self) -> None:
        """Ask it to end, also if it is suspended."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once."""
        self.signal(signal.SIGKILL)

    def close(self) -> None:
        """Let go of it."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Launcher(Protocol):
    """A way to start hosts."""

    def start(self, process: str, plan: Path, log: LogFile) -> Running:
        """Start the host of ``plan``, its output going to ``log``.

        Raises:
            OSError: the system refuses.
            FramebusError: whatever else it needs is not there.
        """


class SubprocessLauncher:
    """Starts hosts as children in sessions of their own: no terminal's Ctrl-C or hang-up reaches them."""

    def start(self, process: str, plan: Path, log: LogFile) -> Running:
        """See ``Launcher.start``."""
        del process
        output = log.open()
        try:
            child = subprocess.Popen(
                host_command(plan),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **host_environment()},
                start_new_session=True,
            )
        finally:
            os.close(output)
        return Running(child.pid, child)


def host_command(plan: Path) -> list[str]:
    """The command line of a host."""
    return [sys.executable, "-m", "framebus.unit.host", str(plan)]


def host_environment() -> dict[str, str]:
    """What a host needs beside this process' environment: our modules, and output that is not held back."""
    path = os.pathsep.join(path for path in sys.path if path)
    return {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}
