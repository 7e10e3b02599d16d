"""Waiting for conditions: what another process does ends the wait, and what does not happen is told."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import signal
from pathlib import Path

import pytest

import framebus as fb
from framebus.errors import NotFoundError, ParameterError, UsageError, WaitTimeout
from framebus.events import Occurrences, parse, wait_for, waiting
from framebus.events.watchers import Sighting, Watcher
from framebus.params import Params, ParamSpec
from framebus.pipeline.running import find_unit
from framebus.process import ProcessRecord, State
from support.commands import output
from support.pipelines import COUNT, NEGATIVE, Pipelines, kill, pids, state
from support.processes import Spawner
from support.waiting import once_asleep, until
from support.writers import ended_writer

RECORD = """
    from framebus.process import ProcessRecord, State
    record = ProcessRecord.create("slopes")
    print("ready")
    for name in iter(input, "remove"):
        record.core.set_state(State[name])
        print("is", name)
    record.remove()
"""
WAIT = """
    import sys
    from framebus.events import wait_for
    absent = lambda text: print("absent", text)
    for fired in wait_for(sys.argv[2:], mode=sys.argv[1], timeout_s=60, on_absent=absent):
        print("fired", fired.index, fired)
"""


# ---- streams -------------------------------------------------------------------------------------------------


def test_a_frame_that_another_process_writes_ends_the_wait(spawn: Spawner) -> None:
    with fb.create("wfs", shape=(2,)) as wfs:
        wfs.write([1.0, 2.0])
        waiter = spawn(WAIT, "any", "stream:wfs")
        thread = once_asleep(wfs.path, lambda: wfs.write([3.0, 4.0]))
        assert waiter.expect("fired") == "fired 0 stream 'wfs': frame 2"
        thread.join()
        assert waiter.wait() == 0


def test_a_frame_from_before_is_not_newer() -> None:
    with fb.create("wfs", shape=(2,)) as wfs:
        wfs.write([1.0, 2.0])
        with pytest.raises(WaitTimeout, match=r"within 0 s: stream 'wfs' is at frame 1 \(live\)"):
            wait_for("stream:wfs", timeout_s=0)


def test_a_count_may_be_reached_already() -> None:
    with fb.create("wfs", shape=(2,)) as wfs:
        for _ in range(3):
            wfs.write([1.0, 2.0])
        (fired,) = wait_for("stream:wfs>=3")
        assert (fired.index, fired.values) == (0, {"count": 3})
        assert fired.time_ns > 0
        with pytest.raises(WaitTimeout):
            wait_for("stream:wfs>3", timeout_s=0.05)


def test_a_stream_that_is_not_there_is_waited_for(spawn: Spawner) -> None:
    waiter = spawn(WAIT, "any", "stream:wfs")
    assert waiter.expect("absent") == "absent there is no stream 'wfs'; there are none"
    with fb.create("wfs", shape=(2,)) as wfs:
        wfs.write([1.0, 2.0])
        waiter.expect("fired 0 stream 'wfs': frame 1")


@pytest.mark.parametrize("shape", [(2,), (3,)])
def test_any_frame_of_a_stream_that_was_made_anew_is_newer(shape: tuple[int]) -> None:
    with fb.create("wfs", shape=(2,)) as old:
        for _ in range(9):
            old.write([1.0, 2.0])
        with Occurrences("stream:wfs") as occurrences, fb.create("wfs", shape=shape) as new:
            new.write([1.0] * shape[0])
            assert occurrences.next(60).values == {"count": 1}


def test_states_of_streams(spawn: Spawner) -> None:
    assert wait_for("stream:wfs=gone")[0].values == {"state": "gone"}
    writer = spawn(
        'import framebus as fb; s = fb.create("wfs", shape=(1,)); s.write([1.0]); print("wrote"); input()'
    )
    (fired,) = wait_for("stream:wfs=live", timeout_s=60)
    assert str(fired) == f"stream 'wfs': live, process {writer.pid}"
    writer.kill()
    assert wait_for("stream:wfs!=live", timeout_s=60)[0].values["state"] == "dead"
    ended_writer(spawn, ["wfs"])
    assert wait_for("stream:wfs=left", timeout_s=60)[0].values["state"] == "left"


# ---- parameters ----------------------------------------------------------------------------------------------


def test_a_value_that_another_process_sets_ends_the_wait(spawn: Spawner) -> None:
    with Params.create("loop", {"gain": 0.3}) as loop:
        waiters = [spawn(WAIT, "any", f"param:loop.gain{op}") for op in (">=0.5", "=0.5", "!=0.3", ">0.4")]
        loop.gain = 0.5
        for waiter in waiters:
            assert waiter.expect("fired") == "fired 0 loop.gain = 0.5"
        assert wait_for("param:loop.gain<=0.5")[0].values == {"parameter": "loop.gain", "value": 0.5}
        with pytest.raises(WaitTimeout, match=r"within 0 s: loop\.gain is 0\.5$"):
            wait_for("param:loop.gain<0.5", timeout_s=0)


def test_a_change_is_one_from_when_the_wait_began(spawn: Spawner) -> None:
    with Params.create("loop", {"gain": 0.3, "leak": 0.9}) as loop:
        loop.gain = 0.4
        with pytest.raises(WaitTimeout):
            wait_for("param:loop.gain", timeout_s=0)
        waiter = spawn(
            """
            from framebus.events import Occurrences
            with Occurrences("param:loop.gain") as gain, Occurrences("param:loop") as any_:
                print("ready")
                print("fired", gain.next(60))
                print("fired", any_.next(60))
            """
        )
        waiter.expect("ready")
        loop.leak = 0.8
        loop.gain = 0.5
        assert waiter.expect("fired") == "fired loop.gain = 0.5 (was 0.4)"
        assert waiter.expect("fired").startswith("fired loop.")


@pytest.mark.parametrize(
    ("kind", "default", "condition"),
    [
        ("float32", 0.1, "=0.1"),
        ("onoff", True, "=on"),
        ("int64", 16, "=0x10"),
        ("string", "a b", "=a b"),
        ("string", "", '=""'),
        ("timestamp", 10**9, "=1970-01-01T00:00:01Z"),
    ],
)
def test_values_are_read_by_the_type_of_their_entry(kind: str, default: object, condition: str) -> None:
    with Params.create("cam", [ParamSpec("x", default, type=kind)]):
        wait_for(f"param:cam.x{condition}", timeout_s=60)


def test_what_a_parameter_cannot_be_compared_with() -> None:
    with Params.create("cam", {"gain": 1.0, "name": "x"}):
        with pytest.raises(
            ParameterError, match=r"'param:cam\.gain==much': cam\.gain = 'much': expected a number"
        ):
            wait_for("param:cam.gain=much")
        with pytest.raises(ParameterError, match=r"a text \(string\) can be compared by = and != only"):
            wait_for("param:cam.name>a")
        with pytest.raises(UsageError, match=r"expected one entry of the set, cam\.ENTRY"):
            wait_for("param:cam=3")
        with pytest.raises(NotFoundError, match="has no entry 'gian'; did you mean 'gain'"):
            wait_for("param:cam.gian", timeout_s=0)


def test_a_set_that_is_not_there_is_waited_for_and_one_made_anew_is_followed(spawn: Spawner) -> None:
    waiter = spawn(WAIT, "any", "param:loop.gain>=0.5")
    assert waiter.expect("absent") == "absent there is no parameter set for 'loop.gain'; there are none"
    Params.create("loop", {"gain": 0.3}).remove()
    with Params.create("loop", {"leak": 0.1, "gain": 0.7}):
        waiter.expect("fired 0 loop.gain = 0.7")
    with (
        Occurrences("param:loop.gain") as changes,
        Occurrences("param:loop.gain>=0.9") as high,
        Params.create("loop", {"gain": 0.1}, replace=True) as new,
    ):
        new.gain = 0.95
        assert high.next(60).values["value"] == 0.95
        for step in itertools.count():  # until it watches the new one: changes from before are none of its
            new.gain = value = 0.5 + step * 1e-6
            with contextlib.suppress(WaitTimeout):
                assert changes.next(0.5).values["value"] in (0.95, value)
                break


# ---- units and pipelines -------------------------------------------------------------------------------------


def test_states_of_a_unit_until_it_is_killed(spawn: Spawner) -> None:
    unit = spawn(RECORD)
    unit.expect("ready")
    waiter = spawn(WAIT, "any", "unit:slopes=running")
    unit.send("STANDBY")
    unit.send("RUNNING")
    assert waiter.expect("fired") == f"fired 0 unit 'slopes': running, process {unit.pid}"
    waiters = [spawn(WAIT, "any", f"unit:slopes{op}") for op in ("=gone", "!=running", "=dead")]
    with Occurrences("unit:slopes") as changes:
        unit.kill()
        for waiter in waiters:
            assert waiter.expect("fired") == f"fired 0 unit 'slopes': dead, process {unit.pid}"
        assert str(changes.next(60)) == f"unit 'slopes': dead, process {unit.pid} (was running)"
        ProcessRecord.open("slopes").remove()
        assert changes.next(60).values["state"] == "gone"


def test_a_unit_that_does_not_run_is_waited_for(spawn: Spawner) -> None:
    waiter = spawn(WAIT, "any", "unit:slopes=idle")
    assert waiter.expect("absent") == "absent no unit 'slopes' runs; none does"
    with ProcessRecord.create("slopes") as record:
        record.core.set_state(State.IDLE)
        waiter.expect("fired 0 unit 'slopes': idle")
        record.remove()


def test_several_units_of_one_name_are_told_apart_by_their_process(spawn: Spawner) -> None:
    units = [spawn(RECORD), spawn(RECORD)]
    for unit in units:
        unit.expect("ready")
    with pytest.raises(UsageError, match="several live processes run a unit 'slopes'"):
        wait_for("unit:slopes=off")
    units[1].send("ERROR")
    assert wait_for(f"unit:slopes.{units[1].pid}=error", timeout_s=60)
    assert wait_for(f"unit:slopes.{units[0].pid}=off", timeout_s=60)


def test_a_pipeline_and_its_units_from_start_to_end(pipelines: Pipelines, spawn: Spawner) -> None:
    waiter = spawn(WAIT, "all", "pipeline:chain=ready", "unit:chain/negative=running", "stream:negative>=5")
    waiter.expect("absent no unit 'chain/negative' runs; none does")
    output("up", str(pipelines.write(COUNT + NEGATIVE)), "--detach")
    assert waiter.expect("fired") == "fired 0 pipeline 'chain': ready"
    assert waiter.expect("fired").startswith("fired 1 unit 'chain/negative': running")
    killed = pids()["negative"]
    with Occurrences("unit:negative") as changes:
        kill(killed)
        until(lambda: changes.next(60).values["state"] == "running")
    assert wait_for("unit:chain/negative=running", timeout_s=60)[0].values["pid"] not in (0, killed)
    kill(state()["supervisor"]["pid"])
    wait_for("pipeline:chain=unsupervised", timeout_s=60)
    output("down")
    wait_for(["pipeline:chain=gone", "unit:negative=gone", "stream:negative=gone"], mode="all", timeout_s=60)


def test_a_unit_that_came_to_its_end_has_ended(pipelines: Pipelines) -> None:
    """It is the state that ``ps`` shows, also where no supervisor has noticed."""
    output("up", str(pipelines.write(COUNT + NEGATIVE + 'trigger = "once"\n')), "--detach")
    for condition in ("unit:negative=ended", "unit:chain/negative=ended", "unit:negative=gone"):
        assert wait_for(condition, timeout_s=60)[0].values["state"] == "ended"
    assert find_unit("negative").state == "ended"
    kill(state()["supervisor"]["pid"])
    with ProcessRecord.open("count") as record, Occurrences("unit:chain/count=ended") as ends:
        record.stop()
        assert ends.next(60).values["state"] == "ended"
    for condition in ("unit:count=ended", "unit:count=gone"):
        assert wait_for(condition, timeout_s=60)[0].values["state"] == "ended"
    assert find_unit("count").state == "ended"
    output("down")


def test_a_unit_that_was_given_up_is_failed(pipelines: Pipelines) -> None:
    with fb.create("image", shape=(1,), dtype="float64") as image:
        fragile = (
            "[supervision]\nrestart_limit = 0\n[units.fragile]\n"
            'use = "support.pipeline_units:fragile"\nstreams = { image = "image", value = "value" }\n'
        )
        output("up", str(pipelines.write(fragile)), "--detach")
        image.write([-1.0])
        wait_for(
            ["unit:fragile=failed", "pipeline:chain=failed", "unit:fragile=gone"], mode="all", timeout_s=60
        )
        with pytest.raises(WaitTimeout, match=r"unit 'fragile' is failed \(.*ValueError: it is negative"):
            wait_for("unit:fragile=running", timeout_s=0.0)
        output("down")


# ---- several conditions --------------------------------------------------------------------------------------


def test_any_tells_which_and_all_waits_for_each(spawn: Spawner) -> None:
    with fb.create("wfs", shape=(1,)) as wfs, Params.create("loop", {"gain": 0.3}) as loop:
        conditions = ("stream:wfs", "param:loop.gain>=0.5", "unit:slopes=running")
        any_, all_ = spawn(WAIT, "any", *conditions), spawn(WAIT, "all", *conditions)
        for waiter in (any_, all_):
            waiter.expect("absent no unit 'slopes'")
        loop.gain = 0.6
        assert any_.expect("fired") == "fired 1 loop.gain = 0.6"
        assert any_.wait() == 0
        until(lambda: wfs.write([1.0]) > 100)
        loop.gain = 0.1  # does not hold any more
        with ProcessRecord.create("slopes") as record:
            record.core.set_state(State.RUNNING)
            wait_for("unit:slopes=running")
            loop.gain = 0.7
            said = [all_.expect("fired") for _ in range(3)]
            assert said[0].startswith("fired 0 stream 'wfs': frame ")
            assert said[1:] == [
                "fired 1 loop.gain = 0.7",
                f"fired 2 unit 'slopes': running, process {os.getpid()}",
            ]
            record.remove()


def test_any_keeps_what_held_only_for_a_moment() -> None:
    class Blinks(Watcher):
        """Holds at its second look alone."""

        looks = 0

        def look(self) -> Sighting | None:
            self.looks += 1
            return Sighting({"parameter": "a.b", "value": 1}, 1, 1) if self.looks == 2 else None

        def wait(self, timeout_s: float) -> None:
            pass

        def instead(self) -> str:
            return ""

    blinks = Blinks(parse("param:a.b=1"))
    together = waiting._Together([blinks], [None], "any")
    (thread,) = together.threads
    thread.start()
    until(
        lambda: blinks.looks > 3 or not thread.is_alive()
    )  # who waits for the news has not come to look yet
    together.stop.set()
    thread.join()
    (seen,) = together.seen
    assert seen is not None
    assert seen.values == {"parameter": "a.b", "value": 1}


def test_a_timeout_says_what_is_missing_of_all() -> None:
    with Params.create("loop", {"gain": 0.3}):
        with pytest.raises(WaitTimeout) as error:
            wait_for(["param:loop.gain=0.3", "stream:wfs", "unit:x=running"], mode="all", timeout_s=0.2)
        assert str(error.value) == (
            "not all conditions came true within 0.2 s: there is no stream 'wfs'; there are none; "
            "no unit 'x' runs; none does"
        )
        with pytest.raises(
            WaitTimeout, match=r"there is no parameter set for 'lop\.gain'; did you mean 'loop'"
        ):
            wait_for("param:lop.gain", timeout_s=0)
        with pytest.raises(WaitTimeout, match=r"no condition came true within 0\.2 s: loop\.gain is 0\.3; "):
            wait_for(["param:loop.gain=0.4", "stream:wfs"], timeout_s=0.2)
        with pytest.raises(WaitTimeout, match="nothing of parameter set 'loop' changed"):
            wait_for("param:loop", timeout_s=0)


def test_names_that_may_be_meant_are_told_once() -> None:
    told: list[str] = []
    with fb.create("camera", shape=(2,)), fb.create("other", shape=(2,)):
        with pytest.raises(WaitTimeout) as error:
            wait_for("stream:camra", timeout_s=0, on_absent=told.append)
        assert told == ["there is no stream 'camra'; did you mean 'camera'?"]
        assert str(error.value) == "nothing happened within 0 s: there is no stream 'camra'"
        with pytest.raises(
            WaitTimeout, match="within 0 s: there is no stream 'camra'; did you mean 'camera'"
        ):
            wait_for("stream:camra", timeout_s=0)
        with pytest.raises(WaitTimeout, match="no stream 'xyz'; 'framebus ls' lists those that are there"):
            wait_for("stream:xyz", timeout_s=0)


def test_an_error_of_one_ends_the_wait_for_all(spawn: Spawner) -> None:
    waiter = spawn(WAIT, "all", "stream:wfs", "param:loop.gain>=much")
    waiter.expect("absent there is no parameter set")
    with Params.create("loop", {"gain": 0.3}):
        assert waiter.wait() == 1
    assert "ParameterError: condition 'param:loop.gain>=much'" in waiter.errors


def test_arguments_that_are_wrong() -> None:
    with pytest.raises(UsageError, match="there is no condition to wait for"):
        wait_for([])
    with pytest.raises(UsageError, match="mode is 'both'; expected 'any' or 'all'"):
        wait_for("stream:wfs", mode="both")  # type: ignore[arg-type]
    for wrong in (-1.0, math.nan):
        with pytest.raises(UsageError, match="expected seconds >= 0"):
            wait_for("stream:wfs", timeout_s=wrong)
        with pytest.raises(UsageError, match="expected seconds >= 0"):
            Occurrences("stream:wfs", every_s=wrong)


@pytest.mark.parametrize("conditions", [("stream:wfs",), ("stream:wfs", "unit:x=running", "param:loop.gain")])
def test_ctrl_c_ends_the_wait(spawn: Spawner, conditions: tuple[str, ...]) -> None:
    waiter = spawn(WAIT, "any", *conditions)
    waiter.expect("absent there is no stream")
    waiter.signal(signal.SIGINT)
    assert waiter.wait() != 0
    assert "KeyboardInterrupt" in waiter.errors


def test_a_file_that_is_no_stream_or_set_is_told_and_waited_out(shm_dir: Path) -> None:
    (shm_dir / "wfs.im.shm").write_bytes(b"x" * 500)
    (shm_dir / "loop.params.fb").write_bytes(b"x" * 500)
    for condition in ("stream:wfs", "param:loop.gain"):
        with pytest.raises(WaitTimeout, match=r"header field|not a parameter set"):
            wait_for(condition, timeout_s=0)
    assert wait_for("stream:wfs=bad")
