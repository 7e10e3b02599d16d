"""The machine: which two CPUs, the native programs, and the limits that no software can beat."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from contest import Skipped, say

HERE = Path(__file__).resolve().parent
BUILD = HERE / "build"
SHM = Path("/dev/shm")
# What -ffast-math gives to sums, without its start-up code, which makes the whole process flush subnormals to zero.
REORDER = (
    "-fassociative-math",
    "-fno-signed-zeros",
    "-fno-trapping-math",
    "-fno-math-errno",
    "-ffinite-math-only",
)
FLAGS = ("-O3", "-march=native", *REORDER, "-Wall", "-pthread")


@cache
def two_cpus() -> tuple[int, int]:
    """Two CPUs of this process's affinity on different cores, where there are such.

    With a single CPU both are the same; the figures then say what one CPU gives.
    """
    cpus = sorted(os.sched_getaffinity(0))
    for other in cpus[1:]:
        if _core(other) != _core(cpus[0]):
            return cpus[0], other
    return cpus[0], cpus[-1]


def _core(cpu: int) -> tuple[str, str]:
    topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
    try:
        return (topology / "physical_package_id").read_text(), (topology / "core_id").read_text()
    except OSError:
        return "", str(cpu)


@cache
def native(name: str, *, library: bool = False) -> Path:
    """Compile ``native/<name>.c`` unless this very source was compiled before.

    Raises:
        Skipped: no compiler, or it refuses.
    """
    source = HERE / "native" / f"{name}.c"
    content = source.read_bytes() + (HERE / "native" / "common.h").read_bytes() + platform.node().encode()
    key = hashlib.sha256(content).hexdigest()[:12]
    target = BUILD / (f"{name}-{key}.so" if library else f"{name}-{key}")
    if target.exists():
        return target
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as scratch:
        made = Path(scratch) / "made"
        extra = ("-shared", "-fPIC") if library else ()
        compiler = os.environ.get("CC", "gcc")
        try:
            run = subprocess.run(
                [compiler, *FLAGS, *extra, str(source), "-o", str(made), "-lm"],
                check=False,
                capture_output=True,
                text=True,
            )
        except FileNotFoundError:
            raise Skipped(f"no C compiler {compiler!r}: install gcc, or set CC") from None
        if run.returncode != 0:
            raise Skipped(f"{compiler} refused {source.name}: {run.stderr.strip()[:400]}")
        made.replace(target)
    return target


def probe(*arguments: object) -> Any:
    """Run one probe of native/probes.c and return what it printed."""
    command = [str(native("probes")), *map(str, arguments)]
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    if run.returncode != 0:
        raise RuntimeError(f"probe {' '.join(map(str, arguments))} failed: {run.stderr.strip()}")
    return json.loads(run.stdout)


def bandwidth(kind: str, sizes: list[int], *, cores: int = 1, seconds: float = 0.1) -> dict[int, float]:
    """Bytes per second by size of the data; ``kind`` is ``copy``, ``read`` or ``handover``."""
    a, b = two_cpus()
    found = probe(kind, a, b, cores, seconds, *sizes)
    return {int(size): float(value) for size, value in found.items()}


def limits(directory: Path, *, quick: bool) -> dict[str, Any]:
    """Measure cache-line transfer, wake-up, copy and read bandwidth, loopback TCP, and the disk under a directory."""
    say("machine: measuring its own limits")
    a, b = two_cpus()
    sizes = [16 << 10, 1 << 20, 16 << 20, 128 << 20]
    trips = 1000 if quick else 5000
    seconds = 0.05 if quick else 0.2
    found: dict[str, Any] = {
        "cache_line": probe("cacheline", a, b, seconds * 2),
        "semaphore_wake": probe("semwake", a, b, trips, 20000),
        "tcp_64_bytes": probe("tcp", a, b, trips, 64),
        "tcp_1_megabyte": probe("tcp", a, b, trips // 10, 1 << 20),
        "handover": bandwidth("handover", sizes[:3], seconds=seconds),
    }
    for kind in ("copy", "read"):
        for cores in (1, 2):
            found[f"{kind}_{cores}_core"] = bandwidth(kind, sizes, cores=cores, seconds=seconds)
    found["disk"] = probe("disk", directory / "disk.probe", (32 if quick else 256) << 20)
    return found


def describe() -> dict[str, Any]:
    """What this run ran on."""
    model = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("model name", "CPU implementer")):
            model = line.split(":", 1)[1].strip()
            break
    return {
        "cpu": model,
        "cpus": sorted(os.sched_getaffinity(0)),
        "used_cpus": list(two_cpus()),
        "l2_bytes": l2_bytes(),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


@cache
def l2_bytes() -> int:
    """Size of one core's L2 cache; 1 MiB where the system does not say."""
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            if (index / "level").read_text().strip() == "2":
                text = (index / "size").read_text().strip()
                return int(text[:-1]) * {"K": 1 << 10, "M": 1 << 20}[text[-1]]
        except (OSError, ValueError, KeyError):
            continue
    return 1 << 20


def limits_table(found: dict[str, Any]) -> str:
    """The limits as lines of text."""
    lines = ["machine limits (one way; p50, p99, p99.9, max in us)"]
    for key in ("cache_line", "semaphore_wake", "tcp_64_bytes", "tcp_1_megabyte"):
        figures = (found[key][f"{p}_ns"] / 1e3 for p in ("p50", "p99", "p999", "max"))
        lines.append(f"  {key:<18}" + "".join(f"{v:>11.3f}" for v in figures))
    sizes = [16 << 10, 1 << 20, 16 << 20, 128 << 20]
    heads = ("16 KiB", "1 MiB", "16 MiB", "128 MiB")
    lines.append(f"  {'bandwidth (GB/s)':<18}" + "".join(f"{h:>11}" for h in heads))
    for key in ("copy_1_core", "copy_2_core", "read_1_core", "read_2_core", "handover"):
        figures = (f"{found[key][s] / 1e9:.1f}" if s in found[key] else "-" for s in sizes)
        lines.append(f"  {key:<18}" + "".join(f"{v:>11}" for v in figures))
    lines.append(f"  {'disk write':<18}{found['disk']['bytes_per_s'] / 1e9:>11.2f}")
    return "\n".join(lines)
