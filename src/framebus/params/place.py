"""Where parameter sets lie."""

from __future__ import annotations

import os
from pathlib import Path

from framebus.errors import NameFormatError
from framebus.places import PARAMS as SUFFIX
from framebus.stream.names import check_name, shm_directory

__all__ = ["SUFFIX", "ProcessId", "path_of", "process", "sets_beside"]

ProcessId = tuple[int, int]
"""A process: its pid and its start time in clock ticks since boot, so that a later one of that pid is another."""


def path_of(name: str, directory: str | os.PathLike[str] | None) -> Path:
    """The file of the set called ``name``; in the directory of the streams by default.

    Raises:
        NameFormatError: the name is not possible.
    """
    try:
        check_name(name)
    except NameFormatError as error:
        raise NameFormatError(f"a parameter set is named as a stream is: {error}") from None
    return (Path(directory if directory is not None else shm_directory()) / f"{name}{SUFFIX}").absolute()


def sets_beside(path: Path) -> list[str]:
    """Names of the sets in the directory of that file."""
    return [found.name.removesuffix(SUFFIX) for found in path.parent.glob(f"*{SUFFIX}")]


def process(named: ProcessId | None) -> ProcessId:
    """A process as the core takes it: (0, 0) for none, and the low half of the start time, as the file holds it."""
    return (0, 0) if named is None else (named[0], named[1] & 0xFFFFFFFF)
