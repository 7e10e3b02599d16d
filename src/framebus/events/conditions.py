"""Conditions as texts: ``stream:wfs``, ``param:loop.gain>=0.5``, ``unit:slopes=running``, ``pipeline:ao=ready``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from framebus.errors import NameFormatError, UsageError
from framebus.process import State
from framebus.stream.listing import StreamState
from framebus.stream.names import check_name

__all__ = ["PIPELINE_STATES", "STREAM_STATES", "UNIT_STATES", "Condition", "ConditionError", "Kind", "parse"]

Kind = Literal["stream", "param", "unit", "pipeline"]
"""What a condition is about."""

STREAM_STATES = (*get_args(StreamState), "gone")
"""``gone``: there is no such stream. The others are those of ``framebus ls``."""

UNIT_STATES = (
    *(state.name.lower() for state in State),
    "paused",
    *("waiting", "starting", "restarting", "stopping", "ended", "failed"),
    *("dead", "gone"),
)
"""Those of ``framebus ps``; ``idle``: or ``paused``; ``dead``: its process was killed and its record is left;
``gone``: no process runs it."""

PIPELINE_STATES = ("starting", "ready", "failed", "stopping", "unsupervised", "gone")
"""``ready``: every process is up; ``failed``: one was given up; ``unsupervised``: its supervisor is dead."""

_KINDS: dict[str, Kind] = {"stream": "stream", "param": "param", "unit": "unit", "pipeline": "pipeline"}
_EXPECTED_KIND = "'stream:', 'param:', 'unit:' or 'pipeline:'"
_NAME = re.compile(r"[^=!<>\s]*")
_OPERATOR = re.compile(r"==|!=|<=|>=|=|<|>")
_OPERATORS = {
    "stream": ("==", "!=", ">", ">="),
    "param": ("==", "!=", "<", "<=", ">", ">="),
    "unit": ("==", "!="),
    "pipeline": ("==", "!="),
}
_STATES = {"stream": STREAM_STATES, "unit": UNIT_STATES, "pipeline": PIPELINE_STATES}


class ConditionError(UsageError):
    """A condition's text could not be understood.

    Attributes:
        column: where in the text, from 1.
    """

    def __init__(self, text: str, column: int, expected: str) -> None:
        super().__init__(f"condition '{text}', column {column}: expected {expected}")
        self.column = column


@dataclass(frozen=True, slots=True)
class Condition:
    """What is waited for. ``str()`` gives the text, which parses back equal.

    Attributes:
        kind: what it is about.
        name: the stream's, parameter's (``SET.ENTRY``, or a whole set), unit's (``unit``, ``unit.pid`` or
            ``pipeline/unit``) or pipeline's.
        operator: ``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=``; empty: anything new (a frame, a change).
        value: what it is compared with, as a text.
    """

    kind: Kind
    name: str
    operator: str = ""
    value: str = ""

    @property
    def is_event(self) -> bool:
        """Whether it is something that happens, and not something that holds for a while."""
        return not self.operator

    def __str__(self) -> str:
        quoted = self.value != self.value.strip() or not self.value or self.value[0] in '"='
        value = f'"{self.value}"' if self.operator and quoted else self.value
        return f"{self.kind}:{self.name}{self.operator}{value}"


def parse(text: str) -> Condition:
    """Read a condition.

    ``KIND:NAME`` waits for anything new: a frame of a stream, a change of a parameter or of a state (which ``changes``
    behind the name says too). ``KIND:NAME OPERATOR VALUE`` waits until it is so; ``=`` is ``==``. Blanks around the
    operator are allowed. A value in double quotes is taken as it stands between them.

    Raises:
        ConditionError: it is none; the message has the column and what was expected there.
    """
    word, colon, _ = text.partition(":")
    if not colon or word not in _KINDS:
        raise ConditionError(text, 1, _EXPECTED_KIND)
    kind = _KINDS[word]
    match = _NAME.match(text, len(word) + 1)
    assert match is not None  # it matches nothing, too
    name, at = match[0], match.end()
    _check(kind, name, text, match.start() + 1)
    at += len(text[at:]) - len(text[at:].lstrip())
    rest = text[at:].rstrip()
    if rest in ("", "changes"):
        if kind == "stream" and rest:
            raise ConditionError(text, at + 1, "nothing behind the name (a newer frame), or an operator")
        return Condition(kind, name)
    found = _OPERATOR.match(rest)
    if found is None:
        more = () if kind == "stream" else ("'changes'",)
        raise ConditionError(text, at + 1, _listed(("=", *_OPERATORS[kind], *more)))
    operator = "==" if found[0] == "=" else found[0]
    if operator not in _OPERATORS[kind]:
        raise ConditionError(text, at + 1, f"{_listed(('=', *_OPERATORS[kind]))} for a {kind}")
    after = rest[found.end() :]
    value = after.lstrip()
    column = at + found.end() + len(after) - len(value) + 1
    if len(value) > 1 and value[0] == value[-1] == '"':
        value, quoted = value[1:-1], True
    else:
        quoted = False
    if not value and not quoted:
        raise ConditionError(text, column, f"a value behind '{found[0]}'")
    if kind != "param":
        _check_value(kind, operator, value, text, column)
    return Condition(kind, name, operator, value)


def _check(kind: Kind, name: str, text: str, column: int) -> None:
    if not name:
        raise ConditionError(text, column, f"the name of a {'parameter' if kind == 'param' else kind}")
    parts = name.split("/") if kind == "unit" and name.count("/") == 1 else [name]
    for part in parts:
        try:
            check_name(part)
        except NameFormatError as error:
            raise ConditionError(text, column, f"a name: {error}") from None
        column += len(part) + 1


def _check_value(kind: Kind, operator: str, value: str, text: str, column: int) -> None:
    if operator in (">", ">="):
        if not (value.isascii() and value.isdecimal() and int(value) < 2**63):
            raise ConditionError(text, column, "a frame's count, a whole number")
    elif value not in _STATES[kind]:
        raise ConditionError(text, column, f"a state: {_listed(_STATES[kind])}")


def _listed(words: tuple[str, ...]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
