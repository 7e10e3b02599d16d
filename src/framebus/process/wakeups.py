"""How late CPUs wake a thread that sleeps on the clock: measured as cyclictest does, by native code."""

from __future__ import annotations

import ctypes
import os
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError
from framebus.process.histogram import Histogram
from framebus.process.placement import Placement

__all__ = ["LOOP_SLACK_NS", "Wakeups", "measure_wakeups"]

LOOP_SLACK_NS = 1
"""The timer slack of framebus' loops, which the kernel rounds a sleep's end up by."""

_PR_SET_TIMERSLACK = 29
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Wakeups:
    """What a CPU did to a thread that asked to be woken every period.

    Attributes:
        cpu: where the thread was pinned.
        late: from the moment asked for to the thread's first look at the clock.
        refusals: what the kernel refused of the placement asked for, a sentence each.
    """

    cpu: int
    late: Histogram
    refusals: tuple[str, ...] = ()


@dataclass
class _Sleeper:
    """One thread's arrays: the lateness of each wake-up (ns), how many there were, and a word that ends it."""

    cpu: int
    late_ns: npt.NDArray[np.int64]
    done: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    stop: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    refusals: list[str] = field(default_factory=list)


def measure_wakeups(
    cpus: Iterable[int],
    seconds: float,
    *,
    period_us: float = 1000.0,
    priority: int = 0,
    dma_latency_us: float | None = None,
    slack_ns: int = LOOP_SLACK_NS,
    progress: Callable[[float], None] | None = None,
) -> list[Wakeups]:
    """Let a thread on each CPU sleep (clock_nanosleep to absolute times) and see how late it wakes.

    All CPUs are measured at the same time. The threads run native code without the interpreter's lock; what they are
    given (pinning, priority, the latency request) ends with them.

    Args:
        cpus: which.
        seconds: for how long.
        period_us: from one wake-up to the next, µs.
        priority: SCHED_FIFO priority of the threads; 0: normal scheduling.
        dma_latency_us: keep CPUs from sleeping deeper than this meanwhile.
        slack_ns: timer slack of the threads.
        progress: is told now and then which share of the time has passed, 0 to 1.

    Returns:
        One for each CPU that the threads could be pinned to.

    Raises:
        UsageError: the time or the period is not above 0, or shorter than a period, or there are no CPUs.
        ModuleNotFoundError: numba is not installed.
    """
    wanted = sorted(set(cpus))
    if not wanted:
        raise UsageError("cannot measure wake-ups on no CPU; name one at least")
    if not 0 < period_us <= seconds * 1e6 < float("inf"):
        raise UsageError(
            f"cannot measure wake-ups every {period_us:g} µs for {seconds:g} s; expected both above 0, "
            "and time for one at least"
        )
    run = _native_sleeper()
    sleepers = [_Sleeper(cpu, np.zeros(int(seconds * 1e6 / period_us), np.int64)) for cpu in wanted]
    threads = [
        threading.Thread(target=_sleep, args=(s, run, period_us, priority, dma_latency_us, slack_ns))
        for s in sleepers
    ]
    for thread in threads:
        thread.start()
    try:
        _await(threads, seconds, progress)
    finally:
        for sleeper in sleepers:
            sleeper.stop[0] = 1
        for thread in threads:
            thread.join()
    return [
        Wakeups(s.cpu, Histogram.of(s.late_ns[: s.done[0]]), tuple(s.refusals)) for s in sleepers if s.done[0]
    ]


def _await(
    threads: Sequence[threading.Thread], seconds: float, progress: Callable[[float], None] | None
) -> None:
    begin = time.monotonic()
    for thread in threads:
        while thread.is_alive():
            thread.join(_LOOK_S)
            if progress is not None:
                progress(min(1.0, (time.monotonic() - begin) / seconds))


def _sleep(
    sleeper: _Sleeper, run: Any, period_us: float, priority: int, dma_latency_us: float | None, slack_ns: int
) -> None:
    """What each thread does."""
    placement = Placement(cpus=(sleeper.cpu,), priority=priority, dma_latency_us=dma_latency_us)
    sleeper.refusals += placement.apply()
    if os.sched_getaffinity(0) != {sleeper.cpu}:
        return  # it would measure another CPU
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, ctypes.c_ulong(slack_ns), 0, 0, 0)
    run(round(period_us * 1e3), sleeper.late_ns, sleeper.stop, sleeper.done)


@cache
def _native_sleeper() -> Any:
    """Compiled once a process; the C library's functions are called by address, so it is not kept on disk."""
    import numba

    libc = ctypes.CDLL(None)
    sleep, look = libc.clock_nanosleep, libc.clock_gettime
    sleep.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
    look.argtypes = [ctypes.c_int, ctypes.c_void_p]
    sleep.restype = look.restype = ctypes.c_int

    def run(period_ns: int, late_ns: Any, stop: Any, done: Any) -> None:
        moment = np.zeros(2, np.int64)  # a timespec
        look(1, moment.ctypes)  # CLOCK_MONOTONIC
        due = moment[0] * 1_000_000_000 + moment[1]
        end = due + late_ns.size * period_ns
        for i in range(late_ns.size):
            due += period_ns
            if stop[0] or due > end:
                break
            moment[0] = due // 1_000_000_000
            moment[1] = due % 1_000_000_000
            sleep(1, 1, moment.ctypes, 0)  # TIMER_ABSTIME
            look(1, moment.ctypes)
            now = moment[0] * 1_000_000_000 + moment[1]
            late_ns[i] = now - due
            done[0] = i + 1
            if now > due:  # what was slept through is one late wake-up, not many
                due += (now - due) // period_ns * period_ns

    compiled = numba.njit(nogil=True)(run)
    compiled(1000, np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(1, np.int64))
    return compiled
