"""The process trace: which process made a frame, from which frame of which stream, back through its ancestors."""

from __future__ import annotations

from dataclasses import dataclass

from framebus import _core

IMMEDIATE, COUNTER, SEMAPHORE, DELAY = 0, 1, 3, 4


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One step in a frame's ancestry.

    Attributes:
        trigger_mode: what started the computation: 0 nothing, 1 a frame counter, 3 a semaphore, 4 a delay.
        pid: the process that wrote the frame.
        trigger_inode: inode of the stream that triggered it; 0 if none did.
        processing_start_ns: when its computation started, integer ns since the epoch.
        stream_update_ns: when it was published, integer ns since the epoch.
        trigger_semaphore: index of the semaphore that woke it, -1 if none.
        trigger_status: the writer's note on how its wait ended.
        trigger_count: the triggering stream's frame counter.
    """

    trigger_mode: int
    pid: int
    trigger_inode: int
    processing_start_ns: int
    stream_update_ns: int
    trigger_semaphore: int
    trigger_status: int
    trigger_count: int


def read_trace(handle: _core.StreamHandle) -> list[TraceEntry]:
    """The newest frame's ancestry, the newest step first; it ends where the trace does."""
    entries = [TraceEntry(*entry) for entry in handle.trace()]
    return entries[: next((i for i, entry in enumerate(entries) if entry.pid == 0), len(entries))]
