"""Machine code of kernels: what the compiler is kept from."""

from __future__ import annotations

import platform

import llvmlite.binding as llvm
import numpy as np
import pytest

from framebus.unit import ArraySpec, In, Out, kernel, object_code, unit


@unit
def holding(error: In, command: Out) -> None:
    """An element that is not finite holds."""
    for i in range(command.size):
        new = command[i] - error[i]
        command[i] = new if np.isfinite(new) else command[i]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="masked stores are slow on x86-64 only")
def test_elements_that_hold_are_stored_whole() -> None:
    spec = ArraySpec((64,), np.dtype("float32"))
    specs = holding.resolve({"error": spec}, {"command": spec})
    wrapper = kernel._compile(holding, kernel._array_types(holding, specs))
    written = object_code._keep_whole_stores(wrapper.inspect_llvm())
    machine = object_code._machine()
    assert "maskmov" not in machine.emit_assembly(llvm.parse_assembly(written))
    assert written.count("volatile") > 0, (
        "no such store was found: has the form of the optimised code changed?"
    )
    arrays = [np.array([1, np.nan, 3] + [0] * 61, np.float32), np.full(64, 5, np.float32)]
    holding.jit(*arrays)
    assert arrays[1][:4].tolist() == [4, 5, 2, 5]
