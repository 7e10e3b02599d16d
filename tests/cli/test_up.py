"""``framebus up``, ``down``, ``restart``, ``replace``, ``pause``, ``step``, ``resume`` and ``logs``."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import framebus as fb
from framebus.pipeline.control import Controller
from framebus.pipeline.rundir import RunDir
from framebus.process import ProcessRecord, State
from framebus.unit import Stage, start
from support import pipeline_units
from support.commands import answer, call, error, output
from support.pipelines import CHAIN, COUNT, NEGATIVE, Pipelines, all_up, kill, pids, state
from support.processes import Spawner
from support.waiting import until


def detach(pipelines: Pipelines, text: str = CHAIN, *options: str, name: str = "chain") -> str:
    return output("up", str(pipelines.write(text, name)), "--detach", *options)


def test_detached_until_down(pipelines: Pipelines, shm_dir: Path) -> None:
    assert detach(pipelines) == "pipeline 'chain' is up: 3 units; 'framebus ps' shows them\n"
    assert all_up()
    assert error(2, "up", str(pipelines.folder / "chain.toml"), "--detach").endswith(
        "'framebus down chain' ends it"
    )
    assert output("down") == "pipeline 'chain' is down\n"
    assert not list(shm_dir.iterdir())
    assert "no pipeline runs" in error(3, "down")
    assert "no pipeline 'chain' runs" in error(3, "down", "chain")


def test_of_one_unit(pipelines: Pipelines) -> None:
    assert detach(pipelines, COUNT) == "pipeline 'chain' is up: 1 unit; 'framebus ps' shows it\n"
    output("down")


def test_what_failed_is_told(pipelines: Pipelines) -> None:
    text = """
[units.fails]
use = "support.pipeline_units:crashes"
streams = { image = "count", result = "none" }
restart = "never"
depends_on = ["count"]
"""
    assert "did not start: killed by SIGSEGV" in error(
        1, "up", str(pipelines.write(COUNT + text)), "--detach"
    )


def test_a_supervisor_that_is_suspended(pipelines: Pipelines, shm_dir: Path) -> None:
    detach(pipelines, COUNT)
    supervisor = Controller("chain").status()["supervisor"]["pid"]
    os.kill(supervisor, signal.SIGSTOP)
    until(lambda: Controller("chain").suspended == supervisor)
    assert f"its supervisor (process {supervisor}) is suspended; 'kill -CONT {supervisor}'" in output("ps")
    assert "is suspended; continue it with" in error(1, "restart", "count")
    assert output("down") == "pipeline 'chain' is down\n"
    assert not list(shm_dir.iterdir())


def test_down_by_name_and_by_file(pipelines: Pipelines, shm_dir: Path) -> None:
    for which in ("chain", str(pipelines.folder / "chain.toml")):
        detach(pipelines, COUNT)
        assert output("down", which) == "pipeline 'chain' is down\n"
    RunDir("chain").path.mkdir()  # a supervisor was killed before it had done anything
    assert output("down", "chain") == "pipeline 'chain' is down\n"
    assert not list(shm_dir.iterdir())


def test_every_problem_on_a_line(pipelines: Pipelines, shm_dir: Path) -> None:
    file = pipelines.write(CHAIN.replace("gain", "pain").replace("units:negative", "units:none"))
    result = call("up", str(file))
    assert result.exit_code == 4
    first, *lines = result.stderr.splitlines()
    assert first == f"framebus: error: the pipeline has {len(lines)} problems"
    assert any("units.negative.use" in line for line in lines)
    assert any("pain" in line for line in lines)
    assert all(line.startswith(f"{file}:") for line in lines)
    assert "there is no pipeline file" in error(3, "up", str(pipelines.folder / "none.toml"))
    assert not list(shm_dir.iterdir())


def test_a_terminal_that_is_held_does_not_hold_it_up(pipelines: Pipelines, shm_dir: Path) -> None:
    """Ctrl-S, or a pager at rest: nobody takes what it prints, and it keeps its units all the same."""
    quick = "[supervision]\nrestart_limit = 1000000\nbackoff_s = 0.01\nbackoff_max_s = 0.01\n"
    fails = '[units.f]\nuse = "support.pipeline_units:fails"\nstreams = { value = "v" }\ntrigger = "free"\n'
    up = subprocess.Popen(
        [sys.executable, "-m", "framebus", "up", str(pipelines.write(quick + COUNT + fails))],
        stdout=subprocess.PIPE,
    )
    assert up.stdout is not None
    fcntl.fcntl(up.stdout, fcntl.F_SETPIPE_SZ, 4096)
    until((shm_dir / "chain.pipeline.fb" / "state.json").exists)
    until(lambda: state()["processes"]["f"]["restarts"] > 4)
    kill(pids()["count"])
    until(lambda: state()["processes"]["count"]["restarts"] == 1)
    Controller("chain").down()
    up.stdout.close()
    up.wait()
    assert not list(shm_dir.iterdir())


def test_variables(pipelines: Pipelines) -> None:
    text = "[variables]\nperiod = 10.0\n" + COUNT.replace("0.002", '"${period}"')
    detach(pipelines, text, "--var", "period=0.002")
    with fb.open("count") as count:
        count.read_next(timeout_s=60)
    assert state()["loops"]["count"][0]["options"]["period_s"] == 0.002
    output("down")
    assert "expected NAME=VALUE" in error(2, "up", str(pipelines.folder / "chain.toml"), "--var", "period")


def test_detached_start_that_fails(pipelines: Pipelines, shm_dir: Path) -> None:
    broken = (
        '[units.camera]\nuse = "support.pipeline_units:Broken"\nstreams = { frame = "f" }\ntrigger = "free"\n'
    )
    file = str(pipelines.write(broken))
    assert "process 'camera' did not start: unit 'camera': setup failed: OSError: no device" in error(
        1, "up", file, "--detach"
    )
    assert not list(shm_dir.iterdir())


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_a_detached_one_starts(
    pipelines: Pipelines, shm_dir: Path, number: int, code: int
) -> None:
    slow = '[units.slow]\nuse = "support.pipeline_units:Slow"\nstreams = { frame = "f" }\ntrigger = "free"\n'
    up = pipelines.start(COUNT + slow, "--detach")
    until((pipelines.folder / "setting up").exists)
    up.signal(number)
    assert up.wait() == code
    assert not list(shm_dir.iterdir())


def test_taken_up_by_name_after_its_supervisor_died(pipelines: Pipelines, shm_dir: Path) -> None:
    detach(pipelines)
    assert output("replace", "times", "--use", "support.pipeline_units:negative") == (
        "unit 'times' is now support.pipeline_units:negative\n"
    )
    before = pids()
    kill(state()["supervisor"]["pid"])
    assert "'framebus up chain'" in error(1, "restart", "times")
    output("up", "chain", "--detach")
    assert pids() == before
    with ProcessRecord.open("times") as record:
        assert record.use == "support.pipeline_units:negative"
    output("down", "chain")
    assert not list(shm_dir.iterdir())


def test_down_of_one_whose_supervisor_died(pipelines: Pipelines, shm_dir: Path) -> None:
    detach(pipelines)
    kill(state()["supervisor"]["pid"])
    assert output("down") == "pipeline 'chain' is down\n"
    assert not list(shm_dir.iterdir())


def test_restart_and_replace(pipelines: Pipelines) -> None:
    detach(pipelines)
    before = pids()
    assert output("restart", "chain/negative") == "unit 'negative' runs again\n"
    assert output("replace", "negative", "--use", "support.pipeline_units:times", "--set", "gain=4") == (
        "unit 'negative' is now support.pipeline_units:times\n"
    )
    assert pids()["negative"] != before["negative"]
    with fb.open("times") as times:
        until(lambda: times.read_next(timeout_s=60).data[0] > 0)
        assert times.read_next(timeout_s=60).data[0] % 8 == 0
    assert "no unit 'none' runs; there are: count, negative, times" in error(3, "restart", "none")
    result = call("replace", "negative", "--use", "support.pipeline_units:count")
    assert result.exit_code != 0
    assert "no stream argument 'image'" in result.stderr
    assert "missing option '--use'" in error(2, "replace", "negative")
    output("down")


def test_pause_step_and_resume(pipelines: Pipelines) -> None:
    detach(pipelines)
    output("pause", "count", "chain/negative")
    with ProcessRecord.open("count") as count, ProcessRecord.open("negative") as negative:
        until(lambda: count.state is State.IDLE and negative.state is State.IDLE)
        assert [unit["state"] for unit in answer("ps")][:2] == ["paused", "paused"]
        assert (
            output("wait", "unit:chain/count=paused") == f"unit 'chain/count': paused, process {count.pid}\n"
        )
        assert output("wait", "unit:count=idle") == f"unit 'count': paused, process {count.pid}\n"
        before = count.loop_count
        output("step", "count", "-n", "5")
        until(lambda: count.loop_count == before + 5)
        assert "no unit 'none' runs" in error(3, "resume", "count", "none")
        assert count.state is State.IDLE  # all or nothing
        output("resume", "count", "negative")
        until(lambda: count.state is State.RUNNING and negative.state is State.RUNNING)
    output("down")


def test_logs(pipelines: Pipelines, spawn: Spawner) -> None:
    talk = '[units.talk]\nuse = "support.pipeline_units:talk"\nstreams = { image = "count", value = "v" }\n'
    detach(pipelines, COUNT + talk)
    until(lambda: len(output("logs", "talk").splitlines()) == 20)
    assert re.fullmatch(r"(frame \d+\n){3}", output("logs", "chain/talk", "-n", "3"))
    assert "talk: ready" in output("logs", "chain/supervisor")
    following = spawn(None, "logs", "talk", "-f", "-n", "0", module="framebus")
    following.expect("frame")
    output("down")
    assert following.wait() == 0
    assert "frame" in output("logs", "chain/talk")  # logs stay
    assert "is down" in output("logs", "chain/supervisor")
    assert "no unit 'talk' runs" in error(3, "logs", "talk")
    assert "there is no log" in error(3, "logs", "chain/none")


def test_units_of_no_pipeline(pipelines: Pipelines) -> None:
    detach(pipelines, COUNT)
    with start(Stage(pipeline_units.negative, {"image": "count", "result": "own"})):
        assert f"'negative' (process {os.getpid()}) belongs to no pipeline" in error(2, "restart", "negative")
        assert "unit 'negative' runs by itself: 'framebus send negative stop' ends it" in error(
            3, "down", "negative"
        )
        assert "unit 'count' is of pipeline 'chain', which 'framebus down chain' ends" in error(
            3, "down", "count"
        )
        output("pause", f"negative.{os.getpid()}")
        detach(pipelines, NEGATIVE, name="two")
        assert "several units 'negative' run; name one of them: 'two/negative', 'negative." in error(
            2, "pause", "negative"
        )
        output("pause", "two/negative")
        output("down", "two")
    output("down")


def test_live_table(pipelines: Pipelines, shm_dir: Path) -> None:
    """In a terminal of 80 columns: a table that is renewed, and nothing wider than the terminal."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "LINES": "24"}
    up = subprocess.Popen(
        [sys.executable, "-m", "framebus", "up", str(pipelines.write(CHAIN))],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment,
        start_new_session=True,
    )
    os.close(theirs)
    shown = ""

    def look() -> str:
        nonlocal shown
        if select.select([ours], [], [], 0.05)[0]:
            try:
                shown += os.read(ours, 1 << 16).decode(errors="replace")
            except OSError:  # the other end is closed
                threading.Event().wait(0.01)
        return shown

    until(lambda: "pipeline chain: up" in look() and re.search(r"times\S* +\S*running", _plain(shown)))
    pid = pids()["negative"]
    kill(pid)
    until(lambda: "negative: starts again in" in look())
    until(all_up)
    up.send_signal(signal.SIGINT)
    until(lambda: look() is not None and up.poll() is not None)
    until(lambda: "pipeline 'chain' is down" in look())
    os.close(ours)
    assert up.returncode == 0
    assert max(map(len, re.split(r"[\r\n]+", _plain(shown)))) <= 80
    assert not list(shm_dir.iterdir())


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_a_reader_that_goes_away_does_not_end_it(pipelines: Pipelines) -> None:
    """``framebus up FILE | head -1``: the pipeline is no part of the pipe."""
    file = str(pipelines.write(COUNT))
    command = f"{sys.executable} -u -m framebus up {file} | head -1"
    shell = subprocess.Popen(["sh", "-c", command], stdout=subprocess.PIPE, text=True)
    assert shell.stdout is not None
    assert shell.stdout.readline().startswith("starts")
    until(all_up)
    kill(pids()["count"])
    until(all_up)
    Controller("chain").down()
    shell.stdout.close()
    shell.wait()
