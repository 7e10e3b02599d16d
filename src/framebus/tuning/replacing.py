"""Files that are replaced as a whole: who reads meanwhile, or after a crash, finds the old one or the new one."""

from __future__ import annotations

import os
from pathlib import Path

from framebus.stream.files import replacing

__all__ = ["replace_file"]


def replace_file(path: Path, data: bytes) -> None:
    """Replace a file; what it was, its owner and access mode aside, is gone. A new one is for everybody to read.

    It is on the disk when this returns.

    Raises:
        OSError: it cannot be written. It is as it was.
    """
    with replacing(path) as draft, draft.open("wb") as file:
        file.write(data)
        file.flush()
        try:
            was = path.stat()
        except FileNotFoundError:
            os.fchmod(file.fileno(), 0o644)
        else:
            os.fchown(file.fileno(), was.st_uid, was.st_gid)
            os.fchmod(file.fileno(), was.st_mode & 0o7777)
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
