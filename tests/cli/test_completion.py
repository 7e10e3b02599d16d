"""Completion: what each kind of name offers, and real shells that ask for it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import framebus as fb
from framebus.cli import complete
from framebus.cli.complete import Completer
from framebus.cli.completion import SHELLS
from framebus.process import ProcessRecord
from support.commands import PROGRAM, error, output
from support.processes import Spawner
from support.terminal import Terminal

SCRIPT = Path(sys.executable).with_name("framebus")


def offered(completer: Completer, incomplete: str = "", given: tuple[str, ...] | None = None) -> list[str]:
    """What a completer offers for an argument that has ``given`` already; files as ``kind:value``."""
    argument = click.Argument(["names"], nargs=1 if given is None else -1)
    ctx = click.Context(click.Command("any"))
    ctx.params = {"names": given}
    items = completer(ctx, argument, incomplete)
    return [str(item.value) if item.type == "plain" else f"{item.type}:{item.value}" for item in items]


def asked(line: str, shell: str = "bash", **environment: str) -> subprocess.CompletedProcess[str]:
    """The program's answer to a shell's script, for a line that ends at the cursor."""
    words = line.split(" ")
    asks = {
        "_FRAMEBUS_COMPLETE": f"{shell}_complete",
        "FRAMEBUS_COMP_LINE": line,
        "FRAMEBUS_COMP_BREAKS": " \t\n\"'@><=;|&(:",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1) if shell == "zsh" else words[-1],
    }
    env = os.environ | asks | environment
    return subprocess.run(PROGRAM, capture_output=True, text=True, timeout=60, env=env, check=False)


def answers(line: str) -> list[str]:
    """Bash's answers to a line."""
    done = asked(line)
    assert (done.returncode, done.stderr) == (0, "")
    return [answer.removeprefix("plain,") for answer in done.stdout.splitlines()]


@pytest.fixture
def streams(shm_dir: Path) -> None:
    for name in ("wfs", "wfs_dark", "dm"):
        fb.create(name, shape=(2,)).close()


# ---- names -----------------------------------------------------------------------------------------------------------


def test_streams_are_those_in_shared_memory(streams: None, shm_dir: Path) -> None:
    (shm_dir / ".hidden.im.shm").touch()
    (shm_dir / "bad.im.shm").touch()  # 'info' tells what is wrong with it, and 'rm' removes it
    assert offered(complete.stream_names) == ["bad", "dm", "wfs", "wfs_dark"]
    assert offered(complete.stream_names, "w") == ["wfs", "wfs_dark"]
    assert offered(complete.stream_names, "x") == []


def test_nothing_is_said_of_a_directory_that_is_none() -> None:
    for line in ("framebus unit", "framebus info no"):
        assert asked(line, MILK_SHM_DIR="/no/such/place").stderr == ""


def test_modifiers_and_types_before_a_name_stay(streams: None) -> None:
    assert offered(complete.stream_names, "@E:tf32>wfs_") == ["@E:tf32>wfs_dark"]
    assert offered(complete.assigned_stream_names, "image=d") == ["image=dm"]
    assert offered(complete.assigned_stream_names, "d") == ["dm"]


def test_an_argument_that_takes_several_gets_none_twice(streams: None) -> None:
    assert offered(complete.stream_names, "w", given=("wfs", "dm")) == ["wfs_dark"]


def test_a_path_is_completed_as_a_path(streams: None, tmp_path: Path) -> None:
    for name in ("one.im.shm", "two.toml", "three.fits"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    assert offered(complete.stream_names, f"{tmp_path}/") == [f"{tmp_path}/folder/", f"{tmp_path}/one.im.shm"]
    assert offered(complete.fits_or_stream_names, f"{tmp_path}/t") == [f"{tmp_path}/three.fits"]
    assert offered(complete.pipeline_files, f"{tmp_path}/t") == [f"{tmp_path}/two.toml"]
    assert offered(complete.stream_names, f"{tmp_path}/none") == [f"file:{tmp_path}/none"]


def test_pipeline_files_and_those_that_ship(tmp_path: Path) -> None:
    (tmp_path / "loop.toml").touch()
    (tmp_path / ".dotted.toml").touch()
    with contextlib.chdir(tmp_path):
        assert offered(complete.pipeline_files) == ["demo", "loop.toml"]
        assert offered(complete.pipeline_files, ".d") == [".dotted.toml"]


def test_parameters_are_named_with_their_set(shm_dir: Path) -> None:
    fb.Params.create("loop", {"gain": 0.3, "leak": 1.0}).close()
    fb.Params.create("guard", {"limit": 5}).close()
    (shm_dir / "bad.params.fb").write_bytes(b"x")
    assert offered(complete.param_set_names) == ["bad", "guard", "loop"]
    assert offered(complete.param_names) == ["guard.limit", "loop.gain", "loop.leak"]
    assert offered(complete.param_names, "loop.g") == ["loop.gain"]
    assert offered(complete.param_assignments, "loop.l") == ["loop.leak="]


def test_conditions_are_a_kind_and_a_name(streams: None, shm_dir: Path) -> None:
    fb.Params.create("loop", {"gain": 0.3}).close()
    assert offered(complete.condition_names) == ["param:", "pipeline:", "stream:", "unit:"]
    assert offered(complete.condition_names, "stream:w") == ["stream:wfs", "stream:wfs_dark"]
    assert offered(complete.condition_names, "param:l") == ["param:loop", "param:loop.gain"]
    assert offered(complete.condition_names, "nothing:l") == []
    assert "unit:" not in offered(complete.filter_names)
    assert offered(complete.filter_names, "str") == ["streams"]
    assert offered(complete.filter_names, "stream:wfs_") == ["stream:wfs_dark"]


def test_sets_stand_beside_parameters_and_streams(streams: None) -> None:
    fb.Params.create("loop", {"gain": 0.3}).close()
    assert offered(complete.param_or_set_names) == ["loop", "loop.gain"]
    assert offered(complete.stream_or_set_names) == ["dm", "loop", "wfs", "wfs_dark"]


def test_the_last_name_of_an_expression_is_completed(streams: None) -> None:
    fb.create("wfs-2", shape=(1,)).close()  # would be read as a difference
    assert offered(complete.expression_names, "clean = wf") == ["clean = wfs", "clean = wfs_dark"]
    assert offered(complete.expression_names, "wfs - d") == ["wfs - dm"]
    assert answers("framebus calc 'clean = wfs_") == ["clean = wfs_dark"]


def test_keywords_are_those_of_the_stream_before() -> None:
    with fb.create("wfs", shape=(2,), keywords={"FRATE": 1000.0, "FILTER": "R"}):
        assert answers("framebus keyword get wfs F") == ["FILTER", "FRATE"]
        assert answers("framebus keyword get nope F") == []
        assert answers("framebus keyword set wfs FR") == ["FRATE"]


def test_sequences_are_those_that_are_known(shm_dir: Path) -> None:
    (shm_dir / "calibrate.sequence.fb").mkdir()
    assert offered(complete.sequence_names, "c") == ["calibrate"]
    assert "calibrate" in offered(complete.sequence_files, "c")  # comes with framebus


def test_units_are_those_whose_process_lives_and_those_of_pipelines(shm_dir: Path, spawn: Spawner) -> None:
    gone = spawn(
        """
        from framebus.process import ProcessRecord
        record = ProcessRecord.create("gone")
        print("ready", flush=True)
        input()
        """
    )
    gone.expect("ready")
    gone.kill()
    folder = shm_dir / "loop.pipeline.fb"
    folder.mkdir()
    state = {"processes": {"a": {"units": ["camera"]}, "b": {"units": ["slopes", "control"]}}}
    (folder / "state.json").write_text(json.dumps(state))
    (shm_dir / "torn.pipeline.fb").mkdir()
    (shm_dir / "torn.pipeline.fb" / "state.json").write_text("{")
    with ProcessRecord.create("camera") as record:
        assert offered(complete.unit_names) == ["camera", "control", "slopes"]
        assert offered(complete.unit_names, "loop/") == ["loop/camera", "loop/control", "loop/slopes"]
        assert offered(complete.log_names, "loop/s") == ["loop/slopes", "loop/supervisor"]
        assert offered(complete.pipeline_names) == ["loop", "torn"]
        record.remove()


def test_units_of_one_name_are_told_apart_by_their_process(shm_dir: Path) -> None:
    for pid in (os.getpid(), os.getppid()):
        (shm_dir / f"camera.{pid}.proc.fb").touch()
    names = sorted(f"camera.{pid}" for pid in (os.getpid(), os.getppid()))
    assert offered(complete.unit_names) == names


def test_installed_units(tmp_path: Path) -> None:
    (tmp_path / "denoise.py").touch()
    with contextlib.chdir(tmp_path):
        assert "framebus.ao:leaky_integrator" in offered(complete.installed_unit_names, "framebus.ao:l")
        assert offered(complete.installed_unit_names, "deno") == ["denoise.py"]


def failing(*_: object) -> None:
    """Whatever a bug may raise."""
    raise RuntimeError("a bug")


NAMES = [name for name in complete.__all__ if name != "keyword_names"]  # which needs a stream before it
ALL = [getattr(complete, name) for name in NAMES]


@pytest.mark.parametrize("completer", ALL, ids=NAMES)
def test_nothing_that_goes_wrong_is_raised_or_printed(
    completer: Completer, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("framebus.places.shm_directory", lambda: Path("/no/such/place"))
        assert isinstance(offered(completer, "/no/such/file"), list)
        assert isinstance(offered(completer, "\x1b[2J\udcff"), list)
        patch.setattr("os.scandir", failing)
        assert offered(completer, "x") == []
    assert capfd.readouterr() == ("", "")


# ---- what the program answers ----------------------------------------------------------------------------------------


def test_commands_are_completed_from_the_tables_alone() -> None:
    source = "import sys\nfrom framebus.cli import main\nmain()\nprint(*sys.modules, file=sys.stderr)"
    env = os.environ | {"_FRAMEBUS_COMPLETE": "bash_complete", "FRAMEBUS_COMP_LINE": "framebus res"}
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, env=env, check=True
    )
    assert done.stdout.splitlines() == ["plain,restart", "plain,resume"]
    assert not {"numpy", "framebus._core", "framebus.cli.steer", "rich.console"} & set(done.stderr.split())


@pytest.mark.parametrize("line", ["framebus copy w", "framebus info w", "framebus watch w"])
def test_names_are_completed_without_numpy(line: str, streams: None) -> None:
    source = "import sys\nfrom framebus.cli import main\nmain()\nprint(*sys.modules, file=sys.stderr)"
    env = os.environ | {"_FRAMEBUS_COMPLETE": "bash_complete", "FRAMEBUS_COMP_LINE": line}
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, timeout=60, env=env, check=True
    )
    assert done.stdout.splitlines() == ["plain,wfs", "plain,wfs_dark"]
    assert not {"numpy", "numba"} & set(done.stderr.split())


def test_bash_gets_what_it_does_not_keep_itself(streams: None) -> None:
    assert answers("framebus info @E:wfs_") == ["wfs_dark"]
    assert answers("framebus run a:b --in image=wfs_") == ["wfs_dark"]
    assert answers("framebus copy --dialect=i") == ["isio"]
    assert answers("framebus ao dark wfs_") == ["wfs_dark"]
    assert answers("framebus rm wfs w") == ["wfs_dark"]
    assert answers("framebus ls --ra") == ["--rate"]


def test_what_a_shell_would_take_for_something_else_is_escaped(shm_dir: Path) -> None:
    fb.create("a&b$(c)", shape=(1,)).close()
    assert answers("framebus info a") == ["a\\&b\\$\\(c\\)"]
    assert answers("framebus info 'a") == ["a&b$(c)"]


def test_zsh_and_fish_get_names_and_the_commands_help(streams: None) -> None:
    assert asked("framebus info wfs_", "zsh").stdout == "plain\nwfs_dark\n_\n"
    assert asked("framebus info wfs_", "fish").stdout == "plain,wfs_dark\n"
    assert asked("framebus inf", "fish").stdout == "plain,info\tTell everything about one stream.\n"


@pytest.mark.parametrize("instruction", ["nushell_complete", "nonsense", "bash_nonsense"])
def test_an_instruction_that_is_not_known_prints_nothing(instruction: str) -> None:
    done = asked("framebus info ", _FRAMEBUS_COMPLETE=instruction)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize("line", ["", "framebus", "framebus nope x", "framebus info 'w", "framebus --nope "])
def test_an_odd_line_prints_no_message(line: str) -> None:
    assert asked(line).stderr == ""


# ---- shells ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_says_where_to_put_it(shell: str) -> None:
    printed = output("completion", shell)
    assert f"framebus completion {shell} > " in printed
    source = asked("", _FRAMEBUS_COMPLETE=f"{shell}_source")
    assert source.stdout == printed
    if shell == "zsh":
        assert printed.startswith("#compdef framebus\n")


def test_another_shell_is_refused() -> None:
    assert "'nushell' is not one of 'bash', 'zsh', 'fish'" in error(2, "completion", "nushell")


STARTS = {
    "bash": (["--norc", "--noprofile", "-i"], ["PS1='ready> '", 'eval "$(framebus completion bash)"']),
    "zsh": (
        ["-f", "-i"],
        ["PS1='ready> '", "autoload -U compinit; compinit -D -u", 'eval "$(framebus completion zsh)"'],
    ),
    "fish": (
        ["--no-config", "--private", "-i"],
        ["function fish_prompt; echo 'ready> '; end", "framebus completion fish | source"],
    ),
}


@pytest.fixture(params=STARTS)
def shell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Terminal]:
    """A real shell in a terminal, with the completion loaded."""
    program = shutil.which(request.param)
    if program is None:
        pytest.skip(f"{request.param} is not installed")
    if not SCRIPT.exists():
        pytest.skip(f"{SCRIPT} is not installed")
    options, lines = STARTS[request.param]
    path = f"{SCRIPT.parent}{os.pathsep}{os.environ['PATH']}"
    with Terminal([program, *options], columns=120, PATH=path, HOME=str(tmp_path), HISTFILE=None) as terminal:
        for line in lines:
            terminal.type(f"{line}\r")
        terminal.type("echo load''ed\r")
        terminal.wait_text("loaded")
        terminal.wait_text("ready> ")
        yield terminal


def test_a_shell_completes_the_name_of_a_live_stream(shell: Terminal) -> None:
    with fb.create("wavefront_sensor", shape=(2,)):
        shell.type("framebus info wavef\t")
        shell.wait_text("ront_sensor")
        shell.type("\r")
        shell.wait_text("float32")  # the command line was one that 'info' understands


def test_a_shell_completes_a_command_and_its_option(shell: Terminal) -> None:
    shell.type("framebus res")
    shell.wait_text("res")
    shell.type("\t\t")
    shell.wait_text("resume")
    shell.type("\x15framebus completion --hel\t")
    shell.wait_text("--help")
