"""The arrays of a unit: roles, what is demanded of them, and how outputs get their shape.

``In``, ``Out`` and ``State`` mark a unit's positional arguments; ``Array`` adds a demand. ``resolve`` checks
the arrays that a unit is about to be bound to and works out those that it makes itself.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import EllipsisType
from typing import Annotated, Any, TypeAlias

import numpy as np

from framebus.errors import BindingError, UsageError

Size: TypeAlias = int | str | EllipsisType | None
Shape: TypeAlias = tuple[int, ...]
ShapesFunction: TypeAlias = Callable[..., Mapping[str, Any]]

DTYPES: tuple[str, ...] = (
    *("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"),
    *("float16", "float32", "float64", "complex64", "complex128"),
)
"""The element types that a stream can hold, hence the ones that a unit can meet."""


class Role(enum.Enum):
    """What a unit does with an array argument."""

    IN = "In"
    OUT = "Out"
    STATE = "State"


In: TypeAlias = Annotated[np.ndarray[Any, Any], Role.IN]
"""An array that the unit reads. The first one triggers it; the others are read as they stand."""

Out: TypeAlias = Annotated[np.ndarray[Any, Any], Role.OUT]
"""An array that the unit fills; published when it returns ``None`` or 0. Keeps its content between frames."""

State: TypeAlias = Annotated[np.ndarray[Any, Any], Role.STATE]
"""An array private to the unit that starts as zeros and lives from frame to frame."""


def stream_dtype(dtype: Any) -> np.dtype[Any]:
    """The NumPy dtype that ``dtype`` (a name, type or dtype) means.

    Raises:
        UsageError: it is none of ``DTYPES`` or not in the machine's byte order.
    """
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise UsageError(f"dtype {dtype!r} is unknown; use one of {', '.join(DTYPES)}") from None
    if found.name not in DTYPES or not found.isnative:
        raise UsageError(f"dtype {found} cannot be held by a stream; use one of {', '.join(DTYPES)}")
    return found


@dataclass(frozen=True, init=False)
class Array:
    """What is demanded of an array argument: ``Annotated[In, Array(("n", "n", 3), dtype="float32")]``.

    Args:
        shape: one entry per axis: an int (exactly this size), a name (the same name is the same size in all
            arguments of the unit), ``None`` (any size) or, once, ``...`` (any number of axes). The whole
            may be ``None`` or ``...``: anything goes.
        dtype: a dtype's name, or a tuple of those that are allowed; ``None``: any.

    Raises:
        UsageError: an entry is none of these.
    """

    shape: tuple[Size, ...] | None
    dtypes: tuple[str, ...]

    def __init__(
        self,
        shape: tuple[Size, ...] | EllipsisType | None = None,
        dtype: str | type[np.generic] | tuple[str | type[np.generic], ...] | None = None,
    ) -> None:
        if shape is ...:
            shape = None
        if shape is not None:
            self._check_shape(shape)
        names = () if dtype is None else dtype if isinstance(dtype, tuple) else (dtype,)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "dtypes", tuple(stream_dtype(name).name for name in names))

    @staticmethod
    def _check_shape(shape: Any) -> None:
        if not isinstance(shape, tuple) or not shape:
            raise UsageError(
                f"Array(shape={shape!r}): a shape is a tuple with one entry per axis, such as ('n', 3) or ('n',)"
            )
        if shape.count(...) > 1:
            raise UsageError(f"Array(shape={shape!r}): '...' may stand only once")
        for size in shape:
            named = isinstance(size, str) and size.isidentifier()
            number = isinstance(size, int) and not isinstance(size, bool) and size >= 1
            if not (named or number or size is None or size is ...):
                raise UsageError(
                    f"Array(shape={shape!r}): {size!r} is no size; use a positive int, a name, None or ..."
                )


@dataclass(frozen=True)
class ArraySpec:
    """Shape (C order, every axis >= 1) and dtype of one array.

    Raises:
        UsageError: the shape is empty or has a size below 1, or the dtype is no stream's.
    """

    shape: Shape
    dtype: np.dtype[Any]

    def __post_init__(self) -> None:
        try:
            shape = tuple(int(size) for size in self.shape)
        except TypeError:
            raise UsageError(f"shape {self.shape!r} is no tuple of sizes") from None
        if not shape or min(shape) < 1:
            raise UsageError(f"shape {shape} must have at least one axis, each of size 1 or more")
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "dtype", stream_dtype(self.dtype))

    def __str__(self) -> str:
        return f"{self.dtype.name} {self.shape}"


@dataclass(frozen=True)
class Argument:
    """One array argument of a unit; ``constraint`` is ``None`` when nothing was declared."""

    name: str
    role: Role
    constraint: Array | None = None
    description: str = ""


class _Symbols:
    """Sizes of the named axes met so far, each with where it was first seen."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.origins: dict[str, str] = {}

    def bind(self, symbol: str, size: int, origin: str) -> bool:
        """Whether ``symbol`` is, or now becomes, ``size``."""
        self.origins.setdefault(symbol, origin)
        return self.sizes.setdefault(symbol, size) == size

    def describe(self, shape: Iterable[Size]) -> str:
        """``(n_modes, n_slopes=14)``: a declared shape with the sizes that are known."""
        words = []
        for size in shape:
            if isinstance(size, str) and size in self.sizes:
                words.append(f"{size}={self.sizes[size]}")
            else:
                words.append("..." if size is ... else "any" if size is None else str(size))
        return f"({', '.join(words)}{',' if len(words) == 1 else ''})"


def _align(declared: tuple[Size, ...], rank: int) -> list[tuple[Size, int]] | None:
    """Pairs of a declared size and the axis it speaks of; ``None`` when the rank does not fit."""
    if ... not in declared:
        return list(zip(declared, range(rank), strict=True)) if len(declared) == rank else None
    split = declared.index(...)
    before, after = declared[:split], declared[split + 1 :]
    if len(before) + len(after) > rank:
        return None
    return [*zip(before, range(rank), strict=False), *zip(after, range(rank - len(after), rank), strict=True)]


class _Resolver:
    """One run of ``resolve``."""

    def __init__(self, unit: str, arguments: tuple[Argument, ...]) -> None:
        self.unit = unit
        self.arguments = {argument.name: argument for argument in arguments}
        self.symbols = _Symbols()
        self.found: dict[str, ArraySpec] = {}
        self.trigger: ArraySpec | None = None

    def names(self, *roles: Role) -> list[str]:
        return [name for name, argument in self.arguments.items() if argument.role in roles]

    def fail(self, name: str, problem: str) -> BindingError:
        role = self.arguments[name].role.value
        return BindingError(f"unit {self.unit!r}, argument {name!r} ({role}): {problem}")

    def accept(self, name: str, spec: ArraySpec) -> None:
        """Check ``spec`` against what is declared for the argument and take its named sizes."""
        constraint = self.arguments[name].constraint or Array()
        if constraint.dtypes and spec.dtype.name not in constraint.dtypes:
            expected = " or ".join(constraint.dtypes)
            raise self.fail(name, f"its dtype is {spec.dtype.name}, expected {expected}")
        if constraint.shape is not None:
            self.accept_shape(name, spec, constraint.shape)
        self.found[name] = spec

    def accept_shape(self, name: str, spec: ArraySpec, declared: tuple[Size, ...]) -> None:
        pairs = _align(declared, len(spec.shape))
        if pairs is None:
            least = "at least " if ... in declared else ""
            count = len(declared) - (... in declared)
            expected = f"{least}{count} {'axis' if count == 1 else 'axes'}: {self.symbols.describe(declared)}"
            raise self.fail(name, f"its shape is {spec.shape}, expected {expected}")
        for size, axis in pairs:
            actual = spec.shape[axis]
            if isinstance(size, int) and actual != size:
                raise self.fail(name, f"its shape is {spec.shape}, expected size {size} on axis {axis}")
            origin = f"axis {axis} of {name!r} {spec.shape}"
            if isinstance(size, str) and not self.symbols.bind(size, actual, origin):
                wanted = f"expected {size} = {self.symbols.sizes[size]} on axis {axis}"
                why = f"the size of {self.symbols.origins[size]}"
                raise self.fail(name, f"its shape is {spec.shape}, {wanted}, {why}")

    def take_inputs(self, inputs: Mapping[str, ArraySpec]) -> None:
        names = self.names(Role.IN)
        for name in inputs:
            if name not in names:
                raise BindingError(f"unit {self.unit!r} has no input {name!r}; it has {_listed(names)}")
        for name in names:
            if name not in inputs:
                raise self.fail(name, "nothing is bound to it; every input needs a stream")
            self.accept(name, inputs[name])
        self.trigger = self.found[names[0]] if names else None

    def default_dtype(self, name: str) -> np.dtype[Any]:
        """The declared dtype; among several, or none, the trigger's when it fits, else float32."""
        constraint = self.arguments[name].constraint
        allowed = constraint.dtypes if constraint else ()
        trigger = self.trigger.dtype if self.trigger is not None else None
        if allowed:
            return trigger if trigger is not None and trigger.name in allowed else np.dtype(allowed[0])
        return trigger if trigger is not None and trigger.kind in "fc" else np.dtype("float32")

    def default_shape(self, name: str) -> Shape | None:
        """The declared shape when all its sizes are known; the trigger's when the shape is left open."""
        constraint = self.arguments[name].constraint
        declared = constraint.shape if constraint and constraint.shape is not None else (...,)
        known: list[int] = []
        for size in declared:
            if isinstance(size, int):
                known.append(size)
            elif isinstance(size, str):
                if size not in self.symbols.sizes:
                    return None
                known.append(self.symbols.sizes[size])
            else:
                return self.trigger.shape if self.trigger is not None else None
        return tuple(known)

    def take_computed(self, shapes: ShapesFunction, wanted: tuple[str, ...]) -> None:
        """Call the unit's shapes function and accept what it says."""
        where = f"unit {self.unit!r}: its shapes function"
        try:
            computed = dict(shapes(**{name: self.found[name] for name in wanted}))
        except BindingError:
            raise
        except Exception as error:
            raise BindingError(f"{where} failed: {type(error).__name__}: {error}") from error
        makes = self.names(Role.OUT, Role.STATE)
        for name, value in computed.items():
            if name not in makes:
                raise BindingError(
                    f"{where} names {name!r}; the unit's outputs and states are {_listed(makes)}"
                )
            try:
                shape, dtype = (value.shape, value.dtype) if isinstance(value, ArraySpec) else value
                spec = ArraySpec(shape, self.default_dtype(name) if dtype is None else dtype)
            except (TypeError, ValueError) as error:
                raise self.fail(
                    name, f"the shapes function gave {value!r}, expected (shape, dtype): {error}"
                ) from None
            self.agree(name, spec)
            self.accept(name, spec)

    def agree(self, name: str, spec: ArraySpec) -> None:
        """Refuse an existing stream that is not what the unit makes."""
        given = self.found.get(name)
        if given is not None and given != spec:
            raise self.fail(name, f"the stream that exists is {given}, expected {spec}, which the unit makes")

    def take_given(self, given: Mapping[str, ArraySpec]) -> None:
        names = self.names(Role.OUT)
        for name, spec in given.items():
            if name not in names:
                raise BindingError(f"unit {self.unit!r} has no output {name!r}; it has {_listed(names)}")
            self.accept(name, spec)

    def take_rest(self, computed: bool) -> None:
        """Outputs and states that nobody has spoken of; one may name a size that another needs."""
        pending = [name for name in self.names(Role.OUT, Role.STATE) if name not in self.found]
        for name in self.names(Role.OUT):
            if (
                name in self.found
                and not computed
                and self.arguments[name].constraint is None
                and self.trigger
            ):
                # Such a unit counts on an output as large as its trigger; another one would be overrun.
                self.agree(name, ArraySpec(self.trigger.shape, self.found[name].dtype))
        while pending:
            ready = [name for name in pending if self.default_shape(name) is not None]
            if not ready:
                raise self.unknown(pending[0])
            for name in ready:
                shape = self.default_shape(name)
                assert shape is not None
                self.accept(name, ArraySpec(shape, self.default_dtype(name)))
                pending.remove(name)

    def unknown(self, name: str) -> BindingError:
        constraint = self.arguments[name].constraint
        declared = self.symbols.describe(constraint.shape) if constraint and constraint.shape else "nothing"
        create = ", or create its stream before" if self.arguments[name].role is Role.OUT else ""
        return self.fail(
            name,
            f"its shape is not known: declared is {declared} and the inputs do not settle it; declare sizes that an "
            f"input has or fixed ones, or add a function under @{self.unit}.shapes{create}",
        )


def resolve(
    unit: str,
    arguments: tuple[Argument, ...],
    inputs: Mapping[str, ArraySpec],
    given_outputs: Mapping[str, ArraySpec],
    shapes: ShapesFunction | None = None,
    shapes_inputs: tuple[str, ...] = (),
) -> dict[str, ArraySpec]:
    """Specs of all arrays of a unit, in the order of its arguments.

    Inputs are checked first and settle the named sizes; then streams that exist for outputs, then the
    ``shapes`` function, which is given the specs of ``shapes_inputs`` by keyword; what is left gets its
    declared shape, or the trigger's where nothing is declared.

    Raises:
        BindingError: an array does not fit, or the shape of an output or state cannot be known.
    """
    resolver = _Resolver(unit, arguments)
    resolver.take_inputs(inputs)
    resolver.take_given(given_outputs)
    if shapes is not None:
        resolver.take_computed(shapes, shapes_inputs)
    resolver.take_rest(computed=shapes is not None)
    return {argument.name: resolver.found[argument.name] for argument in arguments}


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names) or "none"
