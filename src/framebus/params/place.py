"""Where parameter sets lie, and what to say of a name that is not there."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from pathlib import Path

from framebus.errors import NameFormatError
from framebus.places import PARAMS as SUFFIX
from framebus.stream.names import check_name, shm_directory

__all__ = ["SUFFIX", "ProcessId", "near", "path_of", "process", "sets_beside"]

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


def near(name: str, names: Iterable[str], otherwise: str = "") -> str:
    """What to add to a message about a name that is not there: those that may be meant, or ``otherwise``, or all."""
    names = list(map(str, names))
    close = difflib.get_close_matches(str(name), names, n=3, cutoff=0.7)
    if not close:  # 'gian' is meant to be 'loop.gain'
        tails = difflib.get_close_matches(str(name), [n.rpartition(".")[2] for n in names], n=3, cutoff=0.7)
        close = [n for n in names if n.rpartition(".")[2] in tails][:3]
    if close:
        return f"; did you mean {' or '.join(repr(n) for n in close)}?"
    if otherwise:
        return f"; {otherwise}"
    return f"; there are: {', '.join(sorted(names)[:20])}" if names else "; there are none"


def process(named: ProcessId | None) -> ProcessId:
    """A process as the core takes it: (0, 0) for none, and the low half of the start time, as the file holds it."""
    return (0, 0) if named is None else (named[0], named[1] & 0xFFFFFFFF)
