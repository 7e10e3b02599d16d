"""Other programs as steps of a sequence."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import sys
from collections import deque
from dataclasses import dataclass
from typing import Any

from framebus import _core
from framebus.errors import NotFoundError, SequenceError, UsageError
from framebus.sequence.session import Session, session_or_none

__all__ = ["Completed", "run"]

_GRACE_S = 10.0
"""How long a program may take to end after SIGTERM before it is killed."""

_LINES, _LONGEST = 10_000, 65_536
"""So many lines of output are kept, the last ones. A longer line, in bytes, is taken for several."""


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that has ended.

    Attributes:
        code: its exit code; negative: the signal that ended it.
        output: what it wrote, to both of its outputs: of long ones the last 10000 lines.
    """

    code: int
    output: str


async def run(*command: Any, check: bool = True, env: dict[str, str] | None = None) -> Completed:
    """Run a program, without a shell, and wait for its end; what it writes goes to the sequence's log.

    ``run("framebus", ...)`` is the framebus of this Python. When the sequence is stopped, the program and all that it
    started get SIGTERM, and after 10 s SIGKILL, before the sequence goes on to its cleanup.

    Args:
        command: the program and its arguments, which are made texts.
        check: a program that fails is an error.
        env: environment variables to add.

    Raises:
        SequenceError: it failed, and ``check``.
        NotFoundError: there is no such program.
        UsageError: no command was given.
    """
    words = [os.fspath(word) if isinstance(word, os.PathLike) else str(word) for word in command]
    if not words:
        raise UsageError("run(): expected a program and its arguments")
    program = [sys.executable, "-m", "framebus"] if words[0] == "framebus" else words[:1]
    try:
        process = await asyncio.create_subprocess_exec(
            *program,
            *words[1:],
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,  # Ctrl-C is the sequence's: it tells its programs
        )
    except FileNotFoundError:
        raise NotFoundError(f"there is no program '{words[0]}'") from None
    session = session_or_none()
    known = [process.pid, _core.process_start_ticks(process.pid)]
    if session is not None:
        session.update(programs=[*session.status.programs, known])
    try:
        assert process.stdout is not None
        output = await _tell(process.stdout, session)
        code = await process.wait()
    except asyncio.CancelledError:
        await _end(process)
        raise
    finally:
        if session is not None:
            session.update(programs=[other for other in session.status.programs if other != known])
    if check and code:
        last = next((line for line in reversed(output.splitlines()) if line.strip()), "it wrote nothing")
        raise SequenceError(f"'{shlex.join(words)}' failed with exit code {code}: {last.strip()}")
    return Completed(code, output)


async def _tell(pipe: asyncio.StreamReader, session: Session | None) -> str:
    """Log line by line what comes, up to the end; returns it, or its last lines."""
    kept: deque[str] = deque(maxlen=_LINES)
    rest = b""
    while chunk := await pipe.read(_LONGEST):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > _LONGEST:
            lines, rest = [*lines, rest], b""
        for line in lines:
            kept.append(_told(line, session))
    if rest:
        kept.append(_told(rest, session))
    return "".join(f"{line}\n" for line in kept)


def _told(line: bytes, session: Session | None) -> str:
    text = line.decode(errors="replace").rstrip()
    if session is not None and text:
        session.log(text)
    return text


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a program and what it started; that takes as long as it takes, but no longer than the grace."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        waiting = asyncio.ensure_future(process.wait())
        done: set[Any] = set()
        while not done:
            try:
                done, _ = await asyncio.wait([waiting], timeout=_GRACE_S)
                break
            except asyncio.CancelledError:
                continue  # told again; the program is ended first
        if done:
            return
        waiting.cancel()
