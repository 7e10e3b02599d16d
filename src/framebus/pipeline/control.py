"""Talking to a supervisor: a socket in the run directory, a line of JSON for each request and for each answer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector
from typing import Any

from framebus import _core, errors
from framebus.errors import FramebusError, PeerError, UnitError, UsageError
from framebus.pipeline.rundir import RunDir, one_run_dir
from framebus.pipeline.shared_dir import short_path
from framebus.process.kernel_files import stat_fields

__all__ = ["ControlServer", "Controller", "Reply", "told_error"]

Reply = Callable[[dict[str, Any]], None]
"""Called once with the answer to a request."""
_MOST_BYTES = 1 << 20


class ControlServer:
    """The supervisor's side, served by its own loop: nothing here ever waits.

    Args:
        path: of the socket; one that is there already is a dead supervisor's, and is replaced.
        selector: of the supervisor's loop; its keys' data are called with the events that came.
        handle: called with each request and with what takes its answer, then or later.
    """

    def __init__(
        self, path: Path, selector: BaseSelector, handle: Callable[[dict[str, Any], Reply], None]
    ) -> None:
        self._path, self._selector, self._handle = path, selector, handle
        self._clients: set[_Client] = set()
        path.unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with short_path(path) as address:
            self._socket.bind(address)
        self._socket.listen(16)
        self._socket.setblocking(False)
        selector.register(self._socket, EVENT_READ, self._accept)

    def _accept(self, _events: int) -> None:
        with contextlib.suppress(OSError):  # gone again, or no descriptor is left: it may come again
            connection, _ = self._socket.accept()
            self._clients.add(_Client(connection, self._selector, self._handle, self._clients.discard))

    def close(self) -> None:
        """Send what can be sent at once, and close all."""
        for client in list(self._clients):
            client.close()
        self._selector.unregister(self._socket)
        self._socket.close()


class _Client:
    """One connection."""

    def __init__(
        self,
        connection: socket.socket,
        selector: BaseSelector,
        handle: Callable[[dict[str, Any], Reply], None],
        forget: Callable[[_Client], None],
    ) -> None:
        self._connection, self._selector = connection, selector
        self._handle, self._forget = handle, forget
        self._received, self._to_send = b"", b""
        self._open = True
        connection.setblocking(False)
        selector.register(connection, EVENT_READ, self._serve)

    def _serve(self, events: int) -> None:
        if events & EVENT_WRITE:
            self._send()
        if self._open and events & EVENT_READ:
            self._receive()

    def _receive(self) -> None:
        try:
            data = self._connection.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        *lines, self._received = (self._received + data).split(b"\n")
        if not data or len(self._received) > _MOST_BYTES:
            self.close()
            return
        for line in lines:
            try:
                request = json.loads(line)
                if not isinstance(request, dict):
                    raise UsageError("a request is an object")
                self._handle(request, self._reply)
            except (FramebusError, OSError, ValueError, TypeError, KeyError) as error:
                self._reply(failure(error))

    def _reply(self, answer: dict[str, Any]) -> None:
        if self._open:
            self._to_send += json.dumps(answer).encode() + b"\n"
            self._send()

    def _send(self) -> None:
        try:
            self._to_send = self._to_send[self._connection.send(self._to_send) :]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        wanted = EVENT_READ | (EVENT_WRITE if self._to_send else 0)
        self._selector.modify(self._connection, wanted, self._serve)

    def close(self) -> None:
        if self._open:
            self._open = False
            self._selector.unregister(self._connection)
            self._connection.close()
            self._forget(self)


def failure(error: BaseException) -> dict[str, Any]:
    """An error as an answer."""
    return {"error": type(error).__name__, "message": str(error)}


def told_error(answer: Mapping[str, Any]) -> FramebusError:
    """The error that an answer tells of, of the same class where that is one of framebus'."""
    kind = getattr(errors, answer["error"], None)
    # A PipelineError is made of problems; what is told of one is a text.
    known = isinstance(kind, type) and issubclass(kind, FramebusError) and kind is not errors.PipelineError
    wrong = UsageError if kind is errors.PipelineError else UnitError
    return (kind if known and kind is not None else wrong)(answer["message"])


class Controller:
    """A running pipeline, seen and steered from any process.

    Args:
        name: the pipeline's; of the only one that runs, if not given.

    Raises:
        NotFoundError: it does not run. UsageError: several run and none is named.
    """

    def __init__(self, name: str | None = None) -> None:
        self._run_dir = one_run_dir(name)

    @property
    def name(self) -> str:
        """The pipeline's name."""
        return self._run_dir.name

    @property
    def run_dir(self) -> RunDir:
        """Its run directory."""
        return self._run_dir

    @property
    def supervised(self) -> bool:
        """Whether its supervisor lives."""
        return self._run_dir.held

    @property
    def suspended(self) -> int:
        """The supervisor's process, if that is suspended and so answers nothing; else 0."""
        with contextlib.suppress(FramebusError, OSError, KeyError):  # what is there need not be whole
            known = self._run_dir.read_state()["supervisor"]
            pid: int = known["pid"]
            stat = stat_fields(Path(f"/proc/{pid}/stat"))
            if stat and stat[3] in "Tt" and _core.process_start_ticks(pid) == known["start_ticks"]:
                return pid
        return 0

    def status(self) -> dict[str, Any]:
        """How it does; if its supervisor is dead, what that one knew last (see ``Supervisor.status``).

        Raises:
            NotFoundError: it was taken down meanwhile. DataError: what is left of it cannot be read.
        """
        with contextlib.suppress(PeerError):
            return dict(self._ask({"do": "status"}, timeout_s=5.0))
        return self._run_dir.read_state() | {"supervised": False}

    def restart(self, unit: str) -> None:
        """End the unit's process and start it anew; returns when it is ready. Units that share the process go along.

        Raises:
            NotFoundError: the pipeline has no such unit. UnitError: it did not start again; says why.
            PeerError: the supervisor is dead, or died meanwhile.
        """
        self._ask({"do": "restart", "unit": unit})

    def replace(self, unit: str, use: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Put other code in a running unit's place; returns when it runs there.

        The unit's whole process is made anew beside the old one, compiled and warmed, and only then takes over: at most
        one frame is skipped, and counted. If that fails, the old one goes on as if nothing had been. Live values of
        parameters that both have are kept.

        Args:
            unit: the unit's name.
            use: its new code, ``"package.module:function"`` or ``"/path/file.py:function"``.
            parameters: values that it is to have from the start.

        Raises:
            PipelineError: it does not fit in that place; says all that is wrong.
            NotFoundError: the pipeline has no such unit. UnitError: it did not start; says why.
            PeerError: the supervisor is dead, or died meanwhile.
        """
        from framebus.pipeline.replacement import replaced

        plan = replaced(self._run_dir.read_plan(), unit, use, parameters or {})
        new = plan.units[unit]
        self._ask(
            {
                "do": "replace",
                "unit": unit,
                "use": new.use,
                "parameters": new.parameters,
                "set": dict(parameters or {}),
            }
        )

    def down(self) -> None:
        """Take it down: end its units in reverse order, and remove what it made; works without a supervisor, too.

        A supervisor that is suspended (Ctrl-Z) is continued for it.

        Raises:
            FramebusError: something could not be ended or removed.
        """
        if pid := self.suspended:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        try:
            self._ask({"do": "down"})
        except PeerError:
            if not self._run_dir.exists:
                return  # it went down while we asked
            from framebus.pipeline.supervisor import take_down

            take_down(self._run_dir)

    def _ask(self, request: dict[str, Any], timeout_s: float | None = None) -> Any:
        """The supervisor's answer to a request.

        Raises:
            PeerError: there is no supervisor, it is suspended, or it ended without an answer.
            FramebusError: what it answered.
        """
        if pid := self.suspended:
            raise PeerError(
                f"the supervisor of pipeline '{self.name}' (process {pid}) is suspended; continue it with "
                f"'kill -CONT {pid}', or 'fg' where it was started"
            )
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            try:
                with short_path(self._run_dir.socket) as address:
                    connection.connect(address)
                connection.sendall(json.dumps(request).encode() + b"\n")
                with connection.makefile("rb") as answers:
                    answer = answers.readline()
            except OSError as error:
                raise PeerError(self._no_supervisor()) from error
        if not answer.endswith(b"\n"):
            raise PeerError(self._no_supervisor())
        told = json.loads(answer)
        if "error" in told:
            raise told_error(told)
        return told.get("ok")

    def _no_supervisor(self) -> str:
        return (
            f"pipeline '{self.name}' has no supervisor that answers; start one with 'framebus up {self.name}', or "
            f"take the pipeline down with 'framebus down {self.name}'"
        )
