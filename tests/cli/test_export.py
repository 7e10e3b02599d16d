"""``framebus export systemd``: a service that keeps a pipeline, and what to do with it."""

from __future__ import annotations

import configparser
import contextlib
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from framebus.cli import systemd
from framebus.errors import UsageError
from framebus.pipeline.plan import PipelinePlan, SupervisionPlan, UnitPlan
from support.commands import answer, error, output

PIPELINE = """
name = "loop"
[units.ticks]
use = "support.units:ticks"
streams = { value = "ticks" }
trigger = "delay"
period_s = 0.01
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working directory, with a pipeline file; no directory of the user's own is touched."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    work = tmp_path / "my work 100%"
    work.mkdir()
    (work / "loop.toml").write_text(PIPELINE)
    with contextlib.chdir(work):
        yield work


def settings(path: Path) -> configparser.ConfigParser:
    """A file of systemd, as far as Python's parser goes."""
    found = configparser.ConfigParser(interpolation=None, comment_prefixes=("#",), strict=False)
    found.optionxform = str  # type: ignore[assignment,method-assign]
    found.read_string(path.read_text())
    return found


def service_of(plan: PipelinePlan, file: Path, *arguments: str, **environment: str) -> str:
    """Text of the service."""
    return systemd.units_for(plan, file, arguments, environment)[0].text


# ---- what is written -------------------------------------------------------------------------------------------------


def test_the_service_runs_the_supervisor(elsewhere: Path, shm_dir: Path) -> None:
    said = output("export", "systemd", "loop.toml").splitlines()
    assert said[:2] == ["wrote framebus-loop.service", "wrote framebus.target"]
    service = settings(elsewhere / "framebus-loop.service")["Service"]
    command = [word.replace("%%", "%") for word in shlex.split(service["ExecStart"])]
    assert command == [sys.executable, "-m", "framebus", "up", str(elsewhere / "loop.toml")]
    assert service["WorkingDirectory"] == str(elsewhere).replace("%", "%%")
    text = (elsewhere / "framebus-loop.service").read_text()
    assert f'Environment="MILK_SHM_DIR={shm_dir}"\n' in text
    assert service["KillMode"] == "process"
    assert service["Restart"] == "on-failure"
    assert "ExecStop" not in service
    assert float(service["TimeoutStopSec"]) > SupervisionPlan().stop_timeout_s
    assert "LimitRTPRIO" not in service
    assert settings(elsewhere / "framebus-loop.service")["Install"]["WantedBy"] == "framebus.target"
    assert settings(elsewhere / "framebus.target")["Install"]["WantedBy"] == "default.target"


def test_variables_go_along(elsewhere: Path) -> None:
    (elsewhere / "loop.toml").write_text("[variables]\nrate = 1\n" + PIPELINE.replace("0.01", '"${rate}"'))
    output("export", "systemd", "loop.toml", "--var", "rate=0.5")
    command = settings(elsewhere / "framebus-loop.service")["Service"]["ExecStart"]
    assert command.endswith('loop.toml" "--var" "rate=0.5"')


def test_what_to_do_is_printed(elsewhere: Path) -> None:
    printed = output("export", "systemd", "loop.toml")
    link = f"  systemctl --user link '{elsewhere}/framebus-loop.service' '{elsewhere}/framebus.target'"
    assert link in printed.splitlines()
    assert "  systemctl --user enable --now framebus.target framebus-loop.service" in printed
    assert "  loginctl enable-linger" in printed
    assert "LimitRTPRIO" not in printed


def test_for_the_user_it_is_written_where_systemd_looks(tmp_path: Path) -> None:
    printed = output("export", "systemd", "loop.toml", "--user")
    there = tmp_path / "config" / "systemd" / "user"
    assert sorted(path.name for path in there.iterdir()) == ["framebus-loop.service", "framebus.target"]
    assert "systemctl --user link" not in printed
    assert "systemctl --user daemon-reload" in printed


def test_the_users_directory_without_any_setting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert systemd.user_directory() == tmp_path / ".config" / "systemd" / "user"


def test_real_time_needs_limits_and_tells_who_grants_them(elsewhere: Path) -> None:
    (elsewhere / "loop.toml").write_text(PIPELINE + "priority = 50\n")
    printed = output("export", "systemd", "loop.toml", "--output", "there")
    service = settings(elsewhere / "there" / "framebus-loop.service")["Service"]
    assert (service["LimitRTPRIO"], service["LimitMEMLOCK"]) == ("50", "infinity")
    assert "/etc/systemd/system/user@.service.d/framebus.conf" in printed
    locked = PipelinePlan(name="a", units={"u": UnitPlan(use="a:b", lock_memory=True)})
    assert "LimitMEMLOCK=infinity" in service_of(locked, Path("a.toml"))
    assert "LimitRTPRIO" not in service_of(locked, Path("a.toml"))


def test_whatever_is_in_a_path_stays_what_it_is() -> None:
    text = service_of(PipelinePlan(name="a"), Path('/x/a "b" $HOME 5% \\n.toml'), "--set", "a=b c")
    assert '"up" "/x/a \\"b\\" $$HOME 5%% \\\\n.toml" "--set" "a=b c"' in text
    assert "WorkingDirectory=/x\n" in text
    kept = service_of(
        PipelinePlan(name="a"), Path("/x/a.toml"), MILK_SHM_DIR="/a b/$c%", OTHER="x", PYTHONPATH=""
    )
    assert 'Environment="MILK_SHM_DIR=/a b/$c%%"' in kept
    assert "OTHER" not in kept
    assert "PYTHONPATH" not in kept


@pytest.mark.parametrize(
    ("pipeline", "service"),
    [
        ("loop", "framebus-loop.service"),
        ("my-loop_2.b", "framebus-my-loop_2.b.service"),
        ("a:b%c", "framebus-a\\x3ab\\x25c.service"),
        ("größe", "framebus-gr\\xc3\\xb6\\xc3\\x9fe.service"),
    ],
)
def test_names_of_services(pipeline: str, service: str) -> None:
    assert systemd.service_name(pipeline) == service


def test_systemd_finds_nothing_wrong(elsewhere: Path, tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    (elsewhere / "loop.toml").write_text(PIPELINE + "priority = 50\n")
    output("export", "systemd", "loop.toml", "--user")
    paths = [str(path) for path in (tmp_path / "config" / "systemd" / "user").iterdir()]
    done = subprocess.run(
        [program, "verify", "--user", *paths],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
    )
    told = [line for line in done.stderr.splitlines() if "framebus" in line]
    assert told == [], done.stderr


# ---- again, and over others' files -----------------------------------------------------------------------------------


def test_it_may_be_written_again(elsewhere: Path) -> None:
    output("export", "systemd", "loop.toml")
    (elsewhere / "loop.toml").write_text(PIPELINE + "priority = 50\n")
    output("export", "systemd", "loop.toml")
    assert "LimitRTPRIO=50" in (elsewhere / "framebus-loop.service").read_text()
    assert not [path for path in elsewhere.iterdir() if path.name.startswith(".")]


def test_somebody_elses_file_is_left_alone(elsewhere: Path) -> None:
    (elsewhere / "framebus.target").write_text("[Unit]\nDescription=mine\n")
    said = error(2, "export", "systemd", "loop.toml")
    assert "framebus.target is there already and was not written by this command; nothing was written" in said
    assert not (elsewhere / "framebus-loop.service").exists()
    assert (elsewhere / "framebus.target").read_text() == "[Unit]\nDescription=mine\n"


# ---- errors ----------------------------------------------------------------------------------------------------------


def test_a_wrong_pipeline_is_not_exported(elsewhere: Path) -> None:
    (elsewhere / "loop.toml").write_text(PIPELINE + 'cpus = 3\n[units.other]\nuse = "nowhere:x"\n')
    assert "cpus" in error(4, "export", "systemd", "loop.toml")
    (elsewhere / "loop.toml").write_text(PIPELINE + '[units.other]\nuse = "nowhere:x"\n')
    assert "nowhere" in error(4, "export", "systemd", "loop.toml")
    assert [path.name for path in elsewhere.iterdir()] == ["loop.toml"]


def test_a_file_that_is_not_there() -> None:
    assert "there is no pipeline file nope.toml" in error(3, "export", "systemd", "nope.toml")


def test_one_directory_only() -> None:
    assert "--user and --output exclude each other" in error(
        2, "export", "systemd", "loop.toml", "--user", "--output", "x"
    )


def test_a_directory_that_cannot_be_made(elsewhere: Path) -> None:
    assert error(1, "export", "systemd", "loop.toml", "--output", "loop.toml/x")


@pytest.mark.parametrize("where", ["/x/a\nb.toml", "/x\n/a.toml"])
def test_a_path_that_no_such_file_can_hold(where: str) -> None:
    with pytest.raises(UsageError, match="has a character that a file of systemd cannot hold"):
        service_of(PipelinePlan(name="a"), Path(where))


def test_help() -> None:
    assert output("export") == output("export", "--help")
    assert "systemd  Write a pipeline as a service of systemd." in output("export")
    assert "Example: framebus export systemd loop.toml --user" in output("export", "systemd", "--help")


def test_json_tells_the_service_and_the_files(elsewhere: Path) -> None:
    told = answer("export", "systemd", "loop.toml")
    assert [Path(path).exists() for path in told["written"]] == [True] * len(told["written"])
    assert told["service"] in {Path(path).name for path in told["written"]}
