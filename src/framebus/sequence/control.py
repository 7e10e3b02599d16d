"""Stopping a sequence from outside."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from framebus import _core
from framebus.errors import NotFoundError, UsageError, WaitTimeout
from framebus.sequence.inbox import post
from framebus.sequence.status import Place, SequenceStatus, find

__all__ = ["kill", "stop"]

_LOOK_S = 0.02


def stop(name: str, timeout_s: float | None = 10.0) -> SequenceStatus:
    """Tell a sequence to stop, and wait until it has: what it awaits is cancelled, its ``finally`` blocks run.

    Args:
        name: the sequence's.
        timeout_s: how long to wait for its end, s; None: as long as it takes.

    Returns:
        Its last status: ``stopped``, or how else it ended meanwhile.

    Raises:
        NotFoundError: there is no such sequence, or it does not run.
        WaitTimeout: it has not ended in time; it goes on to stop.
        PeerError: it takes no messages.
    """
    _alive(name)
    post(name, None, kind="stop")
    return _ended(name, timeout_s)


def kill(name: str) -> SequenceStatus:
    """End a sequence's process and the programs that it runs at once (SIGKILL): nothing of it is cleaned up.

    Raises:
        NotFoundError: there is no such sequence, or it does not run.
        UsageError: it runs in this very process.
    """
    status = _alive(name)
    if status.pid == os.getpid():
        raise UsageError(f"sequence '{name}' runs in this process, which it cannot kill for it; stop it")
    _signal(status.pid, status.start_ticks)
    for pid, start_ticks in status.programs:
        if _core.process_alive(pid, start_ticks):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
    return _ended(name, None)


def _alive(name: str) -> SequenceStatus:
    status = find(name)
    if not status.alive:
        raise NotFoundError(f"sequence '{name}' does not run: it is {status.state}")
    return status


def _signal(pid: int, start_ticks: int) -> None:
    """Kill that very process and none that has got its pid since."""
    with contextlib.suppress(ProcessLookupError):
        process = os.pidfd_open(pid)
        try:
            if _core.process_alive(pid, start_ticks):
                signal.pidfd_send_signal(process, signal.SIGKILL)
        finally:
            os.close(process)


def _ended(name: str, timeout_s: float | None) -> SequenceStatus:
    place = Place(name)
    end = None if timeout_s is None else time.monotonic() + timeout_s
    while (status := place.read()).alive:
        if end is not None and time.monotonic() > end:
            raise WaitTimeout(
                f"sequence '{name}' was told to stop, and has not ended after {timeout_s:g} s (step: "
                f"{status.step or 'none'}); to tell it again kills it"
            )
        time.sleep(_LOOK_S)  # whoever ends replaces a file, which wakes nobody
    return status
