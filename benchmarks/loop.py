"""`loop`: an AO loop, from 'frame published' to 'command published'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from contest import Case, Contestant, Target, Times, alternate
from hop import unit_hop
from hop_endpoints import importable
from loop_pyrtcao import pipeline
from loop_worker import PARAMETERS, wiring
from machine import two_cpus
from pairs import python_worker, run_group, scratch_directory
from system import AO3000, Pyramid, System, system
from units import Call, feeding, pinned, time_calls

N_UNITS = 5
HERE, THERE = "kernels, frame in cache", "kernels, frame from the other core"
FUSED, PROCESSES = "fused, spinning", "processes, asleep"
PYRTCAO = {"hard": "pyrtcao, processes", "soft": "pyrtcao, threads"}
RATES_HZ = {10: 200.0, 20: 50.0, 40: 12.0, 60: 5.0}
"""What pyrtcao's simulated sensor can render; its latency does not depend on it."""


def gap_ns(across: int) -> int:
    return 100_000 if 0 < across <= 20 else 1_000_000


def kernels(across: int, *, fed: bool) -> Callable[[int], Times]:
    """All units one after another by address, without streams; ``fed``: another CPU rewrites the frame first."""
    calls: list[Call] = []

    def run(trips: int) -> Times:
        importable("framebus.ao", "pip install -e '.[ao]'")
        chosen, (a, b) = system(across), two_cpus()
        frame = chosen.frames[0].copy()
        with feeding(frame, a) as feeder, pinned(b):
            if not calls:
                calls.extend(chain(chosen, frame))
            calls[0] = calls[0].with_array("raw", feeder.frame if fed else frame)
            return time_calls(calls, trips, gap_ns=gap_ns(across), feeder=feeder if fed else None)

    return run


def chain(of: System | Pyramid, frame: Any) -> list[Call]:
    """The units of the loop, each reading what the one before wrote."""
    from framebus import ao

    known = {"raw": frame, "control_matrix": of.control_matrix, **of.arrays}
    calls = []
    for name, streams in wiring(of).items():
        unit = getattr(ao, name)
        arrays = {argument: known[stream] for argument, stream in streams.items() if stream in known}
        call = Call(unit, arrays, PARAMETERS.get(name, {}))
        known |= {stream: call.arrays[argument] for argument, stream in streams.items()}
        calls.append(call)
    return calls


def framebus_loop(across: int, placement: str, spin: bool) -> Callable[[int], Times]:
    """The camera in a process on one CPU, the units on the other (each on its own, where there are enough)."""

    def run(trips: int) -> Times:
        a, b = two_cpus()
        with scratch_directory() as scratch:
            out = scratch / "times"
            common = {
                "across": across,
                "trips": trips,
                "warmup": max(10, trips // 10),
                "gap_ns": gap_ns(across),
            }
            commands = [python_worker("loop_worker", role="camera", cpu=a, result=str(out), **common)]
            units = list(wiring(system(across)))
            apart = [[name] for name in units]
            groups = {"fused": [[units]], "threads": [apart], "processes": [[one] for one in apart]}[
                placement
            ]
            for loops in groups:
                config = {"loops": loops, "cpus": [b] * len(loops), "spin": spin}
                commands.append(python_worker("loop_worker", role="units", **config, **common))
            run_group(commands, scratch)
            return np.fromfile(out, np.int64)

    return run


def contestants(across: int, quick: bool) -> list[Contestant]:
    shape = system(across).shape
    # A hop of a frame as large as the calibrated one, and of a small array for all that follow.
    small, large = unit_hop((64, 64), "unit", "unit", False), unit_hop(shape, "unit", "unit", False)
    found = [
        Contestant(HERE, kernels(across, fed=False), None, "reference"),
        Contestant(THERE, kernels(across, fed=True), HERE, "reference"),
        Contestant("hop of 64x64", small, None, "reference"),
        Contestant(f"hop of {shape[0]}x{shape[1]}", large, None, "reference"),
        Contestant(FUSED, framebus_loop(across, "fused", True), HERE, "framebus"),
        Contestant("fused, asleep", framebus_loop(across, "fused", False), HERE, "framebus"),
        Contestant("threads, asleep", framebus_loop(across, "threads", False), HERE, "framebus"),
        Contestant(PROCESSES, framebus_loop(across, "processes", False), HERE, "framebus"),
    ]
    share, rounds = (0.2 if across >= 40 else 0.5), (1 if quick or across >= 40 else 3)
    # It has no pyramid of that size.
    for mode, label in PYRTCAO.items() if across != AO3000 else ():
        if not quick or (mode == "hard" and across == 10):
            run = pipeline(mode, across, System(across).actuators, RATES_HZ[across])
            found.append(Contestant(label, run, HERE, "peer", share, rounds))
    return found


def transfer_share(case: Case) -> str:
    """How much of what fused takes beyond the kernels is the frame's way from the camera's core."""
    here, there, fused = (case.summary(x)["p50"] for x in (HERE, THERE, FUSED))
    return (
        f"the frame's way from the camera's core alone makes the kernels {there - here:.1f} us slower; "
        f"the loop adds {fused - there:.1f} us (wake, copies of five outputs, stamps, records)"
    )


def floor_of(label: str, peer: str) -> Callable[[Case], str]:
    """How much of the peer's time goes into what cannot be avoided: the arithmetic and, asleep, the wake-ups."""

    def why(case: Case) -> str:
        theirs, arithmetic = case.summary(peer)["p50"], case.summary(HERE)["p50"]
        wakes = {FUSED: 0, PROCESSES: N_UNITS}.get(label, 1)
        hops = wakes * case.summary("hop of 64x64")["p50"]
        return (
            f"the kernels alone take {arithmetic:.0f} us and {wakes} hops asleep {hops:.0f} us: "
            f"{(arithmetic + hops) / theirs:.2f} of {peer}'s {theirs:.0f} us"
        )

    return why


def targets(hops: str) -> list[Target]:
    return [
        Target(FUSED, HERE, 2.0, kind="excess", why=transfer_share),
        Target(FUSED, THERE, 2.0, kind="excess"),
        Target(PROCESSES, hops, 1.0),
    ]


def peer_targets() -> list[Target]:
    best = PYRTCAO["hard"]
    return [
        *(
            Target(label, best, 0.2, why=floor_of(label, best))
            for label in (FUSED, "fused, asleep", PROCESSES)
        ),
        *(Target(label, best, 0.1, "p99") for label in (FUSED, "fused, asleep", PROCESSES)),
    ]


def run(options: Any, machine: dict[str, Any]) -> list[Case]:
    """One case per size of the system."""
    del machine
    rounds, cases = options.rounds or (2 if options.quick else 10), []
    for across in (10, 20, 40, 60, AO3000):
        trips = options.trips or (
            (300 if options.quick else 2000) if 0 < across < 40 else (50 if options.quick else 300)
        )
        shape = system(across).shape
        large = f"hop of {shape[0]}x{shape[1]}"
        case = Case(f"loop {system(across).name}")
        case = alternate(case, options.chosen(contestants(across, options.quick)), rounds=rounds, trips=trips)
        hops = "kernels + 5 hops"
        case.derive(hops, {HERE: 1, large: 2, "hop of 64x64": 3})
        case.targets = targets(hops) + (peer_targets() if across != AO3000 else [])
        cases.append(case)
    return cases
