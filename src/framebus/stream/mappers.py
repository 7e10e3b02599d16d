"""Which processes have a file mapped: what Linux tells in /proc."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path


def mapped_files() -> tuple[dict[tuple[int, int], set[int]], bool]:
    """All files mapped by any process.

    Returns:
        ``{(device, inode): pids}``, and whether every process could be looked into (needs root for other users').
    """
    users: dict[tuple[int, int], set[int]] = {}
    complete = True
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            lines = (entry / "maps").read_text(errors="replace").splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError:
            complete = False
            continue
        for key in _files(lines):
            users.setdefault(key, set()).add(int(entry.name))
    return users, complete


def _files(lines: Iterable[str]) -> Iterable[tuple[int, int]]:
    for line in lines:
        fields = line.split(maxsplit=5)
        if len(fields) >= 5 and fields[4] != "0":
            major, minor = fields[3].split(":")
            yield os.makedev(int(major, 16), int(minor, 16)), int(fields[4])
