"""What this machine and this user's limits offer for real time, read from /proc, /sys and /dev."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from framebus.errors import UsageError
from framebus.process.kernel_files import (
    chosen,
    fields,
    first_number,
    kernel_config,
    numbers,
    options,
    text,
    whole,
)

__all__ = ["Machine", "machine", "numbers"]

Preemption = Literal["rt", "full", "lazy", "voluntary", "none", "unknown"]
LatencyDevice = Literal["writable", "refused", "absent"]

_KINDS: tuple[Preemption, ...] = ("full", "lazy", "voluntary", "none")
_CAP_IPC_LOCK, _CAP_SYS_NICE = 14, 23


@dataclass(frozen=True)
class Machine:
    """Facts; what a kernel does not tell is empty or None.

    Attributes:
        online: CPUs that run.
        allowed: CPUs that this process may use at present (its affinity).
        isolated: CPUs that the scheduler leaves alone (boot option ``isolcpus``).
        numa_nodes: NUMA nodes that have memory.
        rtprio_limit: highest SCHED_FIFO priority that this user may ask for; 0: none.
        memlock_limit: bytes that this user may lock; None: as many as there are.
        may_nice: whether the process may set any priority whatever the limit (CAP_SYS_NICE).
        may_lock: whether it may lock any memory whatever the limit (CAP_IPC_LOCK).
        rt_runtime_us: of every second, what SCHED_FIFO threads may use in all, µs; -1: all of it; None: not told.
        huge_page_bytes: size of an explicit huge page; 0: the kernel has none.
        huge_pages_total: explicit huge pages that are reserved.
        huge_pages_free: those that nobody uses.
        transparent: mode of transparent huge pages: ``always``, ``madvise``, ``never``; empty: the kernel has none.
        dma_latency: what this user may do with /dev/cpu_dma_latency.
        governors: frequency governors in use; empty: the machine (often a virtual one) lets none choose.
        preemption: how the kernel lets a waking thread in; ``rt`` is PREEMPT_RT.
        irqbalance: whether the daemon runs that moves interrupts about.
    """

    online: tuple[int, ...]
    allowed: tuple[int, ...]
    isolated: tuple[int, ...]
    numa_nodes: tuple[int, ...]
    rtprio_limit: int
    memlock_limit: int | None
    may_nice: bool
    may_lock: bool
    rt_runtime_us: int | None
    huge_page_bytes: int
    huge_pages_total: int
    huge_pages_free: int
    transparent: str
    dma_latency: LatencyDevice
    governors: tuple[str, ...]
    preemption: Preemption
    irqbalance: bool


def machine(root: str | os.PathLike[str] = "/") -> Machine:
    """Look at this machine.

    Args:
        root: the directory that holds ``proc``, ``sys`` and ``dev``. What is not there is taken as not told.

    Raises:
        UsageError: ``root`` has no ``proc/self/status``, so that nothing could be told.
    """
    base = Path(root)
    status = fields(base / "proc/self/status")
    if not status:
        raise UsageError(
            f"cannot look at the machine: {base / 'proc/self/status'} cannot be read; mount /proc"
        )
    cpus, memory = base / "sys/devices/system/cpu", fields(base / "proc/meminfo")
    capabilities = int(status.get("CapEff", "0"), 16)
    limits = _limits(base / "proc/self/limits")
    priority = limits.get("Max realtime priority", 0)
    allowed = numbers(status.get("Cpus_allowed_list", ""))
    return Machine(
        online=numbers(text(cpus / "online")) or allowed,
        allowed=allowed,
        isolated=numbers(text(cpus / "isolated")),
        numa_nodes=numbers(text(base / "sys/devices/system/node/has_memory")),
        rtprio_limit=99 if priority is None else min(priority, 99),
        memlock_limit=limits.get("Max locked memory", 0),
        may_nice=bool(capabilities >> _CAP_SYS_NICE & 1),
        may_lock=bool(capabilities >> _CAP_IPC_LOCK & 1),
        rt_runtime_us=whole(base / "proc/sys/kernel/sched_rt_runtime_us"),
        huge_page_bytes=first_number(memory.get("Hugepagesize")) * 1024,
        huge_pages_total=first_number(memory.get("HugePages_Total")),
        huge_pages_free=first_number(memory.get("HugePages_Free")),
        transparent=chosen(text(base / "sys/kernel/mm/transparent_hugepage/enabled"), "[]"),
        dma_latency=_latency_device(base / "dev/cpu_dma_latency"),
        governors=tuple(sorted({text(path) for path in cpus.glob("cpu*/cpufreq/scaling_governor")} - {""})),
        preemption=_preemption(base),
        irqbalance=(base / "run/irqbalance").exists() or (base / "run/irqbalance.pid").exists(),
    )


def _limits(path: Path) -> dict[str, int | None]:
    """Soft limits of /proc/self/limits by name; None: unlimited. The name's column is 26 wide."""
    found: dict[str, int | None] = {}
    for line in text(path).splitlines()[1:]:
        words = line[26:].split()
        if words:
            found[line[:26].strip()] = int(words[0]) if words[0].isdigit() else None
    return found


def _latency_device(path: Path) -> LatencyDevice:
    if not path.exists():
        return "absent"
    return "writable" if os.access(path, os.W_OK) else "refused"


def _preemption(base: Path) -> Preemption:
    version = text(base / "proc/version")
    if text(base / "sys/kernel/realtime") == "1" or "PREEMPT_RT" in version:
        return "rt"
    built = kernel_config(base)
    if built.get("CONFIG_PREEMPT_RT") == "y":
        return "rt"
    if "PREEMPT_DYNAMIC" not in version:
        return "full" if "PREEMPT" in version else _built_in(built)
    # Chosen at boot, and told to root only; the boot option is for everyone to see.
    told = chosen(text(base / "sys/kernel/debug/sched/preempt"), "()")
    asked = options(text(base / "proc/cmdline"), "preempt")
    for kind in _KINDS:
        if kind == (told or (asked[-1] if asked else "")):
            return kind
    return _built_in(built)


def _built_in(config: dict[str, str]) -> Preemption:
    """What the kernel does if nobody asks for anything else."""
    names = {"CONFIG_PREEMPT": "full"} | {f"CONFIG_PREEMPT_{kind.upper()}": kind for kind in _KINDS}
    found = {kind for name, kind in names.items() if config.get(name) == "y"}
    return next((kind for kind in _KINDS if kind in found), "unknown")
