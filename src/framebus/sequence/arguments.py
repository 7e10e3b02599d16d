"""What a sequence is given: texts of a command line as values of its function's arguments."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from framebus.errors import ParameterError, UsageError
from framebus.params.text import expected, from_text
from framebus.stream.names import near

__all__ = ["bind_arguments", "describe_arguments"]

_TYPES = {bool: "onoff", int: "int64", float: "float64"}
"""Types of parameters, whose texts mean the same here."""


def bind_arguments(function: Callable[..., Any], given: Mapping[str, Any], title: str) -> dict[str, Any]:
    """Keyword arguments for ``function``: texts become what its annotations (or defaults) say, the rest stays.

    Args:
        function: the sequence's.
        given: values by name.
        title: of the sequence, for messages.

    Raises:
        UsageError: an argument is unknown, missing, or not of its type; the message says all of it.
    """
    parameters = _parameters(function)
    problems = [
        f"there is no argument {name!r}{near(name, list(parameters))}"
        for name in given
        if name not in parameters
    ]
    values: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if name not in given:
            if parameter.default is parameter.empty:
                problems.append(f"argument '{name}' is missing: give {name}=VALUE")
            continue
        try:
            values[name] = _converted(given[name], _kind(parameter))
        except ValueError as error:
            problems.append(f"argument {name}={given[name]!r}: {error}")
    if problems:
        raise UsageError(f"{title}: {'; '.join(problems)}")
    return values


def describe_arguments(function: Callable[..., Any]) -> list[str]:
    """The arguments as they may be given: ``exposure_s=0.1``, or ``name=`` for one that must be."""
    return [
        f"{name}={'' if parameter.default is parameter.empty else parameter.default}"
        for name, parameter in _parameters(function).items()
    ]


def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        signature = inspect.signature(function, eval_str=True)
    except NameError:  # an annotation that is there for type checkers alone
        signature = inspect.signature(function)
    return {
        name: parameter
        for name, parameter in signature.parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }


def _kind(parameter: inspect.Parameter) -> Any:
    if parameter.annotation is not parameter.empty:
        return parameter.annotation
    return str if parameter.default in (parameter.empty, None) else type(parameter.default)


def _converted(value: Any, kind: Any) -> Any:
    """The value as ``kind``; ValueError says what was expected."""
    if not isinstance(value, str):
        return value
    origin, options = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        for option in options:
            if value == str(option):
                return option
        raise ValueError(f"expected one of {', '.join(map(str, options))}")
    if origin in (typing.Union, types.UnionType):
        if type(None) in options and value.lower() == "none":
            return None
        for option in options:
            try:
                return _converted(value, option)
            except ValueError:
                continue
        raise ValueError(f"expected {kind}")
    if kind in _TYPES:
        try:
            return from_text(_TYPES[kind], value)
        except ParameterError:
            raise ValueError(f"expected {expected(_TYPES[kind])}") from None
    return Path(value) if kind is Path else value
