"""Send frames through one hop between two processes, and account for every single one.

    python tools/stress_hop.py 10000000 [--mode all]

Each frame is 64 float32 that carry its own number and a checksum over the rest. Modes:

``sleep``       the next frame is sent when the one before has been acknowledged, so the other side has gone to sleep
                (or is about to) each time, and every frame has to wake it;
``spin``        the same, and nobody ever sleeps;
``flood``       the writer goes as fast as it can; the reader sleeps whenever it has caught up, and reads through a
                history;
``flood-spin``  the same, and the reader never sleeps.

0 frames may be torn, 0 lost without being counted, 0 wake-ups missed. A wake-up is missed when a sleep ends by the
clock although a frame had come (``statistics().unannounced``).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

import framebus as fb
from framebus.stream import Stream

PIXELS, HISTORY, TIMEOUT_S = 64, 256, 60.0
MODES = ("sleep", "spin", "flood", "flood-spin")
ACKNOWLEDGED = ("sleep", "spin")
Frame = npt.NDArray[np.float32]


class Forge:
    """Makes frames and checks them. Of the 64 words two hold the number, one the checksum, the others noise."""

    def __init__(self) -> None:
        self.noise = np.random.default_rng(7).integers(0, 2**32, (257, PIXELS), np.uint32)
        self.frame = np.empty(PIXELS, np.float32)
        self.words = self.frame.view(np.uint32)

    def make(self, n: int) -> Frame:
        """Frame ``n``; the same array each time."""
        words = self.words
        np.multiply(self.noise[n % 257], n | 1, out=words)
        words[0], words[1], words[2] = n & 0xFFFFFFFF, n >> 32, 0
        words[2] = np.bitwise_xor.reduce(words)
        return self.frame

    def check(self, frame: Frame, n: int) -> bool:
        """Whether ``frame`` is frame ``n``, whole."""
        words = frame.view(np.uint32)
        return int(words[0]) | int(words[1]) << 32 == n and int(np.bitwise_xor.reduce(words)) == 0


def spin_us(mode: str) -> float:
    """How long to look at the counter before sleeping."""
    return float("inf") if "spin" in mode else 0.0


def read(there: Stream, back: Stream, mode: str, n: int) -> int:
    """Read until frame ``n``; the number of frames received."""
    forge, received, missed, torn = Forge(), 0, 0, 0
    acknowledge = np.zeros(1, np.int64)
    last = 0
    while last < n:
        frame = there.read_next(timeout_s=TIMEOUT_S, spin_us=spin_us(mode))
        torn += not forge.check(frame.data, frame.count)
        received += 1
        missed += frame.missed
        if frame.count != last + 1 + frame.missed:
            raise AssertionError(f"frame {frame.count} after {last}, {frame.missed} missed")
        last = frame.count
        if mode in ACKNOWLEDGED:
            acknowledge[0] = last
            back.write(acknowledge)
    statistics = there.statistics()
    if torn or received + missed != n or statistics.unannounced:
        raise AssertionError(f"{torn} torn, {received} received, {missed} missed of {n}; {statistics}")
    if mode in ACKNOWLEDGED and missed:
        raise AssertionError(f"{missed} missed although every one was waited for")
    return received


def write(there: Stream, back: Stream, mode: str, n: int) -> None:
    """Write frames 1 to ``n``."""
    forge = Forge()
    for k in range(1, n + 1):
        there.write(forge.make(k))
        if mode in ACKNOWLEDGED:
            answer = back.read_next(timeout_s=TIMEOUT_S, spin_us=spin_us(mode))
            if int(answer.data[0]) != k or answer.missed:
                raise AssertionError(f"frame {k} was answered by {answer}")
    if back.statistics().unannounced:
        raise AssertionError(f"on the way back: {back.statistics()}")


def hop(mode: str, n: int) -> int:
    """One run in two processes; 0 if every frame is accounted for."""
    there = fb.create("there", shape=PIXELS, dtype="float32", history=0 if mode in ACKNOWLEDGED else HISTORY)
    back = fb.create("back", shape=1, dtype="int64")
    ready, go = os.pipe(), os.pipe()
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with fb.open("there") as a, fb.open("back") as b:
                os.write(ready[1], b"x")
                os.read(go[0], 1)
                received = read(a, b, mode, n)
                took = time.monotonic() - started
                print(
                    f"{mode}: {n} frames, {received} received, {n - received} counted as missed, 0 torn,"
                    f" 0 wake-ups missed, {took:.1f} s, {n / took / 1e3:.0f} k frames/s",
                    flush=True,
                )
            status = 0
        except BaseException as error:  # noqa: BLE001 - the parent sees the status, the user the reason
            print(f"{mode}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
        finally:
            os._exit(status)
    os.read(ready[0], 1)
    with fb.open("back") as acknowledged:
        os.write(go[1], b"x")
        write(there, acknowledged, mode, n)
    status = os.waitpid(pid, 0)[1]
    for end in (*ready, *go):
        os.close(end)
    there.remove()
    back.remove()
    return status


def main() -> int:
    """Run the modes asked for; 0 if all went well."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("frames", type=int, nargs="?", default=10_000_000)
    parser.add_argument("--mode", choices=(*MODES, "all"), default="all")
    options = parser.parse_args()
    shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=os.environ.get("MILK_SHM_DIR", shared), prefix="stress-") as folder:
        os.environ["MILK_SHM_DIR"] = str(Path(folder))
        modes = MODES if options.mode == "all" else (options.mode,)
        return max(hop(mode, options.frames) != 0 for mode in modes)


if __name__ == "__main__":
    sys.exit(main())
