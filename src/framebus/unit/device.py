"""Units for devices: a class with a life before and after its frames.

The loop calls ``setup`` once, ``step`` for every trigger and ``teardown`` once at the end, in the interpreter:
``step`` in its own thread, the other two in the threads that start and stop it.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import FunctionType, MappingProxyType
from typing import Any, ClassVar

from framebus.errors import UsageError
from framebus.process import Event
from framebus.unit.arrays import ArraySpec, resolve
from framebus.unit.checks import Check
from framebus.unit.declare import Declaration, use_of


class Unit:
    """Base of device units; a subclass declares arrays and parameters by the signature of its ``step``.

    ::

        class Camera(Unit):
            def setup(self) -> None: ...
            def step(self, frame: Out, *, exposure: float = 0.001) -> None: ...
            def teardown(self) -> None: ...

    ``step`` follows the rules of ``@unit`` functions; it may raise, or return a non-zero int, to say that
    the frame is not to be published. A method ``shapes`` may tell the shapes of outputs and states, as a
    function under ``@unit.shapes`` does; it is asked after ``setup``, when the device is open. A method ``check`` may
    look at parameters taken together, as a function under ``@unit.check`` does; it is asked before ``setup``.

    Attributes:
        declaration: arrays and parameters; only classes that define ``step`` have it.

    Raises:
        UsageError: when a subclass is defined whose ``step``, ``shapes`` or ``check`` has a wrong signature.
    """

    declaration: ClassVar[Declaration]

    def __init_subclass__(cls, *, name: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        step = inspect.getattr_static(cls, "step", None)
        if step is None:
            return  # a common base of several devices
        if not isinstance(step, FunctionType):
            raise UsageError(f"unit {cls.__name__!r}: 'step' must be a method: def step(self, ...)")
        localns = sys._getframe(1).f_locals
        cls.declaration = Declaration(
            step, name or cls.__name__, method=True, use=use_of(cls), localns=localns
        )
        if (shapes := _unbound(cls, "shapes")) is not None:
            cls.declaration.check_shapes(shapes)
        if (check := _unbound(cls, "check")) is not None:
            cls.declaration.check(check)  # of the class; that of an object is bound to it when it runs

    def setup(self) -> None:
        """Open the device; an exception here keeps the unit from starting."""

    def teardown(self) -> None:
        """Close the device; called even when ``setup`` or ``step`` raised."""

    # ---- hooks, each called at the event of its name; what one raises is a failure of the unit ----

    def on_init(self) -> None:
        """It gets its record: off to standby."""

    def on_enable(self) -> None:
        """It was set up and its streams are there: standby to idle."""

    def on_run(self) -> None:
        """Frames are about to flow: idle to running, also after a pause."""

    def on_idle(self) -> None:
        """The last frame is done, for the time being: running to idle."""

    def on_disable(self) -> None:
        """It is about to be torn down: idle to standby."""

    def on_stop(self) -> None:
        """Its life ends: to off. If it was running or idle, ``on_idle`` and ``on_disable`` came before."""

    def on_fail(self, message: str) -> None:
        """It failed: to error. It is torn down next."""

    def on_recover(self) -> None:
        """It may be enabled again: error to standby."""

    def hook(self, event: Event) -> Callable[..., None] | None:
        """Its method for ``event``, where it has one of its own."""
        name = f"on_{event.value}"
        method: Callable[..., None] = getattr(self, name)
        return None if getattr(type(self), name) is getattr(Unit, name) else method

    def checks(self) -> Check | None:
        """This object's ``check`` method, where it has one."""
        declaration = type(self).declaration
        method: Callable[..., Any] | None = getattr(self, "check", None)
        return (
            None
            if method is None or declaration.checks is None
            else replace(declaration.checks, function=method)
        )

    def resolve(
        self, inputs: Mapping[str, ArraySpec], given_outputs: Mapping[str, ArraySpec] = MappingProxyType({})
    ) -> dict[str, ArraySpec]:
        """As ``Declaration.resolve``, with this object's ``shapes`` method where it has one.

        Raises:
            BindingError: an array does not fit what is declared, or a shape cannot be known.
        """
        declaration = type(self).declaration
        shapes: Callable[..., Any] | None = getattr(self, "shapes", None)
        names = declaration.check_shapes(shapes) if shapes is not None else ()
        return resolve(declaration.name, declaration.arguments, inputs, given_outputs, shapes, names)


def _unbound(cls: type[Unit], name: str) -> Callable[..., Any] | None:
    """A method as its caller sees it: a plain one, which is a function until it is bound, without its ``self``."""
    method: Callable[..., Any] | None = getattr(cls, name, None)
    if not isinstance(method, FunctionType) or isinstance(inspect.getattr_static(cls, name), staticmethod):
        return method
    return functools.partial(method, None)
