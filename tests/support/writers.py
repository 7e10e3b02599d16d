"""Processes that wrote streams and are gone: those that ended in order, and those that were killed."""

from __future__ import annotations

from collections.abc import Iterable

from support.processes import Spawner

_WRITE = """
import os, signal, sys
import framebus as fb
kept = [fb.create(name, shape=(2,)) for name in sys.argv[2:]]
for stream in kept:
    stream.write([1, 2])
if sys.argv[1] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


def killed_writer(spawn: Spawner, names: Iterable[str]) -> int:
    """Streams of two float32 elements with a frame each, whose writer was killed; its process id."""
    return _writer(spawn, "killed", names, -9)


def ended_writer(spawn: Spawner, names: Iterable[str]) -> int:
    """The same of a writer that ended in order."""
    return _writer(spawn, "ended", names, 0)


def _writer(spawn: Spawner, how: str, names: Iterable[str], code: int) -> int:
    writer = spawn(_WRITE, how, *names)
    assert writer.wait() == code, writer.errors
    return writer.pid
