"""A unit that another process takes over while frames flow: none is lost uncounted, and what was tuned stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import framebus as fb
from framebus.params import Params
from framebus.process import ProcessRecord, State
from framebus.stream import Stream
from framebus.unit import Loop, LoopOptions, Stage, start
from support import units
from support.hosts import Host, loop_plan
from support.processes import Spawner
from support.waiting import until, until_computed

SCALE = {"image": "ticks", "result": "result"}
UNITS = """
from typing import Annotated
from framebus.unit import In, Out, Range, unit

@unit(name="scale")
def offset(image: In, result: Out, *, gain: Annotated[float, Range(0.0, 5.0)] = 2.0, offset: float = 1000.0):
    result[0] = gain * image[0] + offset

@unit(name="scale")
def broken(image: In, result: Out, *, gain: float = 2.0):
    raise ValueError("no good")

@unit(name="scale")
def checked(image: In, result: Out, *, gain: float = 2.0):
    result[0] = 0

@checked.check
def small(gain: float) -> str | None:
    return "too large" if gain > 1 else None

@unit(name="scale")
def other_shape(image: In, result: Annotated[Out, Array((3,), dtype="float64")], *, gain: float = 2.0): ...
""".replace("import In,", "import Array, In,")


@pytest.fixture
def ticks() -> Iterator[Stream]:
    with fb.create("ticks", shape=(1,), dtype="float64", history=4096) as stream:
        yield stream


def source() -> Loop:
    """Frames at 1 kHz, numbered from 1."""
    return start(Stage(units.ticks, {"value": "ticks"}), LoopOptions(trigger="delay", period_s=1e-3))


def scaling(use: str = "support.units:scale", **plan: Any) -> dict[str, Any]:
    return loop_plan(use, SCALE, name="scale", **plan)


@pytest.mark.parametrize("every_frame", [True, False])
@pytest.mark.parametrize("use", ["support.units:scale", "support.units:plain_scale"])
def test_at_most_one_frame_is_missed_and_counted(
    spawn: Spawner, tmp_path: Path, ticks: Stream, use: str, every_frame: bool
) -> None:
    options = {"every_frame": every_frame}
    old = Host(spawn, tmp_path, "old", scaling(options=options))
    old.reach("ready")
    with fb.open("result") as result, source() as frames:
        with ProcessRecord.open(f"scale.{old.process.pid}") as before:
            until(lambda: before.loop_count >= 100)
        new = Host(spawn, tmp_path, "new", scaling(use, options=options), predecessor=old.identity)
        new.reach("ready")
        with ProcessRecord.open(f"scale.{new.process.pid}") as record:
            assert old.process.wait() == 0
            old.reach("ended")
            after = record.loop_count
            until(lambda: record.loop_count >= after + 100)
            frames.stop()
            until_computed(result, ticks.count)
            # The new record goes on counting where the old one ended.
            until(lambda: record.loop_count == result.count)
            assert record.loop_count + record.missed == ticks.count, "every frame was computed or counted"
            if every_frame:
                assert record.missed <= 1
            assert result.read()[0] == 2 * ticks.count


def test_tuned_values_and_the_claim_go_over(spawn: Spawner, tmp_path: Path, ticks: Stream) -> None:
    old = Host(spawn, tmp_path, "old", scaling(parameters={"gain": 3.0}))
    old.reach("ready")
    with Params.open("scale") as params:
        params.gain = 4.0
    plan = scaling(parameters={"gain": 3.5})
    new = Host(spawn, tmp_path, "new", plan, predecessor=old.identity, keep_values=True)
    new.reach("ready")
    assert old.process.wait() == 0
    with Params.open("scale") as params, fb.open("result") as result:
        assert (params.gain, params.user_pid) == (4.0, new.process.pid)
        ticks.write(np.ones(1))
        assert result.read_next(timeout_s=60).data[0] == 4
        newer = Host(spawn, tmp_path, "newer", plan, predecessor=new.identity)
        newer.reach("ready")
        assert params.gain == 3.5


def test_overriding_values_hold_from_the_first_frame(spawn: Spawner, tmp_path: Path, ticks: Stream) -> None:
    old = Host(spawn, tmp_path, "old", scaling())
    old.reach("ready")
    with Params.open("scale") as params, fb.open("result") as result:
        params.gain = 4.0
        plan = scaling(overriding={"gain": 5.0})
        new = Host(spawn, tmp_path, "new", plan, predecessor=old.identity, keep_values=True)
        new.reach("ready")
        assert params.gain == 5.0
        ticks.write(np.ones(1))
        assert result.read_next(timeout_s=60).data[0] == 5
        wrong = scaling(overriding={"gain": 50.0})
        newer = Host(spawn, tmp_path, "newer", wrong, predecessor=new.identity, keep_values=True)
        assert "50.0 is outside" in newer.reach("failed")["message"]
        assert params.gain == 5.0


def test_by_a_unit_of_other_parameters(spawn: Spawner, tmp_path: Path, ticks: Stream) -> None:
    (tmp_path / "loose.py").write_text(UNITS)
    old = Host(spawn, tmp_path, "old", scaling())
    old.reach("ready")
    with Params.open("scale") as params:
        params.gain = 4.0
    new = Host(
        spawn,
        tmp_path,
        "new",
        scaling(f"{tmp_path}/loose.py:offset"),
        predecessor=old.identity,
        keep_values=True,
    )
    new.reach("ready")
    assert old.process.wait() == 0
    with Params.open("scale") as params, fb.open("result") as result:
        assert params.snapshot() == {"gain": 4.0, "offset": 1000.0}
        ticks.write(np.ones(1))
        assert result.read_next(timeout_s=60).data[0] == 1004


def test_goes_on_from_what_the_output_holds(spawn: Spawner, tmp_path: Path, ticks: Stream) -> None:
    counting = loop_plan(
        "support.units:ticks", {"value": "count"}, options={"trigger": "delay", "period_s": 1e-3}
    )
    old = Host(spawn, tmp_path, "old", counting)
    old.reach("ready")
    with fb.open("count") as count:
        until(lambda: count.count >= 50)
        new = Host(spawn, tmp_path, "new", counting, predecessor=old.identity)
        new.reach("ready")
        assert old.process.wait() == 0
        at = count.count
        until(lambda: count.count > at + 10)
        new.process.kill()
        assert count.read()[0] == count.count, "a count without a gap"


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ("broken", "unit 'scale' failed on the frame there is: ValueError: no good"),
        ("checked", "unit 'scale' cannot run with these parameters: gain = 4.0: too large"),
        ("other_shape", "argument 'result'"),
        ("absent", "has no 'absent'"),
    ],
)
def test_that_would_not_run_leaves_the_old_one_alone(
    spawn: Spawner, tmp_path: Path, ticks: Stream, use: str, message: str
) -> None:
    (tmp_path / "loose.py").write_text(UNITS)
    old = Host(spawn, tmp_path, "old", scaling())
    old.reach("ready")
    with Params.open("scale") as params, fb.open("result") as result:
        ticks.write(np.ones(1))
        result.read_next(timeout_s=60)
        params.gain = 4.0
        new = Host(
            spawn,
            tmp_path,
            "new",
            scaling(f"{tmp_path}/loose.py:{use}"),
            predecessor=old.identity,
            keep_values=True,
        )
        assert new.process.wait() == 2
        assert message in new.reach("failed")["message"]
        assert (params.gain, params.user_pid, params.findings) == (4.0, old.process.pid, {})
        ticks.write(np.ones(1))
        assert result.read_next(timeout_s=60).data[0] == 4
    assert old.process.running


def test_of_a_process_that_was_killed(spawn: Spawner, tmp_path: Path, ticks: Stream) -> None:
    old = Host(spawn, tmp_path, "old", scaling())
    old.reach("ready")
    with Params.open("scale") as params:
        params.gain = 4.0
    identity = old.identity
    ticks.write(np.ones(1))
    with fb.open("result") as result:
        result.read(timeout_s=60)
    old.process.kill()
    new = Host(spawn, tmp_path, "new", scaling(), predecessor=identity, keep_values=True)
    new.reach("ready")
    with ProcessRecord.open(f"scale.{new.process.pid}") as record, fb.open("result") as result:
        assert record.state is State.RUNNING
        ticks.write(np.ones(1))
        until(lambda: record.loop_count + record.missed == ticks.count)
        assert result.read()[0] == 4


def test_of_a_process_that_had_no_such_unit(spawn: Spawner, tmp_path: Path, ticks: Stream) -> None:
    old = Host(spawn, tmp_path, "old", loop_plan("support.units:whole", {"image": "ticks", "value": "other"}))
    old.reach("ready")
    new = Host(spawn, tmp_path, "new", scaling(), predecessor=old.identity)
    new.reach("ready")
    assert old.process.running
    ticks.write(np.ones(1))
    with fb.open("result") as result:
        assert result.read(timeout_s=60)[0] == 2
