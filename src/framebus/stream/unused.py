"""Removing a file that nobody uses, and only such a one: file leases answer that without looking into processes."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path


def unlink_unused(path: Path) -> bool:
    """Unlink ``path`` if no process, this one included, has it open or mapped for writing; whether that was so.

    Who has it open for reading alone only looks, as a dashboard does, or is another user's; a reader that can be woken
    writes its mark. The kernel grants a read lease only on a file that nobody has open for writing, and a mapping
    counts as open for as long as it lasts. While the lease is held others wait in ``open`` if they want to write, so
    nobody can begin to use the file before it is gone.

    Raises:
        PermissionError: only the file's owner and root are told.
        FileNotFoundError: there is no such file.
    """
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        # Somebody who waits in open() makes the kernel send a signal; one that is ignored by default.
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except BlockingIOError:
            return False
        if not os.path.samestat(os.stat(path), os.fstat(file)):
            return False  # it was replaced meanwhile
        path.unlink()
        return True
    finally:
        os.close(file)  # gives the lease back
