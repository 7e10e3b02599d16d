"""Units for devices: a class with a life before and after its frames.

The loop calls ``setup`` once, ``step`` for every trigger and ``teardown`` once at the end, in the interpreter:
``step`` in its own thread, the other two in the threads that start and stop it.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping
from types import FunctionType, MappingProxyType
from typing import Any, ClassVar

from framebus.errors import UsageError
from framebus.unit.arrays import ArraySpec, resolve
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
    function under ``@unit.shapes`` does; it is asked after ``setup``, when the device is open.

    Attributes:
        declaration: arrays and parameters; only classes that define ``step`` have it.

    Raises:
        UsageError: when a subclass is defined whose ``step`` or ``shapes`` has a wrong signature.
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
        shapes: Callable[..., Any] | None = getattr(cls, "shapes", None)
        if shapes is not None:
            # A plain method, which is a function until it is bound, has 'self' before the inputs.
            bound = functools.partial(shapes, None) if isinstance(shapes, FunctionType) else shapes
            static = isinstance(inspect.getattr_static(cls, "shapes"), staticmethod)
            cls.declaration.check_shapes(shapes if static else bound)

    def setup(self) -> None:
        """Open the device; an exception here keeps the unit from starting."""

    def teardown(self) -> None:
        """Close the device; called even when ``setup`` or ``step`` raised."""

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
