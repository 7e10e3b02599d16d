"""How a loop is triggered and where its thread runs."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from framebus.errors import UsageError
from framebus.process.placement import Placement

Trigger = Literal["stream", "delay", "once", "free"]
HugePages = Literal["none", "transparent", "explicit"]


@dataclass(frozen=True)
class LoopOptions:
    """How a loop is triggered and where it runs.

    Attributes:
        trigger: ``stream`` (a frame of the first unit's first input), ``delay`` (every ``period_s``, on an absolute
            clock), ``once`` (a single time, with the inputs as they stand), ``free`` (again at once).
        period_s: of ``delay``, in s.
        every_frame: read every frame through the trigger's history instead of skipping to the newest.
        spin_us: watch the trigger for that long before sleeping, in µs; ``inf`` never sleeps.
        cpu: CPU, or set of CPUs, that the loop's thread may run on; ``None``: any.
        priority: SCHED_FIFO priority, 1-99; 0 is normal scheduling.
        lock_memory: keep the process' memory from being paged out.
        numa_node: take memory from this node.
        dma_latency_us: keep CPUs from sleeping deeper than this wake-up latency while the loop runs, µs.
        huge_pages: ``transparent`` or ``explicit`` huge pages for the process' memory.
        irqs: interrupts to move to the loop's CPUs, by number or by the name of their device.

    Raises:
        UsageError: a value is not possible; the message says which, and what is expected.
    """

    trigger: Trigger = "stream"
    period_s: float = 0.0
    every_frame: bool = False
    spin_us: float = 0.0
    cpu: int | tuple[int, ...] | None = None
    priority: int = 0
    lock_memory: bool = False
    numa_node: int | None = None
    dma_latency_us: float | None = None
    huge_pages: HugePages = "none"
    irqs: tuple[int | str, ...] = ()

    def __post_init__(self) -> None:
        if isinstance(self.cpu, list):  # as JSON has it
            object.__setattr__(self, "cpu", tuple(self.cpu))
        irqs = self.irqs
        object.__setattr__(self, "irqs", (irqs,) if isinstance(irqs, int | str) else tuple(irqs))
        if self.trigger not in ("stream", "delay", "once", "free"):
            raise UsageError(f"trigger is {self.trigger!r}; expected 'stream', 'delay', 'once' or 'free'")
        if self.trigger == "delay" and not (_real(self.period_s) and 1e-9 <= self.period_s <= 1e6):
            raise UsageError(f"trigger 'delay': period_s is {self.period_s!r}, expected seconds above 0")
        if not (_real(self.spin_us) and self.spin_us >= 0):
            raise UsageError(f"spin_us is {self.spin_us!r}, expected µs >= 0, or inf")
        self._check_placement()

    def _check_placement(self) -> None:
        last = (os.cpu_count() or 1) - 1
        for cpu in self.cpus:
            if isinstance(cpu, bool) or not isinstance(cpu, int) or not 0 <= cpu <= last:
                raise UsageError(f"cpu is {cpu!r}; this machine has CPUs 0 to {last}")
        if self.cpu == ():
            raise UsageError("cpu is an empty set; expected at least one CPU, or None for any")
        _ = self.placement  # which says what else is possible on no machine

    @property
    def cpus(self) -> tuple[int, ...]:
        """The CPUs of ``cpu``; none if any will do."""
        if self.cpu is None:
            return ()
        return self.cpu if isinstance(self.cpu, tuple) else (self.cpu,)

    @property
    def placement(self) -> Placement:
        """Where the loop's thread and arrays are to be."""
        return Placement(
            self.cpus,
            self.priority,
            self.lock_memory,
            self.numa_node,
            self.dma_latency_us,
            self.huge_pages,
            self.irqs,
        )

    @property
    def spin_ns(self) -> int:
        """``spin_us`` in ns; -1: never sleep."""
        return -1 if self.spin_us > 4e15 else int(self.spin_us * 1e3)


def _real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
