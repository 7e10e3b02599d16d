"""A process that runs loops for another one: what it is told, what it answers, and when it ends."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import framebus as fb
from framebus.process import ProcessRecord, State
from framebus.stream import Stream
from support.processes import Spawned, Spawner
from support.waiting import until

WIRING = {"image": "image", "value": "value"}


def loop(use: str, streams: dict[str, str], **stage: Any) -> str:
    """The plan of a loop of one unit."""
    options = stage.pop("options", {})
    return json.dumps({"stages": [{"use": use, "streams": streams, **stage}], "options": options})


def host(spawn: Spawner, *lines: str) -> Spawned:
    process = spawn(module="framebus.unit.host")
    for line in lines:
        process.send(line)
    return process


def answer(process: Spawned) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(process.expect("{"))
    return found


@pytest.fixture
def image() -> Stream:
    return fb.create("image", shape=(4,))


def test_runs_what_it_is_told_to(spawn: Spawner, image: Stream) -> None:
    scale = loop(
        "support.units:scale", {"image": "image", "result": "one"}, parameters={"gain": 3.0}, name="three"
    )
    process = host(spawn, scale)
    assert answer(process) == {"ready": True}
    # A later loop may read what an earlier one puts out.
    process.send(loop("support.units:plain_scale", {"image": "one", "result": "two"}, history=4))
    assert answer(process) == {"ready": True}
    process.send("watch")
    with fb.open("two") as two, ProcessRecord.open("three") as record:
        assert two.history_length == 4
        assert record.pid == process.pid
        image.write(np.ones(4))
        assert two.read_next(timeout_s=60).data.tolist() == [6] * 4
    process.end_input()
    assert process.wait() == 0
    assert process.errors == ""


def test_fused_and_with_options(spawn: Spawner) -> None:
    stages = [
        {"use": "support.units:ticks", "streams": {"value": "ticks"}},
        {"use": "support.units:plain_scale", "streams": {"image": "ticks", "result": "twice"}},
    ]
    options = {"trigger": "delay", "period_s": 1e-3, "spin_us": float("inf")}
    process = host(spawn, json.dumps({"stages": stages, "options": options}), "watch")
    assert answer(process) == {"ready": True}
    with fb.open("twice") as twice:
        until(lambda: twice.count >= 3)
    process.end_input()
    assert process.wait() == 0


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        (
            loop("support.units:whole", {"image": "none", "value": "value"}),
            "BindingError",
            "argument 'image': no stream",
        ),
        (loop("support.units:nothing", WIRING), "NotFoundError", "support.units has no 'nothing'"),
        (loop("no_such_module:unit", WIRING), "NotFoundError", "there is no module 'no_such_module'"),
        (loop("support.units:whole", WIRING, options={"trigger": "x"}), "UsageError", "trigger is 'x'"),
        (loop("support.units:scale", WIRING, parameters={"gain": 99.0}), "BindingError", "'result'"),
        (loop("support.units:pair", WIRING, parameters={"c": 1.0}), "ParameterError", "has no parameter 'c'"),
        ("not json", "JSONDecodeError", "Expecting value"),
    ],
)
def test_says_what_cannot_be_started(
    spawn: Spawner, image: Stream, line: str, error: str, message: str
) -> None:
    process = host(spawn, loop("support.units:whole", WIRING, name="before"), line)
    assert answer(process) == {"ready": True}
    said = answer(process)
    assert said["error"] == error
    assert message in said["message"]
    assert process.wait() == 2
    with pytest.raises(LookupError):
        ProcessRecord.open("before")


def test_device_that_cannot_be_set_up_and_torn_down(spawn: Spawner, tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(
        """
from typing import Annotated
from framebus.unit import Array, Out, Unit

class Broken(Unit):
    def setup(self): raise OSError("no device")
    def step(self, frame: Annotated[Out, Array((2,))]): ...
    def teardown(self): raise ValueError("nor this")
"""
    )
    process = host(
        spawn, loop(f"{tmp_path}/broken.py:Broken", {"frame": "frame"}, options={"trigger": "free"})
    )
    said = answer(process)
    assert said == {
        "error": "UnitError",
        "message": "unit 'Broken': setup failed: OSError: no device; teardown failed: ValueError: nor this",
    }
    assert process.wait() == 2


def test_ends_when_a_unit_fails(spawn: Spawner, image: Stream) -> None:
    process = host(
        spawn,
        loop("support.units:plain_limited", WIRING),
        loop("support.units:whole", {"image": "image", "value": "other"}),
        "watch",
    )
    answer(process)
    answer(process)
    image.write(np.full(4, 1000))
    assert process.wait() == 1
    assert process.errors.strip() == "unit 'plain_limited' failed: ValueError: far too large"
    with ProcessRecord.open("plain_limited") as record:
        assert record.state is State.ERROR
        assert record.message == "ValueError: far too large"
        assert not record.alive


def test_failure_before_all_are_there_is_told_in_the_end(spawn: Spawner, image: Stream) -> None:
    process = host(spawn, loop("support.units:plain_limited", WIRING))
    answer(process)
    image.write(np.full(4, 1000))
    with ProcessRecord.open("plain_limited") as record:
        until(lambda: record.state is State.ERROR)
    process.send(loop("support.units:whole", {"image": "image", "value": "other"}))
    assert answer(process) == {"ready": True}
    process.send("watch")
    assert process.wait() == 1
    assert "far too large" in process.errors


def test_ends_with_its_loops_but_not_before_all_are_there(spawn: Spawner) -> None:
    once = {"trigger": "once"}
    process = host(spawn, loop("support.units:ticks", {"value": "first"}, options=once, name="first"))
    answer(process)
    with fb.open("first") as first:
        first.read(timeout_s=60)
    process.send(loop("support.units:ticks", {"value": "second"}, options=once, name="second"))
    assert answer(process) == {"ready": True}
    process.send("watch")
    assert process.wait() == 0


def test_ends_when_its_units_are_stopped(spawn: Spawner, image: Stream) -> None:
    process = host(spawn, loop("support.units:whole", WIRING), "watch")
    answer(process)
    with ProcessRecord.open("whole") as record:
        record.stop()
    assert process.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("watched", [True, False])
def test_ends_at_a_signal(spawn: Spawner, image: Stream, number: int, watched: bool) -> None:
    process = host(spawn, loop("support.units:whole", WIRING), *(["watch"] if watched else []))
    answer(process)
    process.signal(number)
    assert process.wait() == 0
    assert process.errors == ""
    with pytest.raises(LookupError):
        ProcessRecord.open("whole")


def test_ends_at_a_signal_while_it_starts(spawn: Spawner, tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text(
        f"""
import os, threading
from typing import Annotated
from framebus.unit import Array, Out, Unit

class Slow(Unit):
    def setup(self):
        open({str(tmp_path / "setting up")!r}, "w").close()
        while not threading.Event().wait(0.05): ...
    def step(self, frame: Annotated[Out, Array((2,))]): ...
    def teardown(self):
        open({str(tmp_path / "torn down")!r}, "w").close()
"""
    )
    process = host(spawn, loop(f"{tmp_path}/slow.py:Slow", {"frame": "frame"}, options={"trigger": "free"}))
    until((tmp_path / "setting up").exists)
    process.signal(signal.SIGTERM)
    assert process.wait() == 0
    assert (tmp_path / "torn down").exists()


def test_ends_when_nobody_speaks_to_it(spawn: Spawner) -> None:
    process = host(spawn)
    process.end_input()
    assert process.wait() == 0


def test_a_unit_may_print_as_much_as_it_likes(spawn: Spawner, image: Stream, tmp_path: Path) -> None:
    (tmp_path / "talker.py").write_text(
        """
from framebus.unit import In, Out, unit

print("imported")

@unit(compiled=False)
def talk(image: In, result: Out):
    print("x" * 100_000, flush=True)
"""
    )
    process = host(spawn, loop(f"{tmp_path}/talker.py:talk", {"image": "image", "result": "result"}), "watch")
    assert answer(process) == {"ready": True}
    with fb.open("result") as result:
        for _ in range(3):
            image.write(np.ones(4))
            result.read_next(timeout_s=60)
    process.end_input()
    assert process.wait() == 0
    assert process.errors.startswith("imported\nxxx")


def test_does_not_outlive_its_parent_whoever_holds_its_input(spawn: Spawner, image: Stream) -> None:
    """A process that the parent forked keeps the pipe open; the host sees that its parent is gone."""
    parent = spawn(
        """
        import os, signal, subprocess, sys
        here, there = os.pipe()
        command = [sys.executable, "-m", "framebus.unit.host"]
        host = subprocess.Popen(command, stdin=here, stdout=subprocess.PIPE, text=True)
        os.write(there, sys.argv[1].encode() + b"\\n")
        print(host.stdout.readline().strip())
        child = os.fork()
        if child == 0:
            signal.pause()
        print("pids", host.pid, child)
        input()
        """,
        loop("support.units:whole", WIRING),
    )
    parent.expect("{")
    pid, child = map(int, parent.expect("pids").split()[1:])
    parent.kill()
    until(lambda: not Path(f"/proc/{pid}").exists())
    os.kill(child, signal.SIGKILL)
