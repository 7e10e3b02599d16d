"""Where a loop's thread runs, and what the kernel is asked for on its behalf: the wishes, checked and carried out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from framebus import _core
from framebus.errors import UsageError
from framebus.process.findings import Finding, examine
from framebus.process.machine import Machine, machine

__all__ = ["Finding", "HugePages", "Machine", "Placement", "examine", "huge_array", "machine", "restore"]

HugePages = Literal["none", "transparent", "explicit"]

_SMALL = 1 << 20
"""Bytes below which an array stays on ordinary pages: half a huge page would lie idle, and there is little to gain."""


@dataclass(frozen=True)
class Placement:
    """What a thread is given, as far as the kernel grants it.

    Attributes:
        cpus: CPUs that the thread may run on; empty: any.
        priority: SCHED_FIFO priority, 1-99; 0 is normal scheduling.
        lock_memory: keep the process' memory from being paged out.
        numa_node: take memory from this node first.
        dma_latency_us: keep CPUs from sleeping deeper than this wake-up latency, µs.
        huge_pages: what the arrays lie on.
        irqs: interrupts to move to ``cpus``, by number, by name or by shell pattern, as /proc/interrupts has them.

    Raises:
        UsageError: a value is possible on no machine; the message says all of them.
    """

    cpus: tuple[int, ...] = ()
    priority: int = 0
    lock_memory: bool = False
    numa_node: int | None = None
    dma_latency_us: float | None = None
    huge_pages: HugePages = "none"
    irqs: tuple[int | str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("cpus", "irqs"):
            object.__setattr__(self, name, _as_tuple(getattr(self, name)))
        wrong = list(_impossible(self))
        if wrong:
            raise UsageError("; ".join(wrong))

    def problems(self, on: Machine | None = None) -> list[str]:
        """What of it a machine cannot give, a sentence each: CPUs and NUMA nodes that are not there.

        What it may refuse to this user only (priority, locked memory...) is no problem: the loop runs without it.

        Args:
            on: the machine; default: this one.
        """
        on = on or machine()
        choice = f"choose among CPUs {_listed(on.allowed)}"
        found = []
        for cpu in self.cpus:
            if cpu not in on.online:
                found.append(f"CPU {cpu} does not exist or is offline; {choice}")
            elif cpu not in on.allowed:
                found.append(
                    f"CPU {cpu} is outside the set that this process may use; {choice}, "
                    "or start it with a larger set (taskset, cgroup)"
                )
        if self.numa_node is not None and self.numa_node not in (on.numa_nodes or (0,)):
            found.append(
                f"NUMA node {self.numa_node} does not exist or has no memory; "
                f"choose among nodes {_listed(on.numa_nodes or (0,))}"
            )
        return found

    def check(self, on: Machine | None = None) -> None:
        """Make sure that the machine has what is asked for.

        Raises:
            UsageError: it has not; the message says all that is missing.
        """
        if found := self.problems(on):
            raise UsageError("; ".join(found))

    def apply(self) -> list[str]:
        """Place the calling thread; all of it is tried.

        What is held for the thread (the latency request, locked memory) is given back when it ends, or by ``restore``.

        Returns:
            What the kernel refused, a sentence each: what, why, and what to do.
        """
        return _core.place_thread(
            cpus=list(self.cpus),
            priority=self.priority,
            lock_memory=self.lock_memory,
            numa_node=-1 if self.numa_node is None else self.numa_node,
            dma_latency_us=-1.0 if self.dma_latency_us is None else float(self.dma_latency_us),
            huge_pages=self.huge_pages,
            irqs=[str(irq) for irq in self.irqs],
        )

    def array(self, n_bytes: int) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], list[str]]:
        """Zeroed bytes for a loop, placed as ``huge_pages``, ``numa_node`` and ``lock_memory`` say.

        Returns:
            As ``huge_array`` gives it, and what was refused, a sentence each.

        Raises:
            UsageError, MemoryError: as ``huge_array``.
        """
        made, refusal = huge_array(n_bytes, self.huge_pages)
        refused = [refusal] if refusal else []
        if n_bytes and (self.lock_memory or self.numa_node is not None):
            node = -1 if self.numa_node is None else self.numa_node
            refused += _core.place_array(made, lock_memory=self.lock_memory, numa_node=node)
        return made, refused


def restore() -> list[str]:
    """Put the calling thread back to where its first ``apply`` found it; interrupts stay where they are.

    Returns:
        What the kernel refused, a sentence each.
    """
    return _core.restore_thread()


def huge_array(n_bytes: int, kind: HugePages) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], str]:
    """Zeroed bytes on huge pages, for a loop's large arrays.

    Less than 1 MiB stays on ordinary pages, as does everything with ``"none"``. Explicit pages that cannot be had
    become transparent ones.

    Args:
        n_bytes: how many.
        kind: which pages.

    Returns:
        uint8 array of ``n_bytes`` that begins at a multiple of 64 bytes; and what was refused, empty if nothing.

    Raises:
        UsageError: ``n_bytes`` is negative.
        MemoryError: there is not so much memory.
    """
    if n_bytes < 0:
        raise UsageError(f"cannot make an array of {n_bytes} bytes; expected 0 or more")
    if kind == "none" or n_bytes < _SMALL:
        room = np.zeros(n_bytes + 64, np.uint8)
        skip = -room.ctypes.data % 64
        return room[skip : skip + n_bytes], ""
    return _core.huge_memory(n_bytes, kind == "explicit")


def _as_tuple(values: object) -> object:
    """One CPU or interrupt may be given as such, several as any sequence."""
    if isinstance(values, int | str):
        return (values,)
    return tuple(values) if isinstance(values, Iterable) else values


def _impossible(wish: Placement) -> Iterable[str]:
    if not isinstance(wish.cpus, tuple) or not all(_whole(cpu) for cpu in wish.cpus):
        yield f"cpus are {wish.cpus!r}; expected CPU numbers from 0"
    elif len(set(wish.cpus)) < len(wish.cpus):
        yield f"cpus are {wish.cpus!r}; expected each CPU once"
    if not _whole(wish.priority) or wish.priority > 99:
        yield f"priority is {wish.priority!r}; expected 0 (normal scheduling) to 99"
    if not isinstance(wish.lock_memory, bool):
        yield f"lock_memory is {wish.lock_memory!r}; expected True or False"
    if wish.numa_node is not None and not _whole(wish.numa_node):
        yield f"numa_node is {wish.numa_node!r}; expected a node's number from 0, or None"
    latency = wish.dma_latency_us
    if latency is not None and not (
        isinstance(latency, int | float) and not isinstance(latency, bool) and 0 <= latency < math.inf
    ):
        yield f"dma_latency_us is {latency!r}; expected µs from 0, or None"
    if wish.huge_pages not in get_args(HugePages):
        yield f"huge_pages is {wish.huge_pages!r}; expected 'none', 'transparent' or 'explicit'"
    if not isinstance(wish.irqs, tuple) or not all(
        _whole(irq) or (isinstance(irq, str) and irq) for irq in wish.irqs
    ):
        yield f"irqs are {wish.irqs!r}; expected interrupts' numbers or names"
    elif isinstance(wish.irqs, tuple) and wish.irqs and not wish.cpus:
        yield "irqs without cpus; say to which CPUs these interrupts are to go"


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**31


def _listed(values: Iterable[int]) -> str:
    return ", ".join(map(str, values)) or "none"
