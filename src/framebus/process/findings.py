"""What stands in the way of real time: what units were refused, what the machine lacks, what is not installed."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from framebus.process.listing import records
from framebus.process.machine import Machine, machine

__all__ = ["Finding", "examine", "examine_machine", "examine_parts", "examine_units"]

Part = Literal["units", "machine", "parts"]
Severity = Literal["ok", "info", "warn"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        part: where: running ``units``, the ``machine``, or optional ``parts`` of framebus.
        subject: what was looked at, in a few words.
        severity: ``ok``; ``info``: could be better, for those who need it; ``warn``: in the way of real time.
        text: what was found.
        remedy: what to do, a command where one does it; empty if there is nothing to do.
    """

    part: Part
    subject: str
    severity: Severity
    text: str
    remedy: str = ""


def examine(on: Machine | None = None, directory: str | os.PathLike[str] | None = None) -> list[Finding]:
    """Look at everything: running units first, then the machine, then optional parts.

    Args:
        on: the machine; default: this one.
        directory: where the units' records are; default: that of the streams.

    Raises:
        UsageError: /proc cannot be read.
    """
    return [*examine_units(directory), *examine_machine(on or machine()), *examine_parts()]


def examine_units(directory: str | os.PathLike[str] | None = None) -> list[Finding]:
    """What the kernel refused to the units that run now, as their process records say."""
    with warnings.catch_warnings(record=True) as unreadable:
        warnings.simplefilter("always", RuntimeWarning)
        running = [record for record in records(directory) if record.alive]
    found = [
        Finding("units", "record", "warn", str(w.message), "remove the file if nobody needs it")
        for w in unreadable
    ]
    refused = 0
    for record in running:
        with record:
            name, refusals = f"{record.unit}.{record.pid}", record.refusals
        for refusal in refusals:
            text, _, remedy = refusal.partition("; ")
            found.append(Finding("units", name, "warn", text, remedy))
            refused += 1
    if not running:
        found.append(Finding("units", "running units", "ok", "none run now"))
    elif not refused:
        found.append(Finding("units", "running units", "ok", f"{len(running)}, nothing was refused to them"))
    return found


def examine_machine(on: Machine) -> list[Finding]:
    """What a machine lacks for real time, as far as this process and its user are concerned."""
    return [Finding("machine", subject, *look(on)) for subject, look in _LOOKS]


def examine_parts() -> list[Finding]:
    """Which optional parts of framebus can be used, and how to get the others."""
    found = []
    for extra, modules, use in _EXTRAS:
        missing = [module for module in modules if find_spec(module) is None]
        if missing:
            text = f"not installed ({', '.join(missing)}): {use}"
            found.append(Finding("parts", extra, "info", text, f"pip install 'framebus[{extra}]'"))
        else:
            found.append(Finding("parts", extra, "ok", use))
    use = "terminal windows of units (tmux)"
    if shutil.which("tmux") is None:
        found.append(
            Finding("parts", "tmux program", "info", f"not installed: {use}", "sudo apt install tmux")
        )
    else:
        found.append(Finding("parts", "tmux program", "ok", use))
    return found


_EXTRAS = (
    ("cli", ("click", "rich", "msgspec", "tomli_w"), "commands and pipeline files"),
    ("compute", ("numba", "scipy"), "compiled units"),
    ("fits", ("astropy",), "FITS files"),
    ("ao", ("matplotlib",), "pictures of calibrations"),
    ("tmux", ("libtmux",), "units in windows of tmux"),
)
"""An extra of the package, the modules that it brings, and what they are for."""

# ---- one look each ---------------------------------------------------------------------------------------------------

Told = tuple[Severity, str, str]


def _cpus(on: Machine) -> Told:
    text = f"{len(on.online)} online, {len(on.allowed)} for this process"
    if len(on.allowed) < 2:
        return "warn", f"{text}: loops share it with everything else", "use a machine with more CPUs"
    return "ok", text, ""


def _isolated(on: Machine) -> Told:
    if on.isolated:
        return "ok", f"{_ranges(on.isolated)} are left alone by the scheduler", ""
    chosen = _ranges(on.online[len(on.online) // 2 :])
    options = f"isolcpus=managed_irq,domain,{chosen} nohz_full={chosen} rcu_nocbs={chosen}"
    return (
        "info",
        "none: other programs run on a loop's CPU too",
        _boot(options),
    )


def _priority(on: Machine) -> Told:
    if on.may_nice:
        return "ok", "any may be asked for (CAP_SYS_NICE)", ""
    if on.rtprio_limit > 0:
        return "ok", f"up to {on.rtprio_limit} may be asked for", ""
    return "warn", "none may be asked for: RLIMIT_RTPRIO is 0", _limit("rtprio 99")


def _throttling(on: Machine) -> Told:
    if on.rt_runtime_us is None:
        return "info", "the kernel does not tell how much time SCHED_FIFO threads get", ""
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
    return "warn", f"at most {on.memlock_limit / 2**20:g} MiB may be locked", _limit("memlock unlimited")


def _transparent(on: Machine) -> Told:
    switch = "/sys/kernel/mm/transparent_hugepage/enabled"
    if on.transparent in ("always", "madvise"):
        return "ok", f"can be had ({on.transparent})", ""
    if on.transparent:
        return "info", f"are switched off ({on.transparent})", f"echo madvise | sudo tee {switch}"
    return "info", "this kernel has none", ""


def _explicit(on: Machine) -> Told:
    if not on.huge_page_bytes:
        return "info", "this kernel has none", ""
    text = f"{on.huge_pages_free} of {on.huge_pages_total} free, {on.huge_page_bytes >> 20} MiB each"
    if on.huge_pages_free:
        return "ok", text, ""
    more = on.huge_pages_total + 64
    return "info", f"{text}: huge_pages = 'explicit' is refused", f"sudo sysctl -w vm.nr_hugepages={more}"


def _latency(on: Machine) -> Told:
    if on.dma_latency == "writable":
        return "ok", "CPUs can be kept from deep sleep (/dev/cpu_dma_latency)", ""
    if on.dma_latency == "absent":
        return "info", "this kernel has no /dev/cpu_dma_latency", _boot("idle=poll")
    reload = "sudo udevadm control --reload; sudo udevadm trigger --name-match=cpu_dma_latency"
    rule = 'KERNEL=="cpu_dma_latency", MODE="0666"'
    return (
        "warn",
        "CPUs cannot be kept from deep sleep: /dev/cpu_dma_latency is not writable for this user",
        f"echo '{rule}' | sudo tee /etc/udev/rules.d/99-framebus.rules; {reload}",
    )


def _governor(on: Machine) -> Told:
    if not on.governors:
        return "ok", "the machine lets nobody choose one", ""
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
        return "info", "not PREEMPT_RT; what else is not told", kernel
    return (
        "warn",
        f"{on.preemption}: the kernel finishes its own work before a waking loop runs",
        _boot("preempt=full"),
    )


def _nodes(on: Machine) -> Told:
    if len(on.numa_nodes) < 2:
        return "ok", "one: all memory is near", ""
    return "ok", f"{_ranges(on.numa_nodes)}: give loops the numa_node of their CPUs", ""


def _irqbalance(on: Machine) -> Told:
    if on.irqbalance:
        return (
            "info",
            "irqbalance runs, and may move what irqs = [...] placed",
            "sudo systemctl disable --now irqbalance",
        )
    return "ok", "stay where they are put", ""


_LOOKS: tuple[tuple[str, Callable[[Machine], Told]], ...] = (
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


def _limit(what: str) -> str:
    """How a user's limit is raised for good."""
    return f'echo "$USER - {what}" | sudo tee -a /etc/security/limits.d/framebus.conf  # then log in again'


def _boot(options: str) -> str:
    return f"add to GRUB_CMDLINE_LINUX in /etc/default/grub, then run update-grub and reboot: {options}"


def _ranges(values: Iterable[int]) -> str:
    """(0, 1, 2, 8) as ``0-2,8``."""
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in _runs(values))


def _runs(values: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for value in sorted(values):
        if first is None or last is None:
            first = last = value
        elif value == last + 1:
            last = value
        else:
            yield first, last
            first = last = value
    if first is not None and last is not None:
        yield first, last
