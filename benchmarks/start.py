"""`start`: how long a user waits for the first thing to happen, against ``python -c "import numpy"``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from contest import Case, Contestant, Skipped, Target, Times, WrongAnswer, alternate
from machine import HERE
from pairs import scratch_directory

NUMPY = 'python -c "import numpy"'
FIRST_FRAME = HERE / "start_unit.py"


def timed(
    command: list[str],
    check: Callable[[str], bool] = lambda _: True,
    prepare: Callable[[Path], object] = lambda _: None,
    **environment: str,
) -> Callable[[int], Times]:
    """Wall time of a command in a process of its own; ``check`` judges what it printed.

    ``prepare`` puts into the directory of shared memory what the command asks for.
    """

    def run(trips: int) -> Times:
        with scratch_directory() as scratch:
            prepare(scratch)
            times = [_once(command, check, scratch, environment) for _ in range(trips)]
        return np.array(times, np.int64)

    return run


def _once(
    command: list[str], check: Callable[[str], bool], scratch: Path, environment: dict[str, str]
) -> int:
    extra = {k: v.replace("{scratch}", str(scratch)) for k, v in environment.items()}
    if not Path(command[0]).exists():
        raise Skipped(f"{command[0]} is not installed; pip install -e .")
    start = time.perf_counter_ns()
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=scratch,
        env=os.environ | {"MILK_SHM_DIR": str(scratch)} | extra,
    )
    taken = time.perf_counter_ns() - start
    if "No module named 'framebus" in done.stderr or "no such command" in done.stderr:
        raise Skipped(done.stderr.strip().splitlines()[-1])
    if done.returncode != 0 or not check(done.stdout):
        said = (done.stderr or done.stdout).strip().splitlines()[-1:]
        raise WrongAnswer(f"exit {done.returncode}: {''.join(said)[:300]}")
    return taken


def first_frame(cached: bool) -> Callable[[int], Times]:
    """A fresh process binds a unit, publishes one frame and reads the unit's answer.

    Uncached: each trip has an empty cache directory. Cached: one trip before, not counted, has filled it.
    """

    def run(trips: int) -> Times:
        with scratch_directory() as cache_parent:
            cache = cache_parent / "cache"
            go = timed(
                [sys.executable, str(FIRST_FRAME)], lambda out: "right" in out, FRAMEBUS_CACHE_DIR=str(cache)
            )
            times = []
            if cached:
                go(1)
            for _ in range(trips):
                if not cached:
                    shutil.rmtree(cache, ignore_errors=True)
                times.append(go(1))
        return np.concatenate(times)

    return run


def make_parameters(scratch: Path) -> None:
    """A parameter set, as a loop has it."""
    from framebus.params import Params

    Params.create("loop", {"gain": 0.5, "leak": 0.99}, directory=scratch).close()


def make_streams(scratch: Path) -> None:
    """Names of a hundred streams, for the shell to complete."""
    for i in range(100):
        (scratch / f"camera_{i}.im.shm").touch()


def contestants() -> list[Contestant]:
    python, command = sys.executable, [str(Path(sys.executable).with_name("framebus"))]
    names = (
        "import framebus as fb; fb.Stream, fb.open, fb.create, fb.streams, fb.unit, fb.In, fb.Out, fb.State"
    )
    return [
        Contestant(NUMPY, timed([python, "-c", "import numpy"]), None, "reference"),
        Contestant("import framebus", timed([python, "-c", "import framebus"]), NUMPY, "framebus"),
        Contestant("framebus ls", timed([*command, "ls"]), NUMPY, "framebus"),
        Contestant(
            "framebus --help", timed([*command, "--help"], lambda out: "demo" in out), NUMPY, "framebus"
        ),
        Contestant(
            "framebus get",
            timed([*command, "get", "loop.gain"], lambda out: "0.5" in out, make_parameters),
            NUMPY,
            "framebus",
        ),
        Contestant(
            "a name completed",
            timed(
                command,
                lambda out: out.count("plain,") == 11,
                make_streams,
                _FRAMEBUS_COMPLETE="bash_complete",
                FRAMEBUS_COMP_LINE="framebus info camera_1",
            ),
            NUMPY,
            "framebus",
        ),
        Contestant("first frame, cached unit", first_frame(True), NUMPY, "framebus", 0.4),
        Contestant("first frame, uncached unit", first_frame(False), NUMPY, "framebus", 0.2),
        Contestant("streams and units in use", timed([python, "-c", names]), NUMPY),
        Contestant("python -c pass", timed([python, "-c", "pass"]), NUMPY, "context"),
    ]


def run(options: Any, machine: dict[str, Any]) -> list[Case]:
    """The one case of `start`."""
    del machine
    case = Case("start, wall time of a fresh process", "ms")
    case.targets = [
        Target("import framebus", NUMPY, 80_000, kind="excess"),
        Target("framebus ls", NUMPY, 200_000, kind="excess"),
        Target("framebus --help", NUMPY, 200_000, kind="excess"),
        Target("framebus get", NUMPY, 200_000, kind="excess"),
        Target("first frame, cached unit", "", 1_000_000, kind="absolute"),
    ]
    rounds, trips = (
        options.rounds or (3 if options.quick else 10),
        options.trips or (2 if options.quick else 5),
    )
    return [alternate(case, options.chosen(contestants()), rounds=rounds, trips=trips)]
