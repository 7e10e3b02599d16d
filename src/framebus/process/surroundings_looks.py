"""What to say of a machine's surroundings: one look for each, at what ``surroundings`` found."""

from __future__ import annotations

from collections.abc import Callable

from framebus.process.kernel_files import ranges
from framebus.process.looks import Told, boot, for_loops, isolation
from framebus.process.surroundings import Surroundings

__all__ = ["DEEP_US", "FAST_CLOCKS", "LARGE_SHARE", "LITTLE_SWAPPINESS", "SURROUNDINGS_LOOKS"]

DEEP_US = 10
"""An idle state from which waking takes longer than this is deep: it shows in a loop's latency."""

LARGE_SHARE = 0.25
"""Of the machine's memory: a directory of streams that is smaller is cramped."""

FAST_CLOCKS = ("tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page")
"""Sources of time that are read without a system call."""

LITTLE_SWAPPINESS = 10
"""Up to this the kernel swaps programs out only where memory is short."""

_ROOM = 256 << 20
_STOLEN = 0.001
_MIB = 1 << 20


def _idle(around: Surroundings) -> Told:
    states = around.idle_states
    if states is None:
        return (
            "unknown",
            "not told: the kernel puts idle CPUs to sleep in its own way, or a hypervisor does",
            "",
        )
    listed = ", ".join(f"{state.name} {state.latency_us} µs{' (off)' * state.disabled}" for state in states)
    deep = [state for state in states if state.latency_us > DEEP_US and not state.disabled]
    if not deep:
        return "ok", listed, ""
    slowest = max(state.latency_us for state in deep)
    return (
        "warn",
        f"{listed}: a CPU that slept deeply wakes {slowest} µs late, unless dma_latency_us keeps it from that",
        f"sudo cpupower idle-set --disable-by-latency {DEEP_US}",
    )


def _smt(around: Surroundings) -> Told:
    if not around.siblings:
        return "ok", "no two CPUs share a core" + f" ({around.smt})" * bool(around.smt), ""
    pairs = " ".join(ranges(group) for group in around.siblings[:8])
    more = " ..." if len(around.siblings) > 8 else ""
    return (
        "info",
        f"CPUs share cores ({pairs}{more}): what runs on a loop's sibling slows it down",
        "echo off | sudo tee /sys/devices/system/cpu/smt/control  # or leave the siblings of loops' CPUs idle",
    )


def _ticks(around: Surroundings) -> Told:
    if around.nohz_full is None or around.rcu_callbacks_moved is None:
        return "unknown", "the kernel does not tell", ""
    if not around.nohz_full:
        return (
            "info",
            "every CPU is interrupted by the scheduler's tick",
            isolation(around.isolated or for_loops(around.online), isolated=bool(around.isolated)),
        )
    free = ranges(around.nohz_full)
    left = sorted(set(around.nohz_full) - set(around.rcu_callbacks_moved))
    # The kernel moves the callbacks of nohz_full CPUs by itself, since 3.10 or so; the option says it for all to see.
    note = f"; CPUs {ranges(left)} are not in rcu_nocbs, which nohz_full implies" if left else ""
    return "ok", f"none on CPUs {free} while one thread runs there{note}", ""


def _slack(around: Surroundings) -> Told:
    slack = around.timer_slack_ns
    if slack is None:
        return "unknown", "the kernel does not tell", ""
    return "ok", f"{slack / 1e3:g} µs for this process; loops set their own to 1 ns", ""


def _shm(around: Surroundings) -> Told:
    shared = around.shared_memory
    if shared is None:
        return (
            "warn",
            "the directory of streams is not there",
            "mkdir -p it, or set MILK_SHM_DIR to one in /dev/shm",
        )
    text = f"{shared.directory}: {_size(shared.free_bytes)} of {_size(shared.total_bytes)} free"
    grow = f"sudo mount -o remount,size={max(around.memory_bytes // 2, _ROOM) // _MIB}M /dev/shm"
    if shared.kind not in ("tmpfs", "ramfs", ""):
        return (
            "warn",
            f"{text}; it is on {shared.kind}, no memory",
            "set MILK_SHM_DIR to a directory in /dev/shm",
        )
    if shared.free_bytes < min(_ROOM, shared.total_bytes // 10):
        return "warn", f"{text}: a stream that does not fit cannot be made", f"framebus rm --dead; {grow}"
    if shared.total_bytes < around.memory_bytes * LARGE_SHARE:
        return "info", f"{text}; the machine has {_size(around.memory_bytes)} of memory", grow
    return "ok", text + (f" ({shared.kind})" if shared.kind else ""), ""


def _defrag(around: Surroundings) -> Told:
    if not around.defrag:
        return "unknown", "the kernel does not tell, or has no transparent huge pages", ""
    if around.defrag == "always":
        where = "/sys/kernel/mm/transparent_hugepage/defrag"
        return (
            "warn",
            "always: a program that touches new memory waits while the kernel makes room for a huge page",
            f"echo madvise | sudo tee {where}",
        )
    return "ok", around.defrag, ""


def _swap(around: Surroundings) -> Told:
    if around.swap_bytes is None:
        return "unknown", "the kernel does not tell", ""
    if not around.swap_bytes:
        return "ok", "none", ""
    text = f"{_size(around.swap_used_bytes)} of {_size(around.swap_bytes)} used"
    if around.swappiness is not None:
        text += f", swappiness {around.swappiness}"
    if around.swap_used_bytes:
        return (
            "warn",
            f"{text}: pages come back from disk",
            "sudo swapoff -a; and lock_memory = true for loops",
        )
    if around.swappiness is not None and around.swappiness <= LITTLE_SWAPPINESS:
        return "ok", text, ""
    return "info", f"{text}: streams and loops may be swapped out", "sudo sysctl -w vm.swappiness=1"


def _numa(around: Surroundings) -> Told:
    if around.numa_balancing is None:
        return "unknown", "this kernel does none, or does not tell", ""
    if around.numa_balancing:
        return (
            "warn",
            "pages are taken from loops now and then, to see who uses them",
            "sudo sysctl -w kernel.numa_balancing=0",
        )
    return "ok", "off", ""


def _clock(around: Surroundings) -> Told:
    if not around.clocksource:
        return "unknown", "the kernel does not tell", ""
    if around.clocksource in FAST_CLOCKS:
        return "ok", around.clocksource, ""
    text = f"{around.clocksource}: every look at the clock is a system call"
    if "tsc" in around.clocksources:
        switch = "/sys/devices/system/clocksource/clocksource0/current_clocksource"
        return "warn", text, f"echo tsc | sudo tee {switch}"
    return "warn", f"{text}; the kernel does not trust the CPUs' counters", boot("tsc=reliable")


def _spread_of_interrupts(around: Surroundings) -> Told:
    if around.interrupts is None:
        return "unknown", "the kernel does not tell where they are served", ""
    anywhere: dict[tuple[int, ...], int] = {}
    for cpus in around.interrupts.values():
        anywhere[cpus] = anywhere.get(cpus, 0) + 1
    most = sorted(anywhere.items(), key=lambda item: (-item[1], item[0]))
    told = ", ".join(f"{count} on CPUs {ranges(cpus)}" for cpus, count in most[:4])
    told += f", {len(most) - 4} other sets" if len(most) > 4 else ""
    return "ok", f"{told}; 'framebus tune' keeps them away from the CPUs of loops", ""


def _virtual(around: Surroundings) -> Told:
    inside = f"in a container ({around.container})" if around.container else ""
    if around.virtual is None:
        return "unknown", ", ".join(filter(None, ["the CPUs do not tell", inside])), ""
    if not around.virtual:
        return "ok", ", ".join(filter(None, ["none", inside])), ""
    text = ", ".join(filter(None, ["this is a virtual machine", inside]))
    if around.steal is not None and around.steal > _STOLEN:
        return (
            "warn",
            f"{text}: {100 * around.steal:.2g} % of its time since boot went to others on the host",
            "pin the virtual CPUs on the host, one to a core, or run on the metal",
        )
    return "info", f"{text}: what the host does is not seen from here", "measure: framebus doctor --measure"


def _size(n_bytes: int) -> str:
    """In powers of 1024, as memory is counted."""
    return f"{n_bytes / 2**30:.3g} GiB" if n_bytes >= 2**30 else f"{n_bytes / _MIB:.3g} MiB"


SURROUNDINGS_LOOKS: tuple[tuple[str, Callable[[Surroundings], Told]], ...] = (
    ("idle states", _idle),
    ("SMT", _smt),
    ("ticks", _ticks),
    ("timer slack", _slack),
    ("interrupts' CPUs", _spread_of_interrupts),
    ("clock", _clock),
    ("shared memory", _shm),
    ("making huge pages", _defrag),
    ("swap", _swap),
    ("NUMA balancing", _numa),
    ("hypervisor", _virtual),
)
