"""How a sequence ends when whoever watched it goes away, and when it is told twice."""

from __future__ import annotations

import array
import fcntl
import signal
import subprocess
import termios
from pathlib import Path
from typing import Any

import pytest

from framebus.sequence import find, running
from support.commands import PROGRAM
from support.processes import Spawner
from support.terminal import Terminal
from support.waiting import until

HEAD = "import asyncio\nfrom framebus.sequence import *\n"
CLEANS = """
@sequence
async def main(mark: str):
    step("waiting")
    try:
        await pause(1000)
    finally:
        print("cleaning", flush=True)
        step("cleaning up")
        open(mark, "w").close()
        print("cleaned", flush=True)
"""


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write_file(body: str) -> str:
        path = tmp_path / "work.py"
        path.write_text(HEAD + body)
        return str(path)

    return write_file


def at_step(step: str) -> bool:
    return any(status.name == "work" and status.step == step for status in running())


@pytest.mark.parametrize("options", [(), ("--quiet",), ("--json",)])
def test_a_terminal_that_closes_stops_it(write: Any, tmp_path: Path, options: tuple[str, ...]) -> None:
    mark = tmp_path / "cleaned"
    with Terminal([*PROGRAM, "seq", "run", write(CLEANS), f"mark={mark}", *options]) as terminal:
        until(lambda: at_step("waiting"))
        terminal.hang_up()
        assert terminal.process.wait(60) == 129
    status = find("work")
    assert (status.state, status.error) == ("stopped", "")
    assert mark.exists()


def test_a_terminal_that_closes_twice_is_told_once(spawn: Spawner, write: Any) -> None:
    """The kernel tells the foreground's processes, and the shell tells its jobs again."""
    body = """
@sequence
async def main():
    step("waiting")
    try:
        await pause(1000)
    finally:
        step("cleaning up")
        print("cleaned by", (await receive()).content, flush=True)
"""
    process = spawn(None, "seq", "run", write(body), module="framebus")
    until(lambda: at_step("waiting"))
    process.signal(signal.SIGHUP)
    until(lambda: at_step("cleaning up"))
    process.signal(signal.SIGHUP)
    subprocess.run([*PROGRAM, "seq", "send", "work", "hand"], check=True)
    assert process.wait() == 129
    assert "cleaned by hand" in process.lines
    assert find("work").state == "stopped"


def test_goes_on_quietly_when_nobody_reads_it_any_more(write: Any) -> None:
    body = """
@sequence
async def main():
    for i in range(2000):
        log(f"line {i}")
        print("and more")
    await pause(0)
    return 0
"""
    with subprocess.Popen(
        [*PROGRAM, "seq", "run", write(body)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert b"begins" in process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0
    status = find("work")
    assert (status.state, status.message) == ("done", "line 1999")


def test_a_second_signal_ends_it_where_its_output_is_blocked(write: Any) -> None:
    body = """
@sequence
async def main():
    step("waiting")
    try:
        await pause(1000)
    finally:
        step("cleaning up")
        while True:
            log("x" * 1000)
"""
    with subprocess.Popen([*PROGRAM, "seq", "run", write(body)], stdout=subprocess.PIPE) as process:
        until(lambda: at_step("waiting"))
        process.send_signal(signal.SIGINT)
        until(lambda: unread(process) > 60_000)  # from here on it hangs in writing a line
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(60) == 130
        finally:
            process.kill()
    status = find("work")
    assert (status.state, status.error) == ("stopped", "the process was ended before the cleanup was over")
    assert "before the cleanup was over" in Path(status.log).read_text().splitlines()[-1]


def unread(process: subprocess.Popen[bytes]) -> int:
    """Bytes in the pipe of its output."""
    assert process.stdout is not None
    found = array.array("i", [0])
    fcntl.ioctl(process.stdout, termios.FIONREAD, found)
    return found[0]


def test_ctrl_c_stops_what_a_program_runs(spawn: Spawner, write: Any, tmp_path: Path) -> None:
    process = spawn(
        f"""
        from framebus.sequence import run_file
        try:
            run_file({write(CLEANS)!r}, {{"mark": {str(tmp_path / "cleaned")!r}}})
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        """
    )
    until(lambda: at_step("waiting"))
    process.signal(signal.SIGINT)
    process.expect("cleaned")
    process.expect("interrupted")
    assert process.wait() == 0
    status = find("work")
    assert (status.state, status.error) == ("stopped", "")
