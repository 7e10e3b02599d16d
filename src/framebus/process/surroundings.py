"""What surrounds the loops of a machine: idle states, siblings, timers, memory, interrupts, a hypervisor beneath."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from framebus.process.kernel_files import (
    chosen,
    cpu_times,
    fields,
    first_number,
    numbers,
    options,
    text,
    whole,
)

__all__ = ["IdleState", "SharedMemory", "Surroundings", "surroundings"]

_CONTAINERS = ("docker", "containerd", "kubepods", "lxc", "libpod")


@dataclass(frozen=True)
class IdleState:
    """One of the depths to which an idle CPU sleeps.

    Attributes:
        name: as its driver calls it: ``POLL``, ``C1``, ``C6``.
        latency_us: what waking from it takes by the driver's table, µs.
        disabled: whether every CPU is kept from it.
    """

    name: str
    latency_us: int
    disabled: bool


@dataclass(frozen=True)
class SharedMemory:
    """Where streams live.

    Attributes:
        directory: its path.
        kind: the file system's type (``tmpfs``); empty: not told.
        total_bytes, free_bytes: its size and what is left of it.
    """

    directory: str
    kind: str
    total_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class Surroundings:
    """Facts; what the kernel does not tell is None, or empty where nothing is a possible answer.

    Attributes:
        idle_driver: what puts idle CPUs to sleep (``intel_idle``); empty: nothing, or not told.
        idle_states: from shallow to deep, of the first CPU that has some; None: not told.
        smt: ``on``, ``off``, ``forceoff``, ``notsupported``, ``notimplemented``; empty: not told.
        siblings: groups of CPUs that share a core, those of two and more.
        online, isolated: CPUs that run, and those that the scheduler leaves alone.
        nohz_full, rcu_callbacks_moved: CPUs without a tick, and those freed of the kernel's deferred work
            (``rcu_nocbs``); None: not told.
        timer_slack_ns: by how much sleeps of this process may be prolonged.
        shared_memory: where streams live; None: it is not there.
        memory_bytes: of the machine.
        defrag: what the kernel does for a transparent huge page (``always``: it makes a program wait).
        swap_bytes, swap_used_bytes, swappiness: swap space, and how readily it is used.
        numa_balancing: whether pages are unmapped now and then to see who uses them.
        interrupts: CPUs on which device interrupts may be served, by interrupt's number; None: not told.
        clocksource, clocksources: the one in use, and those there are.
        virtual: a hypervisor runs beneath; None: not told.
        container: what the processes are shut in; empty: nothing that shows.
        steal: share of this CPUs' time since boot that the hypervisor gave to others; None: not told.
    """

    idle_driver: str
    idle_states: tuple[IdleState, ...] | None
    smt: str
    siblings: tuple[tuple[int, ...], ...]
    online: tuple[int, ...]
    isolated: tuple[int, ...]
    nohz_full: tuple[int, ...] | None
    rcu_callbacks_moved: tuple[int, ...] | None
    timer_slack_ns: int | None
    shared_memory: SharedMemory | None
    memory_bytes: int
    defrag: str
    swap_bytes: int | None
    swap_used_bytes: int
    swappiness: int | None
    numa_balancing: bool | None
    interrupts: dict[int, tuple[int, ...]] | None
    clocksource: str
    clocksources: tuple[str, ...]
    virtual: bool | None
    container: str
    steal: float | None


def surroundings(
    root: str | os.PathLike[str] = "/", shared: str | os.PathLike[str] | None = None
) -> Surroundings:
    """Look about. Nothing is raised: what cannot be read is taken as not told.

    Args:
        root: the directory that holds ``proc``, ``sys`` and ``dev``.
        shared: where streams live; default: ``dev/shm`` there.
    """
    base = Path(root)
    cpus = base / "sys/devices/system/cpu"
    clock = base / "sys/devices/system/clocksource/clocksource0"
    memory = fields(base / "proc/meminfo")
    command_line = text(base / "proc/cmdline")
    swap = first_number(memory.get("SwapTotal")) * 1024
    balancing = whole(base / "proc/sys/kernel/numa_balancing")
    return Surroundings(
        idle_driver=_driver(cpus),
        idle_states=_idle_states(cpus),
        smt=text(cpus / "smt/control"),
        siblings=_siblings(cpus),
        online=numbers(text(cpus / "online")),
        isolated=numbers(text(cpus / "isolated")),
        nohz_full=_booted_with(command_line, "nohz_full", cpus / "nohz_full"),
        rcu_callbacks_moved=_booted_with(command_line, "rcu_nocbs"),
        timer_slack_ns=whole(base / "proc/self/timerslack_ns"),
        shared_memory=_shared_memory(base, Path(shared) if shared is not None else base / "dev/shm"),
        memory_bytes=first_number(memory.get("MemTotal")) * 1024,
        defrag=chosen(text(base / "sys/kernel/mm/transparent_hugepage/defrag")),
        swap_bytes=swap if "SwapTotal" in memory else None,
        swap_used_bytes=swap - first_number(memory.get("SwapFree")) * 1024,
        swappiness=whole(base / "proc/sys/vm/swappiness"),
        numa_balancing=None if balancing is None else balancing > 0,
        interrupts=_interrupts(base / "proc/irq"),
        clocksource=text(clock / "current_clocksource"),
        clocksources=tuple(text(clock / "available_clocksource").split()),
        virtual=_virtual(base),
        container=_container(base),
        steal=_steal(base),
    )


def _driver(cpus: Path) -> str:
    driver = text(cpus / "cpuidle/current_driver")
    return "" if driver == "none" else driver


def _idle_states(cpus: Path) -> tuple[IdleState, ...] | None:
    """Of the first CPU that has some; disabled is what is so everywhere."""
    found = []
    for first in sorted(cpus.glob("cpu[0-9]*/cpuidle"))[:1]:
        for state in sorted(first.glob("state[0-9]*"), key=lambda path: int(path.name[5:])):
            switches = [text(path) for path in cpus.glob(f"cpu[0-9]*/cpuidle/{state.name}/disable")]
            disabled = bool(switches) and all(switch not in ("", "0") for switch in switches)
            found.append(IdleState(text(state / "name"), whole(state / "latency") or 0, disabled))
    return tuple(found) or None


def _siblings(cpus: Path) -> tuple[tuple[int, ...], ...]:
    groups = {numbers(text(path)) for path in cpus.glob("cpu[0-9]*/topology/thread_siblings_list")}
    return tuple(sorted(group for group in groups if len(group) > 1))


def _booted_with(command_line: str, option: str, file: Path | None = None) -> tuple[int, ...] | None:
    """CPUs of a boot option; a file of the kernel, where it has one, knows better."""
    if file is not None and (said := text(file)):
        return numbers(said)  # "(null)" where there are none
    if not command_line:
        return None
    asked = options(command_line, option)
    return numbers(asked[-1]) if asked else ()


def _shared_memory(base: Path, directory: Path) -> SharedMemory | None:
    try:
        space = os.statvfs(directory)
    except OSError:
        return None
    place, kind = directory, ""
    mounts = [line.split() for line in text(base / "proc/mounts").splitlines()]
    kinds = {words[1]: words[2] for words in mounts if len(words) > 2}
    while not kind and place != place.parent:
        kind, place = kinds.get(str(place), ""), place.parent
    return SharedMemory(
        str(directory), kind, space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize
    )


def _interrupts(folder: Path) -> dict[int, tuple[int, ...]] | None:
    try:
        listed = [path for path in folder.iterdir() if path.name.isdigit()]
    except OSError:
        return None
    found = {int(path.name): numbers(text(path / "smp_affinity_list")) for path in listed}
    return {number: cpus for number, cpus in sorted(found.items()) if cpus} or None


def _virtual(base: Path) -> bool | None:
    if text(base / "sys/hypervisor/type"):
        return True
    flags = fields(base / "proc/cpuinfo")
    said = flags.get("flags")  # of the last CPU; Arm's kernels have "Features", and do not tell
    return None if said is None else "hypervisor" in said.split()


def _container(base: Path) -> str:
    if kind := text(base / "run/systemd/container"):
        return kind
    if (base / ".dockerenv").exists():
        return "docker"
    if (base / "run/.containerenv").exists():
        return "podman"
    groups = text(base / "proc/self/cgroup")
    return next((name for name in _CONTAINERS if name in groups), "")


def _steal(base: Path) -> float | None:
    times = cpu_times(base)
    return times[7] / sum(times) if sum(times) else None
