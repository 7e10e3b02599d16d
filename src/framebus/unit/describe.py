"""What a unit is, in plain values: for help texts, lists and forms."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Literal

from framebus.params.cells import Value
from framebus.unit.arrays import Argument, Role
from framebus.unit.declare import Declaration, FunctionUnit
from framebus.unit.device import Unit
from framebus.unit.parameters import Parameter, ParameterType
from framebus.unit.stage import AnyUnit


@dataclass(frozen=True)
class ArgumentDescription:
    """One array of a unit.

    Attributes:
        name: of the argument.
        role: what the unit does with it.
        triggers: its frames start the unit, where a stream is the trigger.
        shape: sizes as declared, such as ``"(n_modes, n_slopes)"``; ``"any"`` where nothing was.
        dtypes: those that are allowed; empty: any.
        description: as written in the signature.
    """

    name: str
    role: Role
    triggers: bool
    shape: str
    dtypes: tuple[str, ...]
    description: str


@dataclass(frozen=True)
class ParameterDescription:
    """One live parameter of a unit; limits are ``None`` where there are none.

    ``unit``, ``live``, ``restart``, ``saved`` and ``help`` are what ``About`` says.
    """

    name: str
    type: ParameterType
    default: Value
    minimum: float | None
    maximum: float | None
    unit: str
    description: str
    help: str
    live: bool
    restart: bool
    saved: bool

    @property
    def limits(self) -> str:
        """The limits in words: ``"0 to 2"``, ``"at least 0"``, ``"at most 2"``, or nothing."""
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum:g} to {self.maximum:g}"
        if self.minimum is not None:
            return f"at least {self.minimum:g}"
        return f"at most {self.maximum:g}" if self.maximum is not None else ""


@dataclass(frozen=True)
class UnitDescription:
    """What a unit is.

    Attributes:
        name: its own name.
        use: where ``load_unit`` finds it.
        kind: ``compiled``, ``interpreted``, or ``device``.
        summary: first line of its docstring.
        doc: its whole docstring, without indentation.
        arguments: its arrays, in the order of the signature.
        parameters: its live parameters, likewise.
        has_check: it checks its parameters taken together.
    """

    name: str
    use: str
    kind: Literal["compiled", "interpreted", "device"]
    summary: str
    doc: str
    arguments: tuple[ArgumentDescription, ...]
    parameters: tuple[ParameterDescription, ...]
    has_check: bool


def describe(unit: AnyUnit) -> UnitDescription:
    """What ``unit``, a function, a device class or an object of one, is."""
    declaration = unit if isinstance(unit, FunctionUnit) else unit.declaration
    doc = inspect.cleandoc(_own_doc(unit) or "")
    first = next((argument.name for argument in declaration.inputs()), None)
    return UnitDescription(
        name=declaration.name,
        use=declaration.use,
        kind=_kind(unit),
        summary=doc.partition("\n")[0],
        doc=doc,
        arguments=tuple(_argument(argument, first) for argument in declaration.arguments),
        parameters=tuple(_parameter(parameter) for parameter in declaration.parameters),
        has_check=declaration.checks is not None,
    )


def _kind(unit: AnyUnit) -> Literal["compiled", "interpreted", "device"]:
    if not isinstance(unit, Declaration):
        return "device"
    return "compiled" if unit.compiled else "interpreted"


def _own_doc(unit: AnyUnit) -> str | None:
    """Not the base class' docstring, which is about how to write devices."""
    if isinstance(unit, FunctionUnit):
        return unit.__doc__
    cls = unit if isinstance(unit, type) else type(unit)
    return None if cls.__doc__ is Unit.__doc__ else cls.__doc__


def _argument(argument: Argument, first_input: str | None) -> ArgumentDescription:
    constraint = argument.constraint
    shape = constraint.shape if constraint is not None else None
    words = ["any" if size is None else "..." if size is ... else str(size) for size in shape or ()]
    text = f"({', '.join(words)}{',' if len(words) == 1 else ''})" if words else "any"
    return ArgumentDescription(
        argument.name,
        argument.role,
        argument.name == first_input,
        text,
        constraint.dtypes if constraint is not None else (),
        argument.description,
    )


def _parameter(parameter: Parameter) -> ParameterDescription:
    limits, about = parameter.range, parameter.about
    return ParameterDescription(
        parameter.name,
        parameter.type,
        parameter.default,
        limits.minimum if limits is not None else None,
        limits.maximum if limits is not None else None,
        about.unit,
        parameter.description,
        about.help,
        about.live,
        about.restart,
        about.saved,
    )
