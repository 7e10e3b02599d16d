"""Saving parameter sets to TOML files and loading them: all of a file or nothing, and every problem at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from typing import Any

from framebus.errors import FramebusError, ParameterError
from framebus.params import toml
from framebus.params.paramset import Params

__all__ = ["load", "load_sets", "read_sets", "save", "save_sets"]

Lines = Mapping[tuple[str, ...], int]
Path = str | os.PathLike[str]


def save(params: Params, path: Path, *, changed_only: bool = True) -> None:
    """``Params.save``: one set, its entries at the top of the file."""
    toml.write(path, toml.nest(params.to_save(changed_only=changed_only)))


def load(params: Params, path: Path) -> int:
    """``Params.load``: one set, its entries at the top of the file."""
    content, lines = toml.read(path)
    values, problems = _checked(params, content, _Place(path, lines, ()))
    _refuse(path, problems)
    return params.update(values)


def save_sets(
    path: Path, names: Iterable[str], *, changed_only: bool = True, directory: Path | None = None
) -> None:
    """Write several sets to one TOML file, each as a table of the set's name.

    Args:
        path: the file; an old one is replaced at once.
        names: the sets, or the one set.
        changed_only: leave out values that are the defaults.
        directory: where the sets lie; default: the one of the streams.

    Raises:
        NotFoundError: there is no such set.
        UsageError: the package ``tomli_w`` is not installed.
        OSError: the file cannot be written.
    """
    content = {}
    for name in [names] if isinstance(names, str) else names:
        with Params.open(name, directory=directory) as params:
            content[name] = toml.nest(params.to_save(changed_only=changed_only))
    toml.write(path, content)


def load_sets(path: Path, *, directory: Path | None = None) -> dict[str, int]:
    """Load a file that ``save_sets`` wrote; the generations of the sets that it names, by their names.

    Raises:
        ParameterError: something in the file is wrong, or a set is not there; no set was changed. ``problems`` says
            all of it, with file and line.
        WaitTimeout, StreamRecreated: as for ``Params.update``; sets that come earlier in the file were changed.
        OSError: the file cannot be read.
    """
    content, lines = toml.read(path)
    problems: list[str] = []
    with ExitStack() as stack:
        updates: list[tuple[Params, dict[str, Any]]] = []
        for name, table in _tables(path, content, lines, problems).items():
            place = _Place(path, lines, (name,))
            try:
                params = stack.enter_context(Params.open(name, directory=directory))
            except FramebusError as error:
                problems.append(place.problem((), str(error)))
                continue
            values, found = _checked(params, table, place)
            problems += found
            updates.append((params, values))
        _refuse(path, problems)
        return {params.name: params.update(values) for params, values in updates}


def read_sets(path: Path) -> dict[str, dict[str, Any]]:
    """The values in a file that ``save_sets`` wrote, by set and by entry; needs no set to be there, checks no value.

    Raises:
        ParameterError: it is not TOML, or has values outside of tables; ``problems`` says all of it.
        OSError: the file cannot be read.
    """
    content, lines = toml.read(path)
    problems: list[str] = []
    result = {}
    for name, table in _tables(path, content, lines, problems).items():
        result[name], found = _named(table, _Place(path, lines, (name,)))
        problems += found
    _refuse(path, problems)
    return {name: dict(values) for name, values in result.items()}


class _Place:
    """A table of a file, to say where in it something is wrong."""

    def __init__(self, path: Path, lines: Lines, table: tuple[str, ...]) -> None:
        self._path, self._lines, self._table = os.fspath(path), lines, table

    def problem(self, key: tuple[str, ...], message: str) -> str:
        """The message with file and line before it, and the table if there is one."""
        line = self._lines.get(self._table + key)
        where = f"{self._path}:{line}" if line is not None else self._path
        return f"{where}: {''.join(f'[{name}] ' for name in self._table)}{message}"


def _tables(path: Path, content: Mapping[str, Any], lines: Lines, problems: list[str]) -> dict[str, Any]:
    """The tables of a file of several sets."""
    tables = {}
    for name, table in content.items():
        if isinstance(table, Mapping):
            tables[name] = table
        else:
            place = _Place(path, lines, ())
            message = f"{name} stands outside of a table; expected a table [name] for each parameter set"
            problems.append(place.problem((name,), message))
    return tables


def _named(table: Mapping[str, Any], place: _Place) -> tuple[dict[str, Any], list[str]]:
    """Values by the names of entries, and names that were given twice."""
    values: dict[str, Any] = {}
    problems = []
    for keys, value in toml.flatten(table):
        name = ".".join(keys)
        if name in values:
            problems.append(place.problem(keys, f"{name} is given twice, with a dot and as a table"))
        values[name] = value
    return values, problems


def _checked(params: Params, table: Mapping[str, Any], place: _Place) -> tuple[dict[str, Any], list[str]]:
    """What to update, and all that is wrong with it."""
    values, problems = _named(table, place)
    keys = {".".join(keys): keys for keys, _ in toml.flatten(table)}
    if params.user_pid:
        same = params.diff(values)
        values = {
            name: value
            for name, value in values.items()
            # What is fixed now and has that value already need not be written.
            if name not in params
            or name in same
            or params.describe(name).spec.live
            or params.describe(name).spec.status
        }
    problems += [place.problem(keys[name], text) for name, text in params.problems(values).items()]
    return values, problems


def _refuse(path: Path, problems: list[str]) -> None:
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise ParameterError(
            f"{count} in {os.fspath(path)}, nothing was changed:\n  " + "\n  ".join(problems), problems
        )
