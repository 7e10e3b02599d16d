"""``FPS`` and ``FPSManager``: parameter sets by pyMilk's methods, and the units that run with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import framebus as fb
from framebus.compat.pymilk import (
    FPS,
    FPS_flags,
    FPS_type,
    FPSDoesntExistError,
    FPSManager,
    FPSOverrideError,
    UnsupportedError,
)
from framebus.errors import NotFoundError, ParameterError, UsageError
from framebus.params import Params, ParamSpec
from framebus.process import ProcessRecord
from framebus.unit import In, Out, unit
from support.processes import Spawner


@pytest.fixture
def params() -> Iterator[Params]:
    specs = [ParamSpec("gain", 0.3, minimum=0, maximum=1), ParamSpec("rms", 0.0, status=True)]
    with Params.create("loop", specs) as made:
        yield made


@unit(compiled=False)
def twice(image: In, result: Out, *, gain: float = 2.0) -> None:
    """Result = gain * image."""
    result[...] = gain * image


# ---- values --------------------------------------------------------------------------------------------------------


def test_it_is_a_mapping_of_values(params: Params) -> None:
    fps = FPS("loop")
    fps["gain"] = 0.5
    assert params.gain == fps["gain"] == fps.get_param("gain") == 0.5
    fps.set_param("gain", 0.25)
    assert (params.gain, "gain" in fps, "gian" in fps, len(fps)) == (0.25, True, False, 2)
    assert list(fps) == fps.keys() == ["gain", "rms"]
    assert fps.key_types == {"gain": "float64", "rms": "float64"}
    assert (str(fps), repr(fps)) == ("loop | CONF: Y | RUN: N", "<FPS 'loop'>")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("gian", 0.5, "did you mean 'gain'"),
        ("gain", 3, "outside its limits"),
        ("gain", "x", "expected a number"),
    ],
)
def test_values_that_are_refused(key: str, value: Any, message: str, params: Params) -> None:
    with pytest.raises(ParameterError, match=message) as caught:
        FPS("loop").set_param(key, value)
    assert isinstance(caught.value, ValueError)
    assert params.gain == 0.3


def test_unknown_names_are_refused(params: Params) -> None:
    with pytest.raises(ValueError, match="has no entry 'gian'; did you mean 'gain'"):
        FPS("loop").get_param("gian")
    with pytest.raises(FPSDoesntExistError, match=r"no parameter set 'lop' .* did you mean 'loop'"):
        FPS("lop")


def test_results_are_the_units_own_while_it_runs(params: Params, spawn: Spawner) -> None:
    fps = FPS("loop")
    fps["rms"] = 1.5
    runner = spawn("""
        from framebus.params import Params
        Params.open("loop").claim()
        print("runs")
        input()
    """)
    runner.expect("runs")
    fps["gain"] = 0.7
    with pytest.raises(ParameterError, match="rms is a status value, only the unit itself writes it"):
        fps["rms"] = 2.5
    with pytest.raises(UsageError, match=f"process {runner.pid}"):
        fps.destroy()
    with pytest.raises(UsageError, match=f"process {runner.pid}"):
        fps.add_param("new", "", FPS_type.INT32)
    assert (fps["gain"], fps["rms"]) == (0.7, 1.5)


# ---- making --------------------------------------------------------------------------------------------------------


def test_a_set_is_made_once_unless_told() -> None:
    fps = FPS.create("made")
    with pytest.raises(
        FPSOverrideError, match="'made' is there already; open it, or say force_recreate=True"
    ):
        FPS.create("made")
    fps.add_param("n", "a number", FPS_type.INT32)
    FPS.create("made", True)
    assert list(fps) == []
    fps.destroy()
    with pytest.raises(FPSDoesntExistError):
        FPS("made")


@pytest.mark.parametrize("kind", list(FPS_type))
def test_parameters_of_every_type(kind: FPS_type) -> None:
    fps = FPS.create("made")
    fps.add_param("p", "one of them", kind)
    initial: Any = "" if kind in ("string", "path", "stream") else False if kind == "onoff" else 0
    assert (fps["p"], type(fps["p"]) is bool) == (initial, kind == "onoff")
    described = fps.params.describe("p").spec
    assert (described.type, described.description, described.status) == (kind.value, "one of them", False)
    value: Any = "abc" if initial == "" else kind == "onoff" or 7
    fps["p"] = value
    assert FPS("made")["p"] == value


def test_added_parameters_are_seen_by_all_and_values_stay() -> None:
    fps, other = FPS.create("made"), None
    fps.add_param("gain", "", FPS_type.FLOAT64)
    other = FPS("made")
    other["gain"] = 0.5
    fps.add_param("rms", "", "float32", FPS_flags.DEFAULT_STATUS)
    fps.add_param("gain", "again", FPS_type.FLOAT64)
    assert (other["gain"], other["rms"], fps["gain"]) == (0.5, 0, 0.5)
    assert (fps.params.describe("rms").spec.status, fps.params.describe("gain").spec.description) == (
        True,
        "",
    )
    with pytest.raises(ParameterError, match="gain"):
        fps.add_param("gain", "", FPS_type.INT64)
    with pytest.raises(ValueError, match="no_such_type"):
        fps.add_param("other", "", "no_such_type")


def test_a_handle_that_was_given_up() -> None:
    fps = FPS.create("made")
    fps.disconnect()
    with pytest.raises(UsageError, match="closed"):
        list(fps)


def test_a_set_that_was_removed(params: Params) -> None:
    fps = FPS("loop")
    params.remove()
    with pytest.raises(FPSDoesntExistError):
        fps.get_param("gain")


# ---- units ---------------------------------------------------------------------------------------------------------


def test_the_unit_of_that_name_stands_and_goes_on() -> None:
    source = fb.create("frames", shape=2, dtype="float64")
    with fb.Pipeline() as pipeline:
        pipeline.add(twice, streams={"image": "frames", "result": "doubled"}, process="").start()
        fps, doubled = FPS("twice"), fb.open("doubled")
        source.write([1, 2])
        assert doubled.read_next(timeout_s=60).data.tolist() == [2, 4]
        fps["gain"] = 3.0
        assert fps.run_isrunning()
        assert fps.run_start()
        assert fps.run_stop(timeoutsync=60)
        assert not fps.run_isrunning()
        assert str(fps) == "twice | CONF: Y | RUN: N"
        assert fps.run_stop()
        assert fps.run_start(timeoutsync=60)
        source.write([1, 2])
        assert doubled.read_next(timeout_s=60).data.tolist() == [3, 6]
        manager = FPSManager("tw*")
        manager.run_stop("twice", 60)
        assert not fps.run_isrunning()
        manager.run_start("twice", 60)
        assert fps.run_isrunning()


def test_a_unit_that_does_not_do_it_in_time(params: Params) -> None:
    with ProcessRecord.create("loop") as record:
        for event in (fb.process.Event.INIT, fb.process.Event.ENABLE, fb.process.Event.RUN):
            record.advance(event)
        assert not FPS("loop").run_stop(timeoutsync=0.01), "no loop is there to obey"
        record.remove()


def test_a_unit_that_no_process_has(params: Params) -> None:
    fps = FPS("loop")
    assert not fps.run_isrunning()
    assert fps.run_stop()
    with pytest.raises(
        NotFoundError, match="'framebus run' starts a unit, 'framebus up' those of a pipeline"
    ):
        fps.run_start()


def test_a_unit_whose_process_died(params: Params, spawn: Spawner) -> None:
    process = spawn("""
        from framebus.process import Event, ProcessRecord
        record = ProcessRecord.create("loop")
        for event in (Event.INIT, Event.ENABLE, Event.RUN):
            record.advance(event)
        print("runs")
        input()
    """)
    process.expect("runs")
    fps = FPS("loop")
    assert fps.run_isrunning()
    process.kill()
    assert not fps.run_isrunning()
    assert fps.run_stop()
    with pytest.raises(UsageError, match=f"its process {process.pid} is dead"):
        fps.run_start()


def test_what_framebus_has_no_process_for(params: Params) -> None:
    fps = FPS("loop")
    assert (fps.conf_start(1.0), fps.conf_isrunning()) == (True, True)
    with pytest.raises(UnsupportedError, match="every value is checked where it is written"):
        fps.conf_stop()
    for call in (fps.tmux_start, fps.tmux_stop):
        with pytest.raises(UnsupportedError, match="framebus up --launcher tmux"):
            call()


# ---- all sets ------------------------------------------------------------------------------------------------------


def test_the_manager_finds_sets_by_pattern(params: Params) -> None:
    Params.create("loop2", {"gain": 1.0}).close()
    Params.create("other", {"gain": 2.0}).close()
    manager = FPSManager("loop*")
    assert list(manager.fps_cache) == ["loop", "loop2"]
    manager.set_param("loop2", "gain", 4.0)
    assert manager.get_param("loop2", "gain") == 4.0
    assert manager.find_fps("other") is manager.find_fps("other")
    manager.rescan_all("*2")
    assert list(manager.fps_cache) == ["loop2"]
    with pytest.raises(FPSDoesntExistError):
        manager.find_fps("nothing")
