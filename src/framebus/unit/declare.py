"""What a unit is: its arrays and parameters, read from a function's signature.

``@unit`` turns a function into a ``FunctionUnit``. Everything that can be wrong with a signature is said
here, where the function stands, with its name, the argument and what to do.
"""

from __future__ import annotations

import inspect
import os
import re
import sys
import typing
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from types import FunctionType, MappingProxyType, SimpleNamespace
from typing import Annotated, Any, TypeAlias, overload

from framebus.errors import ParameterError, UsageError
from framebus.params.cells import TEXT_TYPES
from framebus.process import Event
from framebus.unit.arrays import Argument, Array, ArraySpec, Role, ShapesFunction, resolve
from framebus.unit.checks import Check, CheckFunction
from framebus.unit.hooks import Hook, HookFunction, event_named
from framebus.unit.parameters import About, Parameter, Range, description_of, read_parameter

FastMath: TypeAlias = bool | frozenset[str]

_FASTMATH = frozenset({"nnan", "ninf", "nsz", "arcp", "contract", "afn", "reassoc", "fast"})
FILE_MODULE_PREFIX = "_framebus_file_"
"""Modules that ``load_unit`` made from a path are registered under this prefix and a hash of the path."""


class Declaration:
    """Arrays and parameters of a unit, and where its code is found again.

    Attributes:
        name: the unit's name.
        arguments: its arrays, in the order of the signature.
        parameters: its live parameters, in the order of the signature.
        checks: what checks their combinations, if anything does.
        hooks: what is called at events; a device has methods instead.
        carries: whether its outputs take on the counts and keywords of its first input's stream.
        use: ``"package.module:name"``, or ``"/path/file.py:name"`` for a file that is in no package;
            ``load_unit`` takes it.
    """

    carries = False

    def __init__(
        self,
        function: Callable[..., Any],
        name: str | None,
        *,
        method: bool,
        use: str,
        localns: Mapping[str, Any],
    ) -> None:
        self.name = _checked_name(name if name is not None else function.__name__)
        self.use = use
        self.arguments, self.parameters = _read_signature(self.name, function, method, localns)
        self.checks: Check | None = None
        self.hooks: dict[Event, Hook] = {}
        self._shapes: ShapesFunction | None = None
        self._shapes_inputs: tuple[str, ...] = ()

    def inputs(self) -> tuple[Argument, ...]:
        """The ``In`` arguments; the first one triggers."""
        return tuple(argument for argument in self.arguments if argument.role is Role.IN)

    def outputs(self) -> tuple[Argument, ...]:
        """The ``Out`` arguments."""
        return tuple(argument for argument in self.arguments if argument.role is Role.OUT)

    def states(self) -> tuple[Argument, ...]:
        """The ``State`` arguments."""
        return tuple(argument for argument in self.arguments if argument.role is Role.STATE)

    def parameter(self, name: str) -> Parameter:
        """The parameter called ``name``.

        Raises:
            ParameterError: the unit has none of that name.
        """
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        names = ", ".join(parameter.name for parameter in self.parameters) or "none"
        raise ParameterError(f"unit {self.name!r} has no parameter {name!r}; it has: {names}")

    def check(self, function: CheckFunction) -> CheckFunction:
        """Decorator: ``function`` tells what is wrong with the parameters taken together.

        It takes any of the unit's parameters by name, and returns ``None``, or what it found: ``{"parameter": text}``,
        or one text, which is then told beside each of the parameters that it takes. While it finds something
        the unit does not start.

        Raises:
            UsageError: it takes something that is no parameter of the unit.
        """
        self.checks = Check.of(self.name, function, [parameter.name for parameter in self.parameters])
        return function

    def on(self, event: str) -> Callable[[HookFunction], HookFunction]:
        """Decorator: the function is called at that event: init, enable, run, idle, disable, stop, fail or recover.

        It takes any of the unit's parameters by name; at enable, run, idle and disable also outputs and states, which
        it may change, as no frame is computed then; at fail the ``message``. What it raises is a failure of the unit.

        Raises:
            UsageError: there is no such event, it has a hook already, or the function takes something else.
        """
        name = event_named(self.name, event)

        def add(function: HookFunction) -> HookFunction:
            if name in self.hooks:
                raise UsageError(f"unit {self.name!r} has a hook on {event!r} already; call both in one")
            arrays = [argument.name for argument in self.arguments if argument.role is not Role.IN]
            parameters = [parameter.name for parameter in self.parameters]
            self.hooks[name] = Hook.of(self.name, name, function, arrays, parameters)
            return function

        return add

    def shapes(self, function: ShapesFunction) -> ShapesFunction:
        """Decorator: ``function`` tells the shapes and dtypes that declared sizes cannot.

        It takes any of the unit's inputs by name, each an ``ArraySpec``, and returns
        ``{"output or state": (shape, dtype)}``; a dtype of ``None`` means the usual one.

        Raises:
            UsageError: it takes something that is no input of the unit.
        """
        self._shapes_inputs = self.check_shapes(function)
        self._shapes = function
        return function

    def check_shapes(self, function: ShapesFunction) -> tuple[str, ...]:
        """Names of the inputs that a shapes function takes.

        Raises:
            UsageError: it takes something that is no input of the unit.
        """
        names = [argument.name for argument in self.inputs()]
        for parameter in inspect.signature(function).parameters.values():
            by_name = parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            if not by_name or parameter.name not in names:
                raise UsageError(
                    f"unit {self.name!r}: its shapes function takes {parameter.name!r}, but only the unit's inputs "
                    f"can be asked for: {', '.join(names) or 'it has none'}"
                )
        return tuple(inspect.signature(function).parameters)

    def resolve(
        self, inputs: Mapping[str, ArraySpec], given_outputs: Mapping[str, ArraySpec] = MappingProxyType({})
    ) -> dict[str, ArraySpec]:
        """Specs of all arrays, in order, from those of the inputs and of output streams that exist already.

        Raises:
            BindingError: an array does not fit what is declared, or a shape cannot be known.
        """
        return resolve(self.name, self.arguments, inputs, given_outputs, self._shapes, self._shapes_inputs)


class FunctionUnit(Declaration):
    """A unit made of a function; calling it runs the function in plain Python.

    Attributes:
        function: the function as written.
        compiled: whether the loop runs machine code made of it, or calls it in the interpreter.
        fastmath: what the compiler may assume of floating point, as Numba's option of that name.
        carries: whether its outputs take on the counts and keywords of its first input's stream.
    """

    def __init__(
        self,
        function: FunctionType,
        name: str | None = None,
        *,
        compiled: bool = True,
        fastmath: bool | Iterable[str] = False,
        carries: bool = False,
        localns: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        super().__init__(function, name, method=False, use=use_of(function), localns=localns)
        self.function = function
        self.compiled = compiled
        self.carries = carries
        self.fastmath = _checked_fastmath(self.name, fastmath)
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__qualname__ = function.__qualname__
        self.__module__ = function.__module__
        self.__wrapped__ = function
        texts = [parameter.name for parameter in self.parameters if parameter.type in TEXT_TYPES]
        if compiled and texts:
            raise UsageError(
                f"unit {self.name!r}, parameter {texts[0]!r}: a compiled unit cannot take a str; use int, float or "
                f"bool, or @unit(compiled=False)"
            )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the function in the interpreter."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<unit {self.name!r} of {self.use}>"

    @cached_property
    def jit(self) -> Any:
        """The Numba dispatcher of the function, its plain Python helpers compiled along; same signature.

        Raises:
            UsageError: the unit was declared with ``compiled=False``.
        """
        if not self.compiled:
            raise UsageError(f"unit {self.name!r} is declared with compiled=False; it has no compiled form")
        from framebus.unit.helpers import dispatcher

        return dispatcher(self.function, self.fastmath)


@overload
def unit(function: Callable[..., Any], /) -> FunctionUnit: ...
@overload
def unit(
    *,
    compiled: bool = True,
    fastmath: bool | Iterable[str] = False,
    name: str | None = None,
    carries: bool = False,
) -> Callable[[Callable[..., Any]], FunctionUnit]: ...
def unit(
    function: Callable[..., Any] | None = None,
    /,
    *,
    compiled: bool = True,
    fastmath: bool | Iterable[str] = False,
    name: str | None = None,
    carries: bool = False,
) -> FunctionUnit | Callable[[Callable[..., Any]], FunctionUnit]:
    """Make a unit of a function: ``@unit`` or ``@unit(compiled=False)``.

    Positional arguments are arrays annotated ``In``, ``Out`` or ``State``; keyword-only ones are live
    parameters annotated ``float``, ``int``, ``bool`` (``str`` with ``compiled=False``) with a default.

    Args:
        compiled: compile it with Numba for the arrays it is bound to, or run it in the interpreter.
        fastmath: let the compiler reorder floating-point arithmetic: ``True`` or a set of LLVM's flags.
        name: the unit's name; the function's when ``None``.
        carries: its outputs are the first input's stream handed on: their frames get the counts of the frames that they
            were made from, so that what the unit missed its readers miss too, and their streams get its keywords, kept
            up to date while it runs. (Times of acquisition are handed on by every unit.)

    Raises:
        UsageError: the signature is not that of a unit; the message says which argument and what to do.
    """
    localns = sys._getframe(1).f_locals
    if name is not None:
        _checked_name(name)

    def declare(function: Callable[..., Any]) -> FunctionUnit:
        if isinstance(function, type) or not isinstance(function, FunctionType):
            raise UsageError(
                f"@unit stands over a plain function, not over {function!r}; for a device subclass framebus.unit.Unit"
            )
        made = FunctionUnit(
            function, name, compiled=compiled, fastmath=fastmath, carries=carries, localns=localns
        )
        if carries and not made.inputs():
            raise UsageError(f"unit {made.name!r} has no input whose counts it could carry")
        return made

    return declare if function is None else declare(function)


def use_of(item: Any) -> str:
    """Where ``load_unit`` finds a function or class again."""
    module = sys.modules.get(item.__module__)
    name = item.__qualname__
    spec = getattr(module, "__spec__", None)
    file = getattr(module, "__file__", None)
    if file is None and isinstance(item, FunctionType):
        file = item.__code__.co_filename
    loose = module is None or item.__module__.startswith(FILE_MODULE_PREFIX)
    if item.__module__ == "__main__" and spec is not None:
        return f"{spec.name}:{name}"
    if (loose or item.__module__ == "__main__") and file is not None and os.path.isfile(file):
        return f"{os.path.abspath(file)}:{name}"
    return f"{item.__module__}:{name}"


def _checked_name(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", name):
        raise UsageError(
            f"{name!r} cannot be a unit's name: up to 64 letters, digits, '_', '-' and '.', a letter first; "
            f"give one with @unit(name=...)"
        )
    return name


def _checked_fastmath(name: str, fastmath: bool | Iterable[str]) -> FastMath:
    if isinstance(fastmath, bool):
        return fastmath
    flags = frozenset([fastmath] if isinstance(fastmath, str) else fastmath)
    if not flags <= _FASTMATH:
        raise UsageError(
            f"unit {name!r}: fastmath has no flag {', '.join(sorted(map(repr, flags - _FASTMATH)))}; "
            f"use True, False or a set of {', '.join(sorted(_FASTMATH))}"
        )
    return flags


def _read_signature(
    unit: str, function: Callable[..., Any], method: bool, localns: Mapping[str, Any]
) -> tuple[tuple[Argument, ...], tuple[Parameter, ...]]:
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise UsageError(f"unit {unit!r} is a coroutine or a generator; a unit is a function that returns")
    arguments: list[Argument] = []
    parameters: list[Parameter] = []
    signature = list(inspect.signature(function).parameters.values())
    for item in signature[1:] if method else signature:
        if item.kind in (item.VAR_POSITIONAL, item.VAR_KEYWORD):
            stars = "*" if item.kind is item.VAR_POSITIONAL else "**"
            raise UsageError(
                f"unit {unit!r}, argument '{stars}{item.name}': a unit has a fixed number of arguments; name each one"
            )
        hint = _resolve_hint(unit, function, item, localns)
        if item.kind is item.KEYWORD_ONLY:
            parameters.append(read_parameter(unit, item, hint))
        else:
            arguments.append(_read_argument(unit, item, hint))
    if not any(argument.role is not Role.STATE for argument in arguments):
        raise UsageError(f"unit {unit!r} has neither input nor output; annotate an argument with In or Out")
    return tuple(arguments), tuple(parameters)


def _resolve_hint(
    unit: str, function: Callable[..., Any], item: inspect.Parameter, localns: Mapping[str, Any]
) -> tuple[Any, tuple[Any, ...]]:
    """The annotation of one argument as its type and what ``Annotated`` adds to it."""
    if item.annotation is item.empty:
        remedy = (
            "annotate it with float, int, bool or str"
            if item.kind is item.KEYWORD_ONLY
            else "annotate it with In, Out or State, or put it after '*' to make it a parameter"
        )
        raise UsageError(f"unit {unit!r}, argument {item.name!r}: it has no type; {remedy}")
    holder = SimpleNamespace(__annotations__={item.name: item.annotation})
    globalns = getattr(inspect.unwrap(function), "__globals__", {})
    try:
        hint = typing.get_type_hints(holder, globalns, dict(localns), include_extras=True)[item.name]
    except UsageError as error:
        raise UsageError(f"unit {unit!r}, argument {item.name!r}: {error}") from None
    except Exception as error:
        raise UsageError(
            f"unit {unit!r}, argument {item.name!r}: its annotation {item.annotation!r} cannot be resolved: {error}; "
            f"what it names must be imported at module level, not under TYPE_CHECKING"
        ) from error
    if typing.get_origin(hint) is Annotated:
        base, *extras = typing.get_args(hint)
        return base, tuple(extras)
    return hint, ()


def _read_argument(unit: str, item: inspect.Parameter, hint: tuple[Any, tuple[Any, ...]]) -> Argument:
    where = f"unit {unit!r}, argument {item.name!r}"
    _, extras = hint
    roles = [extra for extra in extras if isinstance(extra, Role)]
    if len(roles) != 1:
        problem = "more than one role" if roles else "no role"
        raise UsageError(
            f"{where}: it has {problem}; annotate it with one of In, Out and State, or put it after '*' to make it a "
            f"parameter"
        )
    if item.default is not item.empty:
        raise UsageError(f"{where}: an array has no default; remove '= {item.default!r}'")
    for extra in extras:
        if isinstance(extra, Range | About):
            raise UsageError(
                f"{where}: {type(extra).__name__} is for parameters; an array takes Array(shape, dtype)"
            )
    constraints = [extra for extra in extras if isinstance(extra, Array)]
    if len(constraints) > 1 or any(extra is Array for extra in extras):
        raise UsageError(f"{where}: say what is demanded of it in one Array(shape, dtype)")
    return Argument(
        item.name, roles[0], constraints[0] if constraints else None, description_of(where, extras)
    )
