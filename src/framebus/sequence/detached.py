"""Starting a sequence that goes on by itself."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framebus.errors import SequenceError, UsageError
from framebus.pipeline.control import told_error
from framebus.sequence.session import log_of
from framebus.sequence.status import Place, SequenceStatus

__all__ = ["start"]


def start(
    file: str | os.PathLike[str], arguments: Mapping[str, Any] | None = None, *, name: str = ""
) -> SequenceStatus:
    """Run a sequence's file in a process of its own; returns when it runs, and it goes on whatever becomes of us.

    What it prints goes to its log. Ctrl-C meanwhile stops it.

    Args:
        file: the file.
        arguments: for its function: whatever JSON can hold; texts become what its annotations say.
        name: of the sequence; default: the file's name without ``.py``.

    Returns:
        Its status as it stands, which may have ended already.

    Raises:
        NotFoundError: there is no such file. DataError: it has no sequence, or is no Python.
        NameFormatError: the name is not possible.
        UsageError: a sequence of that name runs, or the arguments are wrong.
        SequenceError: its process has ended without a word.
    """
    name = name or Path(file).stem
    try:
        given = json.dumps({"file": os.path.abspath(file), "arguments": dict(arguments or {}), "name": name})
    except (TypeError, ValueError) as error:
        raise UsageError(f"{file}: the arguments must be what JSON can hold: {error}") from error
    log = log_of(name)
    output = log.open()
    ours, answer = os.pipe()
    try:
        child = subprocess.Popen(
            [sys.executable, "-u", "-m", "framebus.sequence.background", str(answer)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            pass_fds=[answer],
            start_new_session=True,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(answer)
        os.close(output)
    told = _answer(child, given, ours)
    if told is None:
        raise SequenceError(f"sequence '{name}' has ended without a word; {log.path} may tell why")
    if "error" in told:
        raise told_error(told)
    return Place(name).read()


def _answer(child: subprocess.Popen[bytes], given: str, ours: int) -> dict[str, str] | None:
    """Hand over what to run, and wait for the answer; None if it died without one."""
    assert child.stdin is not None
    with os.fdopen(ours) as answers:
        pid = ""
        try:
            with contextlib.suppress(BrokenPipeError), child.stdin as stdin:
                stdin.write(given.encode())
            child.wait()
            pid = answers.readline()
            line = answers.readline()
        except BaseException:  # it may have all that it needs, and be about to begin
            pid = pid or answers.readline()
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(pid), signal.SIGTERM)
            raise
    told: dict[str, str] | None = json.loads(line) if line else None
    return told
