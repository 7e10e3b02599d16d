"""Hosts in windows of a tmux session that has the pipeline's name: ``tmux attach -t NAME`` shows their output.

The user's own tmux server is used (the default socket), so that nothing but the session's name has to be known. A
window closes when its process ends, and the session with its last window.
"""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from framebus.errors import FramebusError, UsageError
from framebus.pipeline.launch import Running, host_command, host_environment
from framebus.pipeline.logs import LogFile

if TYPE_CHECKING:
    import libtmux

__all__ = ["TmuxLauncher", "session_name"]

_OWNER = "@framebus"
"""The session's option that says whose it is."""
_SIZE = ("-x", "200", "-y", "50")


class TmuxLauncher:
    """Starts every host in a window of its own.

    Args:
        pipeline: its name.
        owner: what tells this pipeline's session from any other of that name: the run directory.

    Raises:
        FramebusError: tmux, or libtmux, is not installed.
        UsageError: there is a session of that name, and it is not this pipeline's.
    """

    def __init__(self, pipeline: str, owner: Path) -> None:
        self.session = session_name(pipeline)
        self._owner = str(owner)
        try:
            import libtmux
        except ImportError as error:
            raise FramebusError(
                "the launcher 'tmux' needs libtmux, which is not installed: pip install 'framebus[tmux]'"
            ) from error
        if shutil.which("tmux") is None:
            raise FramebusError("the launcher 'tmux' needs tmux, which is not installed")
        self._server: libtmux.Server = libtmux.Server()
        if self._exists() and self._tmux("show-options", "-qv", "-t", self._target, _OWNER) != self._owner:
            raise UsageError(
                f"tmux has a session '{self.session}' that is not this pipeline's; rename it with "
                f"'tmux rename-session -t {self.session} NEW', or give the pipeline another name"
            )

    @property
    def _target(self) -> str:
        return f"={self.session}:"  # '=': exactly that name, not one that begins with it

    def start(self, process: str, plan: Path, log: LogFile) -> Running:
        """See ``Launcher.start``."""
        os.close(log.open())  # so that it is there, with its folder
        script = plan.with_name(plan.name.removesuffix(".plan.json") + ".launch.sh")
        script.touch(mode=0o600)
        script.write_text(_script(plan, log.path))
        window = [
            "-d",
            "-P",
            "-F",
            "#{pane_pid}",
            "-n",
            process.replace(":", "_") or "unit",
            "-c",
            os.getcwd(),
        ]
        command = ["sh", str(script)]
        if self._exists():
            pid = self._tmux("new-window", *window, "-t", self._target, *command)
        else:
            pid = self._tmux("new-session", *window, "-s", self.session, *_SIZE, *command)
            # The one window may be closed again by now, and the session with it.
            self._server.cmd("set-option", "-t", self._target, _OWNER, self._owner)
        return Running(int(pid))

    def _exists(self) -> bool:
        return self._server.cmd("has-session", "-t", f"={self.session}").returncode == 0

    def _tmux(self, *arguments: str) -> str:
        done = self._server.cmd(*arguments)
        if done.returncode != 0:
            raise FramebusError(f"tmux {arguments[0]}: {' '.join(done.stderr) or 'it failed'}")
        return "\n".join(done.stdout)


def session_name(pipeline: str) -> str:
    """The session of a pipeline: tmux allows neither ``.`` nor ``:`` in it."""
    return pipeline.replace(".", "_").replace(":", "_")


def _script(plan: Path, log: Path) -> str:
    """What runs in the window: the environment of this process, the window's output to the log, then the host.

    A server that runs already would give its windows the environment that it was started in; and the log is set up
    from within so that no line is lost.
    """
    environment = {**os.environ, **host_environment()}
    exports = [
        f"export {name}={shlex.quote(value)}"
        for name, value in sorted(environment.items())
        if name.isidentifier()
        and name.isascii()
        and name not in ("TMUX", "TMUX_PANE", "TERM", "PWD", "SHLVL")
    ]
    pipe = shlex.quote(f"exec cat >> {shlex.quote(str(log))}")
    return "\n".join(
        [*exports, f'tmux pipe-pane -t "$TMUX_PANE" {pipe}', f"exec {shlex.join(host_command(plan))}", ""]
    )
