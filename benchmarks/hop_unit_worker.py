"""A compiled unit, or nothing, between two streams, in a process of its own; started by ``pairs.run_group``.

Its only argument is a JSON object: ``name`` of the streams, ``shape``, ``make`` (whether it makes both), ``unit``
(``copy`` from there to back, ``ping`` from back to there, or nothing), ``dialect``, ``spin``, ``cpu``, and for ``ping``
``trips``, ``warmup``, ``gap_ns`` and ``result``.
"""

from __future__ import annotations

import json
import math
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from contest import Skipped
from hop_endpoints import importable
from hop_worker import expect


def collect(fb: Any, config: dict[str, Any], report: str, back: str) -> int:
    """Send the first frame, wait for the last trip, save the times; returns the number of wrong elements."""
    reports = fb.open(report)
    with fb.open(back) as stream:
        stream.write(np.zeros(config["shape"], np.float32))
    total = config["warmup"] + config["trips"] + 1  # the first one only starts the clock
    seen, since = 0, time.monotonic()
    # Somebody who sleeps on the reports would be woken at each, by the loop that is timed and on its CPU.
    while reports.count < total:
        time.sleep(0.02)
        if reports.count > seen:
            seen, since = reports.count, time.monotonic()
        elif time.monotonic() > since + 60.0:
            raise TimeoutError(f"no trip ended within 60 s; {seen} of {total} did")
    found = [frame.data for frame in reports.history() if config["warmup"] + 1 < frame.count <= total]
    np.array([data[0] for data in found], np.int64).tofile(config["result"])
    return int(found[-1][1])


def main() -> None:
    config = json.loads(sys.argv[1])
    try:
        fb = importable("framebus", "pip install -e .")
        importable("framebus.unit.loop", "pip install -e '.[compute]'")
    except Skipped as error:
        print(f"skipped {error}", flush=True)
        return
    import bench_units
    from framebus.unit import LoopOptions, Stage, start

    print("loaded", flush=True)
    expect("make")
    there, back, report = (f"{config['name']}_{x}" for x in ("there", "back", "report"))
    with ExitStack() as stack:
        if config["make"]:
            for name in (there, back):
                dialect = config.get("dialect", "isio")
                made = fb.create(name, shape=tuple(config["shape"]), dtype="float32", dialect=dialect)
                # What a DAO stream has outside its file goes with it.
                stack.callback(made.remove if dialect == "dao" else made.close)
        options = LoopOptions(spin_us=math.inf if config["spin"] else 0.0, cpu=config["cpu"])
        if config["unit"] == "copy":
            stack.enter_context(start(Stage(bench_units.copy, {"source": there, "target": back}), options))
        elif config["unit"] == "ping":
            history = config["trips"] + config["warmup"] + 100
            stack.enter_context(fb.create(report, shape=(2,), dtype="int64", history=history))
            names = {"source": back, "target": there, "report": report}
            trips = config["trips"] + config["warmup"] + 1
            stage = Stage(bench_units.ping, names, {"gap_ns": config["gap_ns"], "trips": trips})
            stack.enter_context(start(stage, replace(options, every_frame=True)))
        print("made", flush=True)
        expect("go")
        wrong = collect(fb, config, report, back) if config["unit"] == "ping" else 0
        print(f"wrong {wrong} elements" if wrong else "done", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main()
