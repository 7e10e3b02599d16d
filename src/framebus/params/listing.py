"""What parameter sets there are, and single parameters by their full names, ``SET.ENTRY``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from framebus.errors import FramebusError, NotFoundError
from framebus.params.handle import ParamInfo
from framebus.params.paramset import Params
from framebus.params.place import SUFFIX, near
from framebus.stream.names import shm_directory

__all__ = ["SetInfo", "find", "is_pattern", "locate", "set_names", "sets"]

Directory = str | os.PathLike[str] | None


@dataclass(frozen=True, slots=True)
class SetInfo:
    """One parameter set as it stands.

    Attributes:
        name: the set's name.
        path: its file.
        user_pid: the live process whose unit runs with it; 0: none does.
        generation: number of updates since it was made.
        entries: its entries by name, all of one moment.
        error: why its file cannot be read as a set; then it has no entries.
    """

    name: str
    path: Path
    user_pid: int = 0
    generation: int = 0
    entries: Mapping[str, ParamInfo] = field(default_factory=dict)
    error: str = ""


def set_names(directory: Directory = None) -> list[str]:
    """Names of the sets in ``directory`` (default: that of the streams), sorted; whether they can be read is not asked."""
    folder = Path(directory) if directory is not None else shm_directory()
    return sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))


def sets(directory: Directory = None) -> list[SetInfo]:
    """Every parameter set in ``directory`` (default: that of the streams), by name."""
    folder = Path(directory) if directory is not None else shm_directory()
    found = (_describe(folder / f"{name}{SUFFIX}") for name in set_names(folder))
    return [info for info in found if info is not None]


def find(*words: str, directory: Directory = None) -> dict[str, ParamInfo]:
    """Parameters by their full names, ``SET.ENTRY``; those of one set are of one moment.

    Args:
        words: full names, names of sets (meaning all of their entries), and patterns of full names as a shell's
            (``*``, ``?``, ``[a-z]``), which may match nothing. No word means every parameter.
        directory: where the sets lie; default: that of the streams.

    Raises:
        NotFoundError: there is no such set or entry; the message has names that are like it.
        StreamFormatError: a set that was named cannot be read. Patterns pass over such sets.
    """
    names = set_names(directory)
    every: dict[str, ParamInfo] | None = None
    known: dict[str, dict[str, ParamInfo]] = {}
    found: dict[str, ParamInfo] = {}
    for word in words or ("*",):
        if is_pattern(word):
            if every is None:
                every = {f"{s.name}.{entry}": info for s in sets(directory) for entry, info in s.entries.items()}
            found |= {name: info for name, info in every.items() if fnmatchcase(name, word)}
            continue
        owner, entry = locate(word, directory=directory, names=names)
        if owner not in known:
            with Params.open(owner, directory=directory) as params:
                known[owner] = params.describe_all()
        found |= {f"{owner}.{name}": info for name, info in known[owner].items() if entry in ("", name)}
    return found


def locate(name: str, *, directory: Directory = None, names: list[str] | None = None) -> tuple[str, str]:
    """The set and the entry that a full name means; the entry is empty where it is the name of a set.

    Both may have dots in them: of several ways to part the name, the one with the longest set that has such an entry.

    Args:
        name: ``SET.ENTRY`` or ``SET``.
        directory: where the sets lie; default: that of the streams.
        names: the sets that are there, if they are known already.

    Raises:
        NotFoundError: there is no such set, or it has no such entry; the message has names that are like it.
        StreamFormatError: the set cannot be read.
    """
    there = set_names(directory) if names is None else names
    if name in there:
        return name, ""
    owners = sorted((owner for owner in there if name.startswith(f"{owner}.")), key=len, reverse=True)
    problem = ""
    for owner in owners:
        entry = name.removeprefix(f"{owner}.")
        with Params.open(owner, directory=directory) as params:
            if entry in params:
                return owner, entry
            problem = problem or (
                f"parameter set '{owner}' has no entry '{entry}'{near(entry, list(params))}"
            )
    if not problem:
        folder = Path(directory) if directory is not None else shm_directory()
        set_name = name.partition(".")[0]
        problem = f"no parameter set '{set_name}' in {folder}{near(set_name, there)}"
    raise NotFoundError(problem)


def is_pattern(word: str) -> bool:
    """Whether a word is a pattern as a shell's, not a name."""
    return any(character in word for character in "*?[")


def _describe(path: Path) -> SetInfo | None:
    """None: it was removed since it was listed."""
    name = path.name.removesuffix(SUFFIX)
    try:
        with Params.open(path) as params:
            return SetInfo(name, path, params.user_pid, params.generation, params.describe_all())
    except NotFoundError:
        return None
    except (FramebusError, OSError) as error:
        return SetInfo(name, path, error=str(error))
