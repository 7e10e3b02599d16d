"""Where shared memory's files lie, and what the name of each kind ends with. Loads nothing: asking is cheap."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["PARAMS", "PIPELINE", "RECORD", "SEQUENCE", "STREAM", "disregarded", "shm_directory"]

STREAM = ".im.shm"
PARAMS = ".params.fb"
RECORD = ".proc.fb"
PIPELINE = ".pipeline.fb"
SEQUENCE = ".sequence.fb"


def shm_directory() -> Path:
    """Directory of the streams: ``$MILK_SHM_DIR`` if it exists, else ``/milk/shm`` if it exists, else ``/dev/shm``.

    The environment is read at each call.
    """
    for candidate in (os.environ.get("MILK_SHM_DIR", ""), "/milk/shm"):
        if candidate and os.path.isdir(candidate):
            return Path(candidate)
    return Path("/dev/shm")


def disregarded() -> str:
    """What ``$MILK_SHM_DIR`` says if that is no directory; empty if it is one, or is not set."""
    setting = os.environ.get("MILK_SHM_DIR", "")
    return "" if os.path.isdir(setting) else setting
