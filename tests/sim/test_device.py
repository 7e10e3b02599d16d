from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

import framebus as fb
from framebus.errors import BindingError, UsageError
from framebus.sim import Description, SimulatedTelescope, Simulator
from framebus.unit import LoopOptions, Stage, start

WIRING = {name: f"sim_{name}" for name in ("dm", "wfs", "phase", "residual")}


def simulator(**detector: Any) -> Simulator:
    content = {
        "telescope": {"diameter_m": 0.8, "pixels": 32},
        "mirror": {"actuators": 5},
        "wfs": {"subapertures": 4},
        "detector": detector,
        "science": {"interval": 1, "exposure": 2, "pixels": 16},
    }
    return Simulator(msgspec.convert(content, Description))


def mirror(shape: tuple[int, ...] = (5, 5)) -> fb.Stream:
    dm = fb.create("sim_dm", shape=shape, dtype="float32")
    dm.write(np.zeros(shape, np.float32))
    return dm


def run(device: SimulatedTelescope, frames: int, **parameters: Any) -> None:
    """Until that many frames have been computed."""
    done = threading.Event()
    device.frames = frames
    device.when_done = done.set  # type: ignore[method-assign]
    stage = Stage(device, WIRING, parameters, history=16)
    with start(stage, LoopOptions(trigger="delay", period_s=0.001)):
        assert done.wait(60.0)


def test_frames_are_those_of_the_simulator() -> None:
    device = SimulatedTelescope(simulator())
    device.image_stream, device.image_history = "sim_psf", 8
    alone = simulator()
    with mirror():
        run(device, 6)
        with fb.open("sim_wfs") as wfs, fb.open("sim_phase") as phase, fb.open("sim_residual") as residual:
            assert wfs.count == phase.count == residual.count == 6
            for frame in wfs.history(6):
                np.testing.assert_array_equal(frame.data, alone.step())
            np.testing.assert_array_equal(phase.read(), alone.phase)
            wanted = [alone.rms_nm, alone.strehl, alone.turbulence_nm]
            np.testing.assert_allclose(residual.read(), wanted, rtol=1e-6)
        with fb.open("sim_psf") as psf:
            # One image for every two looks.
            assert psf.count == 3
            np.testing.assert_array_equal(psf.read(), alone.psf)


def test_lost_frames_are_not_published() -> None:
    with mirror():
        run(SimulatedTelescope(simulator(lose_every=3)), 9)
        with fb.open("sim_wfs") as wfs:
            assert wfs.count == 6


def test_commands_move_the_mirror_and_turbulence_can_be_off() -> None:
    with mirror() as dm:
        commands = np.zeros((5, 5), np.float32)
        commands[2, 2] = 0.2
        dm.write(commands)
        run(SimulatedTelescope(simulator()), 2, turbulence=0.0)
        with fb.open("sim_residual") as residual:
            rms_nm, strehl, turbulence_nm = residual.read()
    alone = simulator()
    alone.atmosphere.strength = 0.0
    alone.step(commands)
    assert rms_nm == pytest.approx(alone.rms_nm, rel=1e-5)
    assert rms_nm > 1.0
    assert turbulence_nm == 0.0
    assert strehl < 1.0


def test_a_subclass_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text("[telescope]\ndiameter_m = 0.8\npixels = 32\n[wfs]\nsubapertures = 4\n")

    class Mine(SimulatedTelescope):
        file = str(tmp_path / "t.toml")

    with mirror((11, 11)):
        run(Mine(), 1)
        with fb.open("sim_wfs") as wfs:
            assert wfs.shape == (32, 32)


def test_a_telescope_needs_a_description() -> None:
    with pytest.raises(UsageError, match="needs a simulator"):
        SimulatedTelescope().setup()


def test_commands_of_another_number_are_refused() -> None:
    stage = Stage(SimulatedTelescope(simulator()), WIRING)
    with mirror((4, 4)), pytest.raises(BindingError, match="expected 25 commands"):
        start(stage, LoopOptions(trigger="delay", period_s=0.001))
