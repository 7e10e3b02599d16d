"""What there is to tune on a machine: the settings that it has and that are not yet as loops want them."""

from __future__ import annotations

import getpass
import mmap
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from framebus.errors import UsageError
from framebus.process.kernel_files import ranges, text, whole
from framebus.process.looks import LATENCY_RULE, boot, for_loops, isolation
from framebus.process.machine import Machine, machine
from framebus.process.surroundings import Surroundings, surroundings
from framebus.process.surroundings_looks import DEEP_US, FAST_CLOCKS, LARGE_SHARE, LITTLE_SWAPPINESS
from framebus.tuning.changes import Change, FileMode, KernelFile, MountSize, TextFile

__all__ = ["Item", "Manual", "items", "manuals"]

_CPUS = "sys/devices/system/cpu"
_USER = re.compile(r"@?[A-Za-z_][A-Za-z0-9_.-]*\Z")


@dataclass(frozen=True)
class Item:
    """Settings that belong together: all are changed, or none.

    Attributes:
        name: in one word.
        what: what becomes of it.
        why: what loops have of it.
        changes: one for each file.
        driver_may_refuse: it may be that a driver does not let go of it, which is no failure.
    """

    name: str
    what: str
    why: str
    changes: tuple[Change, ...]
    driver_may_refuse: bool = False


@dataclass(frozen=True)
class Manual:
    """What is not changed by this program: it takes a restart, or other programs.

    Attributes:
        name: in one word.
        why: what loops have of it.
        command: what to do.
    """

    name: str
    why: str
    command: str


def items(
    root: str | os.PathLike[str] = "/",
    *,
    cpus: Iterable[int] = (),
    user: str | None = None,
    huge_pages: int | None = None,
) -> list[Item]:
    """What is to be changed on a machine; what is as it should be is left out.

    Args:
        root: the directory that holds ``proc``, ``sys``, ``dev`` and ``etc``.
        cpus: those of loops; default: the isolated ones. Interrupts are moved away from them; without any they stay.
        user: whose limits are raised; default: who called sudo, else who runs this. root has no need of it.
        huge_pages: explicit huge pages to reserve; None: as they are.

    Raises:
        UsageError: a CPU is not there, none would be left for interrupts, the user's name is not possible, or /proc
            cannot be read.
    """
    base, on, around = Path(root), machine(root), surroundings(root)
    loops = _loops(on, cpus)
    found = [
        *_governor(base),
        *_idle_states(base, loops or on.online),
        *_real_time(base, on),
        *_memory(base, around),
        *_clock(base, around),
        *_shared_memory(base, around),
        *_limits(base, user if user is not None else os.environ.get("SUDO_USER") or _me()),
        *_latency_device(base),
        *_interrupts(base, on, around, loops),
    ]
    if huge_pages is not None:
        found += _huge_pages(base, huge_pages)
    return [item for item in found if _to_do(item)]


def manuals(root: str | os.PathLike[str] = "/", *, cpus: Iterable[int] = ()) -> list[Manual]:
    """What is left to people: the kernel's command line, services, CPUs' siblings.

    Args:
        root, cpus: as of ``items``; without CPUs the upper half is proposed.

    Raises:
        UsageError: as ``items``.
    """
    on, around = machine(root), surroundings(root)
    loops = _loops(on, cpus) or for_loops(on.online)
    found = []
    if loops and not set(loops) <= set(on.isolated):
        found.append(Manual("isolation", "other programs stay off the loops' CPUs", isolation(loops)))
    if on.preemption in ("none", "voluntary", "lazy"):
        why = f"the kernel lets a waking loop in at once (now: {on.preemption})"
        found.append(Manual("preemption", why, boot("preempt=full")))
    if on.irqbalance:
        command = "sudo systemctl disable --now irqbalance  # back: enable --now"
        found.append(Manual("irqbalance", "interrupts stay where they are put", command))
    if beside := [group for group in around.siblings if set(group) & set(loops)]:
        why = f"nothing runs beside a loop on its core ({' '.join(ranges(group) for group in beside[:4])})"
        command = "echo off | sudo tee /sys/devices/system/cpu/smt/control  # back: echo on"
        found.append(Manual("SMT", why, command))
    return found


def _to_do(item: Item) -> bool:
    """Whether something of it is not yet as wanted; what cannot be read is found out when it is applied."""
    for change in item.changes:
        try:
            if not change.same(change.current(), change.wanted):
                return True
        except OSError:
            return True
    return False


def _loops(on: Machine, cpus: Iterable[int]) -> tuple[int, ...]:
    wanted = tuple(sorted(set(cpus)))
    if missing := [cpu for cpu in wanted if cpu not in on.online]:
        there = ranges(on.online)
        raise UsageError(f"CPUs {ranges(missing)} do not exist or are offline; choose among {there}")
    if wanted and set(wanted) == set(on.online):
        raise UsageError("all CPUs are given to loops; leave one at least for interrupts and everything else")
    return wanted or tuple(sorted(set(on.isolated) & set(on.online)))


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name
        return "root"


# ---- one function for each concern -----------------------------------------------------------------------------------


def _file(base: Path, path: Path, wanted: str) -> KernelFile:
    return KernelFile(f"/{path.relative_to(base)}", wanted, base)


def _governor(base: Path) -> Iterator[Item]:
    folders = sorted((base / _CPUS / "cpufreq").glob("policy[0-9]*")) or sorted(
        (base / _CPUS).glob("cpu[0-9]*/cpufreq")
    )
    files = [
        _file(base, folder / "scaling_governor", "performance")
        for folder in folders
        if "performance" in text(folder / "scaling_available_governors").split()
    ]
    if files:
        yield Item("governor", "performance", "clocks do not change under load", tuple(files))


def _idle_states(base: Path, cpus: Iterable[int]) -> Iterator[Item]:
    files = [
        _file(base, state / "disable", "1")
        for cpu in cpus
        for state in sorted((base / _CPUS / f"cpu{cpu}/cpuidle").glob("state[0-9]*"))
        if (whole(state / "latency") or 0) > DEEP_US and (state / "disable").exists()
    ]
    if files:
        where = ranges(cpus)
        yield Item(
            "idle-states", f"none deeper than {DEEP_US} µs on CPUs {where}", "CPUs wake at once", tuple(files)
        )


def _real_time(base: Path, on: Machine) -> Iterator[Item]:
    if on.rt_runtime_us is not None:
        path = base / "proc/sys/kernel/sched_rt_runtime_us"
        why = "a loop with a priority that never sleeps is not stopped for 50 ms a second"
        yield Item("rt-time", "all of it for SCHED_FIFO threads", why, (_file(base, path, "-1"),))


def _memory(base: Path, around: Surroundings) -> Iterator[Item]:
    huge = base / "sys/kernel/mm/transparent_hugepage"
    if (huge / "enabled").exists():
        files = [_file(base, huge / "enabled", "madvise")]
        if around.defrag == "always":
            files.append(_file(base, huge / "defrag", "madvise"))
        why = "loops get huge pages where they ask for them, and nobody waits for others'"
        yield Item("huge-pages", "transparent ones for who asks (madvise)", why, tuple(files))
    if around.swap_bytes and around.swappiness is not None and around.swappiness > LITTLE_SWAPPINESS:
        path = base / "proc/sys/vm/swappiness"
        yield Item("swappiness", "1", "streams and loops stay in memory", (_file(base, path, "1"),))
    if around.numa_balancing:
        path = base / "proc/sys/kernel/numa_balancing"
        why = "pages are not taken away to see who uses them"
        yield Item("numa-balancing", "off", why, (_file(base, path, "0"),))


def _clock(base: Path, around: Surroundings) -> Iterator[Item]:
    if "tsc" in around.clocksources and around.clocksource not in FAST_CLOCKS:
        path = base / "sys/devices/system/clocksource/clocksource0/current_clocksource"
        yield Item("clock", "tsc", "a look at the clock is no system call", (_file(base, path, "tsc"),))


def _shared_memory(base: Path, around: Surroundings) -> Iterator[Item]:
    shared = around.shared_memory
    if shared and shared.kind == "tmpfs" and shared.total_bytes < around.memory_bytes * LARGE_SHARE:
        half = around.memory_bytes // 2
        size = half - half % mmap.PAGESIZE  # of another size the kernel would make whole pages
        change = MountSize("/dev/shm", str(size >> 10), base)
        yield Item("shared-memory", f"{size >> 20} MiB, half of the memory", "streams find room", (change,))


def _limits(base: Path, user: str) -> Iterator[Item]:
    if not _USER.match(user):
        raise UsageError(f"{user!r} is no name of a user; expected letters, digits, '_', '.', '-', or @group")
    if user == "root" or not (base / "etc/security/limits.d").is_dir():
        return
    change = TextFile("/etc/security/limits.d/framebus.conf", None, base)
    before = change.current() or ""
    lines = [f"{user} - rtprio 99", f"{user} - memlock unlimited"]
    missing = [line for line in lines if line not in before.splitlines()]
    if missing:
        gap = "" if not before or before.endswith("\n") else "\n"
        wanted = before + gap + "".join(f"{line}\n" for line in missing)
        what = f"priorities and locked memory for {user}, from the next login on"
        yield Item(
            "limits", what, "loops get priority and lock_memory", (TextFile(change.path, wanted, base),)
        )


def _latency_device(base: Path) -> Iterator[Item]:
    device = base / "dev/cpu_dma_latency"
    rules = base / "etc/udev/rules.d"
    if not device.exists():
        return
    changes: list[Change] = [FileMode("/dev/cpu_dma_latency", "666", base)]
    if rules.is_dir():
        changes.append(TextFile("/etc/udev/rules.d/99-framebus.rules", f"{LATENCY_RULE}\n", base))
    why = "loops of any user can keep CPUs awake (dma_latency_us)"
    yield Item("latency-device", "/dev/cpu_dma_latency for everybody", why, tuple(changes))


def _huge_pages(base: Path, number: int) -> Iterator[Item]:
    if number < 0:
        raise UsageError(f"cannot reserve {number} huge pages; expected 0 or more")
    change = _file(base, base / "proc/sys/vm/nr_hugepages", str(number))
    yield Item("explicit-huge-pages", f"{number} reserved", 'for huge_pages = "explicit"', (change,))


def _interrupts(base: Path, on: Machine, around: Surroundings, loops: tuple[int, ...]) -> Iterator[Item]:
    """Each is an item of its own: of some a driver does not let go."""
    others = sorted(set(on.online) - set(loops))
    if not loops or not others:
        return
    why = f"they do not interrupt the loops on CPUs {ranges(loops)}"
    default = base / "proc/irq/default_smp_affinity"
    if default.exists():
        mask = f"{sum(1 << cpu for cpu in others):x}"
        words = ",".join(_words(mask))
        change = KernelFile(f"/{default.relative_to(base)}", words, base, "mask")
        yield Item("irq-default", f"new interrupts on CPUs {ranges(others)}", why, (change,))
    for number, cpus in (around.interrupts or {}).items():
        if set(cpus) & set(loops):
            where = ranges(set(cpus) - set(loops) or others)
            change = KernelFile(f"/proc/irq/{number}/smp_affinity_list", where, base, "list")
            yield Item(f"irq-{number}", f"on CPUs {where}", why, (change,), driver_may_refuse=True)


def _words(mask: str) -> list[str]:
    """A mask in words of 32 bits, as the kernel reads it."""
    padded = mask.zfill(-len(mask) % 8 + len(mask))
    words = [padded[i : i + 8] for i in range(0, len(padded), 8)]
    return [words[0].lstrip("0") or "0", *words[1:]]
