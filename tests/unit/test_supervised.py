"""A host that needs nobody: its reports, its end, what stays of its parameters, and recovery from failures."""

from __future__ import annotations

import functools
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import framebus as fb
from framebus import _core
from framebus.params import Params
from framebus.process import Event, Limits, ProcessRecord, State
from framebus.stream import Stream
from support.hosts import Host, loop_plan
from support.processes import Spawner
from support.waiting import until

WIRING = {"image": "image", "value": "value"}
WHOLE = loop_plan("support.units:whole", WIRING)
SCALE = {"image": "image", "result": "result"}


@pytest.fixture
def image() -> Stream:
    return fb.create("image", shape=(4,))


def test_runs_and_ends(spawn: Spawner, tmp_path: Path, image: Stream) -> None:
    limited = loop_plan(
        "support.units:scale", SCALE, parameters={"gain": 3.0}, limits={"scale": {"period_us": 2000.0}}
    )
    host = Host(spawn, tmp_path, "a-long-process-name", WHOLE, limited)
    report = host.reach("ready")
    assert (report["pid"], report["start_ticks"]) == tuple(host.identity.values())
    assert (report["error"], report["message"]) == (None, "")
    assert report["time_ns"] <= _core.realtime_ns()
    assert Path(f"/proc/{host.process.pid}/comm").read_text().strip() == "a-long-process-"
    with fb.open("result") as result, ProcessRecord.open("scale") as record:
        image.write(np.ones(4))
        assert result.read_next(timeout_s=60).data.tolist() == [3] * 4
        assert record.limits == Limits(2000.0, None, "alarm")
        assert record.serves_events
    host.process.signal(signal.SIGHUP)
    host.process.signal(signal.SIGTERM)
    assert host.process.wait() == 0
    assert host.reach("ended")["error"] is None
    assert host.process.errors == ""


def test_ends_at_ctrl_c_while_it_starts(spawn: Spawner, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        f"""
import threading
from typing import Annotated
from framebus.unit import Array, Out, Unit

class Slow(Unit):
    def setup(self):
        open({str(tmp_path / "setting up")!r}, "w").close()
        while not threading.Event().wait(0.05): ...
    def step(self, frame: Annotated[Out, Array((2,))]): ...
"""
    )
    plan = loop_plan(f"{tmp_path}/slow.py:Slow", {"frame": "frame"}, options={"trigger": "free"})
    host = Host(spawn, tmp_path, "slow", plan)
    host.reach("starting")
    until((tmp_path / "setting up").exists)
    host.process.signal(signal.SIGINT)
    assert host.process.wait() == 0
    host.reach("ended")


def test_ends_with_its_loops(spawn: Spawner, tmp_path: Path, image: Stream) -> None:
    image.write(np.ones(4))
    once = loop_plan("support.units:whole", WIRING, options={"trigger": "once"})
    host = Host(spawn, tmp_path, "once", once)
    assert host.process.wait() == 0
    host.reach("ended")


def test_does_not_end_with_whoever_started_it(spawn: Spawner, tmp_path: Path, image: Stream) -> None:
    plan = tmp_path / "rtc.plan.json"
    Host(spawn, tmp_path, "rtc", WHOLE).process.kill()  # writes the plan
    starter = spawn(
        """
        import subprocess, sys
        host = subprocess.Popen([sys.executable, "-m", "framebus.unit.host", sys.argv[1]], start_new_session=True)
        print("pid", host.pid)
        input()
        """,
        str(plan),
    )
    pid = int(starter.expect("pid").split()[1])
    with fb.open("image") as again:
        until(lambda: _record("whole", pid))
        starter.kill()
        with ProcessRecord.open(f"whole.{pid}") as record:
            again.write(np.ones(4))
            until(lambda: record.loop_count == 1)
            assert record.alive
    os.kill(pid, signal.SIGTERM)
    until(lambda: not Path(f"/proc/{pid}").exists() or not _core.process_alive(pid))


def is_in(record: ProcessRecord, state: State) -> bool:
    return record.state is state


def _record(name: str, pid: int) -> bool:
    try:
        with ProcessRecord.open(f"{name}.{pid}") as record:
            return record.state is State.RUNNING
    except LookupError:
        return False


@pytest.mark.parametrize(
    ("loop", "error", "message"),
    [
        (
            loop_plan("support.units:whole", {"image": "none", "value": "value"}),
            "BindingError",
            "no stream 'none'",
        ),
        (loop_plan("support.units:nothing", WIRING), "NotFoundError", "has no 'nothing'"),
        (loop_plan("support.units:whole", WIRING, options={"cpu": 4096}), "UsageError", "cpu is 4096"),
        (loop_plan("support.units:whole", WIRING, options={"cpus": 1}), "UsageError", "'cpus'"),
        (
            loop_plan("support.units:whole", WIRING, limits={"hole": {}}),
            "UsageError",
            "limits are given for 'hole'",
        ),
        (
            loop_plan("support.units:whole", WIRING, limits={"whole": {"period": 1}}),
            "UsageError",
            "limits of 'whole'",
        ),
    ],
)
@pytest.mark.parametrize("stay", [True, False])
def test_that_cannot_start(
    spawn: Spawner,
    tmp_path: Path,
    shm_dir: Path,
    image: Stream,
    loop: dict[str, Any],
    error: str,
    message: str,
    stay: bool,
) -> None:
    first = loop_plan("support.units:scale", SCALE)
    host = Host(spawn, tmp_path, "broken", first, loop, stay=stay)
    report = host.reach("failed")
    assert message in report["message"]
    if stay and error == "BindingError":  # the others need another plan, not another try
        assert host.process.running
        with ProcessRecord.open("whole") as record, ProcessRecord.open("scale") as good:
            assert record.state is State.ERROR
            assert message in record.message
            assert good.state is State.RUNNING, "units that can run do"
        host.process.signal(signal.SIGTERM)
        assert host.process.wait() == 1
        return
    assert report["error"] == error
    assert host.process.wait() == 2
    assert message in host.process.errors
    assert not list(shm_dir.glob("*.proc.fb"))


@pytest.mark.parametrize(
    "plan", ["nothing", "not json", "{}", '{"pipeline": 1, "process": "x", "report": 7}', "[]"]
)
def test_plan_that_is_none(spawn: Spawner, tmp_path: Path, plan: str) -> None:
    file = tmp_path / "plan.json"
    if plan != "nothing":
        file.write_text(plan)
    process = spawn(None, str(file), module="framebus.unit.host")
    assert process.wait() == 2
    assert "is no plan of a process" in process.errors or "No such file" in process.errors


def test_failure_ends_it(spawn: Spawner, tmp_path: Path, image: Stream) -> None:
    host = Host(spawn, tmp_path, "limited", loop_plan("support.units:limited", WIRING))
    host.reach("ready")
    image.write(np.full(4, 1000))
    assert host.process.wait() == 1
    report = host.reach("failed")
    assert report["error"] == "UnitError"
    assert "unit 'limited' failed: ValueError: far too large" in report["message"]
    with ProcessRecord.open("limited") as record:
        assert record.state is State.ERROR
        assert "far too large" in record.message


def test_traceback_outlasts_the_record(spawn: Spawner, tmp_path: Path, image: Stream) -> None:
    unit = "support.units:plain_limited"
    host = Host(spawn, tmp_path, "rtc", loop_plan(unit, WIRING))
    host.reach("ready")
    image.write(np.full(4, 1000))
    assert host.process.wait() == 1
    assert "Traceback (most recent call last)" in host.process.errors
    assert 'raise ValueError("far too large")' in host.process.errors


def test_failed_unit_stays_and_recovers(spawn: Spawner, tmp_path: Path, image: Stream) -> None:
    host = Host(spawn, tmp_path, "limited", loop_plan("support.units:limited", WIRING), stay=True)
    host.reach("ready")
    image.write(np.full(4, 1000))
    assert "far too large" in host.reach("failed")["message"]
    with ProcessRecord.open("limited") as record, fb.open("value") as value:
        for event, state in (
            (Event.RECOVER, State.STANDBY),
            (Event.ENABLE, State.IDLE),
            (Event.RUN, State.RUNNING),
        ):
            record.send(event)
            until(functools.partial(is_in, record, state))
        assert host.reach("ready")["message"] == ""
        image.write(np.full(4, 5))
        assert value.read_next(timeout_s=60).data[0] == 5
        image.write(np.full(4, 1000))
        host.reach("failed")
        record.send(Event.STOP)
    assert host.process.wait() == 1, "it had failed, and nobody recovered it"


def test_all_events_are_served(spawn: Spawner, tmp_path: Path, image: Stream) -> None:
    host = Host(spawn, tmp_path, "served", WHOLE, loop_plan("support.units:scale", SCALE))
    host.reach("ready")
    steps = [
        (Event.IDLE, State.IDLE),
        (Event.DISABLE, State.STANDBY),
        (Event.STOP, State.OFF),
        (Event.INIT, State.STANDBY),
        (Event.ENABLE, State.IDLE),
        (Event.RUN, State.RUNNING),
    ]
    with ProcessRecord.open("whole") as record, fb.open("value") as value:
        for event, state in steps:
            record.send(event)
            until(functools.partial(is_in, record, state))
        image.write(np.ones(4))
        assert value.read_next(timeout_s=60).data[0] == 1
        record.send(Event.STOP)
        until(lambda: record.state is State.OFF)
    with ProcessRecord.open("scale") as record:
        record.send(Event.STOP)
    assert host.process.wait() == 0


def test_restart_keeps_what_was_tuned(spawn: Spawner, tmp_path: Path, image: Stream) -> None:
    """Also where the process was killed: the values are in shared memory."""
    plan = loop_plan("support.units:scale", SCALE, parameters={"gain": 3.0})
    host = Host(spawn, tmp_path, "scale", plan, keep_values=True)
    host.reach("ready")
    with Params.open("scale") as params:
        assert params.gain == 3.0
        params.gain = 4.0
    host.process.kill()
    host.report_file.unlink()
    host = Host(spawn, tmp_path, "scale", plan, keep_values=True)
    host.reach("ready")
    with fb.open("result") as result, Params.open("scale") as params:
        assert params.user_pid == host.process.pid
        image.write(np.ones(4))
        assert result.read_next(timeout_s=60).data.tolist() == [4] * 4
    host.process.kill()
    host.report_file.unlink()
    Host(spawn, tmp_path, "scale", plan).reach("ready")
    with Params.open("scale") as params:
        assert params.gain == 3.0


def test_loops_begin_together(spawn: Spawner, tmp_path: Path) -> None:
    """A loop that cannot be bound keeps those before it from running at all."""
    ticking = loop_plan(
        "support.units:ticks", {"value": "ticks"}, options={"trigger": "delay", "period_s": 1e-4}
    )
    host = Host(spawn, tmp_path, "both", ticking, loop_plan("support.units:whole", WIRING))
    assert host.process.wait() == 2
    with fb.open("ticks") as ticks:
        assert ticks.count == 0
