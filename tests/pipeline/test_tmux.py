"""Hosts in tmux windows: attachable, logged, killed and started again as any others."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import framebus as fb
from framebus.errors import FramebusError, UsageError
from framebus.pipeline.control import Controller
from framebus.pipeline.tmux import TmuxLauncher, session_name
from support.pipelines import COUNT, NEGATIVE, Pipelines, kill, pids
from support.processes import Spawner
from support.waiting import until

TMUX = shutil.which("tmux") or ""
if not TMUX:
    pytest.skip("tmux is not installed", allow_module_level=True)
pytest.importorskip("libtmux")

TALK = """
[units.talk]
use = "support.pipeline_units:talk"
streams = { image = "count", value = "value" }
"""


@pytest.fixture(autouse=True)
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server of the test's own, which ends with it."""
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.delenv("TMUX_PANE", raising=False)
    yield
    subprocess.run([TMUX, "kill-server"], capture_output=True, check=False)


@pytest.fixture
def pipelines(tmp_path: Path, spawn: Spawner, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipelines]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = Pipelines(tmp_path, spawn)
    yield made
    made.close()


def tmux(*arguments: str) -> str:
    done = subprocess.run([TMUX, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def windows(session: str = "chain") -> list[str]:
    return tmux("list-windows", "-t", session, "-F", "#{window_name}").splitlines()


def test_one_window_for_each_process(pipelines: Pipelines, shm_dir: Path) -> None:
    up = pipelines.up(COUNT + TALK, "--launcher", "tmux")
    assert windows() == ["count", "talk"]
    assert "frame" in tmux("capture-pane", "-p", "-t", "chain:talk")
    log = pipelines.folder / "state" / "framebus" / "chain" / "talk.log"
    until(lambda: "frame" in log.read_text())
    before = pids()
    kill(before["talk"])
    up.expect("talk: ready")
    until(lambda: windows() == ["count", "talk"])
    up.kill()
    second = pipelines.up(COUNT + TALK, "--launcher", "tmux")
    assert pids()["count"] == before["count"]
    Controller("chain").down()
    assert second.wait() == 0
    assert not list(shm_dir.iterdir())
    until(lambda: windows() == [])


def test_ctrl_c_in_a_window_ends_its_process_well(pipelines: Pipelines) -> None:
    up = pipelines.up(COUNT + TALK, "--launcher", "tmux")
    tmux("send-keys", "-t", "chain:talk", "C-c")
    up.expect("talk: all of its units came to their end")
    until(lambda: windows() == ["count"])
    Controller("chain").down()
    assert up.wait() == 0


def test_windows_of_others_stay(pipelines: Pipelines) -> None:
    up = pipelines.up(COUNT, "--launcher", "tmux")
    tmux("new-window", "-d", "-t", "chain:", "-n", "mine", "sleep 1000")
    Controller("chain").down()
    assert up.wait() == 0
    until(lambda: windows() == ["mine"])


def test_the_servers_environment_does_not_matter(
    pipelines: Pipelines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that ran before has another environment; hosts have the supervisor's all the same."""
    with monkeypatch.context() as other:
        other.setenv("MILK_SHM_DIR", "/nowhere")
        other.setenv("PYTHONPATH", "/nowhere")
        tmux("new-session", "-d", "-s", "before", "sleep 1000")
    monkeypatch.setenv("ODD", 'it\'s $HOME\n"so"')
    up = pipelines.up(COUNT + NEGATIVE, "--launcher", "tmux")
    environment = Path(f"/proc/{pids()['count']}/environ").read_text().split("\0")
    assert 'ODD=it\'s $HOME\n"so"' in environment
    with fb.open("negative") as negative:
        assert negative.read_next(timeout_s=60).data[0] < 0
    Controller("chain").down()
    assert up.wait() == 0
    assert windows("before") != []


def test_a_session_of_somebody_else(pipelines: Pipelines, shm_dir: Path) -> None:
    tmux("new-session", "-d", "-s", "chain", "sleep 1000")
    with pytest.raises(UsageError, match="tmux has a session 'chain' that is not this pipeline's"):
        TmuxLauncher("chain", shm_dir)
    up = pipelines.start(COUNT, "--launcher", "tmux")
    assert up.wait() == 2
    assert "rename it" in up.errors
    assert not list(shm_dir.iterdir())


def test_names_that_tmux_does_not_take() -> None:
    assert session_name("a.b:c") == "a_b_c"


def test_without_libtmux(monkeypatch: pytest.MonkeyPatch, shm_dir: Path) -> None:
    monkeypatch.setitem(sys.modules, "libtmux", None)
    with pytest.raises(FramebusError, match=r"needs libtmux.*framebus\[tmux\]"):
        TmuxLauncher("chain", shm_dir)


def test_without_tmux(monkeypatch: pytest.MonkeyPatch, shm_dir: Path, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FramebusError, match="needs tmux, which is not installed"):
        TmuxLauncher("chain", shm_dir)
