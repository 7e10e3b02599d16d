"""`sim`: a frame of the simulated telescope on one core, everything included, for each kind of sensor."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from contest import Case, Contestant, Skipped, Target, Times, WrongAnswer, alternate
from hop_endpoints import importable
from machine import two_cpus
from units import pinned

GEOMETRIC = "Shack-Hartmann 20x20 geometric"
DIFFRACTION = "Shack-Hartmann 20x20 diffraction"
SMALL = "Shack-Hartmann 10x10 diffraction"
PYRAMID = "pyramid 40x40, modulation 3"
SHIFT_PX = 0.25


def telescope(n_sub: int, kind: str) -> Any:
    """A telescope of two layers with 8 pixels to a sub-aperture, photon and read noise, and science images."""
    import msgspec

    from framebus import sim

    content = {
        "telescope": {"diameter_m": 0.2 * n_sub, "pixels": 8 * n_sub, "obscuration": 0.2},
        "atmosphere": {
            "layers": [
                {"fraction": 0.7, "wind_speed_m_s": 6.0, "wind_direction_deg": 20.9},
                {"fraction": 0.3, "wind_speed_m_s": 12.0, "wind_direction_deg": 110.9},
            ]
        },
        "mirror": {"kind": "bilinear", "actuators": n_sub + 1},
        "wfs": {
            "kind": kind,
            "subapertures": n_sub,
            "pixels": 8 if kind != "pyramid" else 4 * n_sub,
            "photons": 2000.0 * 0.75 * n_sub**2,
        },
        "science": {"interval": 100, "exposure": 1},
    }
    return sim.Simulator(msgspec.convert(content, sim.Description))


def check(simulator: Any, label: str) -> None:
    """A tilt by the mirror, without turbulence, moves all spots by what optics says."""
    wfs = simulator.description.wfs
    n_sub = wfs.subapertures
    rise_um = SHIFT_PX / wfs.spot_px * wfs.wavelength_um
    tilt = np.tile(rise_um * np.arange(n_sub + 1, dtype=np.float32), (n_sub + 1, 1))
    simulator.atmosphere.strength = 0.0
    simulator.step(tilt)
    simulator.atmosphere.strength = 1.0
    light = simulator.sensor.light.astype(np.float64)
    if wfs.kind == "pyramid":
        left, right = np.hsplit(light, 2)
        moved = right.sum() > 1.05 * left.sum()
    else:
        boxes = light.reshape(n_sub, 8, n_sub, 8).sum(axis=1)[n_sub // 4]
        lit = boxes[boxes.sum(axis=1) > 0.5 * boxes.sum(axis=1).max()]
        found = (lit * (np.arange(8) - 3.5)).sum(axis=1) / lit.sum(axis=1)
        moved = abs(np.median(found) - SHIFT_PX) < 0.05 * SHIFT_PX
    if not moved or simulator.turbulence_nm != 0.0:
        raise WrongAnswer(f"{label}: a tilt did not move its light as it should")


def steps(n_sub: int, kind: str, label: str) -> Callable[[int], Times]:
    """Frames one after the other on one CPU."""
    simulator: Any = None

    def run(trips: int) -> Times:
        nonlocal simulator
        with pinned(two_cpus()[0]):
            if simulator is None:
                importable("framebus.sim", "pip install -e .[ao]")
                simulator = telescope(n_sub, kind)
                check(simulator, label)
            commands = np.zeros(simulator.dm_shape, np.float32)
            times = np.empty(trips, np.int64)
            for k in range(trips):
                start = time.perf_counter_ns()
                simulator.step(commands)
                times[k] = time.perf_counter_ns() - start
            return times

    return run


def contestants() -> list[Contestant]:
    made = [
        (GEOMETRIC, 20, "geometric", 1.0),
        (DIFFRACTION, 20, "shack-hartmann", 1.0),
        (SMALL, 10, "shack-hartmann", 1.0),
        (PYRAMID, 10, "pyramid", 0.1),
    ]
    return [
        Contestant(label, steps(n_sub, kind, label), None, "framebus", share)
        for label, n_sub, kind, share in made
    ]


def run(options: Any, machine: dict[str, Any]) -> list[Case]:
    """The one case of `sim`."""
    del machine
    case = Case("simulated telescope, one frame on one core")
    try:
        importable("framebus.sim", "pip install -e .[ao]")
    except Skipped as error:
        case.skipped["all sensors"] = str(error)
        return [case]
    case.targets = [
        Target(GEOMETRIC, "", 1e6 / 1000, kind="absolute"),
        Target(DIFFRACTION, "", 1e6 / 150, kind="absolute"),
        Target(SMALL, "", 1e6 / 800, kind="absolute"),
    ]
    rounds = options.rounds or (3 if options.quick else 10)
    trips = options.trips or (100 if options.quick else 500)
    return [alternate(case, options.chosen(contestants()), rounds=rounds, trips=trips)]
