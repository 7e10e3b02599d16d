"""One process of the AO loop: the camera, or some of the units; started by ``pairs.run_group``.

Its only argument is a JSON object: ``role`` (``camera`` or ``units``), ``across`` (as ``system.system`` takes it),
``trips``, ``warmup``, ``gap_ns``, ``cpu``, ``result``; for units ``loops`` (a list of lists of unit names: each list is
one loop, fused), ``cpus`` (one per loop) and ``spin``.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from contextlib import ExitStack
from typing import Any

import numpy as np

from contest import Skipped
from hop_endpoints import importable
from hop_worker import expect
from system import GAIN, LEAK, LIMIT, THRESHOLD, Pyramid, System, system

_SENSING = {
    "centroids": {"pixels": "pixels", "boxes": "boxes", "reference": "reference", "slopes": "slopes"},
    "intensities": {"frame": "pixels", "valid": "valid", "reference": "reference", "measurement": "slopes"},
}
PARAMETERS: dict[str, dict[str, float]] = {
    "centroids": {"threshold": THRESHOLD},
    "leaky_integrator": {"gain": GAIN, "leak": LEAK},
    "dm_command": {"minimum": -LIMIT, "maximum": LIMIT},
}


def wiring(of: System | Pyramid) -> dict[str, dict[str, str]]:
    """The units of a loop in order: the stream of each argument."""
    return {
        "calibrate": {"raw": "raw", "dark": "dark", "gain": "gain", "pixels": "pixels"},
        of.sensing: _SENSING[of.sensing],
        "reconstruct": {"slopes": "slopes", "control_matrix": "control_matrix", "modes": "modes"},
        "leaky_integrator": {"error": "modes", "command": "command"},
        "dm_command": {"command": "command", "flat": "flat", "dm": "dm"},
    }


class Camera:
    """Makes the streams, sends frames, and holds every mirror command against NumPy's answer."""

    def __init__(self, fb: Any, config: dict[str, Any]) -> None:
        self.config = config
        self.system = system(config["across"])
        fixed = {**self.system.arrays, "control_matrix": self.system.control_matrix}
        self.streams = []
        for name, array in fixed.items():
            stream = fb.create(name, shape=array.shape, dtype=array.dtype)
            stream.write(array)
            self.streams.append(stream)
        self.raw = fb.create("raw", shape=self.system.shape, dtype="uint16")
        self.dm = fb.create("dm", shape=(self.system.actuators,), dtype="float32")

    def run(self) -> str:
        """Returns ``done`` or ``wrong <what>``."""
        c, s = self.config, self.system
        errors = s.errors
        flat, command = s.arrays["flat"], np.zeros(s.actuators)
        mirror = np.empty(s.actuators, np.float32)
        times = np.empty(c["trips"] + c["warmup"], np.int64)
        worst, scale, last = 0.0, float(np.abs(errors).max()), 0
        for k in range(times.size):
            while time.perf_counter_ns() < last + c["gap_ns"]:
                pass
            self.raw.write(s.frames[k % len(s.frames)])
            frame = self.dm.read_next(mirror, timeout_s=20.0)
            last = time.perf_counter_ns()
            times[k] = frame.write_ns - self.raw.header()["writetime_ns"]
            if frame.count != k + 1 or frame.missed:
                return f"wrong frame: count {frame.count}, expected {k + 1}, {frame.missed} missed"
            command = LEAK * command - GAIN * errors[k % len(errors)]
            worst = max(worst, float(np.abs(mirror - np.clip(flat + command, -LIMIT, LIMIT)).max()))
        times[c["warmup"] :].tofile(c["result"])
        return (
            "done"
            if worst <= 1e-3 * scale
            else f"wrong mirror commands: off by {worst:.3g}, errors are {scale:.3g}"
        )


def start_units(stack: ExitStack, config: dict[str, Any]) -> None:
    from framebus import ao
    from framebus.unit import LoopOptions, Stage, start

    streams = wiring(system(config["across"]))
    for names, cpu in zip(config["loops"], config["cpus"], strict=True):
        stages = [Stage(getattr(ao, n), streams[n], PARAMETERS.get(n, {})) for n in names]
        options = LoopOptions(spin_us=math.inf if config["spin"] else 0.0, cpu=cpu)
        stack.enter_context(start(stages, options))


def main() -> None:
    config = json.loads(sys.argv[1])
    try:
        fb = importable("framebus", "pip install -e .")
        importable("framebus.ao", "pip install -e '.[ao]'")
    except Skipped as error:
        print(f"skipped {error}", flush=True)
        return
    print("loaded", flush=True)
    expect("make")
    answer = "done"
    with ExitStack() as stack:
        if config["role"] == "camera":
            camera = Camera(fb, config)
            os.sched_setaffinity(0, {config["cpu"]})
            print("made", flush=True)
            expect("go")
            answer = camera.run()
        else:
            start_units(stack, config)
            print("made", flush=True)
            expect("go")
        print(answer, flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main()
