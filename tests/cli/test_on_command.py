"""``framebus on``: a command for each event, never two at once."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

import framebus as fb
from framebus.params import Params
from framebus.process import ProcessRecord, State
from support.commands import call, error
from support.processes import Spawner
from support.waiting import until


def says(*names: str) -> list[str]:
    """A command that prints some environment variables, as a line."""
    shell = " ".join(f"{name}=$FRAMEBUS_{name}" for name in names)
    return ["--", "sh", "-c", f"echo {shell}"]


def test_a_command_learns_of_the_frame(spawn: Spawner) -> None:
    with fb.create("wfs", shape=(1,)) as wfs:
        wfs.write([1.0])
        program = spawn(
            None,
            "on", "stream:wfs>=1", "--count", "1", *says("EVENT", "STREAM", "COUNT", "SKIPPED"),
            module="framebus",
        )  # fmt: skip
        assert program.expect("EVENT") == "EVENT=stream:wfs>=1 STREAM=wfs COUNT=1 SKIPPED=0"
        assert program.wait() == 0
        assert program.errors == ""


def test_a_command_learns_of_a_parameter_and_of_a_unit(spawn: Spawner) -> None:
    with Params.create("loop", {"gain": 0.3, "closed": False}) as loop:
        program = spawn(
            None,
            "on",
            "param:loop.closed=on",
            "--count",
            "2",
            *says("PARAM", "VALUE", "BEFORE"),
            module="framebus",
        )
        loop.closed = True
        assert program.expect("PARAM") == "PARAM=loop.closed VALUE=on BEFORE="
        loop.closed = False
        until(lambda: _toggled(loop) and not program.running)
        assert program.expect("PARAM") == "PARAM=loop.closed VALUE=on BEFORE="
        assert program.wait() == 0
    with ProcessRecord.create("slopes") as record:
        record.core.set_state(State.RUNNING)
        program = spawn(
            None,
            "on",
            "unit:slopes=running",
            "--count",
            "1",
            *says("UNIT", "STATE", "PID"),
            module="framebus",
        )
        assert program.expect("UNIT") == f"UNIT=slopes STATE=running PID={os.getpid()}"
        record.remove()


def _toggled(loop: Params) -> bool:
    """Once more false and true: what comes and goes between two looks is none."""
    loop.closed = False
    loop.closed = True
    return True


def test_never_two_at_once_and_what_is_skipped_is_said(spawn: Spawner, tmp_path: Path) -> None:
    (tmp_path / "go").mkdir()
    # A second one that ran beside the first could not make the directory.
    script = f"mkdir {tmp_path}/runs && echo run $FRAMEBUS_COUNT && read line && rmdir {tmp_path}/runs"
    with fb.create("wfs", shape=(1,)) as wfs:
        program = spawn(None, "on", "stream:wfs", "--count", "3", "--", "sh", "-c", script, module="framebus")
        until(lambda: wfs.write([1.0]) and (tmp_path / "runs").exists())
        for _ in range(100):
            wfs.write([1.0])
        first = int(program.expect("run").split()[1])
        program.send()
        second = int(program.expect("run").split()[1])
        assert second > first
        wfs.write([1.0])
        program.send()
        third = int(program.expect("run").split()[1])
        program.send()
        assert program.wait() == 0
        assert third > second
        assert "framebus: stream:wfs: 3 runs, " in program.errors
        assert "skipped" in program.errors


def test_runs_that_fail_are_told_and_it_goes_on() -> None:
    with fb.create("wfs", shape=(1,)) as wfs:
        wfs.write([1.0])
        failed = call("on", "stream:wfs>=1", "--count", "1", "--", "sh", "-c", "exit 3")
        assert (failed.exit_code, failed.stdout) == (1, "")
        assert failed.stderr.splitlines() == [
            "framebus: sh failed with exit code 3",
            "framebus: stream:wfs>=1: 1 run, 1 failed",
        ]
        killed = call("on", "stream:wfs>=1", "--count", "1", "--", "sh", "-c", "kill -9 $$")
        assert killed.stderr.startswith("framebus: sh was ended by signal 9\n")


def test_a_timeout() -> None:
    result = call("on", "stream:wfs", "--timeout", "50ms", "--", "true")
    assert result.exit_code == 124
    assert result.stderr.splitlines() == [
        "framebus: waiting: there is no stream 'wfs'; there are none",
        "framebus: 'stream:wfs' did not occur within 0.05 s",
    ]


ENDS = pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
"""With the exit code of what had an end of its own; without one it is 0."""


@ENDS
def test_an_end_from_outside_ends_the_command_too(spawn: Spawner, number: int, code: int) -> None:
    with fb.create("wfs", shape=(1,)) as wfs:
        wfs.write([1.0])
        script = (
            "import os, signal; signal.signal(signal.SIGINT, signal.SIG_IGN); "
            "print('pid', os.getpid(), flush=True); input()"
        )
        counted = ("on", "stream:wfs>=1", "--count", "2")
        program = spawn(None, *counted, "--", sys.executable, "-c", script, module="framebus")
        pid = int(program.expect("pid").split()[1])
        program.signal(number)
        assert program.wait() == code
        assert not Path(f"/proc/{pid}").exists()
        assert "Traceback" not in program.errors


@ENDS
def test_a_signal_while_the_command_starts_ends_that(spawn: Spawner, number: int, code: int) -> None:
    with fb.create("wfs", shape=(1,)) as wfs:
        wfs.write([1.0])
        program = spawn(
            """
            import os, subprocess, sys
            from framebus.cli import main

            start = subprocess.Popen.__init__
            def signalled(self, *arguments, **named):
                start(self, *arguments, **named)
                os.kill(os.getpid(), int(sys.argv.pop()))
            subprocess.Popen.__init__ = signalled
            sys.argv[1:-1] = ["on", "stream:wfs>=1", "--count", "2", "--", "sh", "-c", "while :; do sleep 0.05; done"]
            sys.exit(main())
            """,
            str(number),
        )
        assert program.wait() == code  # at the end of all that has its standard output


@ENDS
def test_what_the_command_started_ends_with_it(
    spawn: Spawner, tmp_path: Path, number: int, code: int
) -> None:
    del code  # it goes on until it is told to end
    deeper = f"trap 'echo over > {tmp_path}/said; exit' TERM; echo deep; while :; do sleep 0.05; done"
    with fb.create("wfs", shape=(1,)) as wfs:
        wfs.write([1.0])
        program = spawn(
            None, "on", "stream:wfs>=1", "--", "sh", "-c", 'sh -c "$0" & wait', deeper, module="framebus"
        )
        program.expect("deep")
        program.signal(number)
        assert program.wait() == 0
        assert (tmp_path / "said").read_text() == "over\n"


@pytest.mark.parametrize(
    ("code", "arguments", "said"),
    [
        (2, ["stream:wfs"], "missing argument"),
        (2, ["stream:", "--", "true"], "column 8: expected the name of a stream"),
        (2, ["stream:wfs", "--every", "often", "--", "true"], "'often': expected a number"),
        (2, ["stream:wfs", "--count", "0", "--", "true"], "0 is not in the range"),
        (1, ["stream:wfs>=1", "--", "no-such-program-anywhere"], "No such file or directory"),
    ],
)
def test_what_is_wrong_is_said(code: int, arguments: list[str], said: str) -> None:
    with fb.create("wfs", shape=(1,)) as wfs:
        wfs.write([1.0])
        assert said in error(code, "on", *arguments)
