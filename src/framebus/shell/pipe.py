"""Commands from a named pipe: ``echo 'p.loop.gain = 0.4' > PATH``."""

from __future__ import annotations

import contextlib
import os
import selectors
import stat
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from framebus.errors import UsageError

__all__ = ["CommandPipe"]

_LONGEST = 1 << 20  # of a line, in bytes
_LEFT_OUT = f"# a line of more than {_LONGEST} bytes was left out"


class CommandPipe:
    """A named pipe that is read line by line; made, for its owner alone, if it is not there.

    Args:
        path: where it is.

    Raises:
        UsageError: something else is there, or a pipe that others could give commands through.
        OSError: it cannot be made or opened.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._made = False
        try:
            os.mkfifo(self.path, 0o600)
            self._made = True
        except FileExistsError:
            pass
        self._descriptor = self._woken = self._waker = -1
        try:
            # Open for writing, too: so its end does not come when the last writer closes it.
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
            self._status = os.fstat(self._descriptor)
            self._check()
            self._woken, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        except BaseException:
            self.close()
            raise

    def lines(self) -> Iterator[str]:
        """Each line that is written, without its end, as it comes; ends after ``stop``.

        One of more than 1 MiB is left out, whole; a comment in its place says so.
        """
        rest, cut = b"", False
        with selectors.DefaultSelector() as selector:
            selector.register(self._descriptor, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select()}
                if self._woken in ready:
                    return
                with contextlib.suppress(BlockingIOError):
                    rest += os.read(self._descriptor, 65536)
                *complete, rest = rest.split(b"\n")
                for line in complete:
                    yield _LEFT_OUT if cut or len(line) > _LONGEST else line.decode(errors="replace")
                    cut = False
                if len(rest) > _LONGEST:  # what follows is the rest of a line that is lost, and no command
                    rest, cut = b"", True

    def stop(self) -> None:
        """End ``lines``, from any thread."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._waker, b"x")

    def close(self) -> None:
        """Give it up, and remove it if it was made here."""
        for descriptor in (self._descriptor, self._woken, self._waker):
            if descriptor >= 0:
                os.close(descriptor)
        self._descriptor = self._woken = self._waker = -1
        if self._made:
            self._made = False
            with contextlib.suppress(OSError):
                self.path.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _check(self) -> None:
        """Whoever can write to it commands this process."""
        if not stat.S_ISFIFO(self._status.st_mode):
            raise UsageError(f"{self.path} is no named pipe; remove it, or give another path")
        others = self._status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if others or self._status.st_uid not in (0, os.geteuid()):
            raise UsageError(
                f"{self.path} is a pipe through which other users could give commands; 'chmod go-w', or another path"
            )
