"""The live parameters of a unit: what the keyword-only arguments of its signature say."""

from __future__ import annotations

import inspect
import math
import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np

from framebus.errors import ParameterError, UsageError
from framebus.params import ParamSpec
from framebus.params.cells import TEXT_TYPES, Value, decode, encode
from framebus.unit.arrays import Array, Role

ParameterType: TypeAlias = Literal[
    "float64", "float32", "int64", "int32", "uint64", "uint32", "onoff", "string", "path", "stream"
]

_PARAMETER_TYPES: dict[Any, ParameterType] = {
    float: "float64",
    int: "int64",
    bool: "onoff",
    str: "string",
    np.float64: "float64",
    np.float32: "float32",
    np.int64: "int64",
    np.int32: "int32",
    np.uint64: "uint64",
    np.uint32: "uint32",
    np.bool_: "onoff",
}


def _short(limit: float | None) -> str:
    """A limit as people write it: 1, not 1.0. Typing hands out one object for equal limits, whichever came first."""
    return (
        str(int(limit))
        if isinstance(limit, float) and limit.is_integer() and abs(limit) < 1e15
        else str(limit)
    )


@dataclass(frozen=True)
class Range:
    """Limits of a parameter, both inclusive: ``Annotated[float, Range(0.0, 2.0)]``; ``None`` is no limit.

    Raises:
        UsageError: a limit is no number, or the minimum is above the maximum.
    """

    minimum: float | None = None
    maximum: float | None = None

    def __post_init__(self) -> None:
        for limit in (self.minimum, self.maximum):
            real = isinstance(limit, int | float | np.integer | np.floating) and not isinstance(limit, bool)
            if limit is not None and (not real or math.isnan(limit)):
                raise UsageError(f"{self}: {limit!r} is no limit; use a number or None")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise UsageError(f"{self}: the minimum is above the maximum")

    def __contains__(self, value: float) -> bool:
        above = self.minimum is None or value >= self.minimum
        return above and (self.maximum is None or value <= self.maximum)

    def __str__(self) -> str:
        return f"Range({_short(self.minimum)}, {_short(self.maximum)})"


@dataclass(frozen=True)
class About:
    """What else is to say about a parameter: ``Annotated[float, Range(0.0), About(unit="s")]``.

    Attributes:
        unit: physical unit, at most 23 bytes.
        live: may be written while the unit runs.
        restart: takes effect at the unit's next start only.
        saved: belongs into saved files.
        help: as much text as it takes to explain it.
        kind: of a ``str``: ``"path"`` or ``"stream"`` (a stream's name), which are checked as such.

    Raises:
        UsageError: ``kind`` is none of these, or a restart is needed for what cannot be written before it.
    """

    unit: str = ""
    live: bool = True
    restart: bool = False
    saved: bool = True
    help: str = ""
    kind: Literal["text", "path", "stream"] = "text"

    def __post_init__(self) -> None:
        if self.kind not in ("text", "path", "stream"):
            raise UsageError(f"About(kind={self.kind!r}): expected 'text', 'path' or 'stream'")


@dataclass(frozen=True)
class Parameter:
    """One live parameter of a unit."""

    name: str
    type: ParameterType
    default: Value
    range: Range | None = None
    description: str = ""
    about: About = field(default_factory=About)

    def check(self, value: Any) -> Value:
        """``value`` as this parameter's type holds it.

        Raises:
            ParameterError: it has another type, does not fit in it, or is outside the range.
        """
        return decode(self.type, *self._encode(value))

    def pack(self, value: Any) -> int:
        """The signed 64-bit cell that a compiled unit reads ``value`` from: 4-byte types in its low half.

        Raises:
            ParameterError: it has another type, does not fit in it, or is outside the range.
        """
        return self._encode(value)[0]

    def spec(self) -> ParamSpec:
        """The entry of a parameter set that holds it."""
        limits, about = self.range, self.about
        return ParamSpec(
            self.name,
            self.default,
            type=self.type,
            minimum=limits.minimum if limits is not None else None,
            maximum=limits.maximum if limits is not None else None,
            unit=about.unit,
            description=self.description,
            live=about.live,
            restart=about.restart,
            saved=about.saved,
            help=about.help,
        )

    def _encode(self, value: Any) -> tuple[int, str]:
        try:
            cell = encode(self.type, value)
        except ParameterError as error:
            raise ParameterError(f"parameter {self.name!r} {error}") from None
        if self.range is not None and value not in self.range:
            raise ParameterError(f"parameter {self.name!r} = {value!r} is outside {self.range}")
        return cell


def read_parameter(unit: str, item: inspect.Parameter, hint: tuple[Any, tuple[Any, ...]]) -> Parameter:
    """One live parameter of a signature; ``hint`` is its type and what ``Annotated`` adds.

    Raises:
        UsageError: its type, limits or default are not possible.
    """
    where = f"unit {unit!r}, parameter {item.name!r}"
    base, extras = hint
    if any(isinstance(extra, Role | Array) for extra in extras):
        raise UsageError(f"{where}: an array is positional; put it before '*'")
    if not isinstance(base, type) or base not in _PARAMETER_TYPES:
        raise UsageError(f"{where}: its type {base!r} is not supported; use float, int, bool or str")
    if item.default is item.empty:
        raise UsageError(
            f"{where}: it has no default; give one, such as '{item.name}: {base.__name__} = ...'"
        )
    limits = [extra for extra in extras if isinstance(extra, Range)]
    about = _about(where, base, extras)
    kind = _PARAMETER_TYPES[base] if about.kind == "text" else about.kind
    if len(limits) > 1 or any(extra is Range for extra in extras):
        raise UsageError(f"{where}: give its limits in one Range(minimum, maximum)")
    if limits and (kind == "onoff" or kind in TEXT_TYPES):
        raise UsageError(f"{where}: a {base.__name__} has no Range; remove {limits[0]}")
    description = description_of(where, extras)
    _check_texts(where, item.name, description, about)
    draft = Parameter(item.name, kind, item.default, limits[0] if limits else None, description, about)
    try:
        default = draft.check(item.default)
    except ParameterError as error:
        raise UsageError(
            f"unit {unit!r}: the default of {error}; change the default or the declaration"
        ) from None
    return replace(draft, default=default)


def _check_texts(where: str, name: str, description: str, about: About) -> None:
    """Whether a parameter set can hold them; said where they are declared, not when the unit is started."""
    if not re.fullmatch(r"\w{1,63}", name, re.ASCII):
        raise UsageError(f"{where}: its name must be of letters a to z, digits and '_', at most 63")
    for what, text, most in (
        ("unit of measure", about.unit, 23),
        ("description", description, 159),
        ("help", about.help, 4000),
    ):
        if not isinstance(text, str):
            raise UsageError(f"{where}: its {what} is {text!r}; expected a text")
        if len(text.encode()) > most:
            hint = "; what is longer goes into About(help=...)" if what == "description" else ""
            raise UsageError(
                f"{where}: its {what} has {len(text.encode())} bytes, at most {most} are possible{hint}"
            )


def _about(where: str, base: type, extras: tuple[Any, ...]) -> About:
    found = [extra for extra in extras if isinstance(extra, About)]
    if len(found) > 1 or any(extra is About for extra in extras):
        raise UsageError(f"{where}: say all about it in one About(...)")
    about = found[0] if found else About()
    if about.kind != "text" and base is not str:
        raise UsageError(f"{where}: a {base.__name__} is no {about.kind}; annotate it as str")
    return about


def description_of(where: str, extras: tuple[Any, ...]) -> str:
    """The description among what ``Annotated`` adds.

    Raises:
        UsageError: there are several.
    """
    texts = [extra for extra in extras if isinstance(extra, str)]
    if len(texts) > 1:
        raise UsageError(f"{where}: it has {len(texts)} descriptions; write one string")
    return texts[0] if texts else ""
