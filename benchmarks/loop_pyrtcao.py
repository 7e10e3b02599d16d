"""pyrtcao's synthetic Shack-Hartmann pipeline of a given size, run and timed by pyrtcao's own command.

pyrtcao is GPL software: it runs as a program of its own, with a configuration file that is written here, and
nothing of it is imported. Its report gives p50, p99 and max of 'sensor frame published -> command published'.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contest import Round, Skipped
from pairs import scratch_directory

STREAMS = {
    "wfs": ([], ["wfs_raw", "wfs"]),
    "slopes": (["wfs"], ["signal", "signal_2d"]),
    "loop": (["signal"], ["wfc"]),
    "wfc": (["wfc"], ["wfc", "wfc_2d"]),
}


def configuration(across: int, modes: int, rate_hz: float, package: Path) -> dict[str, Any]:
    """``across`` x ``across`` sub-apertures of 8 x 8 pixels, ``modes`` modes and as many actuators."""
    boxes = {"sub_ap_spacing": 8, "sub_ap_offset_x": 0, "sub_ap_offset_y": 0}
    size = {"width": 8 * across, "height": 8 * across}
    parts: dict[str, dict[str, Any]] = {
        "wfs": {
            "class_name": "SyntheticSHWFS",
            "functions": ["expose"],
            "dark_count": 16,
            "frame_rate_hz": rate_hz,
            "num_modes": modes,
            **size,
            **boxes,
        },
        "slopes": {
            "class_name": "SlopesProcess",
            "functions": ["compute_signal"],
            "type": "SHWFS",
            "signal_type": "slopes",
            **boxes,
        },
        "loop": {"class_name": "Loop", "functions": ["leaky_integrator"], "gain": 0.3, "leaky_gain": 0.01},
        "wfc": {
            "class_name": "SyntheticWFC",
            "functions": ["send_to_hardware"],
            "num_actuators": modes,
            "num_modes": modes,
        },
    }
    for name, (inputs, outputs) in STREAMS.items():
        parts[name] |= {"name": name, "input_streams": {s: s for s in inputs}}
        parts[name] |= {"output_streams": {s: s for s in outputs}}
    hardware = package / "hardware"
    files = {"wfs": str(hardware / "synthetic_shwfs.py"), "wfc": str(hardware / "synthetic_wfc.py")}
    return {**parts, "manager": {"component_files": files}}


def pipeline(mode: str, across: int, modes: int, rate_hz: float) -> Callable[[int], Round]:
    """``mode`` is ``hard`` (a process per component) or ``soft`` (threads)."""

    def run(trips: int) -> Round:
        found = importlib.util.find_spec("pyrtc")
        if found is None or found.origin is None:
            raise Skipped("pyrtcao is not installed; pip install pyrtcao")
        with scratch_directory() as scratch:
            config = configuration(across, modes, rate_hz, Path(found.origin).parent)
            (scratch / "config.yaml").write_text(json.dumps(config))  # JSON is YAML
            return _measure(scratch, mode, trips, rate_hz)

    return run


def _measure(scratch: Path, mode: str, trips: int, rate_hz: float) -> Round:
    # -P: this repository's benchmarks directory must not hide pyrtcao's package of that name.
    command = [sys.executable, "-P", "-m", "benchmarks.pipeline_latency_bench", "--example-dir", str(scratch)]
    command += ["--modes", mode, "--notify", "on", "--no-psf", "--settle", "2", "--timeout", "120"]
    command += [
        "--samples",
        str(trips),
        "--frame-rate-hz",
        str(rate_hz),
        "--output",
        str(scratch / "report.json"),
    ]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=scratch, timeout=240)
    if done.returncode != 0:
        raise RuntimeError(f"pyrtcao's benchmark ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    total = json.loads((scratch / "report.json").read_text())["results"][0]["total"]
    return {"p50": total["p50_us"], "p99": total["p99_us"], "max": total["max_us"], "n": total["count"]}
