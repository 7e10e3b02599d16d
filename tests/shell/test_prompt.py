"""The prompt in a terminal, and IPython on a session without one."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import stat
import subprocess
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.errors import UsageError
from framebus.shell.pipe import CommandPipe
from support.commands import PROGRAM
from support.pipelines import COUNT, NEGATIVE, TIMES, Pipelines
from support.processes import Spawner
from support.terminal import Terminal
from support.waiting import until

pytest.importorskip("IPython")

SHAPE = (3, 4)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own: no profile, no history, no startup file of anybody's."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("FRAMEBUS_STARTUP", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    return tmp_path


@pytest.fixture
def im() -> Iterator[fb.Stream]:
    with fb.create("im", shape=SHAPE, dtype="float32") as stream:
        stream.write(np.arange(12).reshape(SHAPE))
        yield stream


def terminal(*arguments: str) -> Terminal:
    command = [*PROGRAM, "shell", *arguments]
    return Terminal(command, columns=100, rows=40, plain=True, NO_COLOR="1", TERM="xterm")


def test_a_prompt(im: fb.Stream, home: Path) -> None:
    (home / "config" / "framebus").mkdir(parents=True)
    (home / "config" / "framebus" / "startup.py").write_text("offset = 2\nwarm = im + offset\n")
    with terminal() as shell:
        shell.wait_text("makes a stream")
        shell.wait_text("In [1]:")
        shell.type("im1 = np.sqrt(im + offset)\r")
        shell.wait_text("In [2]:")
        shell.type("im1\r")
        shell.wait_text("Out[2]: <stream 'im1': 3x4 float32, frame 1, live>")
        shell.wait_text("In [3]:")
        shell.type("%info im1\r")
        shell.wait_text("live  3x4 float32")
        shell.wait_text("In [4]:")
        shell.type("fb.open('gone')\r")
        shell.wait_text("StreamNotFound: no stream 'gone'")
        shell.wait_text("In [5]:")
        shell.type("%when sqrt\r")
        shell.wait_text("[   1]  im1 = np.sqrt(im + offset)")
        shell.wait_text("In [6]:")
        shell.type("%publish off\r")
        shell.wait_text("stay variables")
        shell.wait_text("In [7]:")
        shell.type("s.im1.keyw\t")  # what follows may be drawn without what was there
        shell.wait_text("ords")
        shell.type("\x15\x04")
        assert shell.wait()[0] == 0
    with fb.open("im1") as made, fb.open("warm") as warm:
        np.testing.assert_allclose(made.read(), np.sqrt(im.read() + 2))
        assert warm.count == 1


def test_lines_of_a_pipe_beside_what_is_typed(im: fb.Stream, tmp_path: Path) -> None:
    pipe = tmp_path / "commands"
    with terminal("--fifo", str(pipe)) as shell:
        shell.wait_text("In [1]:")
        assert stat.filemode(pipe.stat().st_mode) == "prw-------"
        shell.type("half =")
        shell.wait_text("half =")
        pipe.write_text("im2 = im * 2\n")
        until(lambda: Path(os.environ["MILK_SHM_DIR"], "im2.im.shm").exists())
        shell.wait_text("[pipe] im2 = im * 2")
        shell.wait_text("In [2]:")  # the number that what is typed will have
        shell.type(" 0.5\r")
        shell.wait_text("In [3]:")
        shell.type("half + float(im2.max())\r")
        shell.wait_text("22.5")
        shell.wait_text("In [4]:")
        pipe.write_text("exit\n")
        assert shell.wait()[0] == 0
    assert not pipe.exists()


def test_a_startup_file_that_fails(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    startup = home / "startup.py"
    monkeypatch.setenv("FRAMEBUS_STARTUP", str(startup))
    for code, said in (
        ("1/0\n", "ZeroDivisionError: division by zero"),
        ("\nfb.open('gone')\n", f"StreamNotFound: {startup}:2: no stream 'gone'"),
    ):
        startup.write_text(code)
        with terminal() as shell:
            assert "sessions.py" not in shell.wait_text(said)
            assert "sessions.py" not in shell.wait_text("In [1]:")
            shell.type("\x04")
            assert shell.wait()[0] == 0


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_a_prompt_in_tmux(im: fb.Stream, tmp_path: Path) -> None:
    """As an operator has it: keys in, and what the screen shows."""
    socket = str(tmp_path / "tmux")

    def tmux(*arguments: str) -> str:
        command = ["tmux", "-S", socket, "-f", "/dev/null", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    def screen() -> str:
        return tmux("capture-pane", "-p", "-t", "shell")

    tmux("new-session", "-d", "-s", "shell", "-x", "80", "-y", "24", *PROGRAM, "shell")
    try:
        until(lambda: "In [1]:" in screen())
        tmux("send-keys", "-t", "shell", "im1 = im + 0.5", "Enter")
        until(lambda: "In [2]:" in screen())
        tmux("send-keys", "-t", "shell", "%calc 'max(im1) * 2'", "Enter")
        until(lambda: "23.0" in screen())
        tmux("send-keys", "-t", "shell", "%ls", "Enter")
        until(lambda: "2 streams in" in screen() and "In [4]:" in screen())  # before it, Ctrl-D is lost
        pid = int(tmux("list-panes", "-t", "shell", "-F", "#{pane_pid}"))
        tmux("send-keys", "-t", "shell", "C-d")
        until(lambda: not Path("/proc", str(pid)).exists())
    finally:
        subprocess.run(["tmux", "-S", socket, "kill-server"], capture_output=True, check=False)


# ---- IPython without a terminal --------------------------------------------------------------------------------------

CELLS = """
import sys
from IPython.core.interactiveshell import InteractiveShell
from framebus.shell import session
from framebus.shell.prompt import _config, configure
shell = InteractiveShell.instance(config=_config(), user_ns=session().namespace)
configure(shell, session())
def cell(code):
    result = shell.run_cell(code, store_history=True)
    print("ok" if result.success else f"failed {type(result.error_in_exec).__name__}", flush=True)
def complete(line):
    print("matches", sorted(shell.complete(None, line)[1]), flush=True)
for line in sys.stdin:
    kind, _, text = line.rstrip("\\n").partition(" ")
    {"cell": cell, "complete": complete}[kind](text)
shell._atexit_once()
"""


def test_cells(im: fb.Stream, pipelines: Pipelines, home: Path, spawn: Spawner) -> None:
    up = pipelines.up(COUNT + NEGATIVE + TIMES)
    shell = spawn(CELLS)

    def cell(code: str) -> None:
        shell.send(f"cell {code}")
        shell.expect("ok")

    cell("print('units', sorted(u)); print(u.times)")
    assert shell.lines[-3] == "units ['count', 'negative', 'times']"
    assert shell.lines[-2].startswith("<unit 'times': running")
    cell("u.times.pause()")
    until(lambda: _state("times") == "paused")
    cell(
        "u.times.step(2); u.times.resume(); print(u.times.parameters.gain, u.times.rate_hz >= 0, u.times.message)"
    )
    until(lambda: _state("times") == "running")
    cell("p.times.gain = 3.5; print('gain', p.times.gain)")
    assert "gain 3.5" in shell.lines
    cell("%pause negative")
    until(lambda: _state("negative") == "paused")
    cell("%fb resume negative")
    until(lambda: _state("negative") == "running")
    cell("u.times.restart()")
    cell("u.times.replace('support.pipeline_units:times', gain=1.5)")
    cell("u['chain/negative'].send('idle')")
    until(lambda: _state("negative") == "paused")
    shell.send("cell u.negative.send('jump')")
    shell.expect("UsageError: there is no event 'jump'")
    cell("%rm gone")
    cell("%wait stream:gone --timeout 0.01")
    cell("%wait stream:gone stream:im>=0 --any --timeout 60")  # exit code 11
    before = len(shell.lines)
    cell("%when %")
    told = {
        line.split("]  ")[1].split("   ")[0]: line.endswith("   failed")
        for line in shell.lines[before:]
        if "]  %" in line
    }
    assert told["%rm gone"]
    assert told["%wait stream:gone --timeout 0.01"]
    assert not told["%wait stream:gone stream:im>=0 --any --timeout 60"]
    assert not told["%fb resume negative"]
    shell.send("cell im = im - gone")
    shell.expect("failed NameError")
    shell.send("cell %calc 'im' 'unquoted")
    shell.expect("UsageError: ")
    shell.send("cell %fb shell")
    shell.expect("UsageError: this is a shell already")
    shell.send("complete u.neg")
    assert shell.expect("matches") == "matches ['u.negative']"
    shell.send("complete p.times.g")
    assert shell.expect("matches") == "matches ['p.times.gain']"
    shell.send("complete x = im")
    assert "'im'" in shell.expect("matches")
    shell.send("complete %info --j")
    assert "'--json'" in shell.expect("matches")
    for line in ("%info i", "info i", "%fb info i"):  # none of Python's words
        shell.send(f"complete {line}")
        assert shell.expect("matches") == "matches ['im']"
    shell.send("complete %paus")
    assert "'%pause'" in shell.expect("matches")
    cell("u.negative.stop()")
    shell.end_input()
    assert shell.wait() == 0
    assert all(line.startswith("framebus: ") for line in shell.errors.splitlines())
    subprocess.run([*PROGRAM, "down"], check=True, capture_output=True)
    assert up.wait() == 0


def test_errors_of_cells_are_one_line(im: fb.Stream, spawn: Spawner) -> None:
    shell = spawn(CELLS)

    def failed(code: str) -> list[str]:
        before = len(shell.lines)
        shell.send(f"cell {code}")
        shell.expect("failed")
        return shell.lines[before:]

    assert failed("p.nix")[0].startswith("NoSuchName: no parameter set 'nix'")
    assert failed("u.nix")[0].startswith("NoSuchName: no unit 'nix'")
    assert failed("s.nix.read()")[0].startswith("NoSuchStream: no stream 'nix'")
    assert failed("im.nix")[0].startswith("NoSuchName: stream 'im' has no attribute 'nix'")
    assert failed("imm + 1")[0] == "NameError: no variable and no stream 'imm'; did you mean 'im'?"
    assert failed("sqtr(im)")[0] == "NameError: no variable and no stream 'sqtr'; did you mean 'sqrt'?"
    assert failed("del im")[0] == "NameError: 'im' is a stream, no variable; '%rm im' removes it"
    assert all(
        len(failed(code)) == 2 for code in ("p.nix", "u.nix", "s.nix.read()", "im.nix", "imm + 1", "del im")
    )
    shell.send("cell f = lambda: imm + 1")
    shell.expect("ok")
    told = failed("f()")  # in a function: where, too
    assert told[-2] == "NameError: no variable and no stream 'imm'; did you mean 'im'?"
    assert any("f = lambda: imm + 1" in line for line in told)
    assert len(failed("import json; json.loads('{')")) > 3
    shell.end_input()
    assert shell.wait() == 0


def _state(unit: str) -> str:
    from framebus.pipeline.running import find_unit

    return find_unit(unit).state


def test_magics_of_ipython_stay(spawn: Spawner) -> None:
    shell = spawn(CELLS)
    shell.send("cell %run?")
    shell.expect("ok")
    shell.send(
        "cell print(get_ipython().find_line_magic('run').__module__, get_ipython().find_line_magic('ls').__module__)"
    )
    assert shell.expect("IPython") == "IPython.core.magics.execution framebus.shell.magics"
    shell.send("cell %publish maybe")
    shell.expect("UsageError: %publish maybe: expected 'on' or 'off'")
    shell.send("cell %when -n many")
    shell.expect("UsageError: %when -n takes a number")
    shell.end_input()
    assert shell.wait() == 0


# ---- the pipe --------------------------------------------------------------------------------------------------------


def test_commands_without_a_terminal(im: fb.Stream, tmp_path: Path) -> None:
    pipe = tmp_path / "commands"
    program = subprocess.Popen(
        [*PROGRAM, "shell", "--fifo", str(pipe)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    with program:
        assert program.stdout is not None
        assert program.stdout.readline() == f"commands come through {pipe}; 'exit' ends it\n"
        pipe.write_text("im2 = im + 1\n1/0\nfb.open('gone')\n%calc 'max(im2)'\nexit\n")
        said, _ = program.communicate(timeout=60)
    assert program.returncode == 0
    assert "ZeroDivisionError" in said
    assert "StreamNotFound: no stream 'gone'" in said
    assert "[pipe] %calc 'max(im2)'\n12.0\n" in said
    assert "\x1b" not in said
    assert not pipe.exists()


def test_a_shell_without_a_home_that_it_can_write_to(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "IPYTHONDIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, "/proc/no/place")
    with terminal() as shell:
        shell.wait_text("no history is kept: $XDG_STATE_HOME or ~/.local/state cannot be written to")
        shell.wait_text("In [1]:")
        shell.type("%when\r")
        shell.wait_text("In [2]:")
        shell.type("%when w*n\r")
        shell.wait_text("[   1]  %when")
        shell.wait_text("In [3]:")
        shell.type("\x04")
        assert shell.wait()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_removes_the_pipe(tmp_path: Path, number: signal.Signals) -> None:
    pipe = tmp_path / "commands"
    command = [*PROGRAM, "shell", "--fifo", str(pipe)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        program.stdout.readline()
        program.send_signal(number)
        program.communicate(timeout=60)
    assert program.returncode == 0
    assert not pipe.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_within_a_line_ends_it_too(tmp_path: Path, number: signal.Signals) -> None:
    pipe = tmp_path / "commands"
    command = [*PROGRAM, "shell", "--fifo", str(pipe)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        program.stdout.readline()
        (tmp_path / "waiting.py").write_text(
            "import threading\n\n\ndef wait():\n"
            "    print('waits', flush=True)\n"
            "    while not threading.Event().wait(0.05):\n"
            "        pass  # a signal that comes just before a sleep begins is served after it\n"
        )
        pipe.write_text(
            f"import sys; sys.path.append({str(tmp_path)!r}); from waiting import wait; wait()\n"
            "print('went' + ' on')\n"
        )
        assert program.stdout.readline().startswith("[pipe] ")
        assert program.stdout.readline() == "waits\n"
        program.send_signal(number)
        said, _ = program.communicate(timeout=60)
    assert program.returncode == 0
    assert "KeyboardInterrupt" in said
    assert "went on" not in said
    assert not pipe.exists()


def test_lines_of_a_pipe(tmp_path: Path) -> None:
    found: list[str] = []
    path = tmp_path / "commands"
    os.mkfifo(path, 0o600)
    with CommandPipe(path) as pipe:
        thread = threading.Thread(target=lambda: found.extend(pipe.lines()))
        thread.start()
        with path.open("wb") as writer:
            writer.write(b"one\ntw")
        with path.open("wb") as writer:
            writer.write(b"o\n\xff\n")
        until(lambda: _drained(pipe))
        pipe.stop()
        thread.join()
    assert found == ["one", "two", "\ufffd"]
    assert path.exists()  # it was not made here


def test_a_line_that_is_too_long_is_left_out_whole(tmp_path: Path) -> None:
    path = tmp_path / "commands"
    long = b"x = 1  # " + b"-" * (1 << 20)

    def write() -> None:
        path.write_bytes(long + b"; remove_everything()\n" + b"one\n" + long * 2 + b"\ntwo\n")

    with CommandPipe(path) as pipe:
        thread = threading.Thread(target=write)
        thread.start()
        told = "# a line of more than 1048576 bytes was left out"
        assert list(islice(pipe.lines(), 4)) == [told, "one", told, "two"]
        thread.join()


def test_a_pipe_that_cannot_be_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(flags: int) -> tuple[int, int]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(os, "pipe2", refuse)
    with pytest.raises(OSError, match="Too many open files"):
        CommandPipe(tmp_path / "commands")
    assert not (tmp_path / "commands").exists()
    assert os.listdir("/proc/self/fd") == before


def _drained(pipe: CommandPipe) -> bool:
    import array
    import fcntl
    import termios

    left = array.array("i", [0])
    fcntl.ioctl(pipe._descriptor, termios.FIONREAD, left)
    return left[0] == 0


def test_pipes_that_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is no named pipe"):
        CommandPipe(tmp_path / "file")
    os.mkfifo(tmp_path / "open")
    for mode in (0o602, 0o620):
        (tmp_path / "open").chmod(mode)
        with pytest.raises(UsageError, match="other users could give commands; 'chmod go-w'"):
            CommandPipe(tmp_path / "open")
    (tmp_path / "link").symlink_to(tmp_path / "open")
    with pytest.raises(OSError, match="link"):
        CommandPipe(tmp_path / "link")
    with pytest.raises(FileNotFoundError):
        CommandPipe(tmp_path / "nowhere" / "commands")
