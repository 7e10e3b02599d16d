"""From tables of a file to the classes of ``plan``: all that does not fit is told at once, each with its key."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal

import msgspec

from framebus.errors import Problem
from framebus.pipeline.locate import Path
from framebus.pipeline.where import Where
from framebus.stream.names import near

_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false"}
_PLURALS = {int: "whole numbers", float: "numbers", str: "texts", bool: "true and false"}


class _Bad:
    """Stands for a value that was told of."""


_BAD = _Bad()
UNRESOLVED = _Bad()
"""A value that nobody knows, since it holds a variable that was told of."""


class Taker:
    """Takes values and keeps what is wrong with them.

    Attributes:
        problems: all so far, in the order in which they were met.
    """

    def __init__(self, where: Where) -> None:
        self.where = where
        self.problems: list[Problem] = []

    def tell(self, path: Path, message: str) -> None:
        """Keep a problem."""
        self.problems.append(self.where.problem(path, message))

    def struct(self, kind: type[msgspec.Struct], table: Mapping[str, Any], path: Path) -> Any:
        """An object of the class; ``None`` if a key is missing that it needs. Keys that do not fit are left out."""
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        taken = {}
        for key, value in table.items():
            if key not in fields:
                self.tell((*path, key), f"unknown key{near(key, fields)}")
                continue
            found = self.value(fields[key].type, value, (*path, key))
            if found is not _BAD:
                taken[key] = found
        missing = [name for name, field in fields.items() if field.required and name not in table]
        for name in missing:
            self.tell(path, f"it has no key '{name}', which it needs")
        if missing or any(field.required and name not in taken for name, field in fields.items()):
            return _BAD
        return kind(**taken)

    def value(self, kind: Any, value: Any, path: Path) -> Any:
        """A value as the type has it."""
        if value is UNRESOLVED:
            return _BAD
        members = [member for member in _members(kind) if member is not NoneType]
        if isinstance(value, Mapping):
            return self._table(members, value, path)
        if isinstance(value, list | tuple):
            return self._list(members, value, path)
        if Any in members:
            if isinstance(value, str | int | float):
                return value
            return self._wrong(path, value, "a text, a number, true, false, a list or a table")
        if not any(_fits(member, value) for member in members):
            return self._wrong(path, value, _expected(members))
        as_number = isinstance(value, int) and not isinstance(value, bool) and int not in members
        return float(value) if as_number else value

    def _table(self, members: list[Any], table: Mapping[str, Any], path: Path) -> Any:
        for member in members:
            if isinstance(member, type) and issubclass(member, msgspec.Struct):
                return self.struct(member, table, path)
            if member is Any or typing.get_origin(member) is dict:
                item = Any if member is Any else typing.get_args(member)[1]
                taken = {key: self.value(item, value, (*path, key)) for key, value in table.items()}
                return {key: value for key, value in taken.items() if value is not _BAD}
        return self._wrong(path, table, _expected(members))

    def _list(self, members: list[Any], values: list[Any] | tuple[Any, ...], path: Path) -> Any:
        for member in members:
            if member is Any or typing.get_origin(member) is tuple:
                item = Any if member is Any else typing.get_args(member)[0]
                taken = [self.value(item, value, (*path, i)) for i, value in enumerate(values)]
                if _BAD in taken:
                    return _BAD
                return taken if member is Any else tuple(taken)
        return self._wrong(path, values, _expected(members))

    def _wrong(self, path: Path, value: Any, expected: str) -> _Bad:
        self.tell(path, f"it is {shown(value)}, expected {expected}")
        return _BAD


def _members(kind: Any) -> tuple[Any, ...]:
    return typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, UnionType) else (kind,)


def _fits(member: Any, value: Any) -> bool:
    if typing.get_origin(member) is Literal:
        return value in typing.get_args(member)
    if member is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return member in _NAMES and type(value) is member


def _expected(members: list[Any]) -> str:
    words: list[str] = []
    for member in members:
        if typing.get_origin(member) is Literal:
            words += [f"'{choice}'" for choice in typing.get_args(member)]
        elif typing.get_origin(member) is tuple:
            items = _members(typing.get_args(member)[0])
            words.append(f"a list of {' or '.join(_PLURALS[item] for item in items)}")
        else:
            words.append(_NAMES.get(member, "a table"))
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def shown(value: Any) -> str:
    """A value of a file, in a message."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, str):
        return f"the text {value!r}" if len(value) <= 60 else f"the text {value[:57]!r}..."
    return str(value) if isinstance(value, int | float) else f"the date or time {value}"
