"""What the ends of a hop have in common, and framebus's own end."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from contest import Skipped

Frame = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Session:
    """One round of one contestant, as every end of it sees it."""

    kind: str
    role: str
    task: str
    shape: tuple[int, ...]
    trips: int
    warmup: int
    gap_ns: int
    cpus: tuple[int, int]
    spin: bool
    result: str
    name: str
    readers: int = 1
    index: int = 0
    dialect: str = "isio"

    @property
    def bytes(self) -> int:
        return 4 * int(np.prod(self.shape))

    @property
    def first(self) -> bool:
        """Role a makes what role b opens."""
        return self.role == "a"


class Endpoint:
    """Copies frames in and out. ``others`` are the other ends, when only a fork can carry them there."""

    others: Sequence[Endpoint] = ()

    def send(self, frame: Frame) -> None:
        raise TypeError("this end only receives")

    def receive(self, out: Frame) -> Frame:
        """The next frame as a copy: ``out`` filled, or a new array where the transport makes one."""
        raise TypeError("this end only sends")

    def close(self) -> None:
        """Release what outlives the process."""


class Framebus(Endpoint):
    """Two streams, a to b and b to a."""

    TIMEOUT_S = 20.0

    def __init__(self, s: Session) -> None:
        import framebus as fb

        self.spin_us = math.inf if s.spin else 0.0
        self.maker = s.first
        there, back = f"{s.name}_there", f"{s.name}_back"
        if s.first:
            self.streams = [
                fb.create(n, shape=s.shape, dtype="float32", dialect=s.dialect) for n in (there, back)
            ]
            self.to, self.source = self.streams
        else:
            self.streams = [fb.open(n) for n in (there, back)]
            self.source, self.to = self.streams

    def send(self, frame: Frame) -> None:
        self.to.write(frame)

    def receive(self, out: Frame) -> Frame:
        return self.source.read_next(out, timeout_s=self.TIMEOUT_S, spin_us=self.spin_us).data

    def close(self) -> None:
        for stream in self.streams:
            if self.maker and stream.dialect.name == "dao":
                stream.remove()  # its semaphores lie elsewhere than the stream
            stream.close()


PEER_MODULES = {
    "pyshmem": "pyshmem",
    "pyshmem-polling": "pyshmem",
    "zmq": "pyzmq",
    "iceoryx2": "iceoryx2",
    "mp-pipe": "",
    "mp-queue": "",
    "mp-shm-semaphore": "",
}


def load(kind: str) -> Callable[[Session], Endpoint]:
    """Import what ``kind`` needs and return the maker of its ends.

    Raises:
        Skipped: it is not installed, or cannot be imported.
    """
    if kind == "framebus":
        importable("framebus", "pip install -e .")
        return Framebus
    if kind not in PEER_MODULES:
        raise Skipped(f"no contestant of kind {kind!r}")
    import hop_peers

    if PEER_MODULES[kind]:
        importable(
            {"pyzmq": "zmq"}.get(PEER_MODULES[kind], PEER_MODULES[kind]), f"pip install {PEER_MODULES[kind]}"
        )
    return hop_peers.KINDS[kind]


def importable(module: str, remedy: str) -> Any:
    """The module, or ``Skipped`` with the reason and the remedy."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # noqa: BLE001 - a broken installation is one that cannot be used
        raise Skipped(f"cannot import {module} ({type(error).__name__}: {error}); {remedy}") from None
