"""Compiled units called by address, without a loop: what a loop's overhead is measured against."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from contest import Times
from machine import native

Array = npt.NDArray[Any]


class _Step(ctypes.Structure):
    _fields_ = [("function", ctypes.c_void_p), ("arrays", ctypes.c_void_p)]
    _fields_ += [("dims", ctypes.c_void_p), ("params", ctypes.c_void_p)]


@cache
def _timer() -> Any:
    library = ctypes.CDLL(str(native("timer", library=True)))
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    library.time_steps.argtypes = [pointer, ctypes.c_int, number, number, number, pointer, pointer, pointer]
    library.keep_feeding.argtypes = [pointer, pointer, pointer, ctypes.c_size_t, ctypes.c_int]
    library.stop_feeding.argtypes = [pointer]
    return library


@dataclass
class Call:
    """One unit with its arrays and parameters, compiled for them by framebus itself."""

    unit: Any
    arrays: dict[str, Array]
    params: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from framebus.unit import ArraySpec
        from framebus.unit.kernel import compile_kernel

        given = {a.name: self.arrays[a.name] for a in self.unit.inputs()}
        inputs = {name: ArraySpec(array.shape, array.dtype) for name, array in given.items()}
        made = {a.name: self.arrays[a.name] for a in self.unit.outputs() if a.name in self.arrays}
        outputs = {name: ArraySpec(array.shape, array.dtype) for name, array in made.items()}
        specs = self.unit.resolve(inputs, outputs)
        for name, spec in specs.items():
            if name not in self.arrays:
                self.arrays[name] = np.zeros(spec.shape, spec.dtype)
        ordered = [self.arrays[name] for name in specs]
        assert all(a.flags.c_contiguous for a in ordered)
        self._pointers = (ctypes.c_void_p * len(ordered))(*(a.ctypes.data for a in ordered))
        self._dims = np.array([n for a in ordered for n in a.shape], np.int64)
        cells = [p.pack(self.params.get(p.name, p.default)) for p in self.unit.parameters]
        self._params = np.array(cells or [0], np.int64)
        self.kernel = compile_kernel(self.unit, specs)

    def with_array(self, name: str, array: Array) -> Call:
        """The same code on another array of the same shape and dtype."""
        return Call(self.unit, {**self.arrays, name: array}, self.params)

    def step(self) -> _Step:
        return _Step(
            self.kernel.address,
            ctypes.addressof(self._pointers),
            self._dims.ctypes.data,
            self._params.ctypes.data,
        )


class Feeder:
    """A thread on another CPU, free of the interpreter, that rewrites a frame on request."""

    def __init__(self, frame: Array, cpu: int) -> None:
        self.frame: Array = frame.copy()
        self._source = frame
        self._words = np.zeros(256, np.uint8)  # two cache lines and room to align them
        self.address = -(-self._words.ctypes.data // 64) * 64
        places = (self.address, self.frame.ctypes.data, frame.ctypes.data, frame.nbytes, cpu)
        self._thread = threading.Thread(target=_timer().keep_feeding, args=places)
        self._thread.start()

    def stop(self) -> None:
        _timer().stop_feeding(self.address)
        self._thread.join()


@contextmanager
def feeding(frame: Array, cpu: int) -> Iterator[Feeder]:
    """A ``Feeder`` for the time of a block."""
    feeder = Feeder(frame, cpu)
    try:
        yield feeder
    finally:
        feeder.stop()


@contextmanager
def pinned(cpu: int) -> Iterator[None]:
    """This thread on one CPU for the time of a block."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def time_calls(
    calls: Sequence[Call], trips: int, *, repeat: int = 1, gap_ns: int = 0, feeder: Feeder | None = None
) -> Times:
    """Time of one pass through all calls, ``trips`` times (ns).

    Raises:
        RuntimeError: a unit returned an error.
    """
    steps = (_Step * len(calls))(*(c.step() for c in calls))
    total = np.zeros(trips, np.int64)
    code = _timer().time_steps(
        ctypes.addressof(steps),
        len(calls),
        trips,
        repeat,
        gap_ns,
        feeder.address if feeder is not None else None,
        total.ctypes.data,
        None,
    )
    if code != 0:
        raise RuntimeError(f"a unit of {[c.unit.name for c in calls]} returned {code}")
    return total
