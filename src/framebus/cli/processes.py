"""What to say of a process by its id."""

from __future__ import annotations

from pathlib import Path

from framebus import _core
from framebus.cli.text import safe


def command_name(pid: int) -> str:
    """The kernel's name of a running process (at most 15 bytes); empty if it is gone."""
    try:
        return Path(f"/proc/{pid}/comm").read_bytes().decode(errors="replace").rstrip("\n")
    except OSError:
        return ""


def process(pid: int) -> dict[str, object] | None:
    """A process as JSON has it: ``pid``, ``alive``, ``command``; None for no process (pid 0 or less)."""
    if pid <= 0:
        return None
    alive = _core.process_alive(pid)
    return {"pid": pid, "alive": alive, "command": command_name(pid) if alive else ""}


def process_text(found: dict[str, object] | None) -> str:
    """What ``process`` gave, in words."""
    if found is None:
        return "unknown"
    if not found["alive"]:
        return f"{found['pid']}, gone"
    return f"{found['pid']} {safe(str(found['command']))}, alive"
