"""What to say of a machine's limits and settings: one look for each, at what ``machine`` found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from framebus.process.kernel_files import ranges
from framebus.process.machine import Machine

__all__ = ["LATENCY_RULE", "LOOKS", "Severity", "Told", "boot", "for_loops", "isolation", "limit"]

Severity = Literal["ok", "info", "warn", "unknown"]

Told = tuple[Severity, str, str]
"""How bad it is, what was found, and what to do."""

LATENCY_RULE = 'KERNEL=="cpu_dma_latency", MODE="0666"'
"""For udev: everybody may keep CPUs awake."""


def _cpus(on: Machine) -> Told:
    text = f"{len(on.online)} online, {len(on.allowed)} for this process"
    if len(on.allowed) < 2:
        return "warn", f"{text}: loops share it with everything else", "use a machine with more CPUs"
    return "ok", text, ""


def _isolated(on: Machine) -> Told:
    if on.isolated:
        return "ok", f"{ranges(on.isolated)} are left alone by the scheduler", ""
    return "info", "none: other programs run on a loop's CPU too", isolation(for_loops(on.online))


def _priority(on: Machine) -> Told:
    if on.may_nice:
        return "ok", "any may be asked for (CAP_SYS_NICE)", ""
    if on.rtprio_limit > 0:
        return "ok", f"up to {on.rtprio_limit} may be asked for", ""
    return "warn", "none may be asked for: RLIMIT_RTPRIO is 0", limit("rtprio 99")


def _throttling(on: Machine) -> Told:
    if on.rt_runtime_us is None:
        return "unknown", "the kernel does not tell how much time SCHED_FIFO threads get", ""
    if on.rt_runtime_us < 0:
        return "ok", "SCHED_FIFO threads may use all the time", ""
    return (
        "info",
        f"{on.rt_runtime_us / 1e4:g} % of the time for all: a thread that never sleeps may be stopped for the rest",
        "sudo sysctl -w kernel.sched_rt_runtime_us=-1",
    )


def _locked(on: Machine) -> Told:
    if on.may_lock:
        return "ok", "any amount may be locked (CAP_IPC_LOCK)", ""
    if on.memlock_limit is None:
        return "ok", "any amount may be locked", ""
    return "warn", f"at most {on.memlock_limit / 2**20:g} MiB may be locked", limit("memlock unlimited")


def _transparent(on: Machine) -> Told:
    switch = "/sys/kernel/mm/transparent_hugepage/enabled"
    remedy = f"echo madvise | sudo tee {switch}"
    if on.transparent == "madvise":
        return "ok", "can be had (madvise)", ""
    if on.transparent == "always":
        return "info", "every program gets them (always): the kernel may move pages beneath a loop", remedy
    if on.transparent:
        return "info", f"are switched off ({on.transparent})", remedy
    return "unknown", "this kernel has none, or does not tell", ""


def _explicit(on: Machine) -> Told:
    if not on.huge_page_bytes:
        return "unknown", "this kernel has none, or does not tell", ""
    text = f"{on.huge_pages_free} of {on.huge_pages_total} free, {on.huge_page_bytes >> 20} MiB each"
    if on.huge_pages_free:
        return "ok", text, ""
    more = on.huge_pages_total + 64
    return "info", f"{text}: huge_pages = 'explicit' is refused", f"sudo sysctl -w vm.nr_hugepages={more}"


def _latency(on: Machine) -> Told:
    if on.dma_latency == "writable":
        return "ok", "CPUs can be kept from deep sleep (/dev/cpu_dma_latency)", ""
    if on.dma_latency == "absent":
        return "info", "this kernel has no /dev/cpu_dma_latency", boot("idle=poll")
    reload = "sudo udevadm control --reload; sudo udevadm trigger --name-match=cpu_dma_latency"
    return (
        "warn",
        "CPUs cannot be kept from deep sleep: /dev/cpu_dma_latency is not writable for this user",
        f"echo '{LATENCY_RULE}' | sudo tee /etc/udev/rules.d/99-framebus.rules; {reload}",
    )


def _governor(on: Machine) -> Told:
    if not on.governors:
        return "unknown", "none is told: firmware or a hypervisor chooses the clock", ""
    text = ", ".join(on.governors)
    if on.governors == ("performance",):
        return "ok", text, ""
    where = "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor"
    return "warn", f"{text}: clocks change under load", f"echo performance | sudo tee {where}"


def _preemption(on: Machine) -> Told:
    if on.preemption == "rt":
        return "ok", "PREEMPT_RT", ""
    kernel = "sudo apt install linux-image-rt-amd64  # on Debian; elsewhere the PREEMPT_RT kernel"
    if on.preemption == "full":
        return "info", "full; only PREEMPT_RT bounds the kernel's own delays", kernel
    if on.preemption == "unknown":
        return "unknown", "not PREEMPT_RT; what else is not told", kernel
    return (
        "warn",
        f"{on.preemption}: the kernel finishes its own work before a waking loop runs",
        boot("preempt=full"),
    )


def _nodes(on: Machine) -> Told:
    if not on.numa_nodes:
        return "unknown", "this kernel knows of none, or does not tell", ""
    if len(on.numa_nodes) < 2:
        return "ok", "one: all memory is near", ""
    return "ok", f"{ranges(on.numa_nodes)}: give loops the numa_node of their CPUs", ""


def _irqbalance(on: Machine) -> Told:
    if on.irqbalance:
        return (
            "info",
            "irqbalance runs, and may move what irqs = [...] placed",
            "sudo systemctl disable --now irqbalance",
        )
    return "ok", "stay where they are put", ""


LOOKS: tuple[tuple[str, Callable[[Machine], Told]], ...] = (
    ("CPUs", _cpus),
    ("isolated CPUs", _isolated),
    ("SCHED_FIFO priority", _priority),
    ("SCHED_FIFO time", _throttling),
    ("locked memory", _locked),
    ("NUMA nodes", _nodes),
    ("transparent huge pages", _transparent),
    ("explicit huge pages", _explicit),
    ("wake-up latency", _latency),
    ("frequency governor", _governor),
    ("preemption", _preemption),
    ("interrupts", _irqbalance),
)


def limit(what: str) -> str:
    """How a user's limit is raised for good."""
    return f'echo "$USER - {what}" | sudo tee -a /etc/security/limits.d/framebus.conf  # then log in again'


def for_loops(online: tuple[int, ...]) -> tuple[int, ...]:
    """The CPUs to give to loops where nothing is known of them: the upper half of those, but not the only one."""
    return online[(len(online) + 1) // 2 :]


def isolation(cpus: Iterable[int], *, isolated: bool = False) -> str:
    """How other programs and the scheduler's ticks are kept off CPUs for good; of ``isolated`` ones: the ticks."""
    listed = ranges(cpus)
    if not listed:
        return "use a machine with more CPUs"
    programs = "" if isolated else f"isolcpus=managed_irq,domain,{listed} "
    return boot(f"{programs}nohz_full={listed} rcu_nocbs={listed}")


def boot(options: str) -> str:
    """How boot options are set for good."""
    return f"add to GRUB_CMDLINE_LINUX in /etc/default/grub, then run update-grub and reboot: {options}"
