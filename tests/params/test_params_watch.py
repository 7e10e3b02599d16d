"""Waiting for changes, being told of them, and what differs from what."""

from __future__ import annotations

import queue
import signal
import threading
import warnings
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.errors import ParameterError, StreamRecreated, UsageError, WaitTimeout
from framebus.params import Changes, Params, ParamSpec
from support.processes import Spawner

SPECS = [
    ParamSpec("gain", 0.3, minimum=0, maximum=1),
    ParamSpec("leak", 0.99, type="float32"),
    ParamSpec("label", "first"),
    ParamSpec("seeing", 0.0, status=True),
]


@pytest.fixture
def params() -> Iterator[Params]:
    with Params.create("loop", SPECS) as made:
        yield made


def test_a_change_in_another_process_ends_the_wait(params: Params, spawn: Spawner) -> None:
    other = spawn("""
        from framebus.params import Params
        p = Params.open("loop")
        input()
        p.label = "second"
        p.update(gain=0.3)
        p.update(gain=0.4, leak=0.5)
        p.close()
        print("done")
    """)
    start = params.generation
    other.send()
    changes = params.wait_changed("gain", since=start, timeout_s=60)
    assert changes == {"gain": (0.3, 0.4)}
    assert changes.generation == params.generation == 3
    assert other.wait() == 0
    with pytest.raises(WaitTimeout, match="no change of gain, label within 0 s"):
        params.wait_changed("gain", "label", since=changes.generation, timeout_s=0)


def test_any_entry_is_waited_for_without_names(params: Params) -> None:
    start = params.generation
    params.update(gain=0.5, label="second")
    params.set_status(seeing=0.8)
    assert params.wait_changed(since=start) == {
        "gain": (0.3, 0.5),
        "label": ("first", "second"),
        "seeing": (0.0, 0.8),
    }
    assert params.wait_changed("seeing", since=start) == {"seeing": (0.0, 0.8)}
    with pytest.raises(WaitTimeout, match="any entry"):
        params.wait_changed(timeout_s=0.01)


def test_writing_the_same_value_or_a_finding_is_no_change(params: Params) -> None:
    start = params.generation
    params.gain = 0.3
    params.label = "first"
    params.set_findings({"gain": "low"})
    with pytest.raises(WaitTimeout):
        params.wait_changed(since=start, timeout_s=0)
    assert params.changes["gain"] == 1


def test_the_old_value_is_unknown_to_a_handle_that_was_not_there(params: Params) -> None:
    params.gain = 0.5
    with Params.open("loop") as other:
        assert other.wait_changed(since=0) == {"gain": (None, 0.5)}


def test_what_cannot_be_waited_for_is_refused(params: Params) -> None:
    with pytest.raises(ParameterError, match="did you mean 'gain'"):
        params.wait_changed("gian")
    with pytest.raises(ParameterError, match="did you mean 'gain'"):
        params.subscribe(print, "gian")
    with pytest.raises(UsageError, match="cannot call 3; give it a function"):
        params.subscribe(3)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="generation 0 and never had 7"):
        params.wait_changed(since=7)


@pytest.mark.parametrize("way", ["replace", "remove", "unlink", "rename"])
def test_the_end_of_the_set_ends_the_wait(params: Params, way: str) -> None:
    def end() -> None:
        if way == "replace":
            Params.create("loop", SPECS, replace=True).close()
        elif way == "remove":
            Params.open("loop").remove()
        elif way == "unlink":
            params.path.unlink()
        else:  # a file put there by other means
            new = params.path.with_suffix(".new")
            new.write_bytes(params.path.read_bytes())
            new.rename(params.path)

    thread = threading.Thread(target=end)
    thread.start()
    with pytest.raises(StreamRecreated, match="replaced or removed"):
        params.wait_changed(timeout_s=60)
    thread.join()
    with pytest.raises(StreamRecreated):
        params.wait_changed(timeout_s=0)


def test_a_change_before_the_end_is_told_first(params: Params) -> None:
    start = params.generation
    params.gain = 0.5
    Params.open("loop").remove()
    assert params.wait_changed(since=start) == {"gain": (0.3, 0.5)}


def test_ctrl_c_ends_the_wait(params: Params, spawn: Spawner) -> None:
    other = spawn("""
        from framebus.params import Params
        p = Params.open("loop")
        try:
            print("waiting")
            p.wait_changed()
        except KeyboardInterrupt:
            print("interrupted")
    """)
    other.expect("waiting")
    other.signal(signal.SIGINT)
    other.expect("interrupted")
    assert other.wait() == 0


def test_a_set_that_may_only_be_read_can_be_waited_for(params: Params, spawn: Spawner) -> None:
    params.path.chmod(0o444)
    other = spawn("""
        import os
        from framebus.params import Params
        if os.getuid() == 0:  # may write everything: be somebody else
            os.setuid(65534)
        p = Params.open("loop")
        assert not p.core.writable
        start = p.generation
        print("ready")
        print("changed", dict(p.wait_changed("gain", since=start, timeout_s=60)))
    """)
    other.expect("ready")
    params.gain = 0.5
    assert other.expect("changed") == "changed {'gain': (0.3, 0.5)}"
    assert other.wait() == 0


def test_a_subscriber_is_told_of_every_change_of_its_entries(params: Params) -> None:
    told: queue.Queue[Changes] = queue.Queue()
    with params.subscribe(told.put, "gain") as subscription:
        assert subscription.active
        with Params.open("loop") as other:
            other.gain = 0.4
        first = told.get(timeout=60)
        assert (first, first.generation) == ({"gain": (0.3, 0.4)}, 1)
        params.label = "second"
        params.close()  # the subscription has a handle of its own
        with Params.open("loop") as other:
            other.gain = 0.5
        assert told.get(timeout=60) == {"gain": (0.4, 0.5)}
    assert not subscription.active
    with Params.open("loop") as other:
        other.gain = 0.6
    assert told.empty()
    subscription.close()  # a second call does nothing


def test_closing_tells_what_changed_until_then(params: Params) -> None:
    told: list[Changes] = []
    with params.subscribe(told.append):
        params.gain = 0.4
    assert told == [{"gain": (0.3, 0.4)}]


def test_no_value_is_lost_between_two_calls(params: Params) -> None:
    told: queue.Queue[Changes] = queue.Queue()
    with params.subscribe(told.put, "label"):
        for number in range(500):
            params.label = str(number)
        last = "first"
        while last != "499":
            old, new = told.get(timeout=60)["label"]
            assert old == last, "each begins where the one before ended"
            assert isinstance(new, str)
            last = new


def test_what_a_callback_raises_is_reported_and_it_goes_on(params: Params) -> None:
    told: queue.Queue[object] = queue.Queue()

    def fail(changes: Changes) -> None:
        told.put(changes)
        raise RuntimeError("no display")

    errors: queue.Queue[Exception] = queue.Queue()
    with params.subscribe(fail, on_error=errors.put):
        for value in (0.4, 0.5):
            params.gain = value
            assert isinstance(told.get(timeout=60), Changes)
            assert str(errors.get(timeout=60)) == "no display"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with params.subscribe(fail):
            for value in (0.6, 0.7):
                params.gain = value
                told.get(timeout=60)
    assert {str(w.message) for w in caught} == {
        "subscription to parameter set 'loop': RuntimeError: no display"
    }
    assert {w.category for w in caught} == {RuntimeWarning}


def test_where_warnings_are_errors_the_thread_goes_on_too(
    params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: queue.Queue[object] = queue.Queue()
    monkeypatch.setattr(threading, "excepthook", lambda arguments: seen.put(arguments.exc_value))

    def fail(changes: Changes) -> None:
        raise RuntimeError("no display")

    with params.subscribe(fail):
        for value in (0.4, 0.5):
            params.gain = value
            assert "no display" in str(seen.get(timeout=60))


def test_a_subscription_ends_with_its_set_and_says_so(params: Params) -> None:
    errors: queue.Queue[Exception] = queue.Queue()
    with params.subscribe(print, on_error=errors.put) as subscription:
        Params.open("loop").remove()
        assert isinstance(errors.get(timeout=60), StreamRecreated)
    assert not subscription.active


def test_a_callback_may_close_its_subscription(params: Params) -> None:
    told: queue.Queue[Changes] = queue.Queue()

    def once(changes: Changes) -> None:
        subscription.close()
        told.put(changes)

    subscription = params.subscribe(once)
    params.gain = 0.4
    told.get(timeout=60)
    subscription.close()
    assert not subscription.active


def test_a_program_ends_with_a_subscription_open(params: Params, spawn: Spawner) -> None:
    other = spawn("""
        from framebus.params import Params
        Params.open("loop").subscribe(print)
        print("ends")
    """)
    assert other.wait() == 0, other.errors
    assert other.lines == ["ends"]
    assert other.errors == ""


def test_diff_compares_with_defaults_snapshots_and_sets(params: Params) -> None:
    assert params.diff() == {}
    before = params.snapshot()
    params.update(gain=0.5, label="second")
    changed = {"gain": (0.3, 0.5), "label": ("first", "second")}
    assert params.diff() == changed
    assert params.diff(before) == changed
    with Params.create("other", SPECS) as other:
        assert params.diff(other) == changed
        assert other.diff(params) == {"gain": (0.5, 0.3), "label": ("second", "first")}
    assert params.diff({"gain": 0.5, "leak": 0.99, "new": 1}) == {
        "label": (None, "second"),
        "seeing": (None, 0.0),
        "new": (1, None),
    }, "0.99 is what a float32 makes of it"
    assert params.diff({**params.snapshot(), "gain": "high"}) == {"gain": ("high", 0.5)}


values = st.fixed_dictionaries(
    {}, optional={"a": st.integers(0, 2), "b": st.sampled_from([0.0, 0.5]), "c": st.sampled_from(["", "x"])}
)


@given(updates=st.lists(values, max_size=6), data=st.data())
def test_waits_and_diffs_agree_with_a_model(
    updates: list[dict[str, object]], data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    start: dict[str, object] = {"a": 0, "b": 0.0, "c": ""}
    history = [start]
    with Params.create("model", start, replace=True, directory=tmp_path_factory.getbasetemp()) as params:
        params.snapshot()
        for update in updates:
            params.update(update)
            if update:
                history.append({**history[-1], **update})
            assert params.snapshot() == history[-1]
        assert params.generation == len(history) - 1
        since = data.draw(st.integers(0, len(history) - 1))
        names = data.draw(st.lists(st.sampled_from("abc"), unique=True))
        moved = {
            name
            for earlier, later in zip(history[since:], history[since + 1 :], strict=False)
            for name in start
            if earlier[name] != later[name]
        }
        expected = {n: (history[since][n], history[-1][n]) for n in names or start if n in moved}
        try:
            changes: dict[str, object] = dict(params.wait_changed(*names, since=since, timeout_s=0))
        except WaitTimeout:
            changes = {}
        assert changes == expected
        assert params.diff(history[since]) == {
            n: (history[since][n], history[-1][n]) for n in start if history[since][n] != history[-1][n]
        }


def test_one_wait_of_the_core_ends_with_the_time_or_the_generation(params: Params) -> None:
    core = params.core
    assert core.wait(5, 0) == 0, "another generation: no wait"
    assert core.wait(0, 0) == 0
    assert core.wait(0, 1_000_000) == 0, "time is over"
    assert core.wait(core.never, 1_000_000_000) == 0
