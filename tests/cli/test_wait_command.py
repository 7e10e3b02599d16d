"""``framebus wait``, and ``framebus query``: what they print, and their exit codes."""

from __future__ import annotations

import json
import signal

import pytest

import framebus as fb
from framebus.params import Params
from framebus.process import ProcessRecord, State
from support.commands import answer, call, error, output
from support.processes import Spawner
from support.waiting import once_asleep


def test_the_exit_code_tells_which_fired() -> None:
    with fb.create("wfs", shape=(1,)) as wfs, Params.create("loop", {"gain": 0.5}):
        wfs.write([1.0])
        one = call("wait", "stream:wfs>=1")
        assert (one.exit_code, one.stdout, one.stderr) == (0, "stream 'wfs': frame 1\n", "")
        second = call("wait", "stream:wfs>=7", "param:loop.gain>=0.5", "unit:x=gone")
        assert second.exit_code in (11, 12)
        assert second.stdout == {11: "loop.gain = 0.5\n", 12: "unit 'x': gone\n"}[second.exit_code]
        first = call("wait", "stream:wfs>=1", "param:loop.gain>=0.9")
        assert first.exit_code == 10
        assert output("wait", "--all", "stream:wfs>=1", "param:loop.gain>=0.5").splitlines() == [
            "stream 'wfs': frame 1",
            "loop.gain = 0.5",
        ]


def test_json_of_what_fired() -> None:
    with fb.create("wfs", shape=(1,)) as wfs:
        wfs.write([1.0])
        stream, unit = answer("wait", "--all", "stream:wfs>0", "unit:x=gone")
        assert stream.pop("time_ns") > 0
        assert stream == {"index": 0, "condition": "stream:wfs>0", "count": 1}
        assert (unit["index"], unit["condition"], unit["state"]) == (1, "unit:x==gone", "gone")


def test_another_process_is_woken(spawn: Spawner) -> None:
    with fb.create("wfs", shape=(1,)) as wfs:
        wfs.write([1.0])
        waiter = spawn(None, "wait", "stream:wfs", "unit:slopes=running", module="framebus")
        thread = once_asleep(wfs.path, lambda: wfs.write([1.0]))
        assert waiter.expect("stream") == "stream 'wfs': frame 2"
        assert waiter.wait() == 10
        thread.join()
        assert waiter.errors == "framebus: waiting: no unit 'slopes' runs; none does\n"


def test_a_unit_is_killed_while_it_is_waited_for(spawn: Spawner) -> None:
    unit = spawn(
        """
        from framebus.process import ProcessRecord, State
        record = ProcessRecord.create("slopes")
        record.core.set_state(State.RUNNING)
        print("runs")
        input()
        """
    )
    unit.expect("runs")
    waiter = spawn(None, "wait", "stream:wfs", "unit:slopes=gone", module="framebus")
    unit.kill()
    assert waiter.expect("unit") == f"unit 'slopes': dead, process {unit.pid}"
    assert waiter.wait() == 11


def test_a_timeout_has_an_exit_code_of_its_own() -> None:
    with ProcessRecord.create("slopes") as record:
        record.core.set_state(State.IDLE)
        result = call("wait", "stream:wfs", "unit:slopes=running", "--timeout", "50ms")
        assert (result.exit_code, result.stdout) == (124, "")
        waiting, missing = result.stderr.splitlines()
        assert waiting == "framebus: waiting: there is no stream 'wfs'; there are none"
        assert missing == (
            "framebus: no condition came true within 0.05 s: there is no stream 'wfs'; unit 'slopes' is idle"
        )
        record.remove()


def test_ctrl_c(spawn: Spawner) -> None:
    with fb.create("wfs", shape=(1,)) as wfs:
        wfs.write([1.0])
        waiter = spawn(None, "wait", "stream:wfs", module="framebus")
        thread = once_asleep(wfs.path, lambda: waiter.signal(signal.SIGINT))
        assert waiter.wait() == 130
        thread.join()
        assert waiter.errors.strip() == ""


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (
            2,
            ["stream:wfs<3"],
            "condition 'stream:wfs<3', column 11: expected =, ==, !=, > or >= for a stream",
        ),
        (2, ["stream:wfs", "--timeout", "3parsec"], "'3parsec': expected a number and s, ms, us, min or h"),
        (2, ["stream:wfs", "--timeout", "1.2.3"], "as in 100ms"),
        (2, [f"stream:s{i}" for i in range(115)], "115 conditions; there are exit codes for 114"),
        (2, ["param:loop.gain>=high"], "expected a number (float64)"),
        (3, ["param:loop.gian"], "did you mean 'gain'?"),
        (2, [], "missing argument"),
    ],
)
def test_what_is_wrong_is_said_at_once(code: int, arguments: list[str], said: str) -> None:
    Params.create("loop", {"gain": 0.5})
    assert said in error(code, "wait", *arguments)


@pytest.mark.parametrize(
    ("text", "timeout_s"), [("0", "0"), ("10ms", "0.01"), ("2000us", "0.002"), ("0.0001min", "0.006")]
)
def test_durations(text: str, timeout_s: str) -> None:
    assert f"within {timeout_s} s: " in call("wait", "stream:wfs", "--timeout", text).stderr


def test_query_prints_what_there_is() -> None:
    with (
        fb.create("wfs", shape=(1,)),
        fb.create("dm", shape=(1,)),
        Params.create("loop", {"top": float("inf")}),
    ):
        found = json.loads(output("query"))
        assert [each["name"] for each in found["streams"]] == ["dm", "wfs"]
        assert found["parameters"][0]["entries"]["top"]["value"] is None  # JSON has no infinity
        assert found["units"] == found["pipelines"] == []
        found = answer("query", "streams", "w*")
        assert [each["name"] for each in found["streams"]] == ["wfs"]
        assert "units" not in found
        assert "filter 'strm:x': expected a pattern behind 'stream:'" in error(2, "query", "strm:x")
