"""Calibrations of simulated hardware that is made from measured data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framebus.ao import load_instrument
from framebus.ao.measured_delay import measure_delay
from framebus.ao.modulation import measure_modulated
from framebus.ao.response import measure_response
from framebus.sim import LinearHardware, linear_hardware
from framebus.unit.arrays import ArraySpec


class Kalao:
    """The unit ``linear_hardware`` with KalAO's response, a frame per measurement; commands take ``lag`` frames."""

    def __init__(self, shared_data: Path, *, read_noise: float = 0.0, lag: int = 1) -> None:
        hardware = LinearHardware.from_instrument(load_instrument(shared_data / "kalao"), n_vectors=64)
        inputs = {"dm": np.zeros(hardware.dm_shape, np.float32), **hardware.streams()}
        specs = linear_hardware.resolve({name: ArraySpec(a.shape, a.dtype) for name, a in inputs.items()})
        self.arrays = {
            name: inputs[name] if name in inputs else np.zeros(spec.shape, spec.dtype)
            for name, spec in specs.items()
        }
        self.params = {p.name: p.default for p in linear_hardware.parameters}
        self.params |= {"turbulence": 0.0, "read_noise": read_noise}
        self.queue = [np.zeros(hardware.dm_shape, np.float32)] * (lag - 1)
        self.now = np.zeros(hardware.dm_shape, np.float32)
        self.truth = hardware.response.astype(np.float64)

    def poke(self, command: Any) -> None:
        self.now = np.asarray(command, np.float32).reshape(self.now.shape)

    def measure(self) -> Any:
        self.queue.append(self.now)
        self.arrays["dm"][:] = self.queue.pop(0)
        assert linear_hardware.jit(*self.arrays.values(), *self.params.values()) is None
        return self.arrays["wfs"].copy()


@pytest.mark.parametrize("method", ["zonal", "hadamard"])
def test_the_interaction_matrix_is_the_simulators_within_the_noise_of_theory(
    shared_data: Path, method: Any
) -> None:
    sigma, amplitude, averages = 1e-4, 0.2, 2
    kalao = Kalao(shared_data, read_noise=sigma)
    found = measure_response(
        kalao.poke,
        kalao.measure,
        amplitude,
        n_actuators=144,
        method=method,
        averages=averages,
        settle_frames=0,
    )
    theory = sigma / (amplitude * np.sqrt(2 * averages)) / (np.sqrt(144) if method == "hadamard" else 1.0)
    assert np.std(found.matrix - kalao.truth) == pytest.approx(theory, rel=0.03)
    assert np.mean(found.noise) == pytest.approx(sigma, rel=0.03)
    rms = np.sqrt(np.mean(np.square(kalao.truth), axis=1))
    strong = rms > 3 * theory
    np.testing.assert_allclose(
        found.signal_to_noise[strong], np.hypot(rms, theory)[strong] / theory, rtol=0.15
    )


@pytest.mark.parametrize("lag", [1, 3])
def test_the_delay_is_found(shared_data: Path, lag: int) -> None:
    kalao = Kalao(shared_data, read_noise=1e-3, lag=lag)
    found = measure_delay(kalao.poke, kalao.measure, 0.1, n_actuators=144, n_frames=300)
    assert found.frames == pytest.approx(lag, abs=0.1)
    assert not kalao.now.any()


def test_modes_are_modulated_together(shared_data: Path) -> None:
    """Without the actuators that KalAO's sensor does not see."""
    kalao = Kalao(shared_data, read_noise=1e-4, lag=2)
    modes = np.linalg.svd(kalao.truth, full_matrices=False)[0].T[:20]
    found = measure_modulated(
        kalao.poke, kalao.measure, modes, 0.2, n_actuators=144, at_once=10, n_frames=128
    )
    assert found.delay_frames == pytest.approx(2.0, abs=0.1)
    fixed = measure_modulated(
        kalao.poke, kalao.measure, modes, 0.2, n_actuators=144, at_once=10, n_frames=128, delay_frames=2.0
    )
    theory = 1e-4 * np.sqrt(2 / 128) / 0.2
    assert np.std(fixed.matrix - modes @ kalao.truth) == pytest.approx(theory, rel=0.06)
