"""Programs that go on by themselves: how one is started, is told what to do, and says how its start went.

Both sides of it. The program is a module, run with the number of a descriptor as its only argument, and what it is to
do on its standard input. It says on the descriptor its process id, and then how its start went in one line of JSON: an
object, with ``error`` and ``message`` if it failed; and goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from framebus.pipeline.control import told_error
from framebus.pipeline.logs import LogFile

__all__ = ["become_detached", "start_detached"]


def start_detached(
    module: str,
    given: bytes,
    log: LogFile,
    environment: Mapping[str, str] | None = None,
    *,
    wait_for_end: bool = True,
) -> bool:
    """Start such a program; returns when it has said how that went, and it goes on whatever becomes of us.

    Whatever ends us meanwhile (Ctrl-C) lets it end by SIGTERM.

    Args:
        module: what ``python -m`` runs.
        given: for its standard input.
        log: where its outputs go.
        environment: set beside ours.
        wait_for_end: whether we stay, if so, until it has ended.

    Returns:
        False: it has ended without a word.

    Raises:
        FramebusError: its start failed, of the class that it told.
    """
    output = log.open()
    answers, answer = os.pipe()
    try:
        child = subprocess.Popen(
            [sys.executable, "-u", "-m", module, str(answer)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            pass_fds=[answer],
            start_new_session=True,
        )
    except BaseException:
        os.close(answers)
        raise
    finally:
        os.close(answer)
        os.close(output)
    told = _answer(child, given, answers, wait_for_end)
    if told is not None and "error" in told:
        raise told_error(told)
    return told is not None


def _answer(
    child: subprocess.Popen[bytes], given: bytes, answers: int, wait_for_end: bool
) -> dict[str, Any] | None:
    """Hand over what is to be done, and wait for the answer; None if it died without one."""
    assert child.stdin is not None
    with os.fdopen(answers, "rb") as file:
        pid = b""
        try:
            with contextlib.suppress(BrokenPipeError), child.stdin as stdin:
                stdin.write(given)
            child.wait()
            pid = file.readline()
            line = file.readline()
        except BaseException:  # it may have all that it needs, and be about to begin
            pid = pid or file.readline()
            if pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGTERM)
            if wait_for_end:
                file.read()
            raise
    told: dict[str, Any] | None = json.loads(line) if line else None
    return told


def become_detached() -> tuple[bytes, Callable[[Mapping[str, Any]], None]]:
    """In the program: go on as a process that nobody waits for.

    Returns:
        What is to be done, and the function that says how the start went; only its first call counts.
    """
    answer = int(sys.argv[1])
    os.set_inheritable(answer, False)
    given = sys.stdin.buffer.read()
    if os.fork():
        os._exit(0)  # whoever started us need not wait for the other one, ever
    os.write(answer, f"{os.getpid()}\n".encode())

    def say(told: Mapping[str, Any]) -> None:
        nonlocal answer
        if answer >= 0:
            with contextlib.suppress(BrokenPipeError):  # nobody waits any more
                os.write(answer, json.dumps(told).encode() + b"\n")
            os.close(answer)
            answer = -1

    return given, say
