"""`hop`: one frame from one process to another, copied in and copied out."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from contest import Case, Contestant, Target, Times, WrongAnswer, alternate
from machine import native, two_cpus
from pairs import python_worker, run_group, scratch_directory

SHAPES = ((64, 64), (512, 512))
READERS = 8
BY_HAND = "mp shared array + Semaphore"
PEERS = {
    "pyshmem": "pyshmem",
    "pyshmem polling": "pyshmem-polling",
    "pyzmq ipc": "zmq",
    "iceoryx2": "iceoryx2",
    "multiprocessing Pipe": "mp-pipe",
    "multiprocessing Queue": "mp-queue",
    BY_HAND: "mp-shm-semaphore",
}
SPINNING_PEERS = {"iceoryx2, spinning": "iceoryx2"}
FANOUT_PEERS = {
    "pyshmem": "pyshmem",
    "pyzmq pub/sub": "zmq",
    "iceoryx2": "iceoryx2",
    BY_HAND: "mp-shm-semaphore",
}
FIVE_TIMES = ("pyshmem", "pyzmq ipc", "multiprocessing Pipe", "multiprocessing Queue")


def gap_ns(shape: tuple[int, ...]) -> int:
    """Pause between two trips: the other side falls asleep, and each side has time to check its frame."""
    return 30_000 if np.prod(shape) < 100_000 else 400_000


def warmup(trips: int) -> int:
    return min(200, max(10, trips // 5))


def c_reference(shape: tuple[int, ...], spin: bool, readers: int = 1) -> Callable[[int], Times]:
    """Our C program with a process-shared ``sem_t`` or an atomic counter, and memcpy."""

    def run(trips: int) -> Times:
        with scratch_directory() as scratch:
            out = scratch / "times"
            what = ["pingpong"] if readers == 1 else ["fanout"]
            last = [str(out)] if readers == 1 else [str(readers), str(out)]
            numbers = (4 * int(np.prod(shape)), trips, warmup(trips), gap_ns(shape), *two_cpus())
            command = [str(native("hop")), *what, "spin" if spin else "sem", *map(str, numbers), *last]
            done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=180)
            if done.returncode != 0:
                raise WrongAnswer(done.stderr.strip())
            return one_way(out, readers)

    return run


def one_way(path: Path, readers: int) -> Times:
    """Ping-pong times are round trips; fan-out times are one way already."""
    times = np.fromfile(path, np.int64)
    return times // 2 if readers == 1 else times


def session_config(
    kind: str, shape: tuple[int, ...], trips: int, out: Path, spin: bool, readers: int, dialect: str = "isio"
) -> dict[str, Any]:
    """What every Python end of a round is told; see ``hop_endpoints.Session``."""
    return {
        "kind": kind,
        "task": "pingpong" if readers == 1 else "fanout",
        "shape": shape,
        "trips": trips,
        "warmup": warmup(trips),
        "gap_ns": gap_ns(shape),
        "cpus": two_cpus(),
        "spin": spin,
        "readers": readers,
        "result": str(out),
        "name": f"hop{os.getpid()}",
        "dialect": dialect,
    }


def python_hop(
    kind: str, shape: tuple[int, ...], spin: bool = False, readers: int = 1, dialect: str = "isio"
) -> Callable[[int], Times]:
    """Two (or 1 + readers) Python processes over the transport ``kind``."""

    def run(trips: int) -> Times:
        with scratch_directory() as scratch:
            out = scratch / "times"
            config = session_config(kind, shape, trips, out, spin, readers, dialect)
            commands = [python_worker("hop_worker", role="a", **config)]
            if not kind.startswith("mp-"):  # those fork their other side themselves
                commands += [python_worker("hop_worker", role="b", index=i, **config) for i in range(readers)]
            run_group(commands, scratch)
            return one_way(out, readers)

    return run


def unit_hop(
    shape: tuple[int, ...], ends: str, echo: str, spin: bool, dialect: str = "isio"
) -> Callable[[int], Times]:
    """A frame there through a stream, and back through another: ``ends`` and ``echo`` say who copies.

    ``ends``: ``unit`` (a compiled unit that keeps the time), ``c`` (a C program that writes and reads streams by
    their layout) or ``python``. ``echo``: ``unit`` or ``c``. Each way is one hop: copied in, and copied out.
    """

    def run(trips: int) -> Times:
        a, b = two_cpus()
        with scratch_directory() as scratch:
            out, name = scratch / "times", f"unit{os.getpid()}"
            there, back = (str(scratch / f"{name}_{x}.im.shm") for x in ("there", "back"))
            warm, mode = warmup(trips), "spin" if spin else "sem"
            session = session_config("framebus", shape, trips, out, spin, 1, dialect) | {"name": name}
            config: dict[str, Any] = {"cpu": b, "unit": "copy" if echo == "unit" else "", "make": ends == "c"}
            middle = python_worker("hop_unit_worker", **session | config)
            if ends == "unit":
                first = python_worker("hop_unit_worker", **session | {"cpu": a, "unit": "ping", "make": True})
                commands = [first, middle]
            elif ends == "c":
                numbers = [str(x) for x in (trips, warm, gap_ns(shape), a)]
                commands = [middle, [str(native(dialect)), "ping", mode, there, back, *numbers, str(out)]]
            else:
                commands = [python_worker("hop_worker", role="a", **session), middle]
            if echo == "c":
                commands += [[str(native(dialect)), "echo", mode, there, back, str(trips + warm), str(b)]]
            run_group(commands, scratch)
            return one_way(out, 1)

    return run


def contestants(shape: tuple[int, ...]) -> list[Contestant]:
    found = [
        Contestant("C sem_t", c_reference(shape, False), None, "reference"),
        Contestant("C spinning", c_reference(shape, True), None, "reference"),
        Contestant("framebus", python_hop("framebus", shape), "C sem_t", "framebus"),
        Contestant("framebus, spinning", python_hop("framebus", shape, True), "C spinning", "framebus"),
        Contestant("unit to unit", unit_hop(shape, "unit", "unit", False), "C sem_t", "framebus"),
        Contestant("unit to unit, spinning", unit_hop(shape, "unit", "unit", True), "C spinning", "framebus"),
        Contestant("unit between foreign C", unit_hop(shape, "c", "unit", False), "C sem_t"),
        Contestant("unit between foreign C, spinning", unit_hop(shape, "c", "unit", True), "C spinning"),
        Contestant("unit between Python", unit_hop(shape, "python", "unit", False), "C sem_t"),
        Contestant("unit between Python, spinning", unit_hop(shape, "python", "unit", True), "C spinning"),
        Contestant("C on streams", unit_hop(shape, "c", "c", False), "C sem_t"),
        Contestant("C on streams, spinning", unit_hop(shape, "c", "c", True), "C spinning"),
    ]
    found += [Contestant(x, python_hop(k, shape), "C sem_t", "peer", 0.5) for x, k in PEERS.items()]
    found += [
        Contestant(x, python_hop(k, shape, True), "C spinning", "peer", 0.5)
        for x, k in SPINNING_PEERS.items()
    ]
    return found


def dao_contestants(shape: tuple[int, ...]) -> list[Contestant]:
    """The same on DAO's streams: framebus at both ends, and between programs that use them as DAO's library does."""
    found = []
    for spin in (False, True):
        reference, mode = ("C spinning", ", spinning") if spin else ("C sem_t", "")
        found += [
            Contestant(reference, c_reference(shape, spin), None, "reference"),
            Contestant(
                f"framebus{mode}", python_hop("framebus", shape, spin, dialect="dao"), reference, "framebus"
            ),
        ]
        for label, ends, echo in (
            ("unit to unit", "unit", "unit"),
            ("unit between foreign C", "c", "unit"),
            ("C on streams", "c", "c"),
        ):
            group = "framebus" if label == "unit to unit" else "context"
            found.append(
                Contestant(f"{label}{mode}", unit_hop(shape, ends, echo, spin, "dao"), reference, group)
            )
    return found


def fanout_contestants(shape: tuple[int, ...]) -> list[Contestant]:
    found = [
        Contestant("C sem_t", c_reference(shape, False, READERS), None, "reference", 0.5),
        Contestant("framebus", python_hop("framebus", shape, False, READERS), "C sem_t", "framebus", 0.5),
    ]
    return found + [
        Contestant(x, python_hop(k, shape, False, READERS), "C sem_t", "peer", 0.25)
        for x, k in FANOUT_PEERS.items()
    ]


def wake_share(machine: dict[str, Any], reference: str, peer: str) -> Callable[[Case], str]:
    """Says how much of the peer's time is spent by C itself: on the wake-up and the copies that all must make."""

    def why(case: Case) -> str:
        wake = machine["limits"]["semaphore_wake"]["p50_ns"] / 1e3
        c, theirs = case.summary(reference)["p50"], case.summary(peer)["p50"]
        cause = (
            f"of which waking the other process takes {wake:.1f} us"
            if "sem" in reference
            else "mostly copies"
        )
        return f"{reference} itself takes {c / theirs:.2f} of {peer}'s {theirs:.1f} us: {c:.1f} us, {cause}"

    return why


def third_copy(machine: dict[str, Any], shape: tuple[int, ...]) -> Callable[[Case], str]:
    """What a loop does more than the C program: the unit writes an array of its own, which is then copied out."""

    def why(case: Case) -> str:
        size = 4 * int(np.prod(shape))
        copy_us = size / machine["limits"]["copy_1_core"][size] * 1e6
        more = case.summary("unit to unit, spinning")["p50"] - case.summary("C spinning")["p50"]
        return (
            f"spinning, a hop takes {more:.2f} us more than C's; C copies twice, a loop up to three times (out of the "
            f"stream, by the unit, into the stream) at {copy_us:.2f} us from its own cache; the rest are stamps, the "
            f"trace, 11 semaphores and the record"
        )

    return why


def interpreter_share(case: Case) -> str:
    """Why many Python readers on one CPU are slow: each in turn has to bring its interpreter into the caches."""
    if BY_HAND not in case.times:
        return ""
    c, by_hand = case.summary("C sem_t")["p50"], case.summary(BY_HAND)["p50"]
    return (
        f"the {READERS} readers share one CPU; Python readers that only acquire a semaphore and copy take "
        f"{by_hand:.0f} us where C takes {c:.0f}: the difference is {READERS} interpreters, one after another"
    )


def chosen(options: Any, found: list[Contestant]) -> list[Contestant]:
    """What ``--only`` leaves; a quick run meets those without a target of their own once."""
    once = ("peer", "context") if options.quick else ()
    return [replace(c, rounds=1) if c.group in once else c for c in options.chosen(found)]


def run(options: Any, machine: dict[str, Any]) -> list[Case]:
    """All cases of `hop`."""
    rounds, cases = options.rounds or (2 if options.quick else 10), []
    for shape in SHAPES:
        small = np.prod(shape) < 100_000
        trips = options.trips or ((400 if small else 150) if options.quick else 2000)
        size = f"{shape[0]}x{shape[1]} float32"
        one = Case(f"hop {size}, 1 reader, one way")
        one.targets = [
            Target("framebus", "C sem_t", 1.3),
            Target("framebus, spinning", "C spinning", 1.3),
            Target("unit to unit", "C sem_t", 1.1, why=third_copy(machine, shape)),
            Target("unit to unit, spinning", "C spinning", 1.1, why=third_copy(machine, shape)),
        ]
        for p in FIVE_TIMES:
            one.targets += [
                Target("framebus", p, 0.2, why=wake_share(machine, "C sem_t", p)),
                Target("framebus, spinning", p, 0.2, why=wake_share(machine, "C spinning", p)),
            ]
        cases.append(alternate(one, chosen(options, contestants(shape)), rounds=rounds, trips=trips))
        dao = Case(f"hop {size}, streams in DAO's format, 1 reader, one way")
        dao.targets = one.targets[:4]
        cases.append(alternate(dao, chosen(options, dao_contestants(shape)), rounds=rounds, trips=trips))
        many = Case(f"hop {size}, {READERS} readers, until the last one has it")
        many.targets = [Target("framebus", "C sem_t", 1.3, why=interpreter_share)]
        many.notes = [f"spinning is left out: {READERS} spinning readers need {READERS + 1} CPUs"]
        cases.append(alternate(many, chosen(options, fanout_contestants(shape)), rounds=rounds, trips=trips))
    return cases
