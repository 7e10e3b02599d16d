"""Log files of processes that outlive whoever rotates the files.

A process writes to its file through a descriptor in append mode, and keeps it for life: no pipe that breaks or fills
up when the supervisor dies, no signal that it would have to answer. So a file is rotated by copying and truncating it:
the next write lands at the new end. What is written between the last look and the truncation, some microseconds, is
lost; the copy looks again until nothing more has come.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

__all__ = ["Added", "LogFile", "follow", "tail"]

_CHUNK = 1 << 20
_PIECE = 65536
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


class Added:
    """What is added to a file, from one look to the next.

    A file that shrinks was rotated: it is read from its start again. One that is not there (yet) is empty.

    Args:
        path: of the file.
        lines: so many of those that are there already count as added, too.

    Raises:
        OSError: the file is there and cannot be read.
    """

    def __init__(self, path: Path, lines: int = 0) -> None:
        self._path = path
        self._position = 0
        self._begin_anew()
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
            self._position = _start_of_last(file, lines)

    def _begin_anew(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._half = ""

    def text(self) -> str:
        """What was added since the last look; of a character that is written only in part, nothing yet."""
        try:
            size = os.stat(self._path).st_size
            if size == self._position:
                return ""
            if size < self._position:
                self._position = 0
                self._begin_anew()
            with open(self._path, "rb") as file:
                file.seek(self._position)
                data = file.read()
        except FileNotFoundError:
            return ""
        self._position += len(data)
        return self._decoder.decode(data)

    def lines(self) -> list[str]:
        """The lines that were added since the last look; of a line that is written only in part, nothing yet."""
        text = self.text()
        whole, end, half = (self._half + text).rpartition("\n") if text else ("", "", self._half)
        self._half = half
        return whole.split("\n") if end else []


def tail(path: Path, lines: int) -> str:
    """The last ``lines`` lines of a file, without what precedes them; empty if there is no such file."""
    said = re.findall(r"[^\n]*\n|[^\n]+$", Added(path, lines).text())
    return "".join(said[max(0, len(said) - lines) :])  # more may have come since the look at where they begin


def _start_of_last(file: BinaryIO, lines: int) -> int:
    """Where the last ``lines`` lines of a file begin."""
    end = file.seek(0, os.SEEK_END)
    if lines <= 0:
        return end
    left = lines
    end -= 1  # the file's last line end begins no line
    while end > 0:
        start = max(0, end - _PIECE)
        file.seek(start)
        piece = file.read(end - start)
        at = len(piece)
        while (at := piece.rfind(b"\n", 0, at)) >= 0:
            left -= 1
            if left == 0:
                return start + at + 1
        end = start
    return 0


def follow(path: Path, go_on: Callable[[], bool], lines: int = 0) -> Iterator[str]:
    """The last ``lines`` lines of a file, and what is added to it as long as ``go_on()``, piece by piece.

    A piece may end within a line.
    """
    added = Added(path, lines)
    while True:
        going = go_on()  # asked before the look: what was written before the end is still told
        if text := added.text():
            yield text
        if not going:
            return
        time.sleep(_LOOK_S)  # files send no event to whoever reads them
