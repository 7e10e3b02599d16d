"""A unit's compiled kernel frame by frame, without streams or a loop."""

from __future__ import annotations

from typing import Any

import numpy as np

from framebus.unit import ArraySpec, FunctionUnit
from support import machine_code


class Frames:
    """A unit bound to arrays: ``step(gain=0.5)`` computes one frame with live parameters."""

    def __init__(
        self, unit: FunctionUnit, inputs: dict[str, Any], *, compiled: bool = True, **params: Any
    ) -> None:
        specs = unit.resolve({name: ArraySpec(array.shape, array.dtype) for name, array in inputs.items()})
        self.arrays = {
            name: np.ascontiguousarray(inputs[name]) if name in inputs else np.zeros(spec.shape, spec.dtype)
            for name, spec in specs.items()
        }
        self.params = {parameter.name: parameter.default for parameter in unit.parameters}
        self.unit = unit
        self.compiled = compiled
        self.set(**params)

    def set(self, **params: Any) -> None:
        for name, value in params.items():
            self.params[name] = self.unit.parameter(name).check(value)

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name]

    def step(self, count: int = 1, **params: Any) -> Frames:
        self.set(**params)
        for _ in range(count):
            arrays = list(self.arrays.values())
            if self.compiled:
                code = machine_code.run(self.unit, arrays, self.params)
            else:
                code = self.unit(*arrays, **self.params)
            assert code is None
        return self
