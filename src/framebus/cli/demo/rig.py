"""What the demonstration runs on: a simulated telescope, or a measured instrument behind simulated turbulence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from framebus.unit import FunctionUnit

PREFIX = "demo_"
"""The demonstration's streams, parameter sets and records all begin with this, so that they meet no others."""

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Sensing:
    """One unit between the camera and the slopes.

    Attributes:
        unit: the unit.
        streams: stream (without prefix) by argument.
        parameters: that differ from the defaults.
    """

    unit: FunctionUnit
    streams: Mapping[str, str]
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Rig:
    """Everything that differs from one loop to the next.

    Attributes:
        title: what it is, for people.
        camera: the unit that plays telescope, mirror and sensor.
        camera_parameters: that differ from the defaults.
        calibration_parameters: the camera's while the loop is calibrated: an internal source instead of the sky.
        camera_inputs: arrays that the camera reads, by argument.
        sensing: units from ``wfs`` to ``slopes``.
        inputs: arrays that the units of ``sensing`` read, by stream.
        n_measurements: length of ``slopes``.
        dm_shape: of the mirror's commands.
        active: which actuators are controlled, bool (n_actuators,).
        amplitude: of a poke when the interaction matrix is measured, in the mirror's units.
        stroke: largest command of either sign.
        condition: largest condition number of the inverse.
        gain: of the integrator.
        leak: of the integrator.
        influence: what each actuator does to the mirror's surface, (n_actuators, ny, nx); None if it is not known.
        rate_hz: of the camera.
        science_um: wavelength of the Strehl ratio, µm.
    """

    title: str
    camera: FunctionUnit
    camera_parameters: Mapping[str, Any]
    calibration_parameters: Mapping[str, Any]
    camera_inputs: Arrays
    sensing: tuple[Sensing, ...]
    inputs: Arrays
    n_measurements: int
    dm_shape: tuple[int, ...]
    active: npt.NDArray[np.bool_]
    amplitude: float
    stroke: float
    condition: float
    gain: float
    leak: float
    influence: npt.NDArray[np.float32] | None
    rate_hz: float
    science_um: float


def simulated_telescope(rate_hz: float | None = None) -> Rig:
    """A 2 m telescope with a 10×10 Shack-Hartmann sensor and an 11×11 mirror in 0.7" seeing."""
    from framebus import ao, sim

    bench = sim.Bench(n_sub=10, outer_scale_m=40.0)
    rate = 1000.0 if rate_hz is None else rate_hz
    n, n_slopes = bench.n_sub, 2 * len(bench.boxes)
    return Rig(
        title=f"simulated 2 m telescope: Shack-Hartmann {n}×{n}, mirror {bench.n_act}×{bench.n_act}",
        camera=sim.shack_hartmann_camera,
        camera_parameters={"rate_hz": rate, "science_um": 1.65, "turbulence": 1.0, "photons": 2000.0},
        # Bright enough that noise does not hide the modes which the sensor hardly sees.
        calibration_parameters={"turbulence": 0.0, "photons": 100_000.0},
        camera_inputs=bench.streams(),
        sensing=(
            Sensing(ao.calibrate, {"raw": "wfs", "dark": "dark", "gain": "flat", "pixels": "pixels"}, {}),
            Sensing(
                ao.centroids,
                {"pixels": "pixels", "boxes": "boxes", "reference": "reference", "slopes": "slopes"},
                {"threshold": 4.0, "min_flux": 50.0},
            ),
        ),
        inputs={
            "dark": np.full(bench.wfs_shape, 100.0, np.float32),
            "flat": np.ones(bench.wfs_shape, np.float32),
            "boxes": bench.boxes,
            "reference": np.zeros(n_slopes, np.float32),
        },
        n_measurements=n_slopes,
        dm_shape=bench.dm_shape,
        active=bench.dm_mask.ravel(),
        amplitude=0.1,
        stroke=10.0,
        condition=15.0,
        gain=0.5,
        leak=0.995,
        influence=None,
        rate_hz=rate,
        science_um=1.65,
    )


def measured_instrument(directory: str | PathLike[str], rate_hz: float | None = None) -> Rig:
    """An instrument whose measured response is in ``directory``, behind simulated turbulence.

    Raises:
        NotFoundError, DataError: the directory does not hold what it must; the message says what.
    """
    from framebus import ao, sim

    instrument = ao.load_instrument(directory)
    hardware = sim.LinearHardware.from_instrument(instrument)
    used = np.flatnonzero(instrument.wfs_mask.ravel()).astype(np.int32)
    active = np.zeros(instrument.n_actuators, np.bool_)
    active[:] = instrument.dm_mask.ravel()[instrument.actuators]
    strength = np.sqrt((instrument.response[active][:, used] ** 2).mean())
    rate = rate_hz if rate_hz is not None else 1000.0 if instrument.response.size < 200_000 else 250.0
    noise = 0.02 * float(strength)
    return Rig(
        title=(
            f"{instrument.name}: measured response of {instrument.n_actuators} actuators on "
            f"{'×'.join(map(str, instrument.sensor_shape))} sensor elements"
        ),
        camera=sim.linear_hardware,
        camera_parameters={
            "rate_hz": rate,
            # Wind that crosses the mirror in 0.2 s, or, where the camera is slow, in 150 of its frames.
            "vectors_per_s": hardware.vectors_per_s(max(0.2, 150.0 / rate)),
            "read_noise": noise,
            "science_um": 1.65,
            "turbulence": 1.0,
        },
        calibration_parameters={"turbulence": 0.0, "read_noise": 0.1 * noise},
        camera_inputs=hardware.streams(),
        sensing=(
            Sensing(
                ao.intensities,
                {"frame": "wfs", "valid": "valid", "reference": "reference", "measurement": "slopes"},
                {},
            ),
        ),
        inputs={"valid": used, "reference": np.zeros(used.size, np.float32)},
        n_measurements=used.size,
        dm_shape=hardware.dm_shape,
        active=active,
        amplitude=0.5,
        stroke=10.0,
        condition=20.0,
        gain=0.5,
        leak=0.995,
        influence=instrument.influence,
        rate_hz=rate,
        science_um=1.65,
    )
