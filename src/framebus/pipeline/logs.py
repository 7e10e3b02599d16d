"""Log files of processes that outlive whoever rotates the files.

A process writes to its file through a descriptor in append mode, and keeps it for life: no pipe that breaks or fills
up when the supervisor dies, no signal that it would have to answer. So a file is rotated by copying and truncating it:
the next write lands at the new end. What is written between the last look and the truncation, some microseconds, is
lost; the copy looks again until nothing more has come.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

__all__ = ["LogFile", "follow", "tail"]

_CHUNK = 1 << 20
_LOOK_S = 0.1


def _private(path: str | Path, flags: int) -> int:
    """Open a file which, if it is made, others may not read."""
    return os.open(path, flags, 0o640)


@dataclass(frozen=True, slots=True)
class LogFile:
    """A log file and its older ones, ``<path>.1`` (the newest of these), ``<path>.2`` ...

    Attributes:
        path: the file that is written.
        max_bytes: size from which on it is rotated.
        keep: how many older ones are kept.
    """

    path: Path
    max_bytes: int = 10_000_000
    keep: int = 3

    @classmethod
    def of(cls, folder: Path, name: str, max_bytes: int, keep: int) -> LogFile:
        """That of the process ``name`` in ``folder``."""
        return cls(folder / f"{quote(name, safe=' ')}.log", max_bytes, keep)

    def open(self) -> int:
        """A descriptor to write to, at the end; made with its folder if it is not there."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return _private(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)

    def write(self, line: str) -> None:
        """Add a line."""
        file = self.open()
        try:
            os.write(file, line.encode(errors="backslashreplace") + b"\n")
        finally:
            os.close(file)

    def rotate(self) -> bool:
        """Rotate the file if it has grown large enough; whether that was so."""
        try:
            if self.path.stat().st_size < self.max_bytes:
                return False
        except FileNotFoundError:
            return False
        for number in range(self.keep, 1, -1):
            older = self._older(number - 1)
            if older.exists():
                os.replace(older, self._older(number))
        self._move_content()
        return True

    def _move_content(self) -> None:
        draft = self._older(1).with_suffix(f".{os.getpid()}")
        with (
            open(self.path, "r+b", buffering=0) as file,
            open(draft, "wb", buffering=0, opener=_private) as copy,
        ):
            while chunk := file.read(_CHUNK):
                if self.keep:
                    copy.write(chunk)
            file.truncate(0)
        if self.keep:
            os.replace(draft, self._older(1))
        else:
            draft.unlink()

    def _older(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")


def tail(path: Path, lines: int) -> str:
    """The last ``lines`` lines of a file, without what precedes them; empty if there is no such file."""
    if lines <= 0:
        return ""
    try:
        with open(path, "rb") as file:
            start = file.seek(0, os.SEEK_END)
            data = b""
            while start > 0 and data.count(b"\n") <= lines:
                size = min(65536, start)
                start -= size
                file.seek(start)
                data = file.read(size) + data
    except FileNotFoundError:
        return ""
    return "".join(data.decode(errors="replace").splitlines(keepends=True)[-lines:])


def follow(path: Path, go_on: Callable[[], bool]) -> Iterator[str]:
    """What is added to a file from now on, piece by piece, as long as ``go_on()``.

    A file that shrinks was rotated: it is read from its start again.
    """
    position = path.stat().st_size if path.exists() else 0
    while True:
        going = go_on()  # asked before the look: what was written before the end is still told
        if path.exists():
            with open(path, "rb") as file:
                if file.seek(0, os.SEEK_END) < position:
                    position = 0
                file.seek(position)
                data = file.read()
            position += len(data)
            if data:
                yield data.decode(errors="replace")
        if not going:
            return
        time.sleep(_LOOK_S)  # files send no event to whoever reads them
