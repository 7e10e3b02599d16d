"""The control socket: lines of JSON, clients of every kind, and a server that never waits for one."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from selectors import DefaultSelector
from typing import Any

import pytest

from framebus import errors
from framebus.errors import BindingError, FramebusError, NotFoundError, PeerError, UnitError, UsageError
from framebus.pipeline.control import Controller, ControlServer, Reply, failure, told_error
from framebus.pipeline.rundir import RunDir
from framebus.pipeline.shared_dir import short_path
from support.processes import Spawner


class Served:
    """A server whose loop the test turns."""

    def __init__(self, path: Path) -> None:
        self.selector = DefaultSelector()
        self.requests: list[dict[str, Any]] = []
        self.replies: list[Reply] = []
        self.path = path
        self.server = ControlServer(path, self.selector, self.handle)

    def handle(self, request: dict[str, Any], reply: Reply) -> None:
        self.requests.append(request)
        if request.get("do") == "later":
            self.replies.append(reply)
        elif request.get("do") == "fail":
            raise NotFoundError("there is no such thing")
        else:
            reply({"ok": request.get("value")})

    def turn(self) -> None:
        """Serve all that is there."""
        while ready := self.selector.select(0.05):
            for key, events in ready:
                key.data(events)

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(60)
        with short_path(self.path) as address:
            client.connect(address)
        return client

    def close(self) -> None:
        self.server.close()
        self.selector.close()


@pytest.fixture(params=["short", "long"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Served]:
    folder = tmp_path
    if request.param == "long":
        folder = tmp_path / ("x" * 120) / ("y" * 120)
        folder.mkdir(parents=True)
    found = Served(folder / "control.sock")
    yield found
    found.close()


def lines(client: socket.socket, n: int) -> list[dict[str, Any]]:
    data = b""
    while data.count(b"\n") < n:
        received = client.recv(65536)
        assert received
        data += received
    return [json.loads(line) for line in data.splitlines()]


def test_requests_and_answers(served: Served) -> None:
    with served.connect() as client:
        client.sendall(b'{"do": "echo", "value": 1}\n{"do": "echo", "va')
        served.turn()
        assert lines(client, 1) == [{"ok": 1}]
        client.sendall(b'lue": "\xc3\xa4"}\n')
        served.turn()
        assert lines(client, 1) == [{"ok": "ä"}]


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"{\n", "JSONDecodeError"),
        (b"[1]\n", "UsageError"),
        (b"\xff\n", "UnicodeDecodeError"),
        (b'{"do": "fail"}\n', "NotFoundError"),
    ],
)
def test_wrong_requests_are_answered(served: Served, line: bytes, error: str) -> None:
    with served.connect() as client:
        client.sendall(line + b'{"do": "echo"}\n')
        served.turn()
        wrong, right = lines(client, 2)
        assert wrong["error"] == error
        assert right == {"ok": None}


def test_answers_may_come_later_and_to_nobody(served: Served) -> None:
    one, two = served.connect(), served.connect()
    for client in (one, two):
        client.sendall(b'{"do": "later"}\n')
    served.turn()
    two.close()
    served.turn()
    for reply in served.replies:
        reply({"ok": "now"})
    served.turn()
    assert lines(one, 1) == [{"ok": "now"}]
    one.close()
    served.turn()


def test_large_answers_do_not_block(served: Served) -> None:
    size = 3_000_000
    with served.connect() as client:
        client.sendall(b'{"do": "later"}\n')
        served.turn()
        served.replies[0]({"ok": "x" * size})
        received = 0
        while received < size:
            served.turn()
            received += len(client.recv(1 << 20))


def test_endless_lines_are_cut_off(served: Served) -> None:
    with served.connect() as client:
        client.settimeout(0.0)

        def flood() -> None:
            for _ in range(1000):
                with contextlib.suppress(BlockingIOError):
                    client.send(b"x" * 65536)
                served.turn()

        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            flood()
    assert served.requests == []


def test_a_dead_servers_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    first = Served(path)
    first.close()
    assert path.exists()
    second = Served(path)
    with second.connect() as client:
        client.sendall(b'{"do": "echo", "value": 2}\n')
        second.turn()
        assert lines(client, 1) == [{"ok": 2}]
    second.turn()
    second.close()


@pytest.mark.parametrize(
    ("told", "kind"),
    [
        ("BindingError", BindingError),
        ("NotFoundError", NotFoundError),
        ("PipelineError", UsageError),
        ("Problem", UnitError),
        ("ZeroDivisionError", UnitError),
        ("annotations", UnitError),
    ],
)
def test_errors_keep_their_class(told: str, kind: type[FramebusError]) -> None:
    error = told_error({"error": told, "message": "it went wrong"})
    assert type(error) is kind
    assert str(error) == "it went wrong"


def test_every_error_can_be_told() -> None:
    for name in dir(errors):
        assert isinstance(told_error({"error": name, "message": "text"}), FramebusError)
    assert failure(UsageError("no")) == {"error": "UsageError", "message": "no"}


def test_a_supervisor_that_dies_while_it_is_asked(spawn: Spawner) -> None:
    dying = spawn(
        """
        import os, selectors
        from framebus.pipeline.control import ControlServer
        from framebus.pipeline.rundir import RunDir
        run_dir = RunDir("loop")
        run_dir.acquire()
        run_dir.write_state({"pipeline": "loop", "processes": {}})
        selector = selectors.DefaultSelector()
        server = ControlServer(run_dir.socket, selector, lambda request, reply: os._exit(1))
        print("ready", flush=True)
        while True:
            for key, events in selector.select():
                key.data(events)
        """
    )
    dying.expect("ready")
    with pytest.raises(PeerError, match="has no supervisor that answers"):
        Controller("loop").restart("unit")
    assert Controller("loop").status() == {
        "pipeline": "loop",
        "processes": {},
        "supervised": False,
    }
    assert dying.wait() == 1  # its end closes the socket before it gives up the lock
    run_dir = RunDir("loop")
    assert run_dir.acquire()
    run_dir.remove()
