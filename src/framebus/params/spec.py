"""What one parameter is: type, default, limits, unit, description, flags."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from framebus import _core
from framebus.errors import ParameterError
from framebus.params.cells import TEXT_TYPES, TYPE_NAMES, TYPES, Value, decode, encode, infer_type, limits_of

__all__ = ["ParamSpec", "Specs", "carried", "from_core", "same_declaration", "specs_of", "to_core"]

LIVE, RESTART, SAVED, STATUS = 1, 2, 4, 8


@dataclass(frozen=True, slots=True)
class ParamSpec:
    """One entry of a parameter set.

    Attributes:
        name: letters, digits and ``_``, in parts joined by ``.`` (``loop.gain``), at most 63 characters.
        default: the first value.
        type: ``int32``, ``int64``, ``uint32``, ``uint64``, ``float32``, ``float64``, ``onoff``, ``string``,
            ``path``, ``stream`` (a stream's name), ``pid`` or ``timestamp`` (integer ns since 1970). ``""``:
            taken from the default (bool: onoff, int: int64, float: float64, str: string, path: path).
        minimum: smallest value allowed; None: that of the type. Numbers only.
        maximum: largest value allowed; None: that of the type. Numbers only.
        unit: physical unit, at most 23 bytes.
        description: one line, at most 159 bytes.
        help: free text for who wants to know more, at most 4000 bytes.
        live: may be written while a unit runs with the set.
        restart: takes effect at the unit's next start only.
        saved: belongs into saved files.
        status: a result that only the unit itself writes.
    """

    name: str
    default: Any
    type: str = ""
    minimum: float | int | None = None
    maximum: float | int | None = None
    unit: str = ""
    description: str = ""
    live: bool = True
    restart: bool = False
    saved: bool = True
    status: bool = False
    help: str = ""

    @property
    def kind(self) -> str:
        """The type's name, also where it was left to the default.

        Raises:
            ParameterError: there is no such type.
        """
        kind = self.type or infer_type(self.default)
        if kind not in TYPES:
            raise ParameterError(
                f"parameter '{self.name}': no type {kind!r}; expected one of {', '.join(TYPES)}"
            )
        return kind

    @property
    def flags(self) -> int:
        """The flags as the file holds them."""
        return LIVE * self.live | RESTART * self.restart | SAVED * self.saved | STATUS * self.status


Specs = Mapping[str, Any] | Iterable[ParamSpec]
"""Entries by name (each a default value or a ParamSpec), or ParamSpecs."""


def specs_of(declared: Specs) -> list[ParamSpec]:
    """The entries that were declared, in their order.

    Raises:
        ParameterError: an entry is no ParamSpec, or stands under another name than its own.
    """
    if not isinstance(declared, Mapping):
        specs = list(declared)
        for spec in specs:
            if not isinstance(spec, ParamSpec):
                raise ParameterError(
                    f"{spec!r} is no ParamSpec; give ParamSpecs or a mapping of names to defaults"
                )
        return specs
    specs = []
    for name, value in declared.items():
        spec = value if isinstance(value, ParamSpec) else ParamSpec(name, value)
        if spec.name != name:
            raise ParameterError(
                f"the ParamSpec of '{spec.name}' stands under the name '{name}'; give both the same name"
            )
        specs.append(spec)
    return specs


def to_core(spec: ParamSpec) -> _core.ParamSpec:
    """The entry as the core writes it.

    Raises:
        ParameterError: default or limits are not of the entry's type, or a text is none.
    """
    kind = spec.kind
    for field in ("name", "unit", "description", "help"):
        if not isinstance(said := getattr(spec, field), str):
            raise ParameterError(
                f"parameter {spec.name!r}: its {field} is {said!r} ({type(said).__name__}): expected a text"
            )
    try:
        cell, text = encode(kind, spec.default)
        low = high = 0
        if kind in TEXT_TYPES:
            if spec.minimum is not None or spec.maximum is not None:
                raise ParameterError(f"has limits, which a {kind} cannot have")
        else:
            smallest, largest = limits_of(kind)
            low = encode(kind, smallest if spec.minimum is None else spec.minimum)[0]
            high = encode(kind, largest if spec.maximum is None else spec.maximum)[0]
    except ParameterError as error:
        raise ParameterError(f"parameter '{spec.name}' {error}") from error
    return _core.ParamSpec(
        spec.name, TYPES[kind], spec.flags, spec.unit, spec.description, low, high, cell, text, spec.help
    )


def from_core(entry: _core.ParamSpec) -> ParamSpec:
    """The entry of a file, with its type and limits written out (None for texts)."""
    kind = TYPE_NAMES[entry.type]
    low: Value | None = None
    high: Value | None = None
    if kind not in TEXT_TYPES:
        low, high = decode(kind, entry.minimum, ""), decode(kind, entry.maximum, "")
    return ParamSpec(
        name=entry.name,
        default=decode(kind, entry.initial, entry.initial_text),
        type=kind,
        minimum=None if isinstance(low, str) else low,
        maximum=None if isinstance(high, str) else high,
        unit=entry.unit,
        description=entry.description,
        live=bool(entry.flags & LIVE),
        restart=bool(entry.flags & RESTART),
        saved=bool(entry.flags & SAVED),
        status=bool(entry.flags & STATUS),
        help=entry.help,
    )


def same_declaration(declared: Iterable[ParamSpec], entries: Iterable[_core.ParamSpec]) -> bool:
    """Whether a file's entries are exactly these."""
    return [from_core(to_core(spec)) for spec in declared] == list(map(from_core, entries))


def carried(values: Mapping[str, Value], declared: Iterable[ParamSpec]) -> list[tuple[int, int, str]]:
    """The (entry, cell, text) changes that give new entries the values that equal-named ones had.

    Where a value is not of the new type, or outside the new limits, the default stays; so it does in status entries.
    """
    changes = []
    for index, spec in enumerate(declared):
        if spec.name not in values or spec.status:
            continue
        held = from_core(to_core(spec))
        try:
            cell, text = encode(held.type, values[spec.name])
        except ParameterError:
            continue
        value = decode(held.type, cell, text)
        if isinstance(value, str) or _inside(value, held):
            changes.append((index, cell, text))
    return changes


def _inside(value: float, spec: ParamSpec) -> bool:
    return (spec.minimum is None or value >= spec.minimum) and (spec.maximum is None or value <= spec.maximum)
