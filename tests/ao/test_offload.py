from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from framebus.ao import grid_modes, mode_projector, offload
from framebus.errors import ParameterError
from framebus.unit import SKIP
from support.ao_loop import Controlling

TIP_TILT = grid_modes(np.ones((4, 4)), ["tip", "tilt"])


def test_the_slow_mirror_takes_over_what_the_fast_one_holds() -> None:
    control = Controlling(offload, 16, {"projector": mode_projector(TIP_TILT)}, gain=0.1, limit=10.0)
    wanted = np.array([0.7, -0.4])
    slow: Any = np.zeros(2)
    for _ in range(120):  # the fast loop gives way at once
        slow = control((wanted - slow) @ TIP_TILT)
    np.testing.assert_allclose(slow, wanted * (1 - 0.9**120), atol=1e-4)


def test_it_averages_and_publishes_nothing_in_between() -> None:
    control = Controlling(
        offload, 3, {"projector": np.eye(3, dtype="float32")[:2]}, gain=1.0, leak=0.5, every=3
    )
    arrays, run = list(control.arrays.values()), offload.jit
    control.arrays["slow"][:] = [0.2, 0.0]
    codes = []
    for value in (0.0, 0.3, 0.6):
        control.arrays["command"][:] = value
        codes.append(run(*arrays, **control.params))
    assert codes == [SKIP, SKIP, 0]
    np.testing.assert_allclose(control.arrays["slow"], [0.4, 0.3], rtol=1e-6)


@pytest.mark.parametrize("compiled", [True, False])
def test_it_stays_within_its_limit_and_passes_over_bad_frames(compiled: bool) -> None:
    control = Controlling(offload, 2, {"projector": np.eye(2, dtype="float32")}, gain=1.0, limit=0.5)
    run = offload.jit if compiled else offload
    control.arrays["command"][:] = [3.0, -3.0]
    assert run(*control.arrays.values(), **control.params) == 0
    np.testing.assert_array_equal(control.arrays["slow"], [0.5, -0.5])
    control.arrays["command"][:] = [np.nan, 0.0]
    assert run(*control.arrays.values(), **control.params) == SKIP
    control.arrays["command"][:] = [-1.0, 0.25]
    run(*control.arrays.values(), **control.params)
    np.testing.assert_array_equal(control.arrays["slow"], [-0.5, -0.25])


def test_parameters_have_limits() -> None:
    for name, value in (("gain", 1.5), ("every", 0), ("limit", -1.0), ("leak", 2.0)):
        with pytest.raises(ParameterError):
            offload.parameter(name).check(value)
