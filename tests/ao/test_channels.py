from __future__ import annotations

import inspect

import numpy as np
import pytest

from framebus.ao.channels import MAX_CHANNELS, channel_sum
from framebus.errors import BindingError, UsageError
from framebus.unit import ArraySpec, load_unit

FLOAT = np.dtype("float32")
RNG = np.random.default_rng(8)


@pytest.mark.parametrize("n", [2, 3, 16])
@pytest.mark.parametrize("compiled", [True, False])
def test_the_sum_of_channels_is_exact(n: int, compiled: bool) -> None:
    unit = channel_sum(n)
    channels = [(RNG.normal(size=12) * 10.0 ** RNG.integers(-3, 3)).astype("float32") for _ in range(n)]
    channels[-1] = channels[-1].reshape(3, 4)
    wanted = np.zeros((3, 4), "float32")
    (unit.jit if compiled else unit)(*channels, wanted)
    exact = np.sum([c.reshape(3, 4).astype("float64") for c in channels], axis=0)
    np.testing.assert_array_equal(wanted, exact.astype("float32"))


def test_each_number_of_channels_has_a_unit_that_is_found_by_name() -> None:
    for n in range(2, MAX_CHANNELS + 1):
        unit = load_unit(f"framebus.ao.channels:sum_{n}")
        assert unit is channel_sum(n)
        assert unit.use == f"framebus.ao.channels:sum_{n}"
        assert len(unit.inputs()) == n
        assert f"channel_{n}" in (inspect.getdoc(unit) or "")
    for n in (1, 17):
        with pytest.raises(UsageError, match="2 to 16"):
            channel_sum(n)


def test_the_sum_has_the_shape_of_the_last_channel() -> None:
    specs = {"channel_1": ArraySpec((12,), FLOAT), "channel_2": ArraySpec((3, 4), FLOAT)}
    assert channel_sum(2).resolve(specs)["wanted"] == ArraySpec((3, 4), FLOAT)
    with pytest.raises(BindingError, match=r"'channel_1'.*11 elements.*12"):
        channel_sum(2).resolve(specs | {"channel_1": ArraySpec((11,), FLOAT)})
