"""Which units run on this machine, and which records are left of units that died."""

from __future__ import annotations

import os
import socket
import warnings
from pathlib import Path

from framebus.errors import NotFoundError, StreamFormatError
from framebus.process.record import SUFFIX, ProcessRecord
from framebus.stream.names import shm_directory

__all__ = ["purge_records", "records"]


def records(directory: str | os.PathLike[str] | None = None) -> list[ProcessRecord]:
    """All records in ``directory`` (default: that of the streams), by unit and pid, dead processes' included.

    A file that cannot be read as a record is left out with a ``RuntimeWarning`` that says why.
    """
    found = []
    for path in Path(directory if directory is not None else shm_directory()).glob(f"*{SUFFIX}"):
        try:
            found.append(ProcessRecord.open(path))
        except NotFoundError:
            continue  # removed since it was listed
        except (StreamFormatError, OSError) as error:
            warnings.warn(f"left out of the list of records: {error}", RuntimeWarning, stacklevel=2)
    return sorted(found, key=lambda record: (record.unit, record.pid))


def purge_records(directory: str | os.PathLike[str] | None = None) -> list[Path]:
    """Remove the records whose process is dead; returns their paths.

    Records of another machine or container (its host name differs) stay: only their kernel knows.
    """
    removed = []
    for record in records(directory):
        if not record.alive and record.host == socket.gethostname():
            removed.append(record.path)
            record.remove()
    return removed
