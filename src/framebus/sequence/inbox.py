"""Messages to a sequence: datagrams of JSON on a socket in its directory. A kind of them tells it to stop."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from framebus import _core
from framebus.errors import NotFoundError, PeerError, UsageError
from framebus.pipeline.shared_dir import short_path
from framebus.sequence.status import Place, running
from framebus.stream.names import near

__all__ = ["Inbox", "Message", "post"]

_ROOM_S = 1.0
"""How long a sender waits for room in the queue of a sequence that is busy."""

MOST_BYTES = 65536
"""Longest message, as JSON in UTF-8."""


class Message(NamedTuple):
    """What came for a sequence.

    Attributes:
        sender: the name of the sequence that sent it; empty if it was none.
        content: what was sent: a text, a number, true, false, None, or lists and dictionaries of these.
        sent_ns: when, ns since the epoch.
    """

    sender: str
    content: Any
    sent_ns: int


class Inbox:
    """The receiving end, in a thread of its own: two sequences that both send without a pause get through.

    Args:
        path: of the socket; nobody else may have it.
        on_message: called with each message, from the thread.
        on_stop: called when somebody wants the sequence to stop, likewise.
    """

    def __init__(
        self, path: Path, on_message: Callable[[Message], object], on_stop: Callable[[], object]
    ) -> None:
        self._on_message, self._on_stop = on_message, on_stop
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with short_path(path) as address:
            self._socket.bind(address)
        self._closing = os.eventfd(0, os.EFD_CLOEXEC)
        self._thread = threading.Thread(target=self._receive, name="sequence inbox", daemon=True)
        self._thread.start()

    def _receive(self) -> None:
        """Hand on all that comes. What is no message is passed over: anybody may write to a socket."""
        poll = select.poll()
        for file in (self._socket.fileno(), self._closing):
            poll.register(file, select.POLLIN)
        while all(file != self._closing for file, _ in poll.poll()):
            data = self._socket.recv(MOST_BYTES + 4096)
            with contextlib.suppress(ValueError, KeyError, TypeError):
                table = json.loads(data)
                if table["kind"] == "stop":
                    self._on_stop()
                else:
                    self._on_message(Message(str(table["sender"]), table["content"], int(table["sent_ns"])))

    def close(self) -> None:
        """Nothing comes any more."""
        os.eventfd_write(self._closing, 1)
        self._thread.join()
        self._socket.close()
        os.close(self._closing)


def post(name: str, content: Any, *, sender: str = "", kind: str = "message") -> None:
    """Send to the sequence ``name``; returns when the kernel has it. Waits at most 1 s for room in its queue.

    Raises:
        NotFoundError: no sequence of that name runs.
        PeerError: it takes no messages: its queue stays full.
        UsageError: the content is nothing that JSON has, or too long.
    """
    place = Place(name)
    try:
        data = json.dumps(
            {"kind": kind, "sender": sender, "content": content, "sent_ns": _core.realtime_ns()}
        ).encode()
    except (TypeError, ValueError) as error:
        raise UsageError(f"cannot send {content!r}: {error}; a message is what JSON can hold") from error
    if len(data) > MOST_BYTES:
        raise UsageError(
            f"a message of {len(data)} bytes is too long; expected at most {MOST_BYTES}: send a file's name"
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sending:
        sending.settimeout(_ROOM_S)
        try:
            with short_path(place.inbox) as address:
                sending.connect(address)
            sending.send(data)
        except (FileNotFoundError, NotADirectoryError, ConnectionError):
            alive = [status.name for status in running() if status.alive]
            raise NotFoundError(f"no sequence '{name}' runs{near(name, alive)}") from None
        except TimeoutError:
            raise PeerError(
                f"sequence '{name}' takes no messages: its queue has been full for {_ROOM_S:g} s; does it block "
                "without awaiting?"
            ) from None
