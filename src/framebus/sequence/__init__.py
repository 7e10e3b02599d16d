"""Sequences: plain Python files that calibrate and operate, seen and stopped from outside.

A file has one ``async def`` that ``@sequence`` marks; ``framebus seq run FILE.py`` runs it. What may wait is awaited,
what acts at once is not.
"""

from framebus.errors import WaitTimeout
from framebus.sequence.command import Completed, run
from framebus.sequence.control import kill, stop
from framebus.sequence.detached import start
from framebus.sequence.flow import on_error, repeat
from framebus.sequence.inbox import Message
from framebus.sequence.load import include, sequence
from framebus.sequence.report import log, progress, receive, send, step
from framebus.sequence.runner import Runner, run_file
from framebus.sequence.status import SequenceStatus, find, purge, running
from framebus.sequence.threads import Interrupted, in_thread
from framebus.sequence.values import get, holds, restoring, set, unit_state  # noqa: A004
from framebus.sequence.waits import pause, wait_param, wait_sequence, wait_stream, wait_unit

__all__ = [
    "Completed",
    "Interrupted",
    "Message",
    "Runner",
    "SequenceStatus",
    "WaitTimeout",
    "find",
    "get",
    "holds",
    "in_thread",
    "include",
    "kill",
    "log",
    "on_error",
    "pause",
    "progress",
    "purge",
    "receive",
    "repeat",
    "restoring",
    "run",
    "run_file",
    "running",
    "send",
    "sequence",
    "set",
    "start",
    "step",
    "stop",
    "unit_state",
    "wait_param",
    "wait_sequence",
    "wait_stream",
    "wait_unit",
]
