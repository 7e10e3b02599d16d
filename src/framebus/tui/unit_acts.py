"""What the keys do to a unit. All raise ``FramebusError`` where it cannot be done, with what to do instead."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence

from framebus.cli.text import safe
from framebus.errors import UsageError
from framebus.pipeline.control import Controller
from framebus.pipeline.tmux import session_name
from framebus.process import Event, ProcessRecord, State
from framebus.tui.looks import UnitLook

__all__ = ["attach_command", "pause", "replace", "restart", "run", "step", "stop"]

_TOWARDS_RUNNING = {State.OFF: Event.INIT, State.STANDBY: Event.ENABLE, State.ERROR: Event.RECOVER}


def _record(unit: UnitLook) -> ProcessRecord:
    if not unit.pid:
        raise UsageError(f"unit '{unit.unit}' has no process ({unit.state}); 'R' starts it anew")
    return ProcessRecord.open(f"{unit.unit}.{unit.pid}")


def run(unit: UnitLook) -> str:
    """Bring a unit a step towards running: out of a pause, or by the event that leads on from its state."""
    with _record(unit) as record:
        event = _TOWARDS_RUNNING.get(record.state)
        if event is None:
            record.resume()
            return f"{unit.unit}: runs"
        record.send(event)
        return f"{unit.unit}: {event} was sent"


def pause(unit: UnitLook) -> str:
    """Let it wait before its next frame."""
    with _record(unit) as record:
        record.pause()
    return f"{unit.unit}: pauses"


def step(unit: UnitLook) -> str:
    """Let it do one frame, and pause."""
    with _record(unit) as record:
        record.step()
    return f"{unit.unit}: one frame"


def stop(unit: UnitLook) -> str:
    """Let it end after its frame."""
    with _record(unit) as record:
        record.stop()
    return f"{unit.unit}: stops"


def restart(unit: UnitLook) -> str:
    """End its process and start it anew; returns when it is ready, which may take as long as compiling does."""
    _of_pipeline(unit).restart(unit.unit)
    return f"{unit.unit}: runs again"


def replace(unit: UnitLook, typed: str) -> str:
    """Put other code in its place; returns when it runs there.

    Args:
        unit: the unit.
        typed: the code, and values of parameters behind it: ``my.package:better threshold=4``.
    """
    from framebus.pipeline.read import variable

    use, *settings = shlex.split(typed)
    _of_pipeline(unit).replace(unit.unit, use, dict(map(variable, settings)))
    return f"{unit.unit}: is now {safe(use)}"


def _of_pipeline(unit: UnitLook) -> Controller:
    if not unit.pipeline:
        raise UsageError(
            f"unit '{unit.unit}' belongs to no pipeline; end it and start it where it was started"
        )
    return Controller(unit.pipeline)


def attach_command(unit: UnitLook) -> Sequence[str]:
    """The command that shows the unit's window of tmux.

    Raises:
        UsageError: it runs in none; says how it would.
    """
    if not unit.pipeline:
        raise UsageError(f"unit '{unit.unit}' belongs to no pipeline, and so to no session of tmux")
    session = session_name(unit.pipeline)
    target = f"={session}:{unit.process.replace(':', '_')}"
    if shutil.which("tmux") is None:
        raise UsageError("tmux is not installed; 'l' shows the unit's log")
    found = subprocess.run(
        ["tmux", "list-panes", "-t", target], check=False, capture_output=True, stdin=subprocess.DEVNULL
    )
    if found.returncode != 0:
        raise UsageError(
            f"pipeline '{unit.pipeline}' has no window of tmux for process '{unit.process}' ('framebus up --launcher tmux' "
            "gives each one); 'l' shows the unit's log"
        )
    return ["tmux", "switch-client" if os.environ.get("TMUX") else "attach-session", "-t", target]
