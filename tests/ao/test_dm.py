from __future__ import annotations

import numpy as np
import pytest

from framebus.ao import dm_command
from framebus.errors import BindingError
from framebus.unit import ArraySpec

FLOAT = np.dtype("float32")


@pytest.mark.parametrize("compiled", [True, False])
def test_flat_plus_command_inside_the_limits(compiled: bool) -> None:
    run = dm_command.jit if compiled else dm_command
    flat = np.array([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]], "float32")
    command = np.array([0.0, 0.5, 5.0, -5.0, -0.5, 0.1], "float32")
    dm = np.zeros((2, 3), "float32")
    run(command, flat, dm, minimum=-0.5, maximum=0.65)
    np.testing.assert_allclose(dm, [[0.1, 0.65, 0.65], [-0.5, 0.0, 0.65]], rtol=1e-6)


@pytest.mark.parametrize("compiled", [True, False])
def test_an_actuator_keeps_its_place_while_its_command_is_not_finite(compiled: bool) -> None:
    run = dm_command.jit if compiled else dm_command
    dm = np.array([0.3, 0.4, 0.5], "float32")
    command = np.array([np.nan, np.inf, 0.0], "float32")
    run(command, np.zeros(3, "float32"), dm, minimum=-1.0, maximum=1.0)
    np.testing.assert_array_equal(dm, np.array([0.3, 0.4, 0.0], "float32"))


def test_the_mirror_has_the_shape_of_its_flat() -> None:
    specs = {"command": ArraySpec((144,), FLOAT), "flat": ArraySpec((12, 12), FLOAT)}
    assert dm_command.resolve(specs)["dm"] == ArraySpec((12, 12), FLOAT)
    with pytest.raises(BindingError, match=r"'flat'.*\(12, 12\), 144 actuators.*140"):
        dm_command.resolve(specs | {"command": ArraySpec((140,), FLOAT)})
