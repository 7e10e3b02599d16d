"""Units: functions on arrays, declared by their signature, that run in a native loop."""

import sys
from types import ModuleType

from framebus.process import Limits
from framebus.unit.arrays import Argument, Array, ArraySpec, In, Out, Role, State
from framebus.unit.declare import Declaration, FunctionUnit, unit
from framebus.unit.device import Unit
from framebus.unit.load import load_unit
from framebus.unit.loop import Loop, start
from framebus.unit.options import LoopOptions
from framebus.unit.parameters import About, Parameter, Range
from framebus.unit.stage import SKIP, Stage

__all__ = [
    "SKIP",
    "About",
    "Argument",
    "Array",
    "ArraySpec",
    "Declaration",
    "FunctionUnit",
    "In",
    "Limits",
    "Loop",
    "LoopOptions",
    "Out",
    "Parameter",
    "Range",
    "Role",
    "Stage",
    "State",
    "Unit",
    "load_unit",
    "start",
    "unit",
]


class _UnitModule(ModuleType):
    """``framebus.unit`` is this package and, for ``@fb.unit``, the decorator of that name."""

    __call__ = staticmethod(unit)


sys.modules[__name__].__class__ = _UnitModule
