"""Removing a file that nobody uses, and only such a one: file leases answer that without looking into processes."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path


def unlink_unused(path: Path) -> bool:
    """Unlink ``path`` if no process, this one included, has it open or mapped; whether that was so.

    The kernel grants a write lease only on a file that nobody else has open, and a mapping counts as open for as long
    as it lasts. While the lease is held others wait in ``open``, so nobody can begin to use the file before it is gone.

    Raises:
        PermissionError: only the file's owner and root are told.
        FileNotFoundError: there is no such file.
    """
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        # Somebody who waits in open() makes the kernel send a signal; one that is ignored by default.
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
        try:
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        except BlockingIOError:
            return False
        if not os.path.samestat(os.stat(path), os.fstat(file)):
            return False  # it was replaced meanwhile
        path.unlink()
        return True
    finally:
        os.close(file)  # gives the lease back
