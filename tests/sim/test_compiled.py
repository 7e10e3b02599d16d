from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from framebus.errors import BindingError, ParameterError, UnitError
from framebus.sim.compiled import Compiled
from framebus.unit import In, Out, unit


@unit
def scaled(image: In, result: Out, *, factor: float = 2.0) -> int:
    """Result = factor · image; refuses a negative first value."""
    for i in range(image.size):
        result[i] = factor * image[i]
    return 7 if image[0] < 0.0 else 0


def arrays() -> dict[str, Any]:
    return {"image": np.arange(3, dtype=np.float32), "result": np.zeros(3, np.float32)}


def test_a_call_computes_in_place_with_the_parameters_of_then() -> None:
    held = arrays()
    call = Compiled(scaled, held)
    call()
    np.testing.assert_array_equal(held["result"], [0, 2, 4])
    held["image"][:] = 1.0
    call.set(factor=5.0)
    call()
    np.testing.assert_array_equal(held["result"], [5, 5, 5])
    held["image"][0] = -1.0
    with pytest.raises(UnitError, match="returned 7"):
        call()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(BindingError, match="C-contiguous"):
        Compiled(scaled, {**arrays(), "image": np.zeros(6, np.float32)[::2]})
    with pytest.raises(BindingError):
        Compiled(scaled, {**arrays(), "result": np.zeros((3, 3), np.float32)})
    with pytest.raises(ParameterError, match="no parameter 'gain'"):
        Compiled(scaled, arrays(), gain=1.0)
    with pytest.raises(ParameterError):
        Compiled(scaled, arrays(), factor="much")
