"""The control half of a loop as one native loop: controller, guard, channels, limits, shortfall."""

from __future__ import annotations

import numpy as np
import pytest

import framebus as fb
from framebus.ao import DM_STATUS, GUARD_STATUS, dm_limits, guard, map_integrator, shortfall
from framebus.ao.channels import channel_sum
from framebus.unit import Stage, start

SHAPE = (3, 4)
N = 12


def stages() -> list[Stage]:
    # -- chain
    control = Stage(
        map_integrator,
        {"error": "error", "gains": "gains", "leaks": "leaks", "excess": "excess", "command": "command"},
        {"gain": 0.5},
    )
    watch = Stage(
        guard,
        {
            "command": "command",
            "error": "error",
            "flux": "flux",
            "dm_status": "dm_status",
            "safe": "safe",
            "status": "guard_status",
        },
        {"min_flux": 10.0, "recover": 1},
    )
    channels = Stage(
        channel_sum(3), {"channel_1": "safe", "channel_2": "offsets", "channel_3": "flat", "wanted": "wanted"}
    )
    mirror = Stage(
        dm_limits,
        {"wanted": "wanted", "actuators": "actuators", "slaves": "slaves", "dm": "dm", "status": "dm_status"},
        {"minimum": -1.0, "maximum": 1.0},
    )
    tell = Stage(
        shortfall,
        {"command": "command", "passed": "safe", "wanted": "wanted", "dm": "dm", "excess": "excess"},
    )
    return [control, watch, channels, mirror, tell]  # one loop: start(stages())
    # -- end of chain


def test_the_chain_holds_within_limits_and_tells_the_controller(shm_dir: object) -> None:
    ones = np.ones(N, "float32")
    first = {
        "error": 0 * ones,
        "gains": ones,
        "leaks": ones,
        "excess": 0 * ones,
        "flux": np.full(1, 100.0, "float32"),
        "dm_status": np.zeros(len(DM_STATUS), "int64"),
        "offsets": np.full(N, 0.1, "float32"),
        "flat": np.full(SHAPE, 0.3, "float32"),
        "actuators": np.ones(SHAPE, "uint8"),
        "slaves": np.full((1, 5), -1, "int32"),
    }
    streams = {}
    for name, array in first.items():
        streams[name] = fb.create(name, shape=array.shape, dtype=array.dtype.name)
        streams[name].write(array)
    with start(stages()), fb.open("dm") as dm:

        def frame(error: float) -> float:
            streams["error"].write(np.full(N, error, "float32"))
            sent = dm.read_next(timeout_s=10.0).data
            assert np.ptp(sent) == 0.0
            return float(np.asarray(sent)[0, 0])

        seen = [frame(-0.2) for _ in range(20)]
        np.testing.assert_allclose(seen, np.minimum(0.4 + 0.1 * np.arange(1, 21), 1.0), atol=1e-5)
        assert frame(0.2) == pytest.approx(0.9, abs=1e-5), "it leaves its limit at once"
        assert frame(float("nan")) == pytest.approx(0.9, abs=1e-5)
        streams["flux"].write(np.zeros(1, "float32"))
        assert [frame(0.2) for _ in range(3)] == pytest.approx([0.9] * 3, abs=1e-5)
        streams["flux"].write(first["flux"])
        assert frame(0.2) == pytest.approx(0.8, abs=1e-5), "it goes on without a jump"
    with fb.open("guard_status") as told:
        status = dict(zip(GUARD_STATUS, told.read().tolist(), strict=True))
    assert (status["bad_inputs"], status["flux_losses"], status["held"]) == (1, 3, 4)
    for stream in streams.values():
        stream.close()


def test_the_transfer_function_of_the_documentation() -> None:
    # -- transfer
    from framebus.ao.transfer import integrator, max_gain, rejection, smith_controller

    rate, delay = 1000.0, 2.6  # frames per second, frames
    frequency = np.linspace(0.0, rate / 2, 501)  # Hz
    left = np.abs(rejection(frequency, rate, delay, integrator(gain=0.4, leak=0.99))) ** 2
    limit = max_gain(delay)  # of a pure integrator
    limit_with_model = max_gain(delay, lambda gain: smith_controller(gain, delay))
    # -- end of transfer
    assert left[1] < 1e-3 < 1.0 < left.max()
    assert limit < 1.0 < limit_with_model
