"""``framebus ps``: every running unit, of pipelines and of none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from rich.console import Console

import framebus as fb
from framebus.cli.unit_table import messages, unit_table
from framebus.pipeline.running import UnitStatus, find_unit, running
from framebus.process import ProcessRecord
from framebus.process.timing import Spread
from framebus.unit import Stage, start
from support import pipeline_units
from support.commands import answer, output
from support.pipelines import COUNT, NEGATIVE, Pipelines, kill, pids, state
from support.processes import Spawner
from support.waiting import until


def test_nothing_runs(shm_dir: Path) -> None:
    assert output("ps") == f"no unit runs (none in {shm_dir})\n"
    assert answer("ps") == []


def test_units_of_pipelines_and_of_none(pipelines: Pipelines) -> None:
    output("up", str(pipelines.write(COUNT + NEGATIVE)), "--detach")
    own = Stage(pipeline_units.times, {"image": "count", "result": "times"})
    with start(own), fb.open("times") as times:
        until(lambda: times.count > 2)
        lines = output("ps").splitlines()
        assert lines[0].split() == [
            "UNIT",
            "STATE",
            "PID",
            "RATE",
            "COMPUTE",
            "LATENCY",
            "MISSED",
            "RESTARTS",
        ]
        assert [line.split()[:3] for line in lines[1:4]] == [
            ["chain/count", "running", str(pids()["count"])],
            ["chain/negative", "running", str(pids()["negative"])],
            ["times", "running", str(os.getpid())],
        ]
        count, negative, alone = answer("ps")
        assert (count["pipeline"], count["process"], alone["pipeline"]) == ("chain", "count", "")
        assert count["latency_us"]["p50"] is None  # nothing triggers it
        assert negative["latency_us"]["p50"] >= negative["compute_us"]["p50"] > 0
        assert alone["loops"] > 0
        assert (count["cpu"], count["alarms"], count["restarts"], count["message"]) == (-1, 0, 0, "")
    output("down")


def test_dead_ones_are_marked(spawn: Spawner) -> None:
    owner = spawn(
        """
        from framebus.process import ProcessRecord
        record = ProcessRecord.create("lonely")
        record.set_message("last words")
        print("ready")
        input()
        """
    )
    owner.expect("ready")
    assert answer("ps")[0]["state"] == "off"
    owner.kill()
    lines = output("ps").splitlines()
    assert lines[1].split()[:2] == ["lonely", "dead"]
    assert lines[2] == "lonely: last words"
    assert find_unit("lonely").state == "dead"
    with ProcessRecord.open("lonely") as record:
        record.remove()


def test_pipelines_without_a_supervisor(pipelines: Pipelines) -> None:
    output("up", str(pipelines.write(COUNT + NEGATIVE)), "--detach")
    kill(state()["supervisor"]["pid"])
    kill(pids()["negative"])
    lines = output("ps").splitlines()
    assert [line.split()[1] for line in lines[1:3]] == ["running", "dead"]
    assert lines[3] == (
        "pipeline 'chain' has no supervisor; 'framebus up' takes it up, 'framebus down' ends it"
    )
    output("down")


def test_what_does_not_run_says_why(pipelines: Pipelines) -> None:
    image = fb.create("image", shape=(1,), dtype="float64")
    fragile = (
        "[supervision]\nrestart_limit = 0\n[units.fragile]\n"
        'use = "support.pipeline_units:fragile"\nstreams = { image = "image", value = "value" }\n'
    )
    output("up", str(pipelines.write(fragile)), "--detach")
    image.write([-1.0])
    until(lambda: running()[0].state == "failed")
    (unit,) = running()
    assert unit.pid == 0
    assert unit.message.startswith(
        "given up after 0 restarts within 60 s: unit 'fragile' failed: ValueError: it is"
    )
    assert output("ps").splitlines()[2].startswith("fragile: given up after")
    with pytest.raises(LookupError, match=r"unit 'fragile' does not run \(failed\)"):
        unit.record()
    output("down")


def test_rate_of_a_unit_that_hangs(pipelines: Pipelines) -> None:
    hangs = NEGATIVE.replace("pipeline_units:negative", "pipeline_units:hangs")
    output("up", str(pipelines.write(COUNT + hangs + "[supervision]\nstop_timeout_s = 0.2\n")), "--detach")
    until(lambda: find_unit("negative").loops > 0)
    until(lambda: 0 < find_unit("negative").rate_hz < 1)
    assert find_unit("count").rate_hz > 1
    output("down")


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (120, ["unit", "state", "pid", "rate", "compute", "latency", "missed", "alarms", "cpu", "restarts"]),
        (100, ["unit", "state", "pid", "rate", "compute", "latency", "missed", "alarms"]),
        (80, ["unit", "state", "rate", "latency", "missed"]),
        (50, ["unit", "state"]),
    ],
)
def test_a_name_is_whole_and_columns_give_way(width: int, shown: list[str]) -> None:
    spread = Spread(1234.5, 45678.9, 50000.0)
    name = "telescope_bench/demo_controller"
    unit = UnitStatus(
        *("demo_controller", "telescope_bench", "loop", 23270, "restarting", 9, 12345.0, 123, 4, 3, 12),
        *(Spread(123.4, 4567.8, 9999.0), spread, "it rests " * 20),
    )
    console = Console(width=width)
    with console.capture() as captured:
        console.print(unit_table([unit], width, pipelines=True), *messages([unit], width))
    header, row, message = captured.get().splitlines()
    assert header.split() == [word.upper() for word in shown]
    assert row.startswith(f"{name}  restarting")
    assert len(header) <= width
    assert message.rstrip().endswith("…")
    console = Console(width=width)
    with console.capture() as captured:
        console.print(unit_table([], width, pipelines=True))
    assert captured.get().startswith("UNIT  STATE")
