"""Sequences that run on this machine, as far as this installation has any."""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

from framebus.errors import FramebusError

__all__ = ["SequenceLook", "listing"]


class SequenceLook(NamedTuple):
    """One sequence.

    Attributes:
        name: of the sequence.
        pid: its process.
        state: what it says of itself, such as ``running``.
        step: what it does just now.
        progress: 0 to 1; negative: it does not say.
        message: its last message.
        started_ns: when it began (CLOCK_REALTIME); 0: not known.
    """

    name: str
    pid: int
    state: str
    step: str
    progress: float
    message: str
    started_ns: int


def listing() -> list[SequenceLook]:
    """All sequences that run; none where the package ``framebus.sequence`` is not installed."""
    try:
        module = importlib.import_module("framebus.sequence")
    except ModuleNotFoundError:
        return []
    running = getattr(module, "running", None)
    if running is None:
        return []
    try:
        found = running()
    except (FramebusError, OSError):  # it ends just now
        return []
    return [_look(each) for each in found]


def _look(found: Any) -> SequenceLook:
    progress = getattr(found, "progress", None)
    return SequenceLook(
        str(found.name),
        int(found.pid),
        str(found.state),
        str(getattr(found, "step", "") or ""),
        -1.0 if progress is None else float(progress),
        str(getattr(found, "message", "") or ""),
        int(getattr(found, "started_ns", 0) or 0),
    )
