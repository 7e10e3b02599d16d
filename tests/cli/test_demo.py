"""The demonstration: it closes the loop in every placement, accounts for every frame, and says so if it does not."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import select
import signal
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from framebus.cli.demo import run as running
from framebus.cli.demo import wiring
from framebus.cli.demo.command import demo as command
from framebus.cli.demo.display import LiveView, PlainView, microseconds, stage_table, summary
from framebus.cli.demo.monitor import Account, StageMonitor, account_for, percentiles
from framebus.cli.demo.picture import draw
from framebus.cli.demo.rig import Rig, measured_instrument, simulated_telescope
from framebus.cli.demo.run import Demonstration, Result
from framebus.errors import NotFoundError, UsageError
from framebus.params import Params
from framebus.pipeline.background import detach
from framebus.pipeline.control import Controller
from framebus.pipeline.graph import Graph
from framebus.process import ProcessRecord, records
from framebus.stream import create, streams
from framebus.stream import open as open_stream

SLOW_HZ = 250.0
"""Of the camera's clock here, its simulated time being that of 1 kHz: a loaded machine then is late by no frame."""


def run(rig: Rig, placement: wiring.Placement, view: Any = None) -> Demonstration:
    shown = PlainView(Console(quiet=True)) if view is None else view
    demonstration = Demonstration(rig, placement, 2.0, shown, open_s=0.5)
    demonstration.run()
    return demonstration


def check(demonstration: Demonstration) -> None:
    result = demonstration.result
    assert result.problems() == []
    assert result.ratio >= running.REQUIRED_RATIO
    assert result.unexplained == 0
    for account in result.accounts.values():
        assert account.processed > 100
        assert account.published == account.processed + account.missed
    assert streams() == []
    assert records() == []


class Watched(LiveView):
    """Keeps what the terminal would have shown."""

    def live(self, demo: Demonstration) -> None:
        super().live(demo)
        with self.console.capture() as captured:
            self.console.print(self._draw())
        self.screens = [*getattr(self, "screens", []), captured.get()]


@pytest.mark.parametrize("placement", ["processes", "threads", "fused"])
def test_closes_the_loop_and_leaves_nothing_behind(placement: wiring.Placement, tmp_path: Path) -> None:
    rig = simulated_telescope(clock_hz=SLOW_HZ)
    view = Watched(Console(width=80, force_terminal=True), rig, placement)
    demonstration = run(rig, placement, view)
    check(demonstration)
    with view.console.capture() as last:  # a terminal is drawn once more when all is over
        view.console.print(view._draw())
    assert "loop closed" in last.get()
    assert "loop closed" in view.screens[-1]
    assert "reconstructor" in view.screens[-1]
    picture = tmp_path / "demo.png"
    draw(demonstration, picture)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_closes_the_loop_of_a_measured_instrument(shared_data: Path) -> None:
    demonstration = run(measured_instrument(shared_data / "ao3k", clock_hz=SLOW_HZ), "fused")
    check(demonstration)
    assert demonstration.rig.title.startswith("ao3k")


def test_command_closes_the_loop_of_another_and_writes_what_it_found(
    shared_data: Path, tmp_path: Path
) -> None:
    results, picture = tmp_path / "result.json", tmp_path / "picture.png"
    arguments = [
        "--data",
        str(shared_data / "kalao"),
        "--placement",
        "threads",
        "--rate",
        "250",
        "--duration",
        "2",
    ]
    outcome = CliRunner().invoke(command, [*arguments, "--json", str(results), "--picture", str(picture)])
    found = json.loads(results.read_text())
    assert outcome.exit_code == 0, outcome.output
    assert found["problems"] == []
    assert found["rig"].startswith("kalao")
    assert found["placement"] == "threads"
    assert found["unexplained"] == 0
    assert found["accounts"][wiring.MIRROR]["processed"] > 0
    assert picture.exists()
    assert "frame → command" in outcome.output


def test_a_loop_that_does_not_close_fails(
    monkeypatch: pytest.MonkeyPatch, shared_data: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr(running, "REQUIRED_RATIO", math.inf)
    arguments = [
        "--data",
        str(shared_data / "kalao"),
        "--placement",
        "fused",
        "--rate",
        "500",
        "--duration",
        "1",
    ]
    outcome = CliRunner().invoke(command, [*arguments, "--json", "-", "--picture", str(tmp_path / "p.png")])
    assert outcome.exit_code == 1
    assert "did not close" in outcome.output


def test_a_second_demonstration_is_refused() -> None:
    plan = wiring.place(simulated_telescope(clock_hz=SLOW_HZ).plan, "fused")
    with running.supervised(plan):
        with pytest.raises(UsageError, match="runs already"), running.supervised(plan):
            pytest.fail("it was started twice")
        assert Controller(plan.name).supervised


def test_what_a_killed_demonstration_left_is_cleared_away() -> None:
    plan = wiring.place(simulated_telescope(clock_hz=SLOW_HZ).plan, "fused")
    detach(plan)
    supervisor = Controller(plan.name).status()["supervisor"]["pid"]
    descriptor = os.pidfd_open(supervisor)
    os.kill(supervisor, signal.SIGKILL)
    select.select([descriptor], [], [])
    os.close(descriptor)
    with running.supervised(plan):
        assert Controller(plan.name).status()["supervisor"]["pid"] != supervisor
    assert streams() == []


def test_placements_differ_in_two_keys_only() -> None:
    plan = simulated_telescope().plan
    fused = wiring.place(plan, "fused")
    assert list(fused.units) == list(plan.units)
    for name, unit in fused.units.items():
        assert msgspec.structs.replace(unit, process=None, fuse=None) == plan.units[name]
    assert list(Graph.of(fused).processes.values()) == [[[wiring.CAMERA], [*plan.units][1:]]]
    assert [len(loops) for loops in Graph.of(wiring.place(plan, "threads")).processes.values()] == [6]


def test_directory_without_an_instrument(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="respM"):
        measured_instrument(tmp_path)


def result(**changes: Any) -> Result:
    good = Result("rig", "fused", 1000.0, 1.65, closed_nm=50.0, turbulence_nm=500.0, open_nm=480.0)
    return dataclasses.replace(good, **changes)


def test_result_says_what_is_wrong() -> None:
    assert result().problems() == []
    assert "did not close" in result(turbulence_nm=100.0).problems()[0]
    assert "did not close" in result(closed_nm=math.nan).problems()[0]
    lost = {"unit": Account(published=10, processed=8, missed=1, causes={"woken late": 1})}
    assert result(accounts=lost).unexplained == 1
    assert "1 frames" in result(accounts=lost).problems()[0]
    without_cause = {"unit": Account(published=10, processed=8, missed=2, causes={})}
    assert result(accounts=without_cause).unexplained == 2


def test_summary_tells_success_from_failure(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    summary(result(), tmp_path, to_stderr=False)
    assert "The loop closed" in capsys.readouterr().out
    summary(result(closed_nm=400.0), tmp_path, to_stderr=True)
    assert "FAILED" in capsys.readouterr().err


def test_accounts_are_taken_from_the_times_of_the_unit() -> None:
    period = 1_000_000
    with (
        ProcessRecord.create("unit", trigger="frames") as record,
        create("frames", shape=4, dtype="uint8") as stream,
    ):
        monitor = StageMonitor(record, float(period))
        for _ in range(12):
            stream.write(np.zeros(4, np.uint8))
        stamp = record.core.stamp
        stamp(1, 1000, 1000, 2000, 0)
        stamp(2, period, period, 4 * period, 0)  # takes three periods
        stamp(5, 4 * period, 4 * period, 4 * period + 9, 2)
        stamp(9, 8 * period, 9 * period, 9 * period + 9, 3)  # long asleep
        stamp(12, 9 * period + 20, 9 * period + 30, 9 * period + 40, 2)  # a burst
        account = account_for(monitor, stream)
        assert (account.published, account.processed, account.missed) == (12, 5, 7)
        assert account.causes == {"computing": 2, "woken late": 3, "came close together": 2}
        assert account.unexplained == 0
        stream.write(np.zeros(4, np.uint8))  # a frame that nobody takes
        assert account_for(monitor, stream).unexplained == 1
        table = stage_table(watching(monitor))
        assert table.row_count == 1
        record.remove()
        stream.remove()


def watching(monitor: StageMonitor) -> Demonstration:
    demonstration = Demonstration(simulated_telescope(), "fused", 1.0, PlainView(Console(quiet=True)))
    demonstration.stages["unit"] = monitor
    return demonstration


def test_loops_overwritten_before_they_were_seen_are_said_to_be_so() -> None:
    with ProcessRecord.create("unit") as record:
        monitor = StageMonitor(record, 1e6)
        for i in range(3000):
            record.core.stamp(0, 0, 1000 * i, 1000 * i + 1, 1 if i == 3 else 0)
        monitor.look()
        assert not monitor.complete() or len(monitor.all()) < 3000
        record.remove()


def test_numbers_are_short() -> None:
    assert microseconds((1.25, 33.4, 1234.6)) == "1.2 / 33 / 1235"
    assert microseconds(percentiles(np.zeros(0, np.int64))) == "– / – / –"


def test_keep_leaves_the_loop_closed_and_running(tmp_path: Path) -> None:
    rig = simulated_telescope(clock_hz=SLOW_HZ)
    quiet = PlainView(Console(quiet=True))
    kept = Demonstration(rig, "fused", 1.0, quiet, open_s=0.5, keep=True)
    try:
        kept.run()
        assert Controller("demo").supervised
        with open_stream("demo_dm") as mirror, Params.open(wiring.CONTROLLER) as controller:
            mirror.wait_newer(timeout_s=20)
            assert controller["gain"] == rig.gain
    finally:
        Controller("demo").down()
    assert streams() == []
