"""Process records as a user meets them: reading, controlling, listing, and every way to be refused."""

from __future__ import annotations

import math
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from framebus import _core
from framebus.errors import NameFormatError, NotFoundError, UsageError
from framebus.process import TIMING_DTYPE, Event, ProcessRecord, State, purge_records, records
from framebus.process.timing import statistics_of
from support.processes import Spawner

MICROSECOND = 1000
# A unit under remote control: it says what it was told, line by line.
UNIT = """
    import sys
    from framebus.process import Event, ProcessRecord
    r = ProcessRecord.create("unit", use="package:unit", trigger="wfs")
    r.advance(Event.INIT), r.advance(Event.ENABLE), r.advance(Event.RUN)
    seen = r.core.control_word
    print("ready")
    while True:
        while not r.core.wait_control_change(seen, 10**9):
            pass
        seen = r.core.control_word
        print("told", ("run", "pause", "step", "stop")[seen & 255])
        if seen & 255 == 3:
            break
        if seen & 255 == 2:
            while r.core.take_step():
                r.core.stamp(1, 0, 1, 2)
            seen = 1  # what the last step leaves: anything else is news
            print("stepped")
    print("loops", r.loop_count)
    r.advance(Event.STOP)
    if len(sys.argv) == 1:
        r.remove()
"""


@pytest.fixture
def record() -> Iterator[ProcessRecord]:
    with ProcessRecord.create("reconstruct", use="package.module:reconstruct", trigger="slopes") as made:
        yield made


def test_a_new_record_says_who_it_is(record: ProcessRecord, shm_dir: Path) -> None:
    assert record.path == shm_dir / f"reconstruct.{os.getpid()}.proc.fb"
    with ProcessRecord.open("reconstruct") as other:
        assert (other.unit, other.use, other.trigger) == (
            "reconstruct",
            "package.module:reconstruct",
            "slopes",
        )
        assert (other.pid, other.thread_id, other.host) == (os.getpid(), os.getpid(), socket.gethostname())
        assert (other.cpu, other.priority) == (-1, 0)
        assert (other.state, other.control, other.alive) == (State.OFF, "run", True)
        assert (other.loop_count, other.missed, other.last_missed) == (0, 0, 0)
        assert (other.errors, other.error_code, other.message, other.traceback) == (0, 0, "", "")
        assert (other.rate_hz, other.age_s, len(other.timings())) == (0.0, None, 0)
        assert other.creation_ns <= _core.realtime_ns()
        assert repr(other) == f"<ProcessRecord 'reconstruct' of process {os.getpid()}: off, 0 loops>"


def test_what_the_unit_says_is_read_elsewhere(record: ProcessRecord) -> None:
    with ProcessRecord.open(record.path) as other:
        assert record.advance(Event.INIT) is State.STANDBY
        assert other.state is State.STANDBY
        with pytest.raises(UsageError, match="'run' is not possible in state standby"):
            record.advance(Event.RUN)
        record.set_message("compiling")
        assert (other.message, other.traceback) == ("compiling", "")
        record.fail("no such frame", "line 3", code=7)
        record.fail("again", "line 4", code=8)
        assert (other.state, other.errors, other.error_code) == (State.ERROR, 2, 8)
        assert (other.message, other.traceback) == ("again", "line 4")
        record.core.set_thread(99)
        record.core.set_placement(3, 80)
        assert (other.thread_id, other.cpu, other.priority) == (99, 3, 80)


def test_long_texts_are_cut_between_characters(record: ProcessRecord) -> None:
    record.set_message("ö" * 200, "x" + "€" * 1000)
    assert record.message == "ö" * 127
    assert record.traceback == "x" + "€" * 682


def test_timings_are_the_last_1024_loops_in_order(record: ProcessRecord) -> None:
    for loop in range(1, 1501):
        record.core.stamp(10 * loop, loop, loop + 1, loop + 2, loop % 3)
    assert record.loop_count == 1500
    assert (record.missed, record.last_missed) == (sum(loop % 3 for loop in range(1, 1501)), 0)
    with ProcessRecord.open("reconstruct") as other:
        timings = other.timings()
        assert timings.dtype == TIMING_DTYPE
        loops = np.arange(1500 - 1023, 1501)
        assert np.array_equal(timings["loop"], loops)
        assert np.array_equal(timings["trigger_count"], 10 * loops)
        assert np.array_equal(timings["trigger_ns"], loops)
        assert np.array_equal(timings["start_ns"], loops + 1)
        assert np.array_equal(timings["end_ns"], loops + 2)
        assert np.array_equal(timings["missed"], loops % 3)
        assert other.timings(2)["loop"].tolist() == [1499, 1500]
        assert len(other.timings(0)) == 0
        assert len(other.timings(10**9)) == 1024
        with pytest.raises(UsageError, match="-1 loops"):
            other.timings(-1)


def test_statistics_are_those_of_the_loops(record: ProcessRecord) -> None:
    for loop in range(101):
        start = 10**12 + loop * 1000 * MICROSECOND
        compute = (10 if loop < 100 else 60) * MICROSECOND
        record.core.stamp(loop, start - 5 * MICROSECOND, start, start + compute, int(loop == 7))
    statistics = record.statistics()
    assert (statistics.loops, statistics.missed) == (101, 1)
    assert statistics.rate_hz == pytest.approx(1000.0)
    assert (statistics.period_us.p50, statistics.period_us.max, statistics.jitter_us) == (1000.0, 1000.0, 0.0)
    assert (statistics.compute_us.p50, statistics.compute_us.p99, statistics.compute_us.max) == (
        10.0,
        10.0,
        60.0,
    )
    assert (statistics.wakeup_us.p50, statistics.wakeup_us.max) == (5.0, 5.0)
    assert (statistics.latency_us.p50, statistics.latency_us.max) == (15.0, 65.0)


def test_the_rate_is_that_of_a_running_unit(record: ProcessRecord) -> None:
    record.core.stamp(1, 0, 1000, 2000)
    record.core.stamp(2, 0, 1_001_000, 1_002_000)
    assert record.rate_hz == 0.0, "it does not run"
    record.core.set_state(State.RUNNING)
    assert record.rate_hz == pytest.approx(1000.0)
    assert record.age_s == pytest.approx((_core.realtime_ns() - 1_002_000) / 1e9, rel=1e-3)


def test_statistics_without_measurements_are_nan() -> None:
    statistics = statistics_of(np.empty(0, TIMING_DTYPE))
    assert (statistics.loops, statistics.missed) == (0, 0)
    assert all(math.isnan(x) for x in (statistics.rate_hz, statistics.jitter_us, statistics.period_us.p99))
    one = np.zeros(1, TIMING_DTYPE)
    one["end_ns"] = 3000
    statistics = statistics_of(one)
    assert statistics.compute_us.max == 3.0
    assert math.isnan(statistics.latency_us.p50), "no frame triggered it"
    assert math.isnan(statistics_of(np.zeros(2, TIMING_DTYPE)).rate_hz), "no time passed"


def test_control_reaches_the_unit(spawn: Spawner) -> None:
    unit = spawn(UNIT)
    unit.expect("ready")
    with ProcessRecord.open("unit") as record:
        assert (record.pid, record.state) == (unit.pid, State.RUNNING)
        record.pause()
        unit.expect("told pause")
        record.step(3)
        unit.expect("told step")
        unit.expect("stepped")
        assert record.control == "pause"
        assert record.loop_count == 3
        record.resume()
        unit.expect("told run")
        record.stop()
        unit.expect("told stop")
        unit.expect("loops 3")
        assert unit.wait() == 0
        assert (record.alive, record.state) == (False, State.OFF)
        with pytest.raises(UsageError, match=f"cannot pause unit 'unit': its process {unit.pid} is dead"):
            record.pause()


def test_steps_add_up_to_what_the_word_holds_and_run_out_in_pause(record: ProcessRecord) -> None:
    core = record.core
    assert not core.take_step()
    record.step(2)
    record.step()
    assert record.control == "step"
    assert [core.take_step() for _ in range(4)] == [True, True, True, False]
    assert record.control == "pause"
    record.step(2**24 - 1)
    record.step(2**24 - 1)
    assert core.control_word >> 8 == 2**24 - 1
    record.resume()
    assert (record.control, core.control_word) == ("run", 0)
    for n in (0, -1, 2**24):
        with pytest.raises(UsageError, match=f"cannot step {n} frames; 1 to 16777215"):
            record.step(n)
    with pytest.raises(UsageError, match="cannot step 0 frames"):
        core.request(2, 0)
    with pytest.raises(UsageError, match="no command 4"):
        core.request(4)


def test_nothing_follows_stop(record: ProcessRecord) -> None:
    record.stop()
    record.stop()
    for act in (record.pause, record.resume, record.step):
        with pytest.raises(UsageError, match=r"told to stop.*start it again"):
            act()
    assert record.control == "stop"


def test_waiting_for_control_ends_at_once_when_it_changed_and_in_time_when_not(record: ProcessRecord) -> None:
    core = record.core
    seen = core.control_word
    assert not core.wait_control_change(seen, 1000)
    assert not core.wait_control_change(seen, 0)
    waiter_done: list[bool] = []
    waiter = threading.Thread(target=lambda: waiter_done.append(core.wait_control_change(seen, 60 * 10**9)))
    waiter.start()
    record.pause()
    waiter.join()
    assert waiter_done == [True]
    assert core.wait_control_change(seen, 60 * 10**9)


def test_only_its_own_process_writes_a_record(spawn: Spawner) -> None:
    unit = spawn(UNIT)
    unit.expect("ready")
    with ProcessRecord.open("unit") as record:
        core = record.core
        for act in (
            lambda: record.advance(Event.IDLE),
            lambda: record.set_message("x"),
            lambda: record.fail("x"),
            lambda: core.stamp(1, 2, 3, 4),
            lambda: core.set_thread(1),
            lambda: core.set_placement(1, 1),
            core.take_step,
        ):
            with pytest.raises(UsageError, match=f"belongs to process {unit.pid}"):
                act()
        with pytest.raises(UsageError, match=rf"process {unit.pid}, which is alive"):
            record.remove()
        with pytest.raises(UsageError, match="no state 5"):
            core.set_state(5)


def test_opening_by_name_takes_the_live_one(spawn: Spawner, record: ProcessRecord) -> None:
    dead = spawn(UNIT, "keep")
    dead.expect("ready")
    live = spawn(UNIT)
    live.expect("ready")
    with pytest.raises(UsageError, match=f"'unit.{dead.pid}'|'unit.{live.pid}'"):
        ProcessRecord.open("unit")
    dead.kill()
    with ProcessRecord.open("unit") as one:
        assert one.pid == live.pid
    with ProcessRecord.open(f"unit.{dead.pid}") as one:
        assert (one.alive, one.state) == (False, State.RUNNING)
        assert one.rate_hz == 0.0
        assert "its process is dead" in repr(one)
    live.kill()
    with ProcessRecord.open("unit") as one:
        assert one.pid == live.pid, "of the dead ones the newest"
    for name in ("xyzzy", "unit.1"):
        with pytest.raises(NotFoundError, match=f"no process record '{name}'"):
            ProcessRecord.open(name)
    with pytest.raises(NotFoundError):
        ProcessRecord.open(record.path.parent / "x.proc.fb")


def test_records_lists_all_and_purge_removes_the_dead(
    spawn: Spawner, record: ProcessRecord, shm_dir: Path
) -> None:
    dead, live = spawn(UNIT, "keep"), spawn(UNIT)
    dead.expect("ready")
    live.expect("ready")
    dead.kill()
    found = records()
    assert [(r.unit, r.pid) for r in found] == sorted(
        [("reconstruct", os.getpid()), ("unit", dead.pid), ("unit", live.pid)]
    )
    assert {r.pid: r.alive for r in found} == {os.getpid(): True, dead.pid: False, live.pid: True}
    assert purge_records() == [shm_dir / f"unit.{dead.pid}.proc.fb"]
    assert {r.pid for r in records()} == {os.getpid(), live.pid}
    assert purge_records() == []
    live.kill()


def test_records_of_another_machine_are_not_purged(spawn: Spawner, shm_dir: Path) -> None:
    unit = spawn(UNIT, "keep")
    unit.expect("ready")
    unit.kill()
    path = shm_dir / f"unit.{unit.pid}.proc.fb"
    with path.open("r+b") as file:
        file.seek(368)
        file.write(b"elsewhere".ljust(64, b"\0"))
    assert purge_records() == []
    assert path.exists()
    assert records()[0].host == "elsewhere"


def test_a_file_that_is_no_record_is_left_out_with_a_warning(shm_dir: Path, record: ProcessRecord) -> None:
    (shm_dir / "foreign.1.proc.fb").write_bytes(b"foreign")
    (shm_dir / "directory.2.proc.fb").mkdir()
    with pytest.warns(RuntimeWarning, match="left out of the list") as caught:
        assert [r.unit for r in records(shm_dir)] == ["reconstruct"]
    assert len(caught) == 2


def test_a_unit_that_runs_cannot_be_started_again_in_its_process(record: ProcessRecord) -> None:
    for event in (Event.INIT, Event.ENABLE):
        record.advance(event)
    with pytest.raises(UsageError, match="'reconstruct' runs in this process already"):
        ProcessRecord.create("reconstruct")
    record.advance(Event.STOP)
    with ProcessRecord.create("reconstruct") as again:
        assert again.use == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"use": "x" * 256}, "'use' is 256 bytes long, at most 255"),
        ({"trigger": "x" * 80}, "trigger's name is 80 bytes long"),
    ],
)
def test_texts_that_do_not_fit_are_refused(arguments: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ProcessRecord.create("unit", **arguments)  # type: ignore[arg-type]


def test_bad_names_and_places_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NameFormatError):
        ProcessRecord.create("a/b")
    with pytest.raises(OSError, match="nowhere"):
        ProcessRecord.create("unit", directory=tmp_path / "nowhere")
    with pytest.raises(UsageError, match="needs a name"):
        _core.ProcessRecord.create(str(tmp_path / "x"), "")
    with pytest.raises(UsageError, match="80 bytes long"):
        _core.ProcessRecord.create(str(tmp_path / "x"), "x" * 80)


def test_remove_and_close(record: ProcessRecord) -> None:
    with ProcessRecord.open("reconstruct") as other:
        record.remove()
        assert not other.path.exists()
        other.remove()  # gone already: no error
        assert repr(other) == "<ProcessRecord, closed>"
        with pytest.raises(UsageError, match="closed"):
            _ = other.state


def test_a_record_that_may_only_be_read_is_read(record: ProcessRecord, spawn: Spawner) -> None:
    record.path.chmod(0o444)
    other = spawn("""
        import os
        from framebus.process import ProcessRecord
        if os.getuid() == 0:  # may write everything: be somebody else
            os.setuid(65534)
        r = ProcessRecord.open("reconstruct")
        print("state", r.state.name)
        try:
            r.pause()
        except PermissionError as error:
            print("refused", error)
    """)
    assert other.expect("state") == "state OFF"
    assert "'reconstruct' may only be read" in other.expect("refused")
    assert other.wait() == 0
