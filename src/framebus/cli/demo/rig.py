"""What the demonstration runs on: a simulated telescope, or a measured instrument behind simulated turbulence.

The pipelines are files beside this module; here are the arrays that they ask for, and what an operator must know to
calibrate them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from framebus.ao import Instrument
    from framebus.pipeline.plan import PipelinePlan

PREFIX = "demo_"
"""The demonstration's streams and units all begin with this, so that they meet no others."""

HERE = Path(__file__).parent
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Rig:
    """A pipeline and how it is operated.

    Attributes:
        title: what it is, for people.
        plan: the pipeline.
        sky: the camera's parameters for observing; while the loop is calibrated they are those of the plan.
        active: which actuators are controlled, bool (n_actuators,).
        amplitude: of a poke when the interaction matrix is measured, in the mirror's units.
        condition: largest condition number of the inverse.
        gain: of the integrator in closed loop.
        influence: what each actuator does to the mirror's surface, (n_actuators, ny, nx); None if it is not known.
        rate_hz: of the camera's clock.
        science_um: wavelength of the Strehl ratio, µm.
    """

    title: str
    plan: PipelinePlan
    sky: Mapping[str, float]
    active: npt.NDArray[np.bool_]
    amplitude: float
    condition: float
    gain: float
    influence: npt.NDArray[np.float32] | None
    rate_hz: float
    science_um: float


def simulated_telescope(rate_hz: float | None = None, *, clock_hz: float | None = None) -> Rig:
    """A 2 m telescope with a 10×10 Shack-Hartmann sensor and an 11×11 mirror in 0.7" seeing.

    Args:
        rate_hz: frames per second of the sky.
        clock_hz: frames per second of the camera's clock, if it is to be slower than the sky.
    """
    bench = _bench()
    rate = 1000.0 if rate_hz is None else rate_hz
    n = bench.n_sub
    return Rig(
        title=f"simulated 2 m telescope: Shack-Hartmann {n}×{n}, mirror {bench.n_act}×{bench.n_act}",
        plan=_plan("telescope.toml", rate, clock_hz),
        # While it is calibrated it is bright enough that noise does not hide the modes which the sensor hardly sees.
        sky={"turbulence": 1.0, "photons": 2000.0},
        active=bench.dm_mask.ravel(),
        amplitude=0.1,
        condition=15.0,
        gain=0.5,
        influence=None,
        rate_hz=clock_hz or rate,
        science_um=1.65,
    )


def measured_instrument(
    directory: str | PathLike[str], rate_hz: float | None = None, *, clock_hz: float | None = None
) -> Rig:
    """An instrument whose measured response is in ``directory``, behind simulated turbulence.

    Raises:
        NotFoundError, DataError: the directory does not hold what it must; the message says what.
    """
    from framebus import ao, sim

    instrument = ao.load_instrument(directory)
    hardware = sim.LinearHardware.from_instrument(instrument)
    active = _active(instrument)
    strength = np.sqrt((instrument.response[active][:, _used(instrument)] ** 2).mean())
    rate = rate_hz if rate_hz is not None else 1000.0 if instrument.response.size < 200_000 else 250.0
    noise = 0.02 * float(strength)
    variables = {
        "data": str(Path(fspath(directory)).resolve()),
        # Wind that crosses the mirror in 0.2 s, or, where the camera is slow, in 150 of its frames.
        "vectors_per_s": hardware.vectors_per_s(max(0.2, 150.0 / rate)),
        "read_noise": 0.1 * noise,
    }
    return Rig(
        title=(
            f"{instrument.name}: measured response of {instrument.n_actuators} actuators on "
            f"{'×'.join(map(str, instrument.sensor_shape))} sensor elements"
        ),
        plan=_plan("instrument.toml", rate, clock_hz, variables),
        sky={"turbulence": 1.0, "read_noise": noise},
        active=active,
        amplitude=0.5,
        condition=20.0,
        gain=0.5,
        influence=instrument.influence,
        rate_hz=clock_hz or rate,
        science_um=1.65,
    )


# ---- what the pipeline files ask for ---------------------------------------------------------------------------------


def telescope_arrays() -> Arrays:
    """Everything that the units of ``telescope.toml`` read as it stands."""
    bench = _bench()
    n_slopes, n_actuators = 2 * len(bench.boxes), bench.dm_mask.size
    return {f"camera_{name}": array for name, array in bench.streams().items()} | {
        "dark": np.full(bench.wfs_shape, 100.0, np.float32),
        "flat": np.ones(bench.wfs_shape, np.float32),
        "boxes": bench.boxes,
        "reference": np.zeros(n_slopes, np.float32),
        "control_matrix": np.zeros((n_actuators, n_slopes), np.float32),
        "mirror_flat": np.zeros(bench.dm_shape, np.float32),
    }


def instrument_arrays(directory: str) -> Arrays:
    """Everything that the units of ``instrument.toml`` read as it stands, but for the mirror's command.

    Raises:
        NotFoundError, DataError: the directory does not hold what it must; the message says what.
    """
    from framebus import ao, sim

    instrument = ao.load_instrument(directory)
    hardware = sim.LinearHardware.from_instrument(instrument)
    used = _used(instrument)
    return {f"camera_{name}": array for name, array in hardware.streams().items()} | {
        "valid": used,
        "reference": np.zeros(used.size, np.float32),
        "control_matrix": np.zeros((instrument.n_actuators, used.size), np.float32),
        "mirror_flat": np.zeros(hardware.dm_shape, np.float32),
    }


def instrument_mirror(directory: str) -> Arrays:
    """The mirror's first command.

    Raises:
        NotFoundError, DataError: the directory does not hold what it must; the message says what.
    """
    from framebus import ao
    from framebus.sim.known_instrument import mirror_shape

    return {"dm": np.zeros(mirror_shape(ao.load_instrument(directory)), np.float32)}


def _bench() -> Any:
    from framebus import sim

    return sim.Bench(n_sub=10, outer_scale_m=40.0)


def _used(instrument: Instrument) -> npt.NDArray[np.int32]:
    return np.flatnonzero(instrument.wfs_mask.ravel()).astype(np.int32)


def _active(instrument: Instrument) -> npt.NDArray[np.bool_]:
    return np.asarray(instrument.dm_mask.ravel()[instrument.actuators], np.bool_)


def _plan(
    file: str, rate_hz: float, clock_hz: float | None, variables: Mapping[str, Any] | None = None
) -> PipelinePlan:
    from framebus.pipeline.read import read_plan

    clock = clock_hz or rate_hz
    # The display may fall behind by about a second.
    always = {"rate_hz": rate_hz, "period_s": 1.0 / clock, "history": max(64, math.ceil(clock))}
    return read_plan(HERE / file, variables={**always, **(variables or {})})
