"""Conditions on parameters: ``loop.gain>=0.5``."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from framebus.errors import NotFoundError, ParameterError, UsageError
from framebus.params import Params
from framebus.params.place import SUFFIX, near
from framebus.stream.names import shm_directory

__all__ = ["Condition", "ConditionLike", "condition_of", "open_entry"]

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}
_FORM = re.compile(r"\s*(?:param:)?\s*([^\s<>=!]+)\s*(>=|<=|==|!=|=|>|<)\s*(.+?)\s*")
_WORDS = {"on": True, "off": False, "true": True, "false": False}

ConditionLike = str | tuple[str, Callable[[Any], object]]
"""``"loop.gain>=0.5"``, or the name of a parameter and what must be true of its value."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What must be true of a parameter.

    Attributes:
        target: the parameter, ``set.entry``.
        holds: whether a value fulfils it.
        text: how it was written.
    """

    target: str
    holds: Callable[[Any], object]
    text: str


def condition_of(given: ConditionLike) -> Condition:
    """Understand a condition.

    Numbers are compared as numbers, ``on``, ``off``, ``true`` and ``false`` as switches, all else as texts, which may
    be in quotes.

    Raises:
        UsageError: it is none.
    """
    if isinstance(given, tuple):
        if len(given) == 2 and isinstance(given[0], str) and callable(given[1]):
            said = getattr(given[1], "__name__", "predicate")
            return Condition(given[0], given[1], f"{said}({given[0]})")
        raise UsageError(
            f"{given!r} is no condition; expected (name, function) or a text like 'loop.gain>=0.5'"
        )
    found = _FORM.fullmatch(given) if isinstance(given, str) else None
    if found is None:
        raise UsageError(
            f"{given!r} is no condition; expected NAME OPERATOR VALUE such as 'loop.gain>=0.5', with one of "
            f"{' '.join(_OPERATORS)}"
        )
    target, sign, written = found.groups()
    value = _value(written)
    if isinstance(value, str | bool) and sign not in ("==", "=", "!="):
        raise UsageError(f"{given!r}: {written} is no number, so it can be compared by == and != only")
    compare = _OPERATORS[sign]

    def holds(held: Any) -> bool:
        if isinstance(held, str) != isinstance(value, str):
            raise UsageError(
                f"'{given}': the value of {target} is {held!r}, which cannot be compared with {written}"
            )
        return compare(held, value)

    return Condition(target, holds, given.strip())


def _value(text: str) -> bool | float | int | str:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    quoted = len(text) >= 2 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def open_entry(target: str) -> tuple[Params, str]:
    """The set, opened, and the entry of it that ``set.entry`` means; both parts may have dots in their names.

    Raises:
        UsageError: it has no dot. NotFoundError: there is no such set. ParameterError: the set has no such entry.
    """
    parts = target.split(".")
    if len(parts) < 2 or not all(parts):
        raise UsageError(f"{target!r} is no parameter; expected SET.ENTRY such as 'loop.gain'")
    for k in range(len(parts) - 1, 0, -1):
        name, entry = ".".join(parts[:k]), ".".join(parts[k:])
        try:
            params = Params.open(name)
        except NotFoundError:
            continue
        if entry in params:
            return params, entry
        told = f"parameter set '{name}' has no entry {entry!r}{near(entry, list(params))}"
        params.close()
        raise ParameterError(told)
    sets = [path.name.removesuffix(SUFFIX) for path in shm_directory().glob(f"*{SUFFIX}")]
    raise NotFoundError(f"no parameter set '{parts[0]}'{near(parts[0], sets)}")
