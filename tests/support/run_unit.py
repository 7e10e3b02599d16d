"""Run a unit on arrays without streams, with guard cells round everything that it writes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from framebus.unit import ArraySpec, FunctionUnit
from framebus.unit.arrays import Role
from support import machine_code

Arrays = dict[str, NDArray[Any]]
GUARD = 77
CELLS = 32


class Bench:
    """A unit with its arrays; outputs and states live from call to call, as in a loop.

    Args:
        unit: the unit.
        inputs: by argument name; ``step`` may replace each by one of the same shape and dtype.
        compiled: whether the compiled form runs, or the interpreter.
        outputs: specs of outputs that the inputs do not settle.
        parameters: those that differ from their defaults.
    """

    def __init__(
        self,
        unit: FunctionUnit,
        inputs: Arrays,
        *,
        compiled: bool = True,
        outputs: dict[str, ArraySpec] | None = None,
        **parameters: Any,
    ) -> None:
        self.unit = unit
        self.inputs = inputs
        self.compiled = compiled
        self.parameters = {p.name: p.default for p in unit.parameters} | parameters
        specs = unit.resolve({k: ArraySpec(a.shape, a.dtype) for k, a in inputs.items()}, outputs or {})
        self.made: Arrays = {}
        self._guarded: list[NDArray[Any]] = []
        for argument in unit.arguments:
            if argument.role is Role.IN:
                continue
            spec = specs[argument.name]
            size = int(np.prod(spec.shape))
            buffer = np.full(size + 2 * CELLS, GUARD, spec.dtype)
            buffer[CELLS:-CELLS] = 0
            self.made[argument.name] = buffer[CELLS:-CELLS].reshape(spec.shape)
            self._guarded.append(buffer)

    def step(self, **inputs: NDArray[Any]) -> Any:
        """One frame; what the unit returned."""
        self.inputs = {**self.inputs, **inputs}
        before = {name: array.copy() for name, array in self.inputs.items()}
        arrays = [(self.inputs | self.made)[argument.name] for argument in self.unit.arguments]
        if self.compiled:
            code = machine_code.run(self.unit, arrays, self.parameters)
        else:
            with np.errstate(all="ignore"):  # bad pixels
                code = self.unit(*arrays, **self.parameters)
        for buffer in self._guarded:
            assert (buffer[:CELLS] == GUARD).all()
            assert (buffer[-CELLS:] == GUARD).all()
        for name, array in self.inputs.items():
            np.testing.assert_array_equal(array, before[name])
        return code

    def __getitem__(self, name: str) -> NDArray[Any]:
        """A copy of an output or state."""
        return self.made[name].copy()
