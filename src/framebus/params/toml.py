"""Values as TOML text and back: hierarchical names are tables, and every key is found again in its line."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from framebus.errors import ParameterError, UsageError
from framebus.stream.files import replacing

__all__ = ["flatten", "key_lines", "nest", "read", "write"]


def nest(values: Mapping[str, Any]) -> dict[str, Any]:
    """``loop.gain`` as ``gain`` in a table ``loop``, except where ``loop`` is a value itself."""
    nested: dict[str, Any] = {}
    for name, value in values.items():
        parts = name.split(".")
        if any(".".join(parts[:size]) in values for size in range(1, len(parts))):
            nested[name] = value  # a key with dots in it, quoted
            continue
        table = nested
        for part in parts[:-1]:
            table = table.setdefault(part, {})
        table[parts[-1]] = value
    return nested


def flatten(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every value of a table and its sub-tables, with the keys that lead to it."""
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from flatten(value, (*path, key))
        else:
            yield (*path, key), value


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """The line, from 1, where each key of a valid TOML text stands; of a table, where it is opened.

    Statement by statement: lines are added until they are TOML by themselves, as a value may go over several.
    """
    found: dict[tuple[str, ...], int] = {}
    header: tuple[str, ...] = ()
    statement, start = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        if not statement:
            start = number
        statement += line + "\n"
        try:
            content = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        if statement.lstrip().startswith("["):
            header = _only_path(content)
            found.setdefault(header, start)
        for path, _ in flatten(content) if not statement.lstrip().startswith("[") else ():
            for size in range(1, len(path) + 1):
                found.setdefault(header + path[:size], start)
        statement = ""
    return found


def _only_path(table: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of a table that holds one table that holds one table..."""
    path: tuple[str, ...] = ()
    inner: Any = table
    while inner:
        inner = inner[-1] if isinstance(inner, list) else inner
        if not isinstance(inner, Mapping) or not inner:
            break
        key, inner = next(iter(inner.items()))
        path = (*path, key)
    return path


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[tuple[str, ...], int]]:
    """What a TOML file holds, and the lines of its keys.

    Raises:
        ParameterError: it is not TOML; the message has its line.
        OSError: it cannot be read.
    """
    data = Path(path).read_bytes()
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _not_toml(f"{path}:{line}: not UTF-8: {error.reason}") from error
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _not_toml(f"{path}:{_line(str(error), text)}: not TOML: {error}") from error
    return content, key_lines(text.replace("\r\n", "\n"))


def _not_toml(problem: str) -> ParameterError:
    return ParameterError(f"{problem}; nothing was changed", [problem])


def _line(message: str, text: str) -> int:
    """The line that the parser's message names; the last one for 'at end of document'."""
    _, _, place = message.rpartition("(at line ")
    number = place.partition(",")[0]
    return int(number) if number.isdecimal() else max(1, len(text.splitlines()))


def write(path: str | os.PathLike[str], content: Mapping[str, Any]) -> None:
    """Write a TOML file; who reads meanwhile, or after a crash, finds the old one or the new one, whole.

    Raises:
        UsageError: the package ``tomli_w`` is not installed.
        OSError: it cannot be written.
    """
    try:
        import tomli_w
    except ImportError as error:
        raise UsageError(
            "saving parameters needs the package tomli_w: pip install 'framebus[cli]'"
        ) from error
    with replacing(os.path.realpath(path)) as draft, draft.open("wb") as file:  # a link stays one
        tomli_w.dump(content, file)
        file.flush()
        os.fsync(file.fileno())
