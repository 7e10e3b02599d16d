"""What a sequence says of itself, and what it says to others."""

from __future__ import annotations

import asyncio
from typing import Any

from framebus.errors import UsageError, WaitTimeout
from framebus.sequence.inbox import Message, post
from framebus.sequence.session import current, session_or_none

__all__ = ["log", "progress", "receive", "send", "step"]


def step(title: str, fraction: float | None = None) -> None:
    """Say what the sequence does from now on, and how much of that, 0 to 1, is done.

    Raises:
        UsageError: no sequence runs here, or the fraction is none.
    """
    session = current("step()")
    line = " ".join(title.split("\n"))
    if line != session.status.step:
        session.write_log(f"step: {line}")
    session.update(step=line, progress=_fraction(fraction))


def progress(done: float, total: float = 1.0) -> None:
    """Say how much of the step is done: ``progress(0.3)`` or ``progress(3, 10)``.

    It has the form that ``framebus.ao`` calls while it measures: ``measure_response(..., progress=progress)``.

    Raises:
        UsageError: no sequence runs here, or there is no such share.
    """
    if not total > 0:
        raise UsageError(f"progress({done}, {total}): the total must be above 0")
    current("progress()").update(progress=_fraction(done / total))


def log(text: str) -> None:
    """Write a line to the sequence's log; its status shows it until the next.

    Raises:
        UsageError: no sequence runs here.
    """
    current("log()").log(text)


def send(name: str, content: Any) -> None:
    """Send a message to the sequence ``name``: whatever JSON can hold. Those of one sender come in order.

    Raises:
        NotFoundError: no sequence of that name runs.
        PeerError: it takes no messages.
        UsageError: JSON cannot hold the content, or it is too long.
    """
    session = session_or_none()
    post(name, content, sender="" if session is None else session.name)


async def receive(timeout_s: float | None = None) -> Message:
    """The next message that was sent to this sequence, waiting for it if need be.

    Args:
        timeout_s: s; None: as long as it takes.

    Raises:
        WaitTimeout: none came in time. One that comes later is what the next call gives.
        UsageError: no sequence runs here.
    """
    session = current("receive()")
    if not session.messages.empty():
        return session.messages.get_nowait()
    try:
        async with asyncio.timeout(timeout_s):
            return await session.messages.get()
    except TimeoutError:
        raise WaitTimeout(f"no message came for sequence '{session.name}' within {timeout_s:g} s") from None


def _fraction(fraction: float | None) -> float | None:
    if fraction is None:
        return None
    if not 0.0 <= fraction <= 1.0:
        raise UsageError(f"progress is {fraction}, expected 0 to 1")
    return float(fraction)
