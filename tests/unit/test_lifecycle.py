"""The life of a unit: hooks on every edge, in their order, and events that others send it."""

from __future__ import annotations

import functools
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import framebus as fb
from framebus.errors import UnitError, UsageError
from framebus.process import Event, Limits, ProcessRecord, State
from framebus.stream import Stream
from framebus.unit import Array, FunctionUnit, In, Loop, LoopOptions, Out, Stage, Unit, start, unit
from framebus.unit import State as Memory
from framebus.unit.lifecycle import Lifecycle
from support import units
from support.waiting import until

WIRING = {"image": "image", "value": "value"}
ALL = ["init", "enable", "run", "idle", "disable", "stop", "fail", "recover"]


class Happened(list[str]):
    """What happened, in order, across threads."""

    def unit(self, *, compiled: bool = False, limit: float = 100.0) -> FunctionUnit:
        """A unit that writes down its life; in the interpreter its frames, too."""

        def body(image: In, value: Annotated[Out, Array((1,))], *, gain: float = 1.0) -> None:
            if image[0] > limit:
                raise ValueError("far too large")
            self.append("frame")
            value[0] = gain * image[0]

        def silent(image: In, value: Annotated[Out, Array((1,))], *, gain: float = 1.0) -> None:
            value[0] = gain * image[0]

        made = unit(name="alive", compiled=compiled)(silent if compiled else body)
        for event in ALL:
            made.on(event)(functools.partial(self.append, event))
        return made

    def device(self, **raising: str) -> type[Unit]:
        """A device that writes down its life, and raises where it is told to."""
        happened = self

        def method(name: str) -> Any:
            def call(_self: object, *_args: object) -> None:
                happened.append(name)
                if name in raising:
                    raise OSError(raising[name])

            return call

        def step(_self: object, image: In, value: Annotated[Out, Array((1,))]) -> None:
            happened.append("frame")
            if image[0] > 100:
                raise ValueError("far too large")
            value[0] = image[0]

        names = ["setup", "teardown", *(f"on_{event}" for event in ALL)]
        return type("Alive", (Unit,), {"step": step, **{name: method(name) for name in names}})


@pytest.fixture
def happened() -> Happened:
    return Happened()


@pytest.fixture
def image() -> Stream:
    return fb.create("image", shape=(4,))


def frame(image: Stream, loop: Loop, value: float = 1.0) -> None:
    """One more frame, computed."""
    before = loop.loops
    image.write(np.full(image.shape, value))
    until(lambda: loop.loops > before)


def send(loop: Loop, event: Event, then: State) -> None:
    """Send an event as any process would, and wait until it was done."""
    with ProcessRecord.open(loop.record.path) as record:
        record.send(event)
        until(lambda: record.state is then and loop.state is then)


class TestHooks:
    def test_a_whole_life(self, image: Stream, happened: Happened) -> None:
        with start(Stage(happened.unit(), WIRING)) as loop:
            frame(image, loop)
        assert happened == ["init", "enable", "run", "frame", "idle", "disable", "stop"]

    def test_of_a_device(self, image: Stream, happened: Happened) -> None:
        with start(Stage(happened.device(), WIRING)) as loop:
            frame(image, loop)
        expected = ["on_init", "setup", "on_enable", "on_run", "frame"]
        assert happened == [*expected, "on_idle", "on_disable", "teardown", "on_stop"]

    @pytest.mark.parametrize("compiled", [True, False])
    def test_around_a_pause(self, image: Stream, happened: Happened, compiled: bool) -> None:
        with start(Stage(happened.unit(compiled=compiled), WIRING)) as loop:
            frame(image, loop)
            happened.clear()
            send(loop, Event.IDLE, State.IDLE)
            until(lambda: happened == ["idle"])
            image.write(np.ones(4))
            send(loop, Event.RUN, State.RUNNING)
            until(lambda: loop.loops == 2)
            assert happened[:2] == ["idle", "run"]
        assert [event for event in happened if event != "frame"] == ["idle", "run", "idle", "disable", "stop"]

    def test_run_comes_before_frames_flow_and_idle_after_the_last(
        self, image: Stream, happened: Happened
    ) -> None:
        made = happened.unit()
        with start(
            [Stage(made, WIRING), Stage(made, {"image": "value", "value": "more"}, name="more")]
        ) as loop:
            for _ in range(20):
                frame(image, loop)
                loop.records[1].pause()
                until(lambda: loop.state is State.IDLE)
                loop.records[1].resume()
        words = " ".join(event for event in happened if event not in ("init", "enable", "disable", "stop"))
        assert "run run frame" in words
        for stretch in words.split("run run")[1:]:
            assert set(stretch.split()) <= {"frame", "idle"}
            assert stretch.split()[-2:] == ["idle", "idle"], "nothing was computed after the last 'idle'"
            assert "idle frame" not in stretch

    def test_steps_are_a_run_each(self, image: Stream, happened: Happened) -> None:
        with start(Stage(happened.unit(), WIRING)) as loop:
            loop.record.pause()
            until(lambda: "idle" in happened)
            happened.clear()
            loop.record.step(1)
            until(lambda: "run" in happened)
            frame(image, loop)
            until(lambda: happened == ["run", "frame", "idle"])

    def test_takes_arrays_and_parameters(self, image: Stream) -> None:
        seen: list[float] = []

        @unit(compiled=False)
        def integrate(
            image: In,
            value: Annotated[Out, Array((1,))],
            total: Annotated[Memory, Array((1,))],
            *,
            gain: float = 1.0,
        ) -> None:
            total[0] += gain * image[0]
            value[0] = total[0]

        @integrate.on("run")
        def reset(total: np.ndarray[Any, Any], gain: float) -> None:
            seen.append(gain)
            total[0] = 10.0

        with start(Stage(integrate, WIRING, {"gain": 2.0})) as loop, fb.open("value") as value:
            frame(image, loop)
            assert value.read()[0] == 12
            loop.record.pause()
            until(lambda: loop.state is State.IDLE)
            loop.record.resume()
            frame(image, loop)
            assert value.read()[0] == 12
        assert seen == [2.0, 2.0]

    @pytest.mark.parametrize("event", ["on_init", "on_enable", "on_run"])
    def test_that_raises_keeps_the_unit_from_running(
        self, image: Stream, happened: Happened, event: str
    ) -> None:
        with pytest.raises(UnitError, match=f"unit 'Alive': hook on '{event[3:]}': OSError: no light"):
            start(Stage(happened.device(**{event: "no light"}), WIRING))
        assert "frame" not in happened
        assert happened.count("setup") == happened.count("teardown")
        with ProcessRecord.open("Alive") as record:
            assert record.state is State.ERROR
            assert record.message == f"hook on '{event[3:]}': OSError: no light"
            assert "raise OSError(raising[name])" in record.traceback

    @pytest.mark.parametrize("event", ["on_idle", "on_disable", "on_stop"])
    def test_that_raises_at_the_end_does_not_keep_the_rest_from_it(
        self, image: Stream, happened: Happened, event: str
    ) -> None:
        loop = start(Stage(happened.device(**{event: "stuck"}), WIRING))
        with pytest.raises(UnitError, match=f"unit 'Alive': hook on '{event[3:]}': OSError: stuck"):
            loop.stop()
        assert happened[-4:] == ["on_idle", "on_disable", "teardown", "on_stop"]
        with ProcessRecord.open("Alive") as record:
            assert record.state is State.ERROR

    def test_that_raises_after_a_pause(self, image: Stream, happened: Happened) -> None:
        loop = start(Stage(happened.device(on_idle="stuck"), WIRING))
        loop.record.pause()
        until(lambda: loop.state is State.ERROR)
        assert happened[-3:] == ["on_idle", "on_fail", "teardown"]
        with pytest.raises(UnitError, match="hook on 'idle': OSError: stuck"):
            loop.stop()

    def test_that_exits_is_one_that_raises(self, image: Stream, happened: Happened) -> None:
        class Exits(happened.device()):  # type: ignore[misc]
            def on_idle(self) -> None:
                raise SystemExit(3)

        loop = start(Stage(Exits, WIRING))
        send(loop, Event.IDLE, State.ERROR)
        assert loop.record.message == "hook on 'idle': SystemExit: 3"
        send(loop, Event.RECOVER, State.STANDBY)  # who serves events is still there
        loop.stop()
        with pytest.raises(UnitError, match="unit 'Quits' could not be made: SystemExit: 3"):
            start(Stage(type("Quits", (Exits,), {"__init__": lambda _self: sys.exit(3)}), WIRING))
        with pytest.raises(UnitError, match="unit 'Ends': setup failed: SystemExit: 3"):
            start(Stage(type("Ends", (Exits,), {"setup": lambda _self: sys.exit(3)}), WIRING))

    def test_of_failure_knows_the_message(self, image: Stream) -> None:
        told: list[str] = []

        @unit(compiled=False)
        def fails(image: In, value: Annotated[Out, Array((1,))]) -> None:
            raise ValueError("no flux")

        @fails.on("fail")
        def note(message: str) -> None:
            told.append(message)

        loop = start(Stage(fails, WIRING))
        image.write(np.ones(4))
        until(lambda: loop.state is State.ERROR)
        with pytest.raises(UnitError, match="unit 'fails' failed: ValueError: no flux"):
            loop.wait()
        assert told == ["ValueError: no flux"]

    def test_cannot_stop_its_own_loop(self, image: Stream) -> None:
        refused: list[str] = []

        @unit(compiled=False)
        def stops(image: In, value: Annotated[Out, Array((1,))]) -> None: ...

        @stops.on("idle")
        def stop() -> None:
            try:
                loop.stop()
            except UsageError as error:
                refused.append(str(error))

        loop = start(Stage(stops, WIRING))
        loop.record.pause()
        until(lambda: refused)
        assert "cannot stop its own loop from within" in refused[0]
        loop.stop()

    def test_declared_wrongly(self) -> None:
        made = units.scale
        with pytest.raises(UsageError, match=r"there is no event 'go'; there are: init, enable, run"):
            made.on("go")
        with pytest.raises(UsageError, match=r"hook on 'run' takes 'image'; it can have: result, gain"):
            made.on("run")(lambda image: None)
        with pytest.raises(UsageError, match=r"hook on 'stop' takes 'result'; it can have: gain"):
            made.on("stop")(lambda result: None)
        with pytest.raises(UsageError, match=r"hook on 'fail' takes 'args'; it can have: gain, message"):
            made.on("fail")(lambda *args: None)

    def test_declared_twice(self, happened: Happened) -> None:
        with pytest.raises(UsageError, match="'alive' has a hook on 'run' already"):
            happened.unit().on("run")(lambda: None)


class TestEvents:
    def test_down_and_up_again(self, shm_dir: Path, image: Stream, happened: Happened) -> None:
        with start(Stage(happened.device(), WIRING)) as loop:
            frame(image, loop)
            send(loop, Event.IDLE, State.IDLE)
            happened.clear()
            send(loop, Event.DISABLE, State.STANDBY)
            assert happened[-2:] == ["on_disable", "teardown"]
            send(loop, Event.ENABLE, State.IDLE)
            assert happened[-2:] == ["setup", "on_enable"]
            image.write(np.ones(4))
            send(loop, Event.RUN, State.RUNNING)
            frame(image, loop)
            assert loop.loops == 2, "a frame from before the start does not count"

    def test_enable_binds_anew(self, image: Stream) -> None:
        with start(Stage(units.limited, WIRING), serve=True) as loop:
            loop.params.limit = 500.0
            send(loop, Event.IDLE, State.IDLE)
            send(loop, Event.DISABLE, State.STANDBY)
            with pytest.raises(UsageError, match="the loop was stopped"):
                _ = loop.params
            with fb.create("image", shape=(2, 3)) as renewed, fb.open("value") as value:
                send(loop, Event.ENABLE, State.IDLE)
                send(loop, Event.RUN, State.RUNNING)
                frame(renewed, loop, 400.0)  # above the limit that is declared: tuned values stay
                assert value.read()[0] == 400

    def test_failure_and_recovery(self, image: Stream, happened: Happened) -> None:
        with start(Stage(happened.device(), WIRING)) as loop:
            image.write(np.full(4, 1000))
            until(lambda: loop.state is State.ERROR)
            assert happened[-2:] == ["on_fail", "teardown"]
            assert loop.record.message == "ValueError: far too large"
            send(loop, Event.RECOVER, State.STANDBY)
            assert happened[-1] == "on_recover"
            assert loop.failure is None
            assert loop.record.message == ""
            send(loop, Event.ENABLE, State.IDLE)
            send(loop, Event.RUN, State.RUNNING)
            frame(image, loop)

    def test_what_is_refused_after_a_failure_leaves_its_message(self, image: Stream) -> None:
        loop = start(Stage(Happened().unit(), WIRING))
        image.write(np.full(4, 1000))
        until(lambda: loop.state is State.ERROR)
        for act in (loop.record.resume, loop.record.pause, loop.record.step):
            with pytest.raises(UsageError, match=r"it has failed \(ValueError: far too large\); send 'rec"):
                act()
        trace = loop.record.traceback
        loop.record.core.post_event(Event.DISABLE.number)  # as one that was sent just before it failed
        until(lambda: "'disable' is not possible in state error" in loop.record.message)
        assert loop.record.message.startswith("ValueError: far too large; event 'disable'")
        assert loop.record.traceback == trace
        with pytest.raises(UnitError, match="far too large"):
            loop.stop()

    def test_enable_that_fails(self, image: Stream, happened: Happened) -> None:
        loop = start(Stage(happened.unit(), WIRING))
        send(loop, Event.IDLE, State.IDLE)
        send(loop, Event.DISABLE, State.STANDBY)
        image.remove()
        send(loop, Event.ENABLE, State.ERROR)
        assert "unit 'alive', argument 'image': no stream 'image'" in loop.record.message
        with pytest.raises(UnitError, match="no stream 'image'"):
            loop.stop()

    def test_off_and_on_again(self, image: Stream, happened: Happened) -> None:
        with start(Stage(happened.unit(), WIRING)) as loop:
            send(loop, Event.STOP, State.OFF)
            until(lambda: happened[-1] == "stop")
            for event, state in (
                (Event.INIT, State.STANDBY),
                (Event.ENABLE, State.IDLE),
                (Event.RUN, State.RUNNING),
            ):
                send(loop, event, state)
            frame(image, loop)

    @pytest.mark.parametrize(
        ("event", "state"), [(Event.RUN, State.RUNNING), (Event.STOP, State.OFF)], ids=["run", "stop"]
    )
    def test_what_is_sent_as_soon_as_idle_shows_is_done(
        self, image: Stream, monkeypatch: pytest.MonkeyPatch, event: Event, state: State
    ) -> None:
        enter = Lifecycle._enter

        def enter_and_send(life: Lifecycle, entered: State) -> None:
            enter(life, entered)
            if entered is State.IDLE:
                loop.record.send(event)

        with start(Stage(units.scale, {"image": "image", "result": "value"}), serve=True) as loop:
            send(loop, Event.IDLE, State.IDLE)
            send(loop, Event.DISABLE, State.STANDBY)
            monkeypatch.setattr(Lifecycle, "_enter", enter_and_send)
            send(loop, Event.ENABLE, state)

    def test_command_to_any_unit_of_the_loop_runs_it(self, image: Stream) -> None:
        stages = [
            Stage(units.scale, {"image": "image", "result": "between"}),
            Stage(units.plain_scale, {"image": "between", "result": "result"}),
        ]
        with start(stages, serve=True) as loop:
            send(loop, Event.IDLE, State.IDLE)
            send(loop, Event.DISABLE, State.STANDBY)
            assert [record.state for record in loop.records] == [State.STANDBY] * 2
            with ProcessRecord.open("plain_scale") as second:
                second.send(Event.ENABLE)
                until(lambda: second.state is State.IDLE)
                second.send(Event.RUN)
                until(lambda: second.state is State.RUNNING)
            frame(image, loop)

    def test_are_served_only_where_somebody_does(self, image: Stream) -> None:
        with start(Stage(units.scale, {"image": "image", "result": "result"})) as loop:
            send(loop, Event.IDLE, State.IDLE)
            assert not loop.record.serves_events
            with pytest.raises(UsageError):
                loop.record.send(Event.DISABLE)
            send(loop, Event.RUN, State.RUNNING)

    def test_wait_goes_on_while_disabled(self, image: Stream) -> None:
        with start(Stage(units.scale, {"image": "image", "result": "result"}), serve=True) as loop:
            send(loop, Event.IDLE, State.IDLE)
            send(loop, Event.DISABLE, State.STANDBY)
            assert not loop.over
            with pytest.raises(TimeoutError):
                loop.wait(timeout_s=0.01)
            loop.record.send(Event.STOP)
            loop.wait(timeout_s=60)


def test_state_of_a_failure_that_nobody_served(image: Stream) -> None:
    loop = start(Stage(units.limited, WIRING))
    image.write(np.full(4, 1e6))
    until(lambda: loop.state is State.ERROR)
    with pytest.raises(UnitError, match="unit 'limited' failed"):
        loop.stop()


def test_a_numa_node_that_is_not_there_is_an_error(shm_dir: Path, image: Stream) -> None:
    with pytest.raises(
        UsageError, match="NUMA node 900 does not exist or has no memory; choose among nodes 0"
    ):
        start(Stage(units.limited, WIRING), LoopOptions(numa_node=900))
    assert [path.name for path in shm_dir.iterdir()] == ["image.im.shm"]


def test_limits_stand_in_the_record(image: Stream) -> None:
    limits = Limits(period_us=2000.0, compute_us=500.0, action="pause")
    with start(Stage(units.scale, {"image": "image", "result": "result"}, limits=limits)) as loop:
        assert loop.record.limits == limits


def test_limit_that_is_none(shm_dir: Path, image: Stream) -> None:
    with pytest.raises(UsageError, match="limit period_us is -1"):
        start(Stage(units.scale, {"image": "image", "result": "result"}, limits=Limits(period_us=-1.0)))
    assert not list(shm_dir.glob("*.fb"))


def test_once_calls_all_hooks(image: Stream, happened: Happened) -> None:
    image.write(np.ones(4))
    loop = start(Stage(happened.unit(), WIRING), LoopOptions(trigger="once"))
    loop.wait(timeout_s=60)
    assert happened == ["init", "enable", "run", "frame", "idle", "disable", "stop"]
