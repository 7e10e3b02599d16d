"""Units: functions on arrays, declared by their signature, that run in a native loop."""

from framebus.unit.arrays import Argument, Array, ArraySpec, In, Out, Role, State
from framebus.unit.declare import Declaration, FunctionUnit, Parameter, Range, unit
from framebus.unit.device import Unit
from framebus.unit.load import load_unit

__all__ = [
    "Argument",
    "Array",
    "ArraySpec",
    "Declaration",
    "FunctionUnit",
    "In",
    "Out",
    "Parameter",
    "Range",
    "Role",
    "State",
    "Unit",
    "load_unit",
    "unit",
]
