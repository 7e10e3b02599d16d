"""Close the demonstration's loop, break everything around it for a while, and hold it to account.

Units and the supervisor are killed, a unit is replaced, streams are made anew, parameters are given bad values, a
reader is suspended. Afterwards the loop must be closed, every frame must have been computed or counted as missed by
every unit and by the reader, and nothing may be left behind::

    python tools/chaos.py --seconds 120 --seed 7

Streams lie in ``$MILK_SHM_DIR``, as always; use a directory of its own. Prints what it did, then one line of JSON;
ends with 0 only if all held.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import mmap
import os
import random
import signal
import struct
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import framebus as fb
from framebus.cli.demo import wiring
from framebus.cli.demo.calibrate import calibrate
from framebus.cli.demo.rig import PREFIX, Rig, simulated_telescope
from framebus.errors import FramebusError, NotFoundError, ParameterError, StreamRecreated, WaitTimeout
from framebus.pipeline.background import detach
from framebus.pipeline.control import Controller
from framebus.process import ProcessRecord, State, records
from framebus.stream.names import shm_directory
from framebus.unit import FunctionUnit, load_unit

REQUIRED_RATIO = 5.0
CALM_S = 60.0
"""How long everything may take to be well again."""
OUTPUTS = ("pixels", "slopes", "error", "command")
"""Streams, without prefix, that are made anew while a unit writes and another reads them."""
MATRIX = "control_matrix"
READ = "slopes"
BAD_VALUES = (math.nan, "much", 1e40, -1e40, None, [1.0], True, 2**70)


class Ledger:
    """How many frames were published in a stream, through all its files."""

    def __init__(self, name: str) -> None:
        self.path = shm_directory() / f"{name}.im.shm"
        self.maps: list[mmap.mmap] = []
        self.inodes: set[int] = set()
        self.look()

    def look(self) -> None:
        """Keep the file that has the name now; to be called whenever it was made anew."""
        with self.path.open("rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            if inode not in self.inodes:
                self.inodes.add(inode)
                self.maps.append(mmap.mmap(file.fileno(), 384, access=mmap.ACCESS_READ))

    @property
    def published(self) -> int:
        """Sum of the files' counters."""
        return sum(struct.unpack_from("<Q", header, 264)[0] for header in self.maps)

    def close(self) -> None:
        """Let go of the files."""
        for header in self.maps:
            header.close()


class Chaos:
    """One run."""

    def __init__(self, rig: Rig, seed: int) -> None:
        self.rig = rig
        self.plan = rig.plan
        self.plan.supervision.restart_limit = 1_000_000
        self.plan.supervision.backoff_s = 0.05
        self.plan.supervision.backoff_max_s = 0.2
        self.random = random.Random(seed)
        self.tuned = {name for name, unit in self.plan.units.items() if declared(unit.use)}
        self.done: Counter[str] = Counter()
        self.ledgers: dict[str, Ledger] = {}
        self.problems: list[str] = []
        self.reader: subprocess.Popen[str] | None = None
        self.matrix: np.ndarray[Any, Any] = np.zeros(0)

    # ---- the loop --------------------------------------------------------------------------------------------

    def close_loop(self) -> None:
        """Calibrate and close it, as the demonstration does."""
        names = ("slopes", "reference", MATRIX, "mirror_flat")
        streams = {name: fb.open(PREFIX + name) for name in names}
        self.matrix = calibrate(self.rig, streams, self)[0].matrix
        for stream in streams.values():
            stream.close()
        with fb.Params.open(wiring.CAMERA) as camera, fb.Params.open(wiring.CONTROLLER) as controller:
            camera.update(self.rig.sky)
            controller["gain"] = self.rig.gain

    def phase(self, title: str, seconds: float | None = None) -> None:
        """The calibration begins something."""
        del seconds
        say(title)

    def progress(self, done: int, total: int) -> None:
        """The calibration goes on."""

    def ratio(self, frames: int = 500, settle: int = 300) -> float:
        """Turbulence over residual, rms, over the next frames."""
        with fb.open(PREFIX + "residual") as residual:
            for _ in range(settle):
                residual.read_next(timeout_s=10.0)
            values = np.array([residual.read_next(timeout_s=10.0).data for _ in range(frames)])
        closed, _, free = values.mean(axis=0)
        return float(free / closed)

    def ratio_again(self) -> float:
        """The ratio once the loop is closed again, or the last one if it does not come to that in time.

        While the mirror was dead the integrator summed up what nothing corrected; that has to leak away.
        """
        end = time.monotonic() + CALM_S
        while not (found := self.ratio()) >= REQUIRED_RATIO and time.monotonic() < end:
            say(f"    {found:.1f} times below open loop")
        return found

    # ---- what goes wrong -----------------------------------------------------------------------------------------

    def kill_unit(self) -> None:
        """SIGKILL to a unit."""
        processes = Controller(self.plan.name).status()["processes"]
        name = self.random.choice(list(processes))
        if processes[name]["pid"]:
            kill(processes[name]["pid"], signal.SIGKILL)

    def kill_two(self) -> None:
        """SIGKILL to two units at once."""
        self.kill_unit()
        self.kill_unit()

    def kill_supervisor(self) -> None:
        """SIGKILL to the supervisor, while it may be about to start something; then another one comes."""
        if self.random.random() < 0.5:
            self.kill_unit()
        kill(Controller(self.plan.name).status()["supervisor"]["pid"], signal.SIGKILL)
        detach(self.plan)

    def replace_unit(self) -> None:
        """Put a unit in its own place, hot."""
        name = self.random.choice([name for name in self.plan.units if name != wiring.CAMERA])
        Controller(self.plan.name).replace(name, self.plan.units[name].use)

    def recreate_output(self) -> None:
        """Make a stream anew between its writer and its readers."""
        self.recreate(self.random.choice(OUTPUTS))

    def recreate_matrix(self) -> None:
        """Make the control matrix anew."""
        self.recreate(MATRIX)
        with fb.open(PREFIX + MATRIX) as stream:
            stream.write(self.matrix)

    def recreate(self, name: str) -> None:
        """Make a stream anew, as it was but empty."""
        self.calm()  # what a killed unit had not read of the former file, nobody could count
        with fb.open(PREFIX + name) as old:
            fb.create(PREFIX + name, shape=old.shape, dtype=old.dtype, history=old.history_length).close()
        if name != MATRIX:
            self.ledgers[PREFIX + name].look()
            wait(lambda: fb_count(PREFIX + name) > 2, f"frames in the new file of {name}")

    def bad_values(self) -> None:
        """Every value that no parameter can take, to every parameter."""
        for unit in self.plan.units:
            if unit not in self.tuned:
                continue
            with fb.Params.open(unit) as params:
                before = params.snapshot()
                for name in params:
                    for value in (*BAD_VALUES, object()):
                        try:
                            params[name] = value
                        except ParameterError:
                            continue
                        params[name] = before[name]  # one that this parameter does take
                try:
                    params["no_such_entry"] = 1
                    self.problems.append(f"{unit} took an entry that it does not have")
                except ParameterError:
                    pass
                if params.snapshot() != before:
                    self.problems.append(f"{unit}: bad values changed something")

    def suspend_reader(self) -> None:
        """A reader that stands still while frames go on."""
        assert self.reader is not None
        kill(self.reader.pid, signal.SIGSTOP)
        time.sleep(self.random.uniform(0.1, 0.5))
        kill(self.reader.pid, signal.SIGCONT)

    def rage(self, seconds: float) -> None:
        """All of that, in random order, for a while."""
        deeds = {
            self.kill_unit: 6,
            self.kill_two: 3,
            self.kill_supervisor: 3,
            self.replace_unit: 2,
            self.recreate_output: 2,
            self.recreate_matrix: 1,
            self.bad_values: 1,
            self.suspend_reader: 2,
        }
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            deed = self.random.choices(list(deeds), list(deeds.values()))[0]
            say(f"  {deed.__name__}")
            try:
                deed()
            except (FramebusError, OSError) as error:
                # What was asked for may be impossible just now, as when the unit to be replaced lies dead.
                self.done[f"{deed.__name__} refused"] += 1
                say(f"    {type(error).__name__}: {error}")
            else:
                self.done[deed.__name__] += 1
            time.sleep(self.random.uniform(0.0, 1.0))

    # ---- what must hold --------------------------------------------------------------------------------------------

    def calm(self) -> None:
        """Wait until every unit runs."""
        wait(self.all_run, "every unit running")

    def all_run(self) -> bool:
        """Whether there is one living, running record of each unit, and the supervisor says so too."""
        try:
            status = Controller(self.plan.name).status()
        except NotFoundError:
            return False
        if not status["supervised"] or any(p["state"] != "up" for p in status["processes"].values()):
            return False
        living = Counter(r.unit for r in each_record() if r.alive and r.state is State.RUNNING)
        return all(living[unit] == 1 for unit in self.plan.units)

    def at_rest(self) -> dict[str, tuple[int, int]]:
        """Pause the camera, wait until all is quiet; what every unit, and the reader's stream, has counted by then."""
        with ProcessRecord.open(wiring.CAMERA) as camera:
            camera.pause()
            wait(lambda: camera.state is State.IDLE, "the camera pausing")
        counted: dict[str, tuple[int, int]] = {}

        def quiet() -> bool:
            nonlocal counted
            before, counted = counted, self.counted()
            time.sleep(0.2)
            return before == counted

        wait(quiet, "the loop coming to rest")
        return counted

    def counted(self) -> dict[str, tuple[int, int]]:
        """Of every unit but the camera: frames of its trigger, and frames that it computed or counted as missed."""
        found = {}
        for record in each_record():
            if record.alive and record.unit != wiring.CAMERA:
                ledger = self.ledgers.setdefault(record.trigger, Ledger(record.trigger))
                found[record.unit] = (ledger.published, record.loop_count + record.missed)
        return found

    def hold_to_account(self, before: dict[str, tuple[int, int]]) -> dict[str, Any]:
        """Compare what was published since ``before`` with what the units say they did with it."""
        accounts = {}
        for unit, (published, accounted) in self.at_rest().items():
            new, done = published - before[unit][0], accounted - before[unit][1]
            accounts[unit] = {"published": new, "accounted": done}
            if new != done:
                self.problems.append(f"{unit}: {new} frames published, {done} computed or counted as missed")
        return accounts

    def end_reader(self, published_before: int) -> dict[str, int]:
        """Ask the reader for its account."""
        assert self.reader is not None
        said = json.loads(self.reader.communicate("report\n", timeout=60)[0])
        published = self.ledgers[PREFIX + READ].published - published_before
        if said["delivered"] + said["missed"] != published:
            self.problems.append(f"the reader: {published} frames published, {said}")
        return {**said, "published": published}

    def run(self, seconds: float) -> dict[str, Any]:
        """Everything; returns what was found, ``problems`` among it."""
        detach(self.plan)
        result: dict[str, Any] = {}
        try:
            for name in OUTPUTS:
                self.ledgers[PREFIX + name] = Ledger(PREFIX + name)
            self.close_loop()
            result["ratio before"] = self.ratio()
            before = self.at_rest()
            self.reader = subprocess.Popen(
                [sys.executable, __file__, "--read", PREFIX + READ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert self.reader.stdout is not None
            assert self.reader.stdout.readline() == "ready\n"
            read_before = self.ledgers[PREFIX + READ].published
            with ProcessRecord.open(wiring.CAMERA) as camera:
                camera.resume()
            self.rage(seconds)
            self.calm()
            result["ratio after"] = self.ratio_again()
            if not result["ratio after"] >= REQUIRED_RATIO:
                self.problems.append(
                    f"the loop is not closed: {result['ratio after']:.1f} times below open loop"
                )
            result["accounts"] = self.hold_to_account(before)
            result["reader"] = self.end_reader(read_before)
            status = Controller(self.plan.name).status()
            result["restarts"] = sum(p["restarts"] for p in status["processes"].values())
        finally:
            if self.reader is not None and self.reader.poll() is None:
                self.reader.kill()
                self.reader.wait()
            Controller(self.plan.name).down()
            for ledger in self.ledgers.values():
                ledger.close()
        left = sorted(path.name for path in shm_directory().iterdir())
        if left:
            self.problems.append(f"left in shared memory: {left}")
        return {**result, "done": dict(self.done), "problems": self.problems}


# ---- the reader ------------------------------------------------------------------------------------------------------


def read(name: str) -> None:
    """Read every frame of a stream until a line comes on standard input; then say what came and what did not."""
    import select

    delivered = missed = 0
    with fb.open(name) as stream:
        print("ready", flush=True)
        last = False
        while True:
            try:
                frame = stream.read_next(timeout_s=0.2)
            except StreamRecreated:
                continue
            except WaitTimeout:
                if last:
                    break
                last = bool(select.select([sys.stdin], [], [], 0)[0])
                continue
            delivered += 1
            missed += frame.missed
    print(json.dumps({"delivered": delivered, "missed": missed}), flush=True)


# ---- small things ----------------------------------------------------------------------------------------------------


def each_record() -> list[ProcessRecord]:
    """Every record of the demonstration."""
    return [record for record in records() if record.unit.startswith(PREFIX)]


def declared(use: str) -> bool:
    """Whether a unit has parameters."""
    unit = load_unit(use)
    return bool((unit if isinstance(unit, FunctionUnit) else unit.declaration).parameters)


def fb_count(name: str) -> int:
    """Count of the file that has the name now."""
    with fb.open(name) as stream:
        return stream.count


def kill(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def wait(condition: Any, what: str) -> None:
    """Wait until a condition holds."""
    end = time.monotonic() + CALM_S
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"no {what} within {CALM_S:g} s")
        time.sleep(0.02)


def say(line: str) -> None:
    """Tell what happens."""
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    """Run it; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--clock", type=float, default=500.0, help="frames per second of the camera")
    parser.add_argument("--placement", choices=["processes", "threads", "fused"], default="processes")
    parser.add_argument("--logs", type=Path, default=None, help="directory of the logs")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.read:
        read(arguments.read)
        return 0
    seed = arguments.seed if arguments.seed is not None else random.randrange(10**6)
    say(f"seed {seed}")
    rig = simulated_telescope(1000.0, clock_hz=arguments.clock)
    plan = wiring.place(rig.plan, arguments.placement)
    if arguments.logs is not None:
        plan.supervision.logs = str(arguments.logs)
    chaos = Chaos(Rig(**{**vars(rig), "plan": plan}), seed)
    found = chaos.run(arguments.seconds)
    print(json.dumps({"seed": seed, **found}))
    return 1 if found["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
