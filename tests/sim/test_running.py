"""The simulator as a user runs it; ``docs/sim.md`` shows these lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.unit import LoopOptions, Stage, start


def test_a_bench_runs_in_a_loop() -> None:
    # -- bench
    from framebus.sim import Bench, shack_hartmann_camera

    bench = Bench(n_sub=4, r0_m=0.15)
    wiring = {"dm": "dm", "wfs": "wfs", "wavefront": "wavefront", "residual": "residual"}
    arrays = {"dm": np.zeros(bench.dm_shape, np.float32)}
    for name, array in bench.streams().items():
        wiring[name] = f"sim.{name}"
        arrays[wiring[name]] = array
    streams = []
    for name, array in arrays.items():
        streams.append(fb.create(name, shape=array.shape, dtype=array.dtype))
        streams[-1].write(array)

    camera = Stage(shack_hartmann_camera, wiring, parameters={"rate_hz": 500.0})
    with start(camera, LoopOptions(trigger="delay", period_s=1 / 500)) as loop:
        with fb.open("residual") as truth:
            rms_nm, strehl, turbulence_nm = truth.read_next(timeout_s=60.0).data
        loop.params.photons = 300.0
        # -- end of bench
        assert rms_nm == pytest.approx(turbulence_nm, rel=1e-4)
        assert turbulence_nm > 0.0
        assert 0.0 < strehl < 1.0
        with fb.open("wfs") as wfs:
            assert wfs.read_next(timeout_s=60.0).data.shape == bench.wfs_shape
        with fb.open("residual") as truth:
            first = truth.read_next(timeout_s=60.0)
            assert truth.read_next(timeout_s=60.0).count > first.count
    for stream in streams:
        stream.close()


def test_measured_hardware_runs_in_a_loop(shared_data: Path) -> None:
    directory = shared_data / "kalao"
    # -- hardware
    from framebus.ao.instrument import load_instrument
    from framebus.sim import LinearHardware, linear_hardware

    hardware = LinearHardware.from_instrument(load_instrument(directory), rms=0.25)
    wiring = {"dm": "dm", "wfs": "wfs", "residual": "residual"}
    arrays = {"dm": np.zeros(hardware.dm_shape, np.float32)}
    for name, array in hardware.streams().items():
        wiring[name] = f"sim.{name}"
        arrays[wiring[name]] = array
    streams = []
    for name, array in arrays.items():
        streams.append(fb.create(name, shape=array.shape, dtype=array.dtype))
        streams[-1].write(array)

    wind = {"vectors_per_s": hardware.vectors_per_s(crossing_s=0.8)}
    with start(Stage(linear_hardware, wiring, wind), LoopOptions(trigger="delay", period_s=1e-3)):
        with fb.open("wfs") as wfs:
            frame = wfs.read_next(timeout_s=60.0).data
        # -- end of hardware
        assert frame.shape == (11, 22)
        assert np.isfinite(frame).all()
        assert frame.any()
    for stream in streams:
        stream.close()
