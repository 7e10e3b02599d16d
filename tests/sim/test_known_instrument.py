from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framebus.ao.instrument import Instrument, load_instrument
from framebus.errors import UsageError
from framebus.sim import LinearHardware, linear_hardware
from framebus.sim.deformable_mirror import influence_functions


def instrument(n_act: int = 16, mask: Any = None, actuators: Any = None, **fields: Any) -> Instrument:
    response = np.random.default_rng(0).standard_normal((n_act, 30)).astype(np.float32)
    known: dict[str, Any] = {
        "path": Path("made-up"),
        "response": response,
        "sensor_shape": (5, 6),
        "wfs_mask": np.ones((5, 6), bool),
        "reference": np.zeros((5, 6), np.float32),
        "dark": np.zeros((5, 6), np.float32),
        "dm_mask": np.ones((1, n_act), bool) if mask is None else mask,
        "actuators": np.arange(n_act) if actuators is None else actuators,
        "influence": None,
    }
    return Instrument(**{**known, **fields})


def made(known: Instrument, **options: Any) -> LinearHardware:
    return LinearHardware.from_instrument(known, **{"n_vectors": 500, **options})


def rms_of(hardware: LinearHardware) -> float:
    vectors = hardware.disturbance.astype(float)
    return float(np.sqrt(np.mean(np.einsum("va,ab,vb->v", vectors, hardware.metric, vectors))))


@pytest.mark.parametrize(
    ("known", "dm_shape"),
    [
        (instrument(16), (16,)),
        (instrument(17), (17,)),
        (instrument(16, np.ones((4, 4), bool)), (4, 4)),
        (instrument(5, np.eye(3, dtype=bool)[::-1] | np.eye(3, dtype=bool), np.array([0, 2, 4, 6, 8])), (5,)),
        (instrument(25, influence=influence_functions(5, 20)), (25,)),
        (instrument(25, np.ones((5, 5), bool), influence=influence_functions(5, 20)), (5, 5)),
    ],
    ids=["square", "disc", "grid", "sparse grid", "influence", "grid and influence"],
)
def test_any_instrument_becomes_hardware(known: Instrument, dm_shape: tuple[int, ...], frames: Any) -> None:
    hardware = made(known, rms=0.3)
    assert hardware.dm_shape == dm_shape
    assert rms_of(hardware) == pytest.approx(0.3, rel=1e-3)
    bound = frames(linear_hardware, {"dm": np.zeros(dm_shape, np.float32), **hardware.streams()}).step()
    assert np.isfinite(bound["wfs"]).all()
    assert bound["wfs"].shape == (5, 6)


def test_actuators_out_of_use_are_still_and_count_for_nothing() -> None:
    mask = np.ones((4, 4), bool)
    mask[0, 0] = False
    hardware = made(instrument(16, mask))
    assert not hardware.disturbance[:, 0].any()
    assert not hardware.metric[0].any()


def test_the_wind_crosses_the_mirror_in_the_time_asked_for() -> None:
    hardware = made(instrument())
    assert hardware.vectors_per_s(2.0) * 2.0 * hardware.step_diameters == pytest.approx(1.0)


def test_the_same_seed_makes_the_same_hardware() -> None:
    one, same, other = (made(instrument(), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.disturbance, same.disturbance)
    assert (one.disturbance != other.disturbance).any()


def test_bad_numbers_are_refused() -> None:
    for rms in (-1.0, np.nan, np.inf):
        with pytest.raises(UsageError, match="rms"):
            made(instrument(), rms=rms)
    with pytest.raises(UsageError, match="no actuator in use has any response"):
        made(instrument(response=np.zeros((16, 30), np.float32)))


@pytest.mark.parametrize("name", ["kalao", "ao3k"])
def test_a_loop_closes_on_measured_data(name: str, shared_data: Path, frames: Any) -> None:
    known = load_instrument(shared_data / name)
    hardware = LinearHardware.from_instrument(known)
    dm = np.zeros(hardware.dm_shape, np.float32)
    noise = 0.01 * float(np.abs(known.response).max())
    loop = frames(linear_hardware, {"dm": dm, **hardware.streams()}, read_noise=noise)
    loop.set(vectors_per_s=hardware.vectors_per_s(0.8))
    calibrated = loop.step(turbulence=0.0)["wfs"] - known.reference
    assert calibrated.std() == pytest.approx(noise, rel=0.1)
    # The truncated inverse, by way of the actuators' small normal matrix.
    response = known.response.astype(float)
    control = (0.4 * np.linalg.pinv(response @ response.T, rcond=0.05**2) @ response).astype(np.float32)
    before, after = [], []
    for frame in range(250):
        loop.step(turbulence=1.0)
        dm *= 0.995
        dm -= (control @ (loop["wfs"] - known.reference).ravel()).reshape(dm.shape)
        if frame >= 50:
            after.append(loop["residual"][0])
            before.append(loop["residual"][2])
    assert np.mean(before) > 5 * np.mean(after)
    assert np.abs(dm).max() < 2.0
