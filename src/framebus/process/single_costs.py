"""What single operations cost on this machine: native code between two looks at the clock."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

__all__ = ["REST_S", "clock_ns", "page_touches_ns", "ramp", "sibling_slowdown"]

REST_S = 0.05
"""How long a CPU rests before it is given work."""

_PAGES = 4096
_LOOKS = 20_000
_CHUNKS = 300
_ROUNDS = 5


def clock_ns() -> float:
    """How long a look at the clock takes, median, ns."""
    return float(np.median(_touch(np.zeros(1, np.uint8), 0, _LOOKS)))


def page_touches_ns() -> tuple[float, float]:
    """How long it takes to touch a page of new memory, and one that is there, median, ns."""
    with mmap.mmap(-1, _PAGES * mmap.PAGESIZE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        with contextlib.suppress(OSError):  # a kernel without huge pages knows no such advice
            memory.madvise(mmap.MADV_NOHUGEPAGE)
        array = np.frombuffer(memory, np.uint8)
        first, again = (np.median(_touch(array, mmap.PAGESIZE, _PAGES)) for _ in range(2))
        del array  # a mapping that an array lies on cannot be closed
    look = clock_ns()
    return max(0.0, float(first) - look), max(0.0, float(again) - look)


def ramp(cpu: int) -> float:
    """Time of work after a rest, over that of the same work on the CPU when it has been busy."""
    ratios = []

    def work() -> None:
        os.sched_setaffinity(0, {cpu})
        for _ in range(_ROUNDS):
            time.sleep(REST_S)
            times = _work(_CHUNKS)
            # The first two warm the caches; medians, as others interrupt.
            ratios.append(float(np.median(times[2:12]) / np.median(times[_CHUNKS // 2 :])))

    _in_thread(work)
    return float(np.median(ratios))


def sibling_slowdown(cpu: int, sibling: int) -> float:
    """Time of work on ``cpu`` while ``sibling`` works too, over its time alone."""
    ended = threading.Event()
    medians = []

    def hinder() -> None:
        os.sched_setaffinity(0, {sibling})
        while not ended.is_set():
            _work(_CHUNKS)

    def work() -> None:
        os.sched_setaffinity(0, {cpu})
        medians.append(float(np.median(_work(_ROUNDS * _CHUNKS)[_CHUNKS:])))

    _in_thread(work)
    beside = threading.Thread(target=hinder)
    beside.start()
    try:
        _in_thread(work)
    finally:
        ended.set()
        beside.join()
    return medians[1] / medians[0]


def _work(chunks: int) -> Any:
    """Times of so many pieces of the same arithmetic, ns."""
    work, _ = _native()
    times = np.zeros(chunks, np.int64)
    work(times)
    return times


def _touch(array: Any, step: int, n: int) -> Any:
    """Times of writing every ``step``-th byte of an array, ``n`` of them, each with a look at the clock, ns."""
    _, touch = _native()
    times = np.zeros(n, np.int64)
    touch(array, step, times)
    return times


def _in_thread(call: Callable[[], None]) -> None:
    """In a thread of its own, whose CPUs may be chosen without a trace."""
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


@cache
def _native() -> tuple[Any, Any]:
    """Compiled once a process."""
    import numba

    look = ctypes.CDLL(None).clock_gettime
    look.argtypes, look.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_int

    def work(times: Any) -> None:
        moment = np.zeros(2, np.int64)
        value = 1.0
        for i in range(times.size):
            look(1, moment.ctypes)
            begin = moment[0] * 1_000_000_000 + moment[1]
            for _ in range(10_000):
                value = value * 0.999 + 1e-3  # each step needs the one before: its time is the clock's alone
            moment[0] = 0 if value > 2.0 else moment[0]  # so that the compiler keeps it
            look(1, moment.ctypes)
            times[i] = moment[0] * 1_000_000_000 + moment[1] - begin

    def touch(array: Any, step: int, times: Any) -> None:
        moment = np.zeros(2, np.int64)
        look(1, moment.ctypes)
        begin = moment[0] * 1_000_000_000 + moment[1]
        for i in range(times.size):
            array[i * step] = 1
            look(1, moment.ctypes)
            now = moment[0] * 1_000_000_000 + moment[1]
            times[i] = now - begin
            begin = now

    compiled = numba.njit(nogil=True)(work), numba.njit(nogil=True)(touch)
    compiled[0](np.zeros(1, np.int64))
    compiled[1](np.zeros(1, np.uint8), 0, np.zeros(1, np.int64))
    return compiled
