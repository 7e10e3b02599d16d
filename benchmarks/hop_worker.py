"""One end of a hop in a process of its own; started by ``pairs.run_group``.

Its only argument is a JSON object: ``kind`` (the transport), ``role`` (``a`` or ``b``), ``task`` (``pingpong`` or
``fanout``), ``shape``, ``trips``, ``warmup``, ``gap_ns``, ``cpus``, ``spin``, ``readers``, ``index``, ``result``.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from contest import Skipped
from hop_endpoints import Endpoint, Session, load

Frame = npt.NDArray[np.float32]
NOW = time.perf_counter_ns
WHOLE = 16
"""Of how many frames of a fan-out one is checked whole."""


def ping(end: Endpoint, s: Session) -> int:
    """Send frame k, get it back, check every element; returns the number of wrong elements."""
    out, back = np.empty(s.shape, np.float32), np.empty(s.shape, np.float32)
    times = np.empty(s.trips + s.warmup, np.int64)
    wrong, last = 0, 0
    for k in range(1, s.trips + s.warmup + 1):
        out.fill(k)
        while NOW() < last + s.gap_ns:
            pass
        start = NOW()
        end.send(out)
        got = end.receive(back)
        last = NOW()
        times[k - 1] = last - start
        wrong += int(np.count_nonzero(got != k))
    times[s.warmup :].tofile(s.result)
    return wrong


def echo(end: Endpoint, s: Session) -> int:
    buffer = np.empty(s.shape, np.float32)
    for _ in range(s.trips + s.warmup):
        end.send(end.receive(buffer))
    return 0


def scoreboard(s: Session) -> npt.NDArray[np.int64]:
    """Shared by all ends of a fan-out: per reader one cache line with frames done and time of the last copy."""
    path = os.path.join(os.environ["MILK_SHM_DIR"], "scoreboard")
    if not os.path.exists(path):
        with open(path, "wb") as f:
            f.truncate(64 * s.readers)
    board: npt.NDArray[np.int64] = np.memmap(path, np.int64, "r+", shape=(s.readers, 8))
    return board


def spread(end: Endpoint, s: Session) -> int:
    """Send frame k to all readers; the time is that of the last reader's copy.

    Readers share CPUs, so one that checks its copy holds up the next. They check the first and the last element of
    every frame and all elements of every 16th, whose time is that of the frame before.
    """
    board, out = scoreboard(s), np.empty(s.shape, np.float32)
    times = np.empty(s.trips + s.warmup, np.int64)
    last = 0
    for k in range(1, s.trips + s.warmup + 1):
        out.fill(k)
        while NOW() < last + s.gap_ns:
            pass
        start = NOW()
        end.send(out)
        while board[:, 0].min() < k:
            pass
        last = NOW()
        times[k - 1] = board[:, 1].max() - start if k % WHOLE else times[k - 2]
    times[s.warmup :].tofile(s.result)
    return 0


def read(end: Endpoint, s: Session) -> int:
    board, buffer = scoreboard(s), np.empty(s.shape, np.float32)
    wrong = 0
    for k in range(1, s.trips + s.warmup + 1):
        got = end.receive(buffer)
        board[s.index, 1] = NOW()
        if k % WHOLE == 0:
            wrong += int(np.count_nonzero(got != k))
        else:
            wrong += (got.item(0) != k) + (got.item(got.size - 1) != k)
        board[s.index, 0] = k
    return wrong


TASKS: dict[tuple[str, str], Callable[[Endpoint, Session], int]] = {
    ("pingpong", "a"): ping,
    ("pingpong", "b"): echo,
    ("fanout", "a"): spread,
    ("fanout", "b"): read,
}


def fork_other_side(end: Endpoint, s: Session) -> int:
    """Run role b in a child, for transports whose handles only pass through a fork; returns its pid."""
    pid = os.fork()
    if pid == 0:
        os.sched_setaffinity(0, {s.cpus[1]})
        wrong = TASKS[s.task, "b"](end, s)
        end.close()
        os._exit(1 if wrong else 0)
    return pid


def main() -> None:
    config = json.loads(sys.argv[1])
    s = Session(**config | {"shape": tuple(config["shape"])})
    try:
        factory = load(s.kind)
        print("loaded", flush=True)
        if s.task == "fanout":
            scoreboard(s)
        expect("make")
        os.sched_setaffinity(0, {s.cpus[0 if s.role == "a" else 1]})
        end = factory(s)
    except Skipped as error:
        print(f"skipped {error}", flush=True)
        return
    children = [fork_other_side(other, replace(s, index=i)) for i, other in enumerate(end.others)]
    print("made", flush=True)
    expect("go")
    wrong = TASKS[s.task, s.role](end, s)
    wrong += sum(os.waitpid(child, 0)[1] for child in children)
    print(f"wrong {wrong} elements" if wrong else "done", flush=True)
    sys.stdin.readline()  # stay until told or ended: the other side may still be reading the last frame
    end.close()


def expect(word: str) -> None:
    if sys.stdin.readline().strip() != word:
        sys.exit(f"expected {word!r} on standard input")


if __name__ == "__main__":
    main()
