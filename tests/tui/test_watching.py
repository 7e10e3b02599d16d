"""The data behind the dashboard: what a look sees, and what changed."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus import _core
from framebus.pipeline.control import Controller
from framebus.process import Event, ProcessRecord
from framebus.tui.events import EventLog
from framebus.tui.looks import Snapshot, StreamLook
from framebus.tui.readers import Readers
from framebus.tui.watching import Watcher
from support.pipelines import CHAIN, Pipelines, all_up, kill, pids, state
from support.processes import Spawner
from support.waiting import until

WRITER = """
import framebus as fb, numpy as np
s = fb.create("wfs", shape=(4, 6), dtype="float32", history=4)
print("ready")
while True:
    n = int(input())
    for _ in range(n):
        s.write(np.ones((4, 6), np.float32))
    print("wrote")
"""


def until_seen(watcher: Watcher, condition: object) -> Snapshot:
    """Look until the condition holds for a snapshot; returns that."""
    seen: list[Snapshot] = []

    def look() -> bool:
        seen[:] = [watcher.look()]
        return bool(condition(seen[0]))  # type: ignore[operator]

    until(look)
    return seen[0]


def test_nothing_is_there(shm_dir: Path) -> None:
    with Watcher() as watcher:
        assert watcher.look()[1:] == ({}, {}, {}, frozenset(), frozenset(), {})


def test_a_directory_that_goes_and_is_made_again(shm_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shm_dir / "own"
    folder.mkdir()
    monkeypatch.setenv("MILK_SHM_DIR", str(folder))
    with Watcher() as watcher:
        folder.rmdir()
        assert watcher.look().streams == {}
        folder.mkdir()
        (folder / "x.im.shm").write_bytes(b"no stream")
        snapshot = until_seen(watcher, lambda snapshot: snapshot.streams)
        assert snapshot.streams["x"].state == "bad"


def test_what_a_stream_tells(spawn: Spawner) -> None:
    writer = spawn(WRITER)
    writer.expect("ready")
    with Watcher() as watcher:
        first = watcher.look().streams["wfs"]
        assert (first.state, first.count, first.rate_hz) == ("empty", 0, 0.0)
        assert (first.shape, first.dtype, first.history, first.writer_pid) == (
            (4, 6),
            "float32",
            4,
            writer.pid,
        )
        assert (first.claimed, first.semaphores) == (0, 10)
        assert first.age_s(_core.realtime_ns()) is None
        writer.send("5")
        writer.expect("wrote")
        live = watcher.look().streams["wfs"]
        assert (live.state, live.count, live.writer_pid) == ("live", 5, writer.pid)
        age_s = live.age_s(live.written_ns + 2_000_000_000)
        assert age_s == pytest.approx(2.0)


def test_only_what_changed_is_new() -> None:
    with fb.create("a", shape=(2,), dtype="int16") as a, fb.create("b", shape=(2,), dtype="int16") as b:
        b.write(np.zeros(2, np.int16))
        with Watcher() as watcher:
            until_seen(watcher, lambda snapshot: snapshot.streams["b"].readers == 0)
            before = until_seen(watcher, lambda snapshot: not snapshot.changed_streams)
            a.write(np.ones(2, np.int16))
            after = watcher.look()
            assert after.changed_streams == {"a"}
            assert after.streams["b"] is before.streams["b"]
            assert after.streams["a"].count == 1
            kept = watcher.look(streams={"b"})
            assert kept.streams["a"] is after.streams["a"]
            assert kept.changed_streams == frozenset()
            a.write(np.ones(2, np.int16))
            assert watcher.look(streams=()).streams["a"].count == 1
            with fb.create("c", shape=(2,), dtype="int16") as c:
                until(lambda: "c" in watcher.look(streams=()).changed_streams)
                c.remove()
            until(lambda: "c" not in watcher.look(streams=()).streams)
            assert watcher.look(streams={"a"}).streams["a"].count == 2


def test_a_killed_writer_is_told_dead(spawn: Spawner) -> None:
    writer = spawn(WRITER)
    writer.expect("ready")
    writer.send("3")
    writer.expect("wrote")
    with Watcher() as watcher:
        assert watcher.look().streams["wfs"].state == "still"
        writer.kill()
        dead = until_seen(watcher, lambda snapshot: snapshot.streams["wfs"].state == "dead").streams["wfs"]
        assert (dead.rate_hz, dead.writer_pid, dead.count) == (0.0, writer.pid, 3)


def test_a_stream_that_stops_is_stale_and_a_matrix_is_not(spawn: Spawner) -> None:
    writer = spawn(WRITER)
    writer.expect("ready")
    with fb.create("matrix", shape=(2,), dtype="float64") as matrix, Watcher() as watcher:
        matrix.write(np.zeros(2))
        watcher.look()
        writer.send("50")
        writer.expect("wrote")
        assert watcher.look().streams["wfs"].state == "live"
        stale = until_seen(watcher, lambda snapshot: snapshot.streams["wfs"].state != "live")
        assert stale.streams["wfs"].state == "stale"
        assert stale.streams["wfs"].rate_hz == 0.0
        assert stale.streams["matrix"].state == "still"


def test_one_that_stopped_before_is_stale_at_once(spawn: Spawner) -> None:
    writer = spawn(WRITER)
    writer.expect("ready")
    writer.send("200")
    writer.expect("wrote")
    with Watcher() as watcher:
        found = until_seen(watcher, lambda snapshot: snapshot.streams["wfs"].state != "live")
        assert found.streams["wfs"].state == "stale"


def test_recreated_and_removed_streams() -> None:
    with Watcher() as watcher:
        with fb.create("a", shape=(2,), dtype="int16"):
            old = watcher.look().streams["a"]
        with fb.create("a", shape=(3, 3), dtype="float32") as again:
            new = until_seen(watcher, lambda snapshot: snapshot.streams["a"].inode != old.inode).streams["a"]
            assert (new.shape, new.dtype) == ((3, 3), "float32")
            again.remove()
        assert until_seen(watcher, lambda snapshot: not snapshot.streams).streams == {}


def test_a_bad_file_is_told_with_its_reason(shm_dir: Path) -> None:
    (shm_dir / "junk.im.shm").write_bytes(os.urandom(3000))
    with Watcher() as watcher:
        junk = watcher.look().streams["junk"]
        assert junk.state == "bad"
        assert junk.error
        assert str(shm_dir) not in junk.error


def test_readers_are_processes_beside_the_writer(spawn: Spawner) -> None:
    with fb.create("a", shape=(2,), dtype="int16"), Watcher() as watcher:
        reader = spawn("import framebus as fb\ns = fb.open('a')\nprint('open')\ninput()")
        reader.expect("open")
        until_seen(watcher, lambda snapshot: snapshot.streams["a"].readers == 1)
        reader.kill()
        until_seen(watcher, lambda snapshot: snapshot.streams["a"].readers == 0)


def counted(readers: Readers, writer: int) -> bool:
    """A look, and whether all processes were looked at by now."""
    readers.look({os.getpid(), writer})
    return bool(readers.counts({"wfs": writer}))


def test_who_looks_is_no_reader_though_it_writes_a_stream_itself(spawn: Spawner, shm_dir: Path) -> None:
    writer = spawn(WRITER)
    writer.expect("ready")
    readers = Readers(shm_dir)
    with fb.create("own", shape=(2,)) as own, fb.open("wfs"):
        own.write([1, 2])
        for _ in range(3):
            until(lambda: counted(readers, writer.pid))
            assert readers.counts({"wfs": writer.pid, "own": os.getpid()}) == {"wfs": 0, "own": 0}


def test_what_a_record_tells() -> None:
    record = ProcessRecord.create("slopes", use="my.package:slopes", trigger="wfs", cpu=1, priority=7)
    for event in (Event.INIT, Event.ENABLE, Event.RUN):
        record.advance(event)
    now_ns = _core.realtime_ns()
    for i in range(10):
        start_ns = now_ns + i * 1_000_000
        record.core.stamp(i + 1, start_ns - 7_000, start_ns, start_ns + 20_000, missed=2)
    record.set_message("all is well")
    with Watcher() as watcher:
        (unit,) = watcher.look().units.values()
        assert (unit.key, unit.unit, unit.pid, unit.pipeline) == (
            f"slopes.{os.getpid()}",
            "slopes",
            os.getpid(),
            "",
        )
        assert (unit.state, unit.loops, unit.missed, unit.message) == ("running", 10, 20, "all is well")
        assert (unit.use, unit.trigger, unit.cpu, unit.priority) == ("my.package:slopes", "wfs", 1, 7)
        assert unit.period_us == pytest.approx(1000.0)
        assert unit.compute_us == pytest.approx(20.0)
        assert unit.latency_us == pytest.approx(27.0)
        assert list(unit.past_compute_us) == pytest.approx([20.0])
        record.pause()
        record.advance(Event.IDLE)
        paused = watcher.look().units[unit.key]
        assert (paused.state, paused.rate_hz) == ("paused", 0.0)
        record.fail("it broke", "Traceback: ...")
        failed = watcher.look().units[unit.key]
        assert (failed.state, failed.message, failed.traceback) == ("error", "it broke", "Traceback: ...")
        assert watcher.look(units=()).units[unit.key] is failed
    record.remove()


def test_a_unit_that_was_dead_before_is_so_at_once(spawn: Spawner) -> None:
    unit = spawn(
        "from framebus.process import ProcessRecord; r = ProcessRecord.create('slopes'); print('made'); input()"
    )
    unit.expect("made")
    unit.kill()
    with Watcher() as watcher:
        assert watcher.look().units[f"slopes.{unit.pid}"].state == "dead"


def test_missed_frames_stand_with_the_stream() -> None:
    record = ProcessRecord.create("slopes", trigger="wfs")
    record.core.stamp(1, 1000, 2000, 3000, missed=4)
    with fb.create("wfs", shape=(2,), dtype="int16"), Watcher() as watcher:
        assert watcher.look().streams["wfs"].missed == 4
    record.remove()


def test_a_record_that_is_none_is_left_out(shm_dir: Path) -> None:
    (shm_dir / "x.1.proc.fb").write_bytes(b"nothing of the kind")
    with Watcher() as watcher:
        assert watcher.look().units == {}
        assert watcher.look().units == {}


def test_a_pipeline_its_units_and_the_death_of_its_supervisor(pipelines: Pipelines) -> None:
    up = pipelines.up(CHAIN)
    with Watcher() as watcher:
        snapshot = until_seen(
            watcher, lambda snapshot: [unit.state for unit in snapshot.units.values()] == ["running"] * 3
        )
        assert list(snapshot.units) == ["chain/count", "chain/negative", "chain/times"]
        negative = snapshot.units["chain/negative"]
        assert (negative.process, negative.pid, negative.trigger) == ("negative", pids()["negative"], "count")
        assert Path(negative.log).name == "negative.log"
        chain = snapshot.pipelines["chain"]
        assert (chain.phase, chain.supervised, chain.trouble) == ("up", True, "")
        assert chain.wiring["times"] == {"image": "negative", "result": "times"}
        assert Path(chain.log).exists()
        until_seen(watcher, lambda snapshot: snapshot.units["chain/times"].rate_hz > 0)
        until_seen(watcher, lambda snapshot: snapshot.streams["times"].state == "live")
        kill(state()["supervisor"]["pid"])
        lost = until_seen(watcher, lambda snapshot: not snapshot.pipelines["chain"].supervised)
        assert "has no supervisor" in lost.pipelines["chain"].trouble
        up.wait()
        Controller("chain").down()
        gone = until_seen(watcher, lambda snapshot: not snapshot.pipelines and not snapshot.streams)
        assert gone.units == {}


def test_a_death_between_two_looks_is_told_as_one(pipelines: Pipelines) -> None:
    up = pipelines.up(CHAIN)
    log = EventLog()
    with Watcher() as watcher:
        log.add(until_seen(watcher, lambda snapshot: snapshot.units["chain/negative"].state == "running"))
        before = pids()["negative"]
        kill(before)
        until(lambda: pids()["negative"] != before and all_up())
        told = log.add(until_seen(watcher, lambda snapshot: "chain/negative" in snapshot.changed_units))
    told_of = [event[1:] for event in told]
    assert ("bad", "unit chain/negative", "its process died") in told_of
    assert ("warn", "unit chain/negative", f"was started anew as process {pids()['negative']}") in told_of
    assert ("bad", "supervisor chain", "negative: ended: killed by SIGKILL") in told_of
    assert state()["processes"]["negative"]["failures"] == 1
    kill(state()["supervisor"]["pid"])
    up.wait()
    up = pipelines.up(CHAIN)
    assert state()["processes"]["negative"]["failures"] == 1  # as the supervisor before it counted
    Controller("chain").down()
    assert up.wait() == 0


def test_looks_are_plain_values() -> None:
    look = StreamLook("a", "/x/a.im.shm", 1, "live", count=3, written_ns=5_000_000_000)
    assert look.age_s(4_000_000_000) == 0.0  # clocks differ a little
    assert look._replace(written_ns=0).age_s(1) is None
