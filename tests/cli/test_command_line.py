"""What holds for every command: help, errors, exit codes, outputs that are terminals, pipes, or gone."""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import pty
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import framebus as fb
from framebus import errors
from framebus.cli import main
from framebus.cli.lazy import Entry, LazyGroup
from framebus.cli.root import SECTIONS
from framebus.places import shm_directory
from support.commands import PROGRAM, call, error, output


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``framebus ARGUMENTS`` as a program of its own."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | environment,
        check=False,
    )


def in_terminal(*arguments: str, columns: int, **environment: str) -> str:
    """What a program of its own writes to a terminal of so many columns."""
    leader, follower = pty.openpty()
    try:
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        env = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS", "FORCE_COLOR")}
        env |= {"TERM": "xterm-256color", **environment}
        subprocess.run([*PROGRAM, *arguments], stdout=follower, env=env, timeout=60, check=True)
        os.close(follower)
        follower = -1
        written = b""
        while chunk := _read(leader):
            written += chunk
        return written.decode().replace("\r\n", "\n")
    finally:
        os.close(leader)
        if follower >= 0:
            os.close(follower)


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65536)
    except OSError:  # Linux's way to say that nobody holds the other side any more
        return b""


COMMANDS = {name: entry for part in SECTIONS.values() for name, entry in part.items()}


# ---- what there is ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_help_lists_every_command(arguments: list[str]) -> None:
    printed = output(*arguments)
    for name, entry in COMMANDS.items():
        assert f"  {name} " in printed
        assert entry.help in printed


def test_version() -> None:
    assert output("--version") == f"framebus {fb.__version__}\n"


# ---- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nope"], "no such command 'nope'; 'framebus --help' tells what there is"),
        (["--nope"], "no such option '--nope'; 'framebus --help' tells what there is"),
        (["ls", "--nope"], "no such option '--nope'; 'framebus ls --help' tells what there is"),
        (
            ["latency-audit", "--seconds", "abc"],
            "invalid value for '--seconds': 'abc' is no number; 'framebus latency-audit --help' tells what there is",
        ),
    ],
)
def test_a_wrong_command_line_is_one_line(arguments: list[str], said: str) -> None:
    assert (
        error(2, *arguments).replace("option: ", "option ").replace(" --nope;", " '--nope';").endswith(said)
    )


def failing(exception: BaseException) -> Callable[[], None]:
    def fail() -> None:
        raise exception

    return fail


@pytest.mark.parametrize(
    ("exception", "code", "said"),
    [
        (errors.UsageError("wrong"), 2, "wrong"),
        (errors.NameFormatError("wrong name"), 2, "wrong name"),
        (errors.StreamNotFound("nothing there"), 3, "nothing there"),
        (errors.StreamFormatError("bad bytes"), 4, "bad bytes"),
        (errors.PeerError("it died"), 1, "it died"),
        (errors.WaitTimeout("too late"), 1, "too late"),
        (errors.UnitError("two\n  lines"), 1, "two lines"),
        (errors.UnitError("\x1b[2Jnone"), 1, "\\x1b[2Jnone"),
        (errors.UnitError(), 1, "UnitError"),
        (
            PermissionError(13, "Permission denied", "/dev/shm/x"),
            1,
            "[Errno 13] Permission denied: '/dev/shm/x'",
        ),
        (click.ClickException("it says"), 1, "it says"),
        (
            ModuleNotFoundError("no", name="numba"),
            1,
            "this command needs numba, which is not installed: pip install 'framebus[all]'",
        ),
    ],
)
def test_every_kind_of_error_has_its_exit_code_and_one_line(
    exception: Exception, code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("framebus.stream.streams", failing(exception))
    assert error(code, "ls") == f"framebus: error: {said}"


@pytest.mark.parametrize(
    "exception", [RuntimeError("a bug"), ModuleNotFoundError("a bug", name="framebus.nope")]
)
def test_a_bug_keeps_its_traceback(exception: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("framebus.stream.streams", failing(exception))
    with pytest.raises(type(exception), match="a bug"):
        call("ls")


@pytest.mark.parametrize(
    "arguments", [["--debug", "info", "nope"], ["info", "--debug", "nope"], ["info", "nope", "--debug"]]
)
def test_debug_shows_the_traceback(arguments: list[str]) -> None:
    result = call(*arguments)
    assert result.exit_code == 3
    assert "Traceback (most recent call last)" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("framebus: error: no stream 'nope'")


def test_a_directory_that_is_none_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "go\x1bne"
    monkeypatch.setenv("MILK_SHM_DIR", str(gone))
    said = f"MILK_SHM_DIR is no directory: {tmp_path}/go\\x1bne; {shm_directory()} is used"
    warning = f"framebus: warning: {said}"
    told = call("units", "--json")
    assert (told.exit_code, told.stderr.splitlines()) == (0, [warning])
    assert call("units").stderr == ""  # as one prompt would have it before each command
    for arguments in (["--help"], ["completion", "bash"], []):
        monkeypatch.setenv("MILK_SHM_DIR", f"{gone}{len(arguments)}")
        assert call(*arguments).stderr == ""
    monkeypatch.setenv("MILK_SHM_DIR", "")
    assert call("units").stderr == ""


def test_an_interrupt_ends_quietly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: failing(KeyboardInterrupt())())
    with fb.create("wfs", shape=(1,)):
        result = call("ls", "--rate")
    assert (result.exit_code, result.stdout, result.stderr.strip()) == (130, "", "")


def test_a_command_may_return_its_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    module = type(sys)("extra_command")
    module.extra = click.Command("extra", callback=lambda: 5)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "extra_command", module)
    group = LazyGroup("framebus", table={"extra": Entry("extra_command:extra", "Does little.")})
    assert group.main(["extra"], prog_name="framebus", standalone_mode=False) == 5
    with pytest.raises(SystemExit, match="5"):
        group.main(["extra"], prog_name="framebus")


# ---- a program of its own --------------------------------------------------------------------------------------------


def test_exit_codes_and_streams_of_the_program(shm_dir: Path) -> None:
    (shm_dir / "junk.im.shm").write_bytes(b"x" * 500)
    done = run("ls", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert [info["name"] for info in json.loads(done.stdout)] == ["junk"]
    for code, arguments in ((2, ["ls", "--nope"]), (3, ["info", "nope"]), (4, ["info", "junk"])):
        done = run(*arguments)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (code, "", 1)


def test_the_installed_program_is_this_one() -> None:
    script = Path(sys.executable).with_name("framebus")
    if not script.exists():
        pytest.skip(f"{script} is not installed")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"framebus {fb.__version__}\n"


@pytest.mark.parametrize("arguments", [["ls"], ["ls", "--json"], ["info", "wfs"], ["--help"]])
def test_nobody_reading_the_output_is_no_reason_to_complain(arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    with fb.create("wfs", shape=(1,)):
        done = subprocess.run(
            [*PROGRAM, *arguments], stdout=write, stderr=subprocess.PIPE, timeout=60, check=False
        )
    os.close(write)
    assert (done.returncode, done.stderr) == (1, b"")


def test_an_output_that_has_not_all_letters_is_written_all_the_same() -> None:
    with fb.create("größe", shape=(1,)) as stream:
        stream.write([1.0])
        done = run("ls", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.returncode == 0
    assert "gr\\xf6\\xdfe" in done.stdout


def test_in_a_narrow_terminal_names_are_never_cut() -> None:
    name = "dm_commands_after_clipping_and_offload"
    with fb.create(name, shape=(12, 12)) as stream:
        stream.write([[0.0] * 12] * 12)
        shown = in_terminal("ls", columns=80, NO_COLOR="1")
        coloured = in_terminal("ls", columns=120)
    assert max(map(len, shown.splitlines())) <= 80
    header, row, left_out, _ = shown.splitlines()
    assert row.split()[0] == name
    assert "PROCESS" not in header
    assert "PROCESS" in left_out
    assert "\x1b" not in shown
    assert "\x1b[32mlive" in coloured
    assert name in coloured
    assert "PROCESS" in coloured


def test_a_pipe_gets_neither_colours_nor_wrapped_lines() -> None:
    with fb.create("a" * 79, shape=(1,)):
        done = run("ls", COLUMNS="40", TERM="xterm-256color")
    assert "\x1b" not in done.stdout
    assert len(done.stdout.splitlines()) == 3


# ---- what it needs, and what it leaves alone -------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["rich", "click"])
def test_without_the_libraries_it_says_how_to_get_them(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    assert main() == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == (
        f"framebus: error: commands need {missing}, which is not installed: pip install 'framebus[cli]'\n"
    )


def test_a_program_without_the_libraries_exits_with_1() -> None:
    source = "import sys; sys.modules['click'] = None\nfrom framebus.cli import main\nsys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--help"], ["numpy", "framebus._core", "rich.console", "framebus.stream"]),
        (["ls"], ["numba", "scipy", "astropy", "matplotlib", "framebus.cli.demo", "framebus.unit"]),
        (["info", "wfs"], ["numba", "scipy", "astropy", "matplotlib", "framebus.unit"]),
    ],
)
def test_a_command_loads_no_more_than_it_needs(arguments: list[str], unwanted: list[str]) -> None:
    source = (
        "import sys\nfrom framebus.cli import main\ncode = main()\nprint(code, *sys.modules, file=sys.stderr)"
    )
    with fb.create("wfs", shape=(1,)):
        done = subprocess.run(
            [sys.executable, "-c", source, *arguments], capture_output=True, text=True, timeout=60, check=True
        )
    code, *loaded = done.stderr.split()
    assert code == "0"
    assert not set(unwanted) & set(loaded)


def test_every_command_is_where_the_table_says() -> None:
    for entry in COMMANDS.values():
        module, _, attribute = entry.target.partition(":")
        assert isinstance(getattr(importlib.import_module(module), attribute), click.Command)
