"""``framebus send``: events from the command line do what they do from Python."""

from __future__ import annotations

from framebus.pipeline.running import find_unit
from framebus.process import ProcessRecord, State
from support.commands import error, output
from support.pipelines import COUNT, NEGATIVE, Pipelines
from support.waiting import until


def test_through_the_whole_life(pipelines: Pipelines) -> None:
    output("up", str(pipelines.write(COUNT + NEGATIVE)), "--detach")
    assert output("send", "negative", "idle") == "negative: running -> idle\n"
    assert output("send", "negative", "disable") == "negative: idle -> standby\n"
    assert output("send", "chain/negative", "enable") == "negative: standby -> idle\n"
    assert output("send", "negative", "run") == "negative: idle -> running\n"
    with find_unit("negative").record() as record:
        loops = record.loop_count
        until(lambda: record.loop_count > loops)
    assert output("send", "negative", "stop") == "negative: running -> off\n"
    output("down")


def test_that_are_not_possible(pipelines: Pipelines) -> None:
    output("up", str(pipelines.write(COUNT + NEGATIVE)), "--detach")
    said = error(2, "send", "negative", "enable")
    assert "event 'enable' is not possible in state running; possible: idle, stop" in said
    assert "'jump' is not one of" in error(2, "send", "negative", "jump")
    assert "no unit" in error(3, "send", "nobody", "idle")
    output("down")


def test_to_a_unit_whose_process_takes_none() -> None:
    with ProcessRecord.create("lonely") as record:
        record.core.set_state(State.STANDBY)
        assert "lonely" in error(2, "send", "lonely", "enable")
        record.remove()


def test_waits_no_longer_than_told() -> None:
    with ProcessRecord.create("deaf") as record:
        record.core.set_state(State.RUNNING)
        said = error(1, "send", "deaf", "idle", "--timeout", "0.1")
        assert "'deaf' is still running after 0.1 s" in said
        record.remove()
