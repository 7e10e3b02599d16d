"""An operator's session in a real terminal: a loop comes up, is looked at, changed, hurt, and taken down."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from framebus.errors import NotFoundError
from framebus.params import Params
from framebus.pipeline.control import Controller
from support.waiting import until

TMUX = shutil.which("tmux") or ""
if not TMUX:
    pytest.skip("tmux is not installed", allow_module_level=True)
pytest.importorskip("textual")

TIMEOUT_S = 120.0
FRAMEBUS = str(Path(sys.executable).with_name("framebus"))
SEQUENCE = """
from framebus.sequence import log, sequence, set, step, wait_stream

@sequence
async def main(gain: float = 0.25):
    step("lowering the gain")
    set("demo_controller.gain", gain)
    await wait_stream("demo_dm", frames=10)
    log("the mirror goes on")
"""


class Session:
    """A shell in a window of tmux, in a server of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.commands = 0
        self._tmux("new-session", "-d", "-s", "operator", "-x", "120", "-y", "30", "-c", str(folder), "sh")

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run([TMUX, *arguments], capture_output=True, text=True, check=False)
        return done.stdout

    def keys(self, *names: str) -> None:
        """Press keys by their names."""
        self._tmux("send-keys", "-t", "operator", *names)

    def type(self, text: str) -> None:
        """Type a text."""
        self._tmux("send-keys", "-t", "operator", "-l", text)

    def command(self, line: str) -> None:
        """Run a command line on a clean screen; ``ended`` waits for its end."""
        self.commands += 1
        self.type(
            f"clear; {line.replace('framebus', FRAMEBUS, 1)}; printf 'ended %d %d\\n' {self.commands} $?"
        )
        self.keys("Enter")

    def screen(self) -> str:
        """What is to be seen."""
        return self._tmux("capture-pane", "-p", "-t", "operator")

    def see(self, *texts: str) -> None:
        """Wait until all of these are on the screen."""
        try:
            until(lambda: all(text in self.screen() for text in texts), TIMEOUT_S)
        except AssertionError:
            raise AssertionError(f"{texts} did not appear:\n{self.screen()}") from None

    def ended(self, *texts: str) -> None:
        """Wait until the command has ended well, and printed these texts."""
        self.see(f"ended {self.commands} 0", *texts)

    def close(self) -> None:
        """End the terminal and all in it."""
        self._tmux("kill-server")


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("TMUX_TMPDIR", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("TMUX", "TMUX_PANE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    opened = Session(tmp_path)
    yield opened
    with contextlib.suppress(NotFoundError):  # as it should be
        Controller("demo").down()
    opened.close()


def units() -> dict[str, dict[str, object]]:
    done = subprocess.run([FRAMEBUS, "ps", "--json"], capture_output=True, text=True, check=True)
    return {unit["unit"].rpartition("/")[2]: unit for unit in json.loads(done.stdout)}


def test_a_night_at_the_telescope(session: Session, tmp_path: Path) -> None:
    (tmp_path / "lower.py").write_text(SEQUENCE)
    session.command("framebus demo --keep --duration 3 --placement fused --picture demo.png")
    session.ended()
    session.command("framebus ls 'demo_*m'")
    session.ended("demo_dm", "live")

    # The gain, in the dashboard.
    session.command("framebus top --tab parameters")
    session.see("demo_controller", "Enter edit")
    session.type("/")
    session.see("show rows with")
    session.type("gain")
    session.keys("Enter")
    session.see("Esc show all", "gain", "type float64")
    session.keys("Enter")
    session.see("Enter sets it")
    session.keys("C-u")
    session.type("0.375")
    session.see("0.375")
    session.keys("Enter")
    with Params.open("demo_controller") as controller:
        until(lambda: controller["gain"] == 0.375)
    session.see("gain", "0.375")
    session.keys("q")
    session.ended()

    session.command("framebus seq run lower.py gain=0.25")
    session.ended("the mirror goes on")
    with Params.open("demo_controller") as controller:
        assert controller["gain"] == 0.25

    # A process dies, and comes back.
    session.command("framebus top --tab units")
    session.see("demo_controller", "running")
    killed = int(str(units()["demo_controller"]["pid"]))
    os.kill(killed, signal.SIGKILL)
    session.see("6 Messages ✖")
    session.keys("q")
    session.ended()
    session.command("framebus wait unit:demo_controller=running --timeout 100")
    session.ended()
    session.command("framebus ps")
    session.see("demo_controller", "running")
    assert units()["demo_controller"]["pid"] != killed

    session.command("framebus down demo")
    session.ended("is down")
    session.command("framebus ls")
    session.ended("no streams")
