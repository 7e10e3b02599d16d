"""Which processes have a file mapped, to use it: what Linux tells in /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from framebus.stream.listing import StreamInfo


def mapped_files() -> tuple[dict[tuple[int, int], set[int]], bool]:
    """All files that any process maps for writing, as all do that can be woken; dashboards, which only look, do not.

    Returns:
        ``{(device, inode): pids}``, and whether every process could be looked into (needs root for other users').
    """
    users: dict[tuple[int, int], set[int]] = {}
    complete = True
    identities: dict[str, tuple[int, int] | None] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "maps").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended
        except OSError:
            complete = False
            continue
        for key, path in _files(text):
            users.setdefault(key, set()).add(int(entry.name))
            # Some file systems have one device in /proc and another in stat(), which is the one that others know.
            if path not in identities:
                identities[path] = _identity(path)
            known = identities[path]
            if known is not None and known[1] == key[1]:
                users.setdefault(known, set()).add(int(entry.name))
    return users, complete


def reader_counts(infos: Iterable[StreamInfo]) -> dict[Path, int]:
    """How many processes use each stream beside the one that writes it, by path; this one does not count.

    Of other users' processes only root can tell.
    """
    users = mapped_files()[0]
    found = {}
    for info in infos:
        try:
            status = info.path.stat()
        except OSError:
            continue  # it was removed since it was listed
        found[info.path] = len(
            users.get((status.st_dev, status.st_ino), set()) - {info.writer_pid, os.getpid()}
        )
    return found


def _files(text: str) -> Iterator[tuple[tuple[int, int], str]]:
    for line in text.splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) >= 5 and fields[4] != "0" and fields[1].startswith("rw"):
            major, minor = fields[3].split(":")
            yield (os.makedev(int(major, 16), int(minor, 16)), int(fields[4])), "".join(fields[5:])


def _identity(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
