"""What parameter sets there are, and single parameters by their full names, ``SET.ENTRY``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from framebus.errors import FramebusError, NotFoundError
from framebus.params.handle import ParamInfo
from framebus.params.paramset import Params
from framebus.params.place import SUFFIX
from framebus.stream.names import near, shm_directory

__all__ = ["SetInfo", "find", "is_pattern", "locate", "select", "set_names", "sets"]

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
    """Names of the sets in ``directory`` (default: that of the streams), sorted. None is opened."""
    folder = Path(directory) if directory is not None else shm_directory()
    return sorted(path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}"))


def sets(directory: Directory = None) -> list[SetInfo]:
    """Every parameter set in ``directory`` (default: that of the streams), by name."""
    folder = Path(directory) if directory is not None else shm_directory()
    found = (_describe(folder / f"{name}{SUFFIX}") for name in set_names(folder))
    return [info for info in found if info is not None]


def select(*words: str, directory: Directory = None) -> list[SetInfo]:
    """The sets that ``words`` name, each with those of its entries that are meant; without words ``sets()``.

    Args:
        words: full names (``SET.ENTRY``), names of sets (meaning all of their entries), and patterns of either as a
            shell's (``*``, ``?``, ``[a-z]``), which may match nothing.
        directory: where the sets lie; default: that of the streams.

    Raises:
        NotFoundError: there is no such set or entry; the message has names that are like it.
        StreamFormatError: a set that was named cannot be read. Patterns pass over such sets.
    """
    if not words:
        return sets(directory)
    known, chosen = _chosen(words, directory)
    entries: dict[str, dict[str, ParamInfo]] = {}
    for owner, entry in chosen:
        entries.setdefault(owner, {})[entry] = known[owner].entries[entry]
    return [replace(known[owner], entries=those) for owner, those in entries.items()]


def find(*words: str, directory: Directory = None) -> dict[str, ParamInfo]:
    """Parameters by their full names, ``SET.ENTRY``, in the order of ``words``; those of one set are of one moment.

    Args, raises: as for ``select``; no word means every parameter.
    """
    known, chosen = _chosen(words or ("*",), directory)
    return {f"{owner}.{entry}": known[owner].entries[entry] for owner, entry in chosen}


def _chosen(words: tuple[str, ...], directory: Directory) -> tuple[dict[str, SetInfo], list[tuple[str, str]]]:
    """The sets that were looked at, by name, and (set, entry) of what is meant. Only what is needed is opened."""
    names = set_names(directory)
    known: dict[str, SetInfo] = {}
    chosen: dict[tuple[str, str], None] = {}
    for word in words:
        if is_pattern(word):
            known = {info.name: info for info in sets(directory)} | known
            pairs = [(info.name, entry) for info in known.values() for entry in info.entries]
            hits = [p for p in pairs if fnmatchcase(".".join(p), word) or fnmatchcase(p[0], word)]
        else:
            owner, entry = locate(word, directory=directory, names=names)
            if owner not in known or known[owner].error:
                with Params.open(owner, directory=directory) as params:
                    known[owner] = _info(params)
            hits = [(owner, entry)] if entry else [(owner, name) for name in known[owner].entries]
        chosen |= dict.fromkeys(hits)
    return known, list(chosen)


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
            return _info(params)
    except NotFoundError:
        return None
    except (FramebusError, OSError) as error:
        return SetInfo(name, path, error=str(error))


def _info(params: Params) -> SetInfo:
    return SetInfo(params.name, params.path, params.user_pid, params.generation, params.describe_all())
