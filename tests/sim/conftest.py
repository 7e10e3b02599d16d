"""Run a unit's compiled kernel frame by frame, without streams or a loop."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from framebus.unit.arrays import ArraySpec
from framebus.unit.declare import FunctionUnit


class Frames:
    """A unit bound to arrays: ``step(gain=0.5)`` computes one frame with live parameters."""

    def __init__(
        self, unit: FunctionUnit, inputs: dict[str, Any], *, compiled: bool = True, **params: Any
    ) -> None:
        specs = unit.resolve({name: ArraySpec(array.shape, array.dtype) for name, array in inputs.items()})
        self.arrays = {
            name: inputs[name] if name in inputs else np.zeros(spec.shape, spec.dtype)
            for name, spec in specs.items()
        }
        self.params = {parameter.name: parameter.default for parameter in unit.parameters}
        self.compiled = compiled
        self.unit = unit
        self.set(**params)

    def set(self, **params: Any) -> None:
        for name, value in params.items():
            self.params[name] = self.unit.parameter(name).check(value)

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name]

    def step(self, count: int = 1, **params: Any) -> Frames:
        self.set(**params)
        for _ in range(count):
            if self.compiled:
                code = self.unit.jit(*self.arrays.values(), *self.params.values())
            else:
                code = self.unit(*self.arrays.values(), **self.params)
            assert code is None
        return self


@pytest.fixture(scope="session")
def hcipy() -> Any:
    """HCIPy, whose sensors are a reference for ours; the test is skipped where it cannot be imported."""
    with warnings.catch_warnings(action="ignore"):
        try:
            # Of the session, for the library starts threads that no test is to be blamed for.
            return importlib.import_module("hcipy")
        except ImportError as error:
            pytest.skip(f"HCIPy cannot be imported: {error}; pip install --group test")


@pytest.fixture
def frames() -> Callable[..., Frames]:
    return Frames
