"""Reading a pipeline file: its includes, variables, defaults and relative paths; all problems are told at once."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import msgspec

from framebus.errors import NotFoundError, PipelineError, Problem, UsageError
from framebus.pipeline.fields import UNRESOLVED, Taker, shown
from framebus.pipeline.locate import Path, locate
from framebus.pipeline.plan import DEFAULT_KEYS, OPTION_KEYS, PipelinePlan, UnitPlan
from framebus.pipeline.where import Place, Where
from framebus.stream.names import near

Variable = str | int | float | bool
_DOLLAR = re.compile(r"\$\$\{|\$\{([^${}]*)\}|\$\{")
_LINE = re.compile(r" \(at line (\d+), column (\d+)\)$")


@dataclass(frozen=True)
class Reading:
    """A pipeline that was read.

    Attributes:
        plan: what the files say.
        where: on which line of which file each of its keys stands.
        files: the files that were read, the includes first.
    """

    plan: PipelinePlan
    where: Where
    files: tuple[str, ...]


def read_plan(path: str | os.PathLike[str], variables: Mapping[str, Variable] | None = None) -> PipelinePlan:
    """The pipeline in a TOML file, with includes, variables and defaults put in, and paths made absolute.

    Args:
        path: the file.
        variables: values that win over those of the files.

    Raises:
        PipelineError: ``problems`` has everything that is wrong with what the files say, each with file, line and key.
        NotFoundError: there is no such file.
    """
    return read_file(path, variables).plan


def read_file(path: str | os.PathLike[str], variables: Mapping[str, Variable] | None = None) -> Reading:
    """As ``read_plan``, with the places of all keys.

    Raises:
        PipelineError, NotFoundError: as ``read_plan``.
    """
    reading, problems = read_some(path, variables)
    if problems or reading is None:
        raise PipelineError(problems)
    return reading


def read_some(
    path: str | os.PathLike[str], variables: Mapping[str, Variable] | None = None
) -> tuple[Reading | None, list[Problem]]:
    """What can be read of a file, and what is wrong with it: keys that do not fit are left out.

    Returns:
        The reading, None if there is not enough for one; and the problems, in the order of the file.

    Raises:
        NotFoundError: there is no such file.
    """
    file = os.fspath(path)
    if not os.path.isfile(file):
        raise NotFoundError(f"there is no pipeline file {file}")
    reader = _Reader(dict(variables or {}))
    reader.read(file, ())
    plan = None
    if not reader.taker.problems:  # of half a file the rest would be told as missing
        plan = reader.plan()
        if plan is not None and not plan.name:
            plan.name = FilePath(file).stem
    problems = sorted(reader.taker.problems, key=lambda problem: (problem.file, problem.line))
    return (Reading(plan, reader.where, tuple(reader.files)) if plan is not None else None), problems


def variable(text: str) -> tuple[str, Variable]:
    """Name and value of ``name=value``; a value that TOML has as a number, true or false is one, all else a text.

    Raises:
        UsageError: it has another form.
    """
    name, sign, value = text.partition("=")
    if not sign or not name.strip():
        raise UsageError(f"variable {text!r}: expected NAME=VALUE")
    try:
        found = tomllib.loads(f"value = {value}")
    except tomllib.TOMLDecodeError:
        found = {}
    scalar = found.get("value")
    only = len(found) == 1 and isinstance(scalar, str | int | float)
    return name.strip(), scalar if only and scalar is not None else value


class _Reader:
    """One pipeline: the merged tables of all its files and where each key stands."""

    def __init__(self, given: dict[str, Variable]) -> None:
        self.given = given
        self.where = Where()
        self.taker = Taker(self.where)
        self.table: dict[str, Any] = {}
        self.files: list[str] = []
        self._used: set[str] = set()

    # ---- files -----------------------------------------------------------------------------------------------------

    def read(self, file: str, outer: tuple[str, ...], known: Mapping[str, Any] | None = None) -> None:
        """A file, after those that it includes. ``outer``: the files that include it, the outermost first."""
        parsed = self._parse(file)
        if parsed is None:
            return
        table, places = parsed
        here = Where(places)
        own = table.get("variables")
        known = (own if isinstance(own, dict) else {}) | dict(known or {})
        chain = (*outer, os.path.realpath(file))
        for key, include in self._includes(table, here):
            told = len(self.taker.problems)
            include = self._substituted(include, {**known, **self.given}, here, key)
            if len(self.taker.problems) > told or not isinstance(include, str):
                continue
            inner = os.path.join(os.path.dirname(file), os.path.expanduser(include))
            if os.path.realpath(inner) in chain:
                around = " includes ".join(map(os.path.basename, [*chain, inner]))
                self._tell(here, key, f"the file includes itself: {around}")
            elif not os.path.isfile(inner):
                self._tell(here, key, f"there is no file {inner}")
            else:
                self.read(inner, chain, known)
        table.pop("include", None)
        self.files.append(file)
        self._merge(self.table, table, (), places)

    def _parse(self, file: str) -> tuple[dict[str, Any], dict[Path, Place]] | None:
        directory = os.path.dirname(os.path.abspath(file))
        whole = Where({(): Place(file, 0, directory)})
        text = ""
        try:
            text = FilePath(file).read_bytes().decode()
            table = tomllib.loads(text)
        except OSError as error:
            self._tell(whole, (), f"it cannot be read: {error.strerror}")
            return None
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            self._tell(Where({(): Place(file, line, directory)}), (), "it is no UTF-8 text")
            return None
        except tomllib.TOMLDecodeError as error:
            at = _LINE.search(str(error))
            line = int(at[1]) if at else text.count("\n") + 1
            column = f" (column {at[2]})" if at else ""
            said = _LINE.sub("", str(error)).removesuffix(" (at end of document)")
            self._tell(Where({(): Place(file, line, directory)}), (), f"this is no TOML: {said}{column}")
            return None
        places = {path: Place(file, line, directory) for path, line in locate(text).items()}
        return table, {(): Place(file, 0, directory), **places}

    def _includes(self, table: dict[str, Any], here: Where) -> list[tuple[Path, str]]:
        listed = table.get("include", [])
        if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
            self._tell(here, ("include",), "expected a list of file names")
            return []
        return [(("include", i), item) for i, item in enumerate(listed)]

    def _tell(self, here: Where, path: Path, message: str) -> None:
        self.taker.problems.append(here.problem(path, message))

    def _merge(
        self, into: dict[str, Any], table: dict[str, Any], path: Path, places: dict[Path, Place]
    ) -> None:
        for key, value in table.items():
            below = (*path, key)
            if isinstance(value, dict) and isinstance(into.get(key), dict):
                self.where.places[below] = places[below]
                self._merge(into[key], value, below, places)
                continue
            self.where.forget(below)
            into[key] = value
            self.where.places |= {at: place for at, place in places.items() if at[: len(below)] == below}
        if not path:
            self.where.places[()] = places[()]

    # ---- variables -------------------------------------------------------------------------------------------------

    def _substituted(self, value: Any, values: Mapping[str, Any], where: Where, path: Path) -> Any:
        """The value with all its variables put in."""
        if isinstance(value, dict):
            return {k: self._substituted(item, values, where, (*path, k)) for k, item in value.items()}
        if isinstance(value, list):
            return [self._substituted(item, values, where, (*path, i)) for i, item in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        told = len(self.taker.problems)
        whole = _DOLLAR.fullmatch(value)
        if whole is not None and whole[1] is not None:  # keeps the variable's type
            return self._variable(whole[1], values, where, path)

        def put(found: re.Match[str]) -> str:
            if found[1] is None:
                if found[0] == "${":
                    self._tell(
                        where, path, "'${' begins a variable, '${name}'; write '$${' where '${' is meant"
                    )
                return "${"
            item = self._variable(found[1], values, where, path)
            return shown(item) if isinstance(item, bool) else str(item)

        text = _DOLLAR.sub(put, value)
        return text if len(self.taker.problems) == told else UNRESOLVED

    def _variable(self, name: str, values: Mapping[str, Any], where: Where, path: Path) -> Any:
        self._used.add(name)
        if name in values:
            return values[name]
        self._tell(where, path, f"there is no variable '{name}'{near(name, values)}")
        return UNRESOLVED

    def _resolve_variables(self) -> dict[str, Any]:
        """The values of all variables, which may themselves hold earlier ones."""
        table = self.table.pop("variables", {})
        if not isinstance(table, dict):
            self.taker.tell(("variables",), f"it is {shown(table)}, expected a table")
            table = {}
        values: dict[str, Any] = {}
        for name, value in (table | self.given).items():
            path = ("variables", name)
            if not isinstance(value, str | int | float):
                self.taker.tell(path, f"it is {shown(value)}, expected a text, a number, true or false")
                values[name] = UNRESOLVED
                continue
            values[name] = value if name in self.given else self._substituted(value, values, self.where, path)
        for name in self.given:
            if name not in table and name not in self._used and not self._uses(self.table, name):
                self.taker.tell((), f"variable '{name}' was given, and no file has it{near(name, table)}")
        return values

    def _uses(self, value: Any, name: str) -> bool:
        if isinstance(value, dict | list):
            items = value.values() if isinstance(value, dict) else value
            return any(self._uses(item, name) for item in items)
        return isinstance(value, str) and f"${{{name}}}" in value

    # ---- the whole -------------------------------------------------------------------------------------------------

    def plan(self) -> PipelinePlan | None:
        """What all files say together; None if they lack what a plan needs."""
        values = self._resolve_variables()
        table = self._substituted(self.table, values, self.where, ())
        defaults = self._defaults(table.pop("defaults", {}))
        units = table.get("units")
        if isinstance(units, dict):
            self._apply_defaults(units, defaults)
        plan = self.taker.struct(PipelinePlan, table, ())
        if not isinstance(plan, PipelinePlan):
            return None
        self._make_absolute(plan)
        return plan

    def _defaults(self, table: Any) -> dict[str, Any]:
        """Those that fit."""
        if not isinstance(table, dict):
            self.taker.tell(("defaults",), f"it is {shown(table)}, expected a table")
            return {}
        kinds = {field.name: field.type for field in msgspec.structs.fields(UnitPlan)}
        good = {}
        for key, value in table.items():
            path = ("defaults", key)
            if key not in DEFAULT_KEYS:
                why = (
                    "is each unit's own" if key in kinds else f"is no key of a unit{near(key, DEFAULT_KEYS)}"
                )
                self.taker.tell(path, f"'{key}' {why}")
                continue
            told = len(self.taker.problems)
            self.taker.value(kinds[key], value, path)
            if len(self.taker.problems) == told:
                good[key] = value
        return good

    def _apply_defaults(self, units: dict[str, Any], defaults: dict[str, Any]) -> None:
        loops: set[tuple[str, str]] = set()
        for name, unit in units.items():
            if not isinstance(unit, dict):
                continue
            loop = (str(unit.get("process", defaults.get("process", name))), str(unit.get("fuse", name)))
            follows = loop in loops and "fuse" in unit
            loops.add(loop)
            for key, value in defaults.items():
                if follows and key in OPTION_KEYS:
                    continue  # the loop's first unit has them
                if key not in unit:
                    unit[key] = value
                    self._default_place(("units", name), key)
                elif isinstance(value, dict) and isinstance(unit[key], dict):
                    unit[key] = value | unit[key]

    def _default_place(self, unit: Path, key: str) -> None:
        for path, place in list(self.where.places.items()):
            if path[:2] == ("defaults", key):
                self.where.places[(*unit, *path[1:])] = place

    def _make_absolute(self, plan: PipelinePlan) -> None:
        """Relative paths start from the directory of the file that has them."""
        for name, stream in plan.streams.items():
            stream.file = self._absolute(stream.file, ("streams", name, "file"))
        for kind, users in (("units", plan.units), ("sources", plan.sources)):
            for name, user in users.items():
                place, colon, function = user.use.rpartition(":")
                if colon and (place.endswith(".py") or os.sep in place):
                    user.use = f"{self._absolute(place, (kind, name, 'use'))}:{function}"
        keeping = plan.supervision
        keeping.logs = self._absolute(keeping.logs, ("supervision", "logs"))
        keeping.parameters_file = self._absolute(keeping.parameters_file, ("supervision", "parameters_file"))

    def _absolute(self, path: str | None, key: Path) -> str | None:
        if not path:
            return path
        directory = self.where.place(key).directory
        return os.path.normpath(os.path.join(directory, os.path.expanduser(path)))
