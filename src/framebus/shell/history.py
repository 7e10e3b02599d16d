"""What was entered, with its time: kept beside IPython's own history, which has no times."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

__all__ = ["Entered", "History", "state_file"]

_MOST_BYTES = 4 << 20
"""When the file is longer, its older half goes."""


@dataclass(frozen=True)
class Entered:
    """One cell.

    Attributes:
        time_s: when it was entered, s since the epoch.
        pid: process of the shell.
        number: of the cell in its shell.
        code: what was entered.
        ok: whether it went without an error.
        took_s: how long it ran.
    """

    time_s: float
    pid: int
    number: int
    code: str
    ok: bool
    took_s: float

    def __str__(self) -> str:
        when = datetime.fromtimestamp(self.time_s).astimezone()
        code = self.code.replace("\n", "\n" + " " * 29)
        took = f"   {self.took_s:.3g} s" if self.took_s >= 0.1 else ""
        return f"{when:%Y-%m-%d %H:%M:%S}  [{self.number:>4}]  {code}{took}{'' if self.ok else '   failed'}"


def state_file(name: str) -> Path | None:
    """A file that the shell keeps for its owner alone, in ``$XDG_STATE_HOME/framebus``; None where none can be."""
    try:
        base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        file = Path(base) / "framebus" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except (OSError, RuntimeError):  # the latter if nobody knows of a home
        return None
    return file


class History:
    """All that was entered at the prompts of this user, oldest first.

    Args:
        path: the file; None: there is no place for one, and what is entered is known until the shell ends.

    Attributes:
        failed: whether a command failed in the cell that runs, which is no exception there.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.failed = False
        self._held: list[Entered] = []

    def add(self, number: int, code: str, *, ok: bool, began_s: float) -> None:
        """Keep one cell. What the file system refuses is left out: a prompt must go on when a disk is full."""
        entry = Entered(began_s, os.getpid(), number, code.rstrip("\n"), ok, time.time() - began_s)
        if self.path is None:
            self._held.append(entry)
            return
        with contextlib.suppress(OSError):
            descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(descriptor, (json.dumps(asdict(entry)) + "\n").encode())
            finally:
                os.close(descriptor)

    def search(self, pattern: str = "", most: int = 50) -> list[Entered]:
        """The newest cells with ``pattern`` in them, oldest first; ``*`` and ``?`` are a shell's."""
        wanted = f"*{pattern.lower()}*"
        found = [entry for entry in self._all() if fnmatch.fnmatchcase(entry.code.lower(), wanted)]
        return found[-most:] if most else []

    def trim(self) -> None:
        """Drop the older half of a file that has become long."""
        if self.path is None:
            return
        with contextlib.suppress(OSError):
            if self.path.stat().st_size <= _MOST_BYTES:
                return
            lines = self.path.read_bytes().splitlines(keepends=True)
            new = self.path.with_suffix(f".{os.getpid()}")
            new.touch(0o600)
            new.write_bytes(b"".join(lines[len(lines) // 2 :]))
            new.replace(self.path)

    def _all(self) -> list[Entered]:
        if self.path is None:
            return self._held
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError, TypeError):  # a line that a crash cut off
                found.append(Entered(**json.loads(line)))
        return found
