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

__all__ = ["Entered", "History", "state_folder"]

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


def state_folder() -> Path:
    """Where the shell keeps its history: ``$XDG_STATE_HOME/framebus``, made if it is not there."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    folder = Path(base) / "framebus"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


class History:
    """All that was entered at the prompts of this user, oldest first.

    Args:
        path: the file; by default ``shell-history.jsonl`` in ``state_folder()``.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or state_folder() / "shell-history.jsonl"

    def add(self, number: int, code: str, *, ok: bool, began_s: float) -> None:
        """Keep one cell. What the file system refuses is left out: a prompt must go on when a disk is full."""
        entry = Entered(began_s, os.getpid(), number, code.rstrip("\n"), ok, time.time() - began_s)
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
        with contextlib.suppress(OSError):
            if self.path.stat().st_size <= _MOST_BYTES:
                return
            lines = self.path.read_bytes().splitlines(keepends=True)
            new = self.path.with_suffix(f".{os.getpid()}")
            new.touch(0o600)
            new.write_bytes(b"".join(lines[len(lines) // 2 :]))
            new.replace(self.path)

    def _all(self) -> list[Entered]:
        try:
            lines = self.path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            return []
        found = []
        for line in lines:
            with contextlib.suppress(ValueError, TypeError):  # a line that a crash cut off
                found.append(Entered(**json.loads(line)))
        return found
