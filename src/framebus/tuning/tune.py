"""Settings changed, item by item, and put back: what was begun and interrupted can be undone, too."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from framebus.errors import DataError
from framebus.tuning.catalogue import Item
from framebus.tuning.changes import Change, rebuilt
from framebus.tuning.memory import Memory, Remembered

__all__ = ["Outcome", "apply", "undo"]

Result = Literal["applied", "already", "restored", "kept", "failed"]


@dataclass(frozen=True)
class Outcome:
    """What became of an item, or of one setting when undone.

    Attributes:
        item: its name.
        result: ``applied``; ``already``: it was so before; ``restored``; ``kept``: left as it is, for a good reason;
            ``failed``: nothing of the item is changed.
        text: the reason, or what was done.
    """

    item: str
    result: Result
    text: str


def apply(items: Iterable[Item], root: str | os.PathLike[str] = "/") -> list[Outcome]:
    """Apply items: of each all that belongs to it, or nothing.

    What a setting was is on disk before it is changed. If an exception ends this (KeyboardInterrupt, too), the item
    that it came in is taken back first; if the process is killed, ``undo`` restores what was changed.

    Args:
        items: those of ``framebus.tuning.items``, of the same root.
        root: of the machine.

    Raises:
        OSError: previous values cannot be kept (this needs root). Nothing was changed then.
        UsageError: somebody else tunes just now. DataError: the file of previous values cannot be understood.
    """
    with Memory.opened(root) as memory:
        return [_apply_one(item, memory) for item in items]


def undo(root: str | os.PathLike[str] = "/", *, force: bool = False) -> list[Outcome]:
    """Put all settings back to what they were before they were tuned, the last first.

    What somebody else has changed since is left alone.

    Args:
        root: of the machine.
        force: put that back, too.

    Raises:
        As ``apply``.
    """
    with Memory.opened(root) as memory:
        return [_undo_one(entry, memory, Path(root), force) for entry in reversed(memory.entries.copy())]


def _apply_one(item: Item, memory: Memory) -> Outcome:
    done: list[tuple[Change, Remembered | None, str | None]] = []
    for change in item.changes:
        try:
            now = change.current()
            if change.same(now, change.wanted):
                continue
            done.append((change, memory.known(change), now))
            memory.remember(item.name, change, now)
            change.put(change.wanted)
        except OSError as error:
            left = _take_back(done, memory)
            return _failure(item, change, error, left)
        except BaseException:  # a signal as much as a fault of ours: half of an item is never left
            _take_back(done, memory)
            raise
    if not done:
        return Outcome(item.name, "already", item.what)
    return Outcome(item.name, "applied", item.what)


def _take_back(done: list[tuple[Change, Remembered | None, str | None]], memory: Memory) -> list[str]:
    """What an item has changed so far, put back; returns what could not be, which stays remembered."""
    left = []
    for change, before, previous in reversed(done):
        try:
            if not change.same(change.current(), previous):
                change.put(previous)
            memory.reset(change, before)
        except OSError as error:
            left.append(f"{change.path} could not be put back: {_reason(error)}")
    return left


def _failure(item: Item, change: Change, error: OSError, left: list[str]) -> Outcome:
    said = "; ".join([f"{change.path}: {_reason(error)}", *left])
    if item.driver_may_refuse and error.errno in (errno.EIO, errno.EPERM) and not left:
        return Outcome(item.name, "kept", f"{said}; its driver places it")
    return Outcome(item.name, "failed", said)


def _undo_one(entry: Remembered, memory: Memory, root: Path, force: bool) -> Outcome:
    try:
        change = rebuilt(entry.kind, entry.path, entry.form, root)
    except DataError as error:
        return Outcome(entry.item, "failed", str(error))
    if entry.boot != memory.boot and not change.lasts:
        memory.forget(entry)
        return Outcome(entry.item, "kept", f"{entry.path}: the machine was restarted since, which undid it")
    try:
        try:
            now = change.current()
        except FileNotFoundError:
            memory.forget(entry)
            return Outcome(entry.item, "kept", f"{entry.path}: it is not there any more")
        if not change.same(now, entry.previous):
            if not change.same(now, entry.applied) and not force:
                text = f"{entry.path}: somebody else made it {_short(now)} since; --force puts it back to"
                return Outcome(entry.item, "failed", f"{text} {_short(entry.previous)}")
            change.put(entry.previous)
        memory.forget(entry)
    except OSError as error:
        return Outcome(entry.item, "failed", f"{entry.path}: {_reason(error)}")
    return Outcome(entry.item, "restored", f"{entry.path}: {_short(entry.previous)}")


def _reason(error: OSError) -> str:
    said = error.strerror or str(error)
    return f"{said}; run it as root (sudo)" if error.errno == errno.EACCES else said


def _short(value: str | None) -> str:
    """A value in a message."""
    if value is None:
        return "no such file"
    return repr(value) if len(value) <= 40 and "\n" not in value else f"a text of {len(value)} characters"
