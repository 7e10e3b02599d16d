"""``daoComponent``: life cycle, hooks, threads, maps, and what other processes see and send."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.compat import dao
from framebus.errors import NameFormatError, StreamRecreated, UnitError, UsageError
from framebus.process import Event, ProcessRecord, State, records
from support.processes import Spawner
from support.waiting import until

# ---- the state machine ---------------------------------------------------------------------------------------------

# DAO's edges, with the event's way by its own words where that is longer than in DAO.
EDGES: dict[tuple[str, str], list[str]] = {
    ("Off", "Init"): ["Off", "Init", "Standby"],
    ("Standby", "Enable"): ["Standby", "Enable", "Idle"],
    ("Idle", "Run"): ["Idle", "Run", "Running"],
    ("Running", "StopRun"): ["Running", "StopRun", "Idle"],
    ("Idle", "Disable"): ["Idle", "Disable", "Standby"],
    ("Standby", "Stop"): ["Standby", "Stop", "Off"],
    ("Idle", "Stop"): ["Idle", "Disable", "Standby", "Stop", "Off"],
    ("Running", "Stop"): ["Running", "StopRun", "Idle", "Disable", "Standby", "Stop", "Off"],
    ("Error", "Stop"): ["Error", "Stop", "Off"],
    ("Error", "Recover"): ["Error", "Recover", "Standby", "Enable", "Idle"],
    ("Off", "Err2"): ["Off", "Err2", "Error"],
    ("Standby", "Err2"): ["Standby", "Err2", "Error"],
    ("Idle", "Err2"): ["Idle", "Err2", "Error"],
    ("Running", "Err"): ["Running", "Err", "Error"],
}
EVENTS = ["Init", "Enable", "Run", "StopRun", "Disable", "Stop", "Recover", "Err", "Err2"]


def hooks_of(way: list[str]) -> list[str]:
    """The hooks on a way: state, event, state, event ... state."""
    called = []
    for state, event, after in zip(way[::2], way[1::2], way[2::2], strict=False):
        called += [f"on_exit_{state}", f"on_{event}", f"on_enter_{after}"]
    return called


class Recorder(dao.daoComponentStateMachine):
    """Keeps the hooks that are called; ``raises`` is what one of them does."""

    def __init__(self, raising: str = "") -> None:
        super().__init__("recorder")
        self.called: list[str] = []
        self.raising = raising

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("on_"):

            def hook() -> None:
                self.called.append(name)
                if name == self.raising:
                    raise OSError("no such device")

            hook.__name__ = name
            return hook
        return super().__getattribute__(name)


@given(st.lists(st.sampled_from(EVENTS), max_size=30))
def test_any_events_lead_where_daos_machine_leads(events: list[str]) -> None:
    machine = Recorder()
    state = "Off"
    for event in events:
        machine.called.clear()
        # Err and Err2 are one thing; which hook is called follows from the state.
        edge = event if not event.startswith("Err") else ("Err" if state == "Running" else "Err2")
        way = EDGES.get((state, edge))
        if way is None and edge.startswith("Err"):
            way = ["Error", "Err2", "Error"]
        if way is None:
            with pytest.raises(UsageError, match=f"not possible in state {state.lower()}"):
                getattr(machine, event)()
            assert machine.called == []
        else:
            getattr(machine, event)()
            assert machine.called == hooks_of(way)
            state = way[-1]
        assert machine.current_state == getattr(machine, state)
        assert (machine.current_state_value, machine.current_state.id) == (state, state)


@pytest.mark.parametrize("hook", ["on_exit_Standby", "on_Enable", "on_enter_Idle"])
def test_a_hook_that_raises_leads_to_error(hook: str) -> None:
    machine = Recorder(hook)
    machine.Init()
    machine.called.clear()
    with pytest.raises(UnitError, match=f"component 'recorder': {hook}: OSError: no such device") as raised:
        machine.Enable()
    assert isinstance(raised.value.__cause__, OSError)
    assert machine.current_state == machine.Error
    expected = ["on_exit_Standby", "on_Enable", "on_enter_Idle"]
    before = "Idle" if hook == "on_enter_Idle" else "Standby"
    assert machine.called == [
        *expected[: expected.index(hook) + 1],
        f"on_exit_{before}",
        "on_Err2",
        "on_enter_Error",
    ]
    machine.raising = ""
    machine.Recover()
    assert machine.current_state == machine.Idle


def test_a_hook_may_send_an_event() -> None:
    class Eager(dao.daoComponentStateMachine):
        def on_enter_Standby(self) -> None:
            self.Enable()

        def on_Run(self) -> None:
            self.Err2()

    machine = Eager("eager")
    machine.Init()
    assert machine.current_state == machine.Idle
    machine.Run()
    assert machine.current_state == machine.Error


# ---- components ----------------------------------------------------------------------------------------------------


class Counter(dao.daoComponent):
    """Counts, until it is told to return; ``break_in`` makes a place raise."""

    def __init__(
        self, name: str = "counter", break_in: str = "", goRunning: bool = False, **given: Any
    ) -> None:
        self.break_in = break_in
        self.went: list[str] = []
        self.counted = threading.Event()
        super().__init__(name, goRunning=goRunning, **given)

    def reach(self, place: str) -> None:
        self.went.append(place)
        if place == self.break_in:
            raise OSError(f"{place} is broken")

    def load_static_config(self) -> None:
        self.reach("static")

    def load_dynamic_config(self) -> None:
        self.reach("dynamic")

    def on_Stop(self) -> None:
        self.reach("stop")

    def processingThread(self) -> None:
        self.reach("processing")
        self.counted.set()
        self.procThreadStop.wait()


@pytest.fixture
def start() -> Iterator[Callable[..., Counter]]:
    """Components that end with the test."""
    made: list[Counter] = []

    def start(*args: Any, **given: Any) -> Counter:
        made.append(Counter(*args, **given))
        return made[-1]

    yield start
    for component in made:
        component.break_in = ""
        component.stop()


def state_in_record(name: str) -> State:
    with ProcessRecord.open(name) as record:
        return record.state


def test_a_component_goes_to_running_by_itself(start: Callable[..., Counter]) -> None:
    component = start("corrector", goRunning=True, config={"gain": 0.5}, port=5600)
    assert component.current_state == component.Running
    assert component.config == {"gain": 0.5}
    assert component.counted.wait(60)
    assert component.went == ["static", "dynamic", "processing"]
    with ProcessRecord.open("corrector") as record:
        assert (record.state, record.alive, record.serves_events) == (State.RUNNING, True, True)
        assert record.use.endswith("Counter")
    component.stop()
    assert component.went[3:] == ["stop"]
    assert component.current_state == component.Off
    assert component.procThread is not None
    assert not component.procThread.is_alive()
    assert records() == []
    component.stop()


def test_the_life_cycle_step_by_step(start: Callable[..., Counter]) -> None:
    component = start()
    for event, state in [
        (component.Init, State.STANDBY),
        (component.Enable, State.IDLE),
        (component.Run, State.RUNNING),
        (component.StopRun, State.IDLE),
        (component.Run, State.RUNNING),
        (component.Stop, State.OFF),
        (component.Init, State.STANDBY),
        (component.Enable, State.IDLE),
        (component.Disable, State.STANDBY),
        (component.Stop, State.OFF),
    ]:
        event()
        assert (component.current_state.state, state_in_record("counter")) == (state, state)
    assert component.went.count("processing") == 2
    with pytest.raises(UsageError, match="event 'run' is not possible in state off; possible: init"):
        component.Run()


def test_the_processing_thread_is_told_anew_for_each_run(start: Callable[..., Counter]) -> None:
    component = start(goRunning=True)
    first = component.procThreadStop
    component.StopRun()
    component.Run()
    assert first.is_set()
    assert component.procThreadStop is not first
    assert not component.procThreadStop.is_set()


def test_two_components_of_one_name(start: Callable[..., Counter]) -> None:
    start("twin")
    with pytest.raises(UsageError, match="a component 'twin' is in this process already"):
        Counter("twin")
    with pytest.raises(NameFormatError):
        Counter("two words")
    start("other")


def test_a_component_that_was_ended_stays_so(start: Callable[..., Counter]) -> None:
    with start() as component:
        component.Init()
    with pytest.raises(UsageError, match="was ended by stop"):
        component.Enable()
    start("counter")  # its name is free again


def test_log_has_daos_trace(start: Callable[..., Counter], caplog: pytest.LogCaptureFixture) -> None:
    component = start("talker")
    with caplog.at_level(5, "talker"):
        component.log.trace("at %d", 3)
    assert [(record.name, record.levelno, record.message) for record in caplog.records] == [
        ("talker", 5, "at 3")
    ]


# ---- what fails ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "label"), [("static", "on_Init"), ("dynamic", "on_Enable")])
def test_a_configuration_that_cannot_be_loaded(place: str, label: str) -> None:
    with pytest.raises(UnitError, match=f"component 'counter': {label}: OSError: {place} is broken"):
        Counter(break_in=place, goRunning=True)
    with ProcessRecord.open("counter") as record:
        assert (record.state, record.serves_events) == (State.ERROR, False)
        assert record.message == f"{label}: OSError: {place} is broken"
        assert "Traceback" in record.traceback
    with Counter() as again:  # the name is free
        again.Init()


def test_a_processing_thread_that_raises(
    start: Callable[..., Counter], caplog: pytest.LogCaptureFixture
) -> None:
    component = start(break_in="processing", goRunning=True)
    until(lambda: component.current_state == component.Error)
    with ProcessRecord.open("counter") as record:
        assert (record.state, record.errors) == (State.ERROR, 1)
        assert record.message == "the processing thread: OSError: processing is broken"
        assert "reach" in record.traceback
    assert "processing is broken" in caplog.text
    component.break_in = ""
    component.Recover()
    assert component.current_state == component.Idle
    assert component.went[-1] == "dynamic"  # what Enable takes is taken anew
    component.Run()
    assert component.counted.wait(60)
    with ProcessRecord.open("counter") as record:
        assert (record.state, record.message) == (State.RUNNING, "")


def test_a_processing_thread_that_raises_as_it_is_stopped() -> None:
    class Late(dao.daoComponent):
        def processingThread(self) -> None:
            self.procThreadStop.wait()
            raise OSError("too late")

    component = Late("late")
    with pytest.raises(UnitError, match="OSError: too late"):
        component.StopRun()
    assert component.current_state == component.Error
    component.Stop()
    assert component.current_state == component.Off
    component.stop()


def test_a_processing_thread_that_does_not_return() -> None:
    release = threading.Event()

    class Deaf(dao.daoComponent):
        stop_timeout_s = 0.01

        def processingThread(self) -> None:
            release.wait()

    component = Deaf("deaf")
    with pytest.raises(
        UnitError, match=r"goes on 0\.01 s after procThreadStop was set; .* give waits a timeout"
    ):
        component.StopRun()
    component.Recover()
    with pytest.raises(UnitError, match="the processing thread of the run before has not returned yet"):
        component.Run()
    release.set()
    assert component.procThread is not None
    component.procThread.join()
    component.Recover()
    component.Run()
    component.stop()


def test_a_processing_thread_cannot_change_the_state() -> None:
    class Impatient(dao.daoComponent):
        def processingThread(self) -> None:
            self.StopRun()

    component = Impatient("impatient")
    until(lambda: component.current_state == component.Error)
    with ProcessRecord.open("impatient") as record:
        assert "its processing thread cannot change its state; let it return, or raise" in record.message
    component.stop()


def test_a_processing_thread_that_returns_is_told_of() -> None:
    class Short(dao.daoComponent):
        def processingThread(self) -> None:
            pass

    with Short("short") as component, ProcessRecord.open("short") as record:
        until(lambda: record.message)
        assert (record.state, record.message) == (State.RUNNING, "its processing thread has returned")
        component.StopRun()


def test_hooks_on_the_way_to_error_are_all_called(start: Callable[..., Counter]) -> None:
    component = start(goRunning=True)

    def broken() -> None:
        raise ValueError("and this, too")

    component.on_Err = broken  # type: ignore[method-assign]
    component.on_enter_Error = broken  # type: ignore[method-assign]
    component.Err()
    assert component.current_state == component.Error
    with ProcessRecord.open("counter") as record:
        assert record.message.startswith(
            "Err was called; broken: ValueError: and this, too; broken: ValueError"
        )
    assert not component.procThread.is_alive()  # type: ignore[union-attr]


def test_a_component_that_failed_leaves_its_record(start: Callable[..., Counter]) -> None:
    component = start(goRunning=True)
    component.Err()
    component.stop()
    assert component.went[-1] == "stop"
    with ProcessRecord.open("counter") as record:
        assert (record.state, record.message) == (State.ERROR, "Err was called")


def test_an_end_that_fails_is_told(start: Callable[..., Counter]) -> None:
    component = start(break_in="stop", goRunning=True)
    with pytest.raises(UnitError, match="on_Stop: OSError: stop is broken"):
        component.stop()
    error = RuntimeError("first")
    with pytest.raises(RuntimeError) as raised, start(break_in="stop", goRunning=True):
        raise error
    assert ["stop is broken" in note for note in raised.value.__notes__] == [True]


# ---- maps ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def gains(shm_dir: Path, dao_name: str) -> dao.shm:
    return dao.shm(shm_dir / f"{dao_name}.im.shm", np.full((3, 1), 1, np.float32))


def test_buffers_follow_their_streams(gains: dao.shm, start: Callable[..., Counter]) -> None:
    buffer = dao.DoubleBuffer()
    component = start()
    component.add_update_map(gains, buffer)
    component.Init()
    assert not buffer.data_available()
    component.Enable()
    assert buffer.data_available()
    assert buffer.read().tolist() == [[1]] * 3
    gains.set_data(np.full((3, 1), 2, np.float32))
    until(buffer.data_available)
    assert buffer.read().tolist() == [[2]] * 3
    component.Disable()
    gains.set_data(np.full((3, 1), 3, np.float32))
    assert not buffer.data_available()
    component.Enable()
    assert buffer.read().tolist() == [[3]] * 3


def test_a_map_that_cannot_be_followed_leads_to_error(gains: dao.shm, start: Callable[..., Counter]) -> None:
    component = start()
    component.add_update_map(gains, dao.DoubleBuffer())
    component.Init()
    component.Enable()
    dao.shm(gains.stream.path, np.zeros(5))
    until(lambda: component.current_state == component.Error)
    with ProcessRecord.open("counter") as record:
        assert f"the update of a map from {gains.stream.path}: {StreamRecreated.__name__}" in record.message


def test_double_buffer() -> None:
    buffer = dao.daoDoubleBuffer.DoubleBuffer()
    assert (buffer.read(), buffer.data_available()) == (None, False)
    buffer.write(1)
    buffer.write(2)
    assert buffer.data_available()
    assert (buffer.read(), buffer.data_available(), buffer.read()) == (2, False, 2)


# ---- from outside --------------------------------------------------------------------------------------------------


def send(record: ProcessRecord, event: Event, state: State) -> None:
    record.send(event)
    until(lambda: record.state is state)


def test_others_send_events(start: Callable[..., Counter]) -> None:
    component = start(goRunning=True)
    with ProcessRecord.open("counter") as record:
        for event, state in [
            (Event.IDLE, State.IDLE),
            (Event.RUN, State.RUNNING),
            (Event.IDLE, State.IDLE),
            (Event.DISABLE, State.STANDBY),
            (Event.ENABLE, State.IDLE),
            (Event.RUN, State.RUNNING),
            (Event.STOP, State.OFF),
            (Event.INIT, State.STANDBY),
            (Event.STOP, State.OFF),
        ]:
            send(record, event, state)
            assert component.current_state.state is state
        with pytest.raises(UsageError, match="not possible in state off"):
            record.send(Event.RUN)


def test_the_record_tells_why_an_event_failed(start: Callable[..., Counter]) -> None:
    component = start()
    component.Init()
    component.break_in = "dynamic"
    with ProcessRecord.open("counter") as record:
        send(record, Event.ENABLE, State.ERROR)
        assert record.message == "on_Enable: OSError: dynamic is broken"
        component.break_in = ""
        send(record, Event.RECOVER, State.STANDBY)
        assert record.message == ""
        send(record, Event.ENABLE, State.IDLE)


def test_an_end_that_fails_is_tried_once(start: Callable[..., Counter]) -> None:
    component = start(break_in="stop", goRunning=True)
    with ProcessRecord.open("counter") as record:
        send(record, Event.STOP, State.ERROR)
        assert record.message == "on_Stop: OSError: stop is broken"
        until(lambda: record.control == "run")
        component.break_in = ""
        send(record, Event.STOP, State.OFF)
    assert component.went.count("stop") == 2


def test_steps_are_refused(start: Callable[..., Counter]) -> None:
    component = start(goRunning=True)
    with ProcessRecord.open("counter") as record:
        record.step(3)
        until(lambda: "no frames that could be stepped" in record.message)
        assert (record.control, component.current_state_value) == ("run", "Running")
        send(record, Event.IDLE, State.IDLE)
        record.step()
        until(lambda: record.control == "pause")
        assert component.current_state_value == "Idle"


def test_a_component_cannot_end_itself_on_an_event() -> None:
    class Suicidal(dao.daoComponent):
        def on_Disable(self) -> None:
            self.stop()

    component = Suicidal("suicidal")
    component.StopRun()
    with ProcessRecord.open("suicidal") as record:
        send(record, Event.DISABLE, State.ERROR)
        assert "cannot end itself in a hook that 'framebus send' has led to" in record.message
    component.stop()


SCRIPT = """
    from framebus.compat import dao

    class Loop(dao.daoComponent):
        def on_Stop(self):
            print("off")

        def processingThread(self):
            print("runs")
            self.procThreadStop.wait()
            print("rests")

    loop = Loop("loop")
    input()
"""


def test_the_end_of_a_script_is_the_end_of_its_components(spawn: Spawner) -> None:
    script = spawn(SCRIPT)
    script.expect("runs")
    script.send()
    assert script.wait() == 0, script.errors
    assert script.lines == ["runs", "rests", "off"]
    assert records() == []


def test_the_command_line_steers_a_script(spawn: Spawner) -> None:
    pytest.importorskip("click")
    script = spawn(SCRIPT)
    script.expect("runs")
    shown = spawn(command=[sys.executable, "-m", "framebus", "ps"])
    assert shown.wait() == 0
    assert any(line.split()[:2] == ["loop", "running"] for line in shown.lines), shown.lines
    sent = spawn(command=[sys.executable, "-m", "framebus", "send", "loop", "idle"])
    assert sent.wait() == 0, sent.errors
    assert sent.lines == ["loop: running -> idle"]
    script.expect("rests")
    script.send()
    script.expect("off")
    assert script.wait() == 0, script.errors
