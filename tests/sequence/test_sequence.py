"""Sequences as an operator meets them: files that run in processes of their own, seen and stopped from outside."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from framebus.errors import DataError, NotFoundError, SequenceError, UsageError
from framebus.params import Params
from framebus.sequence import find, purge, run_file, running
from framebus.sequence import start as start_detached
from framebus.sequence.status import Place, SequenceStatus
from framebus.stream import create
from support.commands import answer, call, error, output
from support.processes import Spawned, Spawner
from support.waiting import until

HEAD = """
import asyncio, sys
from framebus.sequence import *
from framebus.errors import *
"""
WAITS = """
@sequence
async def main():
    step("waiting", 0.25)
    try:
        await wait_stream("never", timeout_s=None)
    finally:
        print("cleaned", flush=True)
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write_file(body: str, name: str = "work") -> str:
        path = tmp_path / f"{name}.py"
        path.write_text(HEAD + body)
        return str(path)

    return write_file


def start(spawn: Spawner, *arguments: str) -> Spawned:
    return spawn(None, "seq", "run", *arguments, module="framebus")


def in_state(name: str, state: str) -> bool:
    return any(status.name == name and status.state == state for status in running())


def at_step(name: str, step: str) -> bool:
    return any(status.name == name and status.step == step for status in running())


# ---- a whole life --------------------------------------------------------------------------------------------------


def test_runs_to_its_end_and_tells_what_it_did(spawn: Spawner, write: Any) -> None:
    file = write("""
@sequence
async def main(n: int, factor: float = 0.5):
    async for i in repeat(n, "counting"):
        log(f"pass {i} times {factor}")
    return {"n": n}
""")
    process = start(spawn, file, "n=3", "factor=2")
    assert process.wait() == 0, process.errors
    said = "\n".join(process.lines)
    assert "step: counting" in said or "pass 2 times 2.0" in said
    assert process.lines[-1].startswith("sequence 'work' is done after")
    status = find("work")
    assert (status.state, status.step, status.progress, status.pid) == ("done", "counting", 1.0, process.pid)
    assert status.arguments == {"n": "3", "factor": "2"}
    assert 0 < status.started_ns < status.ended_ns
    assert "pass 1 times 2.0" in output("seq", "logs", "work")
    shown = json.loads(call("seq", "run", file, "n=1", "--json").stdout)
    assert shown["result"] == {"n": 1}
    assert shown["state"] == "done"


def test_is_seen_while_it_runs_and_stopped(spawn: Spawner, write: Any) -> None:
    process = start(spawn, write(WAITS))
    until(lambda: at_step("work", "waiting"))
    [status] = running()
    assert (status.name, status.pid, status.state, status.progress) == ("work", process.pid, "running", 0.25)
    [row] = answer("seq", "ls")
    assert row["step"] == "waiting"
    assert answer("seq", "status")["pid"] == process.pid
    assert " 25%" in output("seq", "ls")
    assert "waiting" in output("seq", "status", "work")
    assert output("seq", "stop", "work") == "sequence 'work' is stopped\n"
    assert process.wait() == 130
    assert "cleaned" in process.lines
    assert find("work").state == "stopped"
    assert "does not run: it is stopped" in error(3, "seq", "stop", "work")


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signals_stop_it(spawn: Spawner, write: Any, number: signal.Signals, code: int) -> None:
    process = start(spawn, write(WAITS))
    until(lambda: at_step("work", "waiting"))
    process.signal(number)
    assert process.wait() == code
    assert "cleaned" in process.lines
    assert find("work").state == "stopped"


STUBBORN = """
@sequence
async def main():
    step("waiting")
    try:
        await run("sleep", "1000")
    finally:
        step("cleaning up")
        await run("sleep", "1001")
"""


def test_a_second_stop_kills(spawn: Spawner, write: Any) -> None:
    process = start(spawn, write(STUBBORN))
    until(lambda: at_step("work", "waiting") and find("work").programs)
    assert "has not ended after 0 s" in error(1, "seq", "stop", "work", "--timeout", "0")
    until(lambda: at_step("work", "cleaning up") and find("work").programs)
    assert "was killed" in output("seq", "stop", "work")
    assert process.wait() == -signal.SIGKILL
    assert find("work").state == "dead"


def test_a_second_signal_ends_it_at_once(spawn: Spawner, write: Any) -> None:
    process = start(spawn, write(STUBBORN))
    until(lambda: at_step("work", "waiting") and find("work").programs)
    process.signal(signal.SIGINT)
    until(lambda: at_step("work", "cleaning up") and find("work").programs)
    process.signal(signal.SIGINT)
    assert process.wait() == 130
    assert "before the cleanup was over" in find("work").error


def test_one_that_was_killed_is_dead_until_purged_or_run_again(spawn: Spawner, write: Any) -> None:
    file = write(WAITS)
    first = start(spawn, file)
    until(lambda: at_step("work", "waiting"))
    first.kill()
    assert find("work").state == "dead"
    assert "dead" in output("seq", "ls")
    assert [status.state for status in running(ended=False)] == ["dead"]
    second = start(spawn, file)  # takes the name
    until(lambda: in_state("work", "running") and find("work").pid == second.pid)
    assert "runs; stop it first" in error(2, "seq", "purge", "work")
    second.kill()
    assert output("seq", "purge") == "forgot work\n"
    assert running() == []
    assert answer("seq", "purge") == []
    assert "there is no sequence" in output("seq", "ls")
    assert "there is no sequence 'work'" in error(3, "seq", "status", "work")
    assert "begins: " in output("seq", "logs", "work"), "its log stays"
    assert "there is no sequence 'other'" in error(3, "seq", "logs", "other")


def test_two_of_a_name_are_refused(spawn: Spawner, write: Any) -> None:
    file = write(WAITS)
    start(spawn, file)
    until(lambda: at_step("work", "waiting"))
    said = error(2, "seq", "run", file, "--quiet")
    assert "sequence 'work' runs already (process" in said
    assert "another name" in said
    other = start(spawn, file, "--name", "other")
    until(lambda: at_step("other", "waiting"))
    assert "name one of them: other, work" in error(2, "seq", "status")
    assert "name one of them: other, work" in error(2, "seq", "stop")
    output("seq", "stop", "work")
    assert output("seq", "stop") == "sequence 'other' is stopped\n"  # the only one that runs
    assert other.wait() == 130
    assert "no sequence runs (other is stopped, work is stopped)" in error(3, "seq", "stop")


def test_goes_on_in_the_background(write: Any) -> None:
    said = output("seq", "run", "--detach", write(WAITS))
    assert "'work' is running" in said
    until(lambda: at_step("work", "waiting"))
    assert output("seq", "stop", "work") == "sequence 'work' is stopped\n"
    assert "cleaned" in output("seq", "logs", "work", "-f")
    assert "work.py:6: NameError" in error(
        4, "seq", "run", "-d", write("\nnonsense\n@sequence\nasync def main(): ...")
    )
    assert find("work").state == "failed"
    assert "no argument 'x'" in error(2, "seq", "run", "-d", write(WAITS), "x=1")
    assert "there is no sequence file" in error(3, "seq", "run", "-d", "none.py")
    assert "ended without a word" in error(1, "seq", "run", "-d", write("import os; os._exit(0)"))


def test_a_log_that_is_followed_ends_when_its_sequence_is_forgotten(spawn: Spawner, write: Any) -> None:
    process = start(spawn, write(WAITS))
    until(lambda: at_step("work", "waiting"))
    follower = spawn(None, "seq", "logs", "work", "-f", module="framebus")
    follower.expect("")  # it follows now, or does in a moment
    follower.signal(signal.SIGSTOP)
    output("seq", "stop", "work")
    assert process.wait() == 130
    assert purge("work") == ["work"]
    follower.signal(signal.SIGCONT)
    assert follower.wait() == 0, follower.errors


def test_a_script_starts_one_that_goes_on(spawn: Spawner, write: Any) -> None:
    file = write("""
@sequence
async def main(gains: list, fast: bool = False):
    print("begun", gains, fast, flush=True)
    await receive()
    return gains
""")
    script = spawn(
        f"""
        from framebus.errors import UsageError
        from framebus.sequence import start
        status = start({file!r}, {{"gains": [0.1, 0.2], "fast": "on"}}, name="other")
        print(status.name, status.state, status.arguments, flush=True)
        try:
            start({file!r}, {{"gains": 1}}, name="other")
        except UsageError as error:
            print("refused:", error, flush=True)
        """
    )
    assert script.wait() == 0, script.errors
    assert script.lines[0] == "other running {'gains': '[0.1, 0.2]', 'fast': 'on'}"
    assert script.lines[1].startswith("refused: sequence 'other' runs already (process ")
    output("seq", "send", "other", "go on")
    assert "begun [0.1, 0.2] True" in output("seq", "logs", "other", "-f")
    assert find("other").state == "done"
    with pytest.raises(UsageError, match="must be what JSON can hold"):
        start_detached(file, {"gains": object()})


def test_what_is_interrupted_while_it_starts_is_stopped(spawn: Spawner, write: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "gate")
    file = write(f"open({str(tmp_path / 'gate')!r}).close()\n@sequence\nasync def main(): ...")
    process = start(spawn, "--detach", file)
    until(lambda: in_state("work", "starting"))
    process.signal(signal.SIGTERM)
    assert process.wait() == 143
    open(tmp_path / "gate", "w").close()
    until(lambda: in_state("work", "stopped"))


# ---- messages ------------------------------------------------------------------------------------------------------


def test_sequences_talk_to_each_other(spawn: Spawner, write: Any) -> None:
    echo = write(
        """
@sequence
async def main():
    step("listening")
    for _ in range(30):
        message = await receive(timeout_s=60)
        send(message.sender, [message.content, "back"])
""",
        "echo",
    )
    asks = write(
        """
@sequence
async def main():
    await wait_sequence("echo", "running", timeout_s=60)
    for i in range(30):
        send("echo", i)
    answers = [(await receive(timeout_s=60)).content for _ in range(30)]
    last = await wait_sequence("echo", timeout_s=60)
    return answers == [[i, "back"] for i in range(30)], last.state
""",
        "asks",
    )
    asking = start(spawn, asks, "--json")
    listening = start(spawn, echo)
    assert listening.wait() == 0, listening.errors
    assert asking.wait() == 0, asking.errors
    assert json.loads("\n".join(asking.lines))["result"] == [True, "done"]


def test_messages_from_the_command_line(spawn: Spawner, write: Any) -> None:
    process = start(
        spawn,
        write('@sequence\nasync def main():\n    step("listening")\n    print((await receive()).content)\n'),
    )
    until(lambda: at_step("work", "listening"))
    output("seq", "send", "work", "go on")
    assert process.wait() == 0
    assert "go on" in process.lines
    assert "no sequence 'work' runs" in error(3, "seq", "send", "work", "too late")


# ---- files that are wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("\n@sequence\nasync def main(:\n    pass\n", "work.py:7: invalid syntax"),
        (
            "async def main(): ...\n",
            "work.py: it has no sequence: expected '@sequence' and 'async def main(...)'; put",
        ),
        ("x = 1\n", "work.py: it has no sequence"),
        ("@sequence\ndef main(): ...\n", "@sequence stands before an 'async def'; main is none"),
        ("\nimport nothing_like_it\n", "work.py:6: ModuleNotFoundError"),
        ("\nsys.exit(3)\n", "work.py:6: SystemExit: 3"),
        ("@sequence\nasync def a(): ...\n@sequence\nasync def b(): ...\n", "several sequences (a, b)"),
    ],
)
def test_a_wrong_file_is_told_in_a_line(write: Any, body: str, said: str) -> None:
    assert said in error(4, "seq", "run", "--quiet", write(body))
    assert find("work").state == "failed"


def test_wrong_calls(write: Any, tmp_path: Path) -> None:
    file = write("@sequence\nasync def main(n: int, on: bool = False): ...\n")
    assert "there is no sequence file" in error(3, "seq", "run", str(tmp_path / "none.py"))
    said = error(2, "seq", "run", "-q", file, "n=x", "m=1", "on=maybe")
    assert "no argument 'm'" in said
    assert "n='x': expected a whole number" in said
    assert "on='maybe': expected on or off" in said
    assert "argument 'n' is missing" in error(2, "seq", "run", "-q", file)
    assert "expected ARG=VALUE" in error(2, "seq", "run", "-q", file, "n")
    assert "named as a stream is" in error(2, "seq", "run", "-q", file, "n=1", "--name", "a/b")
    assert "--json tells" in error(2, "seq", "run", "--json", "-d", file)


def test_a_failure_is_told_with_its_line(write: Any) -> None:
    file = write('@sequence\nasync def main():\n    await asyncio.sleep(0)\n    set("loop.gain", 1)\n')
    said = error(1, "seq", "run", "-q", file)
    assert "work.py:8: no parameter set 'loop'" in said
    status = find("work")
    assert (status.state, status.where) == ("failed", "work.py:8")
    assert "work: work.py:8: no parameter set 'loop'" in output("seq", "ls")
    with pytest.raises(SequenceError, match=r"work\.py:6: it called exit"):
        run_file(write("@sequence\nasync def main(): sys.exit(3)\n"))


# ---- include -------------------------------------------------------------------------------------------------------


def test_includes_other_files_relative_to_itself(write: Any, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    write('@sequence\nasync def main(k: int): return await include("two.py", k=k + 1)\n', "parts/one")
    write("@sequence\nasync def main(k: int, label: str = 'x'): return [k, label]\n", "parts/two")
    file = write('@sequence\nasync def main(): return [await include("parts/one.py", k=i) for i in "12"]\n')
    with pytest.raises(SequenceError):
        run_file(write('@sequence\nasync def main(): await include("none.py")\n', "missing"))
    assert "there is no sequence file" in find("missing").error
    assert run_file(file) == [[2, "x"], [3, "x"]]


def test_a_circle_of_includes_is_an_error(write: Any) -> None:
    write('@sequence\nasync def main(): await include("work.py")\n', "inner")
    file = write('@sequence\nasync def main(): await include("inner.py")\n')
    with pytest.raises(
        SequenceError, match=r"includes itself: work\.py includes inner\.py includes work\.py"
    ):
        run_file(file)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise GeneratorExit", "GeneratorExit"),
        ("asyncio.current_task().cancel(); await pause(0)", "CancelledError"),
    ],
)
def test_whatever_it_was_not_told_to_end_by_is_a_failure(write: Any, body: str, said: str) -> None:
    assert f"work.py:6: {said}" in error(
        1, "seq", "run", "-q", write(f"@sequence\nasync def main(): {body}\n")
    )
    assert (find("work").state, find("work").error) == ("failed", said)


# ---- in the same process -------------------------------------------------------------------------------------------


def test_a_file_runs_from_python(write: Any) -> None:
    params = Params.create("loop", {"gain": 0.1})
    stream = create("image", shape=(2,), dtype="float32")
    file = write("""
@sequence
async def main(target):
    with restoring("loop.gain"):
        set("loop.gain", 0.7)
        assert get("loop.gain") == 0.7 and holds("loop.gain>0.5")
        return target, unit_state("none")
""")
    assert run_file(file, {"target": 3}, name="own") == (3, "absent")
    assert params["gain"] == 0.1
    assert find("own").state == "done"
    assert purge("own") == ["own"]
    with pytest.raises(NotFoundError):
        purge("own")
    params.remove()
    stream.remove()


def test_a_status_that_cannot_be_read_is_left_out(shm_dir: Path) -> None:
    place = Place("odd")
    place.claim(SequenceStatus("odd"), lambda path: None)
    (place.path / "status.json").write_text('{"version": 1}')
    with pytest.warns(RuntimeWarning, match="left out of the list of sequences"):
        assert running() == []
    with pytest.raises(DataError, match="no sequence's status"):
        place.read()
    for text, said in (
        ("not JSON", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"version": 2}', "of version 2"),
    ):
        (place.path / "status.json").write_text(text)
        with pytest.raises(DataError, match=said):
            place.read()
    assert place.remove()
    assert not place.remove()
    with pytest.raises(UsageError):
        Place("a/b")
