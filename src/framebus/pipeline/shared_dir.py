"""A directory in shared memory, ``<name><suffix>/``, in which something that runs tells everybody how it does.

Its files are replaced whole, so that a reader never sees half of one. A lock in it belongs to one process at a time:
the kernel lets go of it whatever ends that process.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

from framebus.errors import DataError
from framebus.stream.files import replacing
from framebus.stream.names import check_name, shm_directory

__all__ = ["SharedDir", "short_path"]


class SharedDir:
    """One such directory.

    Args:
        name: of what runs.
        directory: where it lies; default: the directory of the streams.

    Raises:
        NameFormatError: the name is not possible.
    """

    SUFFIX: ClassVar[str]
    VERSION: ClassVar[int]
    """Of the tables in it."""
    REMEDY: ClassVar[str]
    """What to do about one that is damaged."""

    def __init__(self, name: str, directory: str | os.PathLike[str] | None = None) -> None:
        self.name = check_name(name)
        self.path = (Path(directory) if directory is not None else shm_directory()) / f"{name}{self.SUFFIX}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}>"

    @classmethod
    def names(cls, directory: str | os.PathLike[str] | None = None) -> list[str]:
        """Names of all that are there, sorted."""
        folder = Path(directory) if directory is not None else shm_directory()
        return sorted(path.name.removesuffix(cls.SUFFIX) for path in folder.glob(f"*{cls.SUFFIX}"))

    def write(self, file: str, data: bytes) -> None:
        """Replace a file."""
        with replacing(self.path / file) as draft:
            draft.write_bytes(data)

    def write_table(self, file: str, table: dict[str, Any]) -> None:
        """Replace a file by a table, as JSON; what that does not hold becomes a text."""
        self.write(file, json.dumps({"version": self.VERSION, **table}, indent=1, default=str).encode())

    def read_table(self, file: str) -> dict[str, Any]:
        """A table.

        Raises:
            FileNotFoundError: there is no such file.
            DataError: it cannot be read, or another version of framebus wrote it.
        """
        path = self.path / file
        try:
            table: dict[str, Any] = json.loads(path.read_bytes())
            version = table.pop("version")
        except FileNotFoundError:
            raise
        except OSError as error:  # another user's
            raise DataError(f"{path} cannot be read: {error.strerror}") from error
        except (ValueError, AttributeError, KeyError, TypeError) as error:
            raise DataError(f"{path} cannot be read: {error}; {self.REMEDY} {self.path}") from error
        if version != self.VERSION:
            raise DataError(
                f"{path} is of version {version}, this framebus knows {self.VERSION}; use the one that wrote it"
            )
        return table

    def lock(self, file: str, take: Callable[[int], bool], *, make: bool) -> int | None:
        """Open the file of a lock, with the directory if ``make``, and ``take`` the lock; None if that is refused.

        The lock ends with the descriptor that is returned.

        Raises:
            FileNotFoundError: there is no such directory, or it was removed meanwhile, and ``make`` is not set.
        """
        while True:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(self.path, 0o700)
            try:
                opened = os.open(self.path / file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:
                if make:
                    continue  # removed in this moment
                raise
            with contextlib.ExitStack() as closing:
                closing.callback(os.close, opened)
                if not take(opened):
                    return None
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(os.stat(self.path / file), os.fstat(opened)):
                        closing.pop_all()
                        return opened
            # The lock of a directory that was removed while we waited for it.
            if not make:
                raise FileNotFoundError(self.path)


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """A path to a socket that fits into an address (107 bytes), however long its own is."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
