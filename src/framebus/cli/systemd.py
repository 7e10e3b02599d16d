"""A pipeline as units of systemd.

systemd runs ``framebus up`` and nothing else: the supervisor knows order, restarts and adoption of the units, and a
second supervisor for each unit would contradict it. ``KillMode=process`` lets the units live on when the supervisor
dies, and the next one adopts them. There is no ``ExecStop``: systemd runs it after a crash too, which would end the
units that are to be adopted; the SIGTERM of a stop is what takes a pipeline down.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from framebus.errors import UsageError
from framebus.stream.files import replacing

if TYPE_CHECKING:
    from framebus.pipeline.plan import PipelinePlan

MARK = "# Written by 'framebus export systemd'; written anew by the next one."
TARGET = "framebus.target"
"""Starts and stops all exported pipelines together."""

INHERITED = ("MILK_SHM_DIR", "FRAMEBUS_CACHE_DIR", "PYTHONPATH", "XDG_STATE_HOME")
"""Environment that a pipeline depends on, and that services do not have of themselves."""

_STOP_MARGIN_S = 10.0
_HOPELESS = (2, 3, 4)
"""Exit codes of wrong usage, a missing file, and a wrong one: another start would not change them."""


@dataclass(frozen=True)
class SystemdUnit:
    """One file for systemd."""

    name: str
    text: str


def units_for(
    plan: PipelinePlan, file: Path, arguments: Sequence[str] = (), environment: Mapping[str, str] = os.environ
) -> list[SystemdUnit]:
    """The service of a pipeline, and the target of all pipelines.

    Args:
        plan: what the pipeline file says.
        file: the pipeline file.
        arguments: more arguments of ``framebus up``.
        environment: where ``INHERITED`` is looked up.

    Raises:
        UsageError: a path or value has a character that no such file can hold.
    """
    return [SystemdUnit(service_name(plan.name), _service(plan, file, arguments, environment)), _target()]


def service_name(pipeline: str) -> str:
    """The service's name; characters that systemd does not allow in one are written as it writes them."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "_.-") else _escaped(c) for c in pipeline)
    return f"framebus-{plain}.service"


def needs_raised_limits(plan: PipelinePlan) -> bool:
    """Whether a unit wants a real-time priority or locked memory, which users may not have."""
    return any(unit.priority > 0 or unit.lock_memory for unit in plan.units.values())


def write(units: Sequence[SystemdUnit], directory: Path) -> list[Path]:
    """Write the files; returns their paths.

    Raises:
        UsageError: a file of that name is there that was not written by this function; nothing is written.
        OSError: a file cannot be written.
    """
    paths = [directory / unit.name for unit in units]
    foreign = [str(path) for path in paths if _is_foreign(path)]
    if foreign:
        raise UsageError(
            f"{', '.join(foreign)} is there already and was not written by this command; nothing was written; "
            "remove it, or give another directory with --output"
        )
    directory.mkdir(parents=True, exist_ok=True)
    for unit, path in zip(units, paths, strict=True):
        with replacing(path) as draft:
            draft.write_text(unit.text, encoding="utf-8")
    return paths


def user_directory() -> Path:
    """Where systemd looks for the units of this user."""
    config = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(config) / "systemd" / "user"


def _service(plan: PipelinePlan, file: Path, arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    file = file.absolute()
    command = [sys.executable, "-m", "framebus", "up", str(file), *arguments]
    lines = [
        MARK,
        "[Unit]",
        f"Description=framebus pipeline {_words(plan.name)}",
        f"PartOf={TARGET}",
        "# A supervisor that ends again and again is given up.",
        "StartLimitIntervalSec=60",
        "StartLimitBurst=10",
        "",
        "[Service]",
        "Type=exec",
        f"ExecStart={' '.join(_argument(word) for word in command)}",
        f"WorkingDirectory={_words(str(file.parent))}",
        *(
            f"Environment={_quoted(f'{name}={environment[name]}')}"
            for name in INHERITED
            if environment.get(name)
        ),
        "# Only the supervisor: its units live on when it dies, and the next one adopts them.",
        "KillMode=process",
        "# After a crash; not after 'framebus down', nor for a pipeline file that is wrong.",
        "Restart=on-failure",
        "RestartSec=1",
        f"RestartPreventExitStatus={' '.join(map(str, _HOPELESS))}",
        f"TimeoutStopSec={plan.supervision.stop_timeout_s + _STOP_MARGIN_S:g}",
    ]
    if needs_raised_limits(plan):
        priority = max([unit.priority for unit in plan.units.values()])
        lines += [
            "# As far as the user's own limits allow.",
            *([f"LimitRTPRIO={priority}"] if priority else []),
            "LimitMEMLOCK=infinity",
        ]
    return "\n".join([*lines, "", "[Install]", f"WantedBy={TARGET}", ""])


def _target() -> SystemdUnit:
    lines = [
        MARK,
        "[Unit]",
        "Description=All framebus pipelines",
        "",
        "[Install]",
        "WantedBy=default.target",
        "",
    ]
    return SystemdUnit(TARGET, "\n".join(lines))


def _is_foreign(path: Path) -> bool:
    try:
        return not path.read_text(encoding="utf-8", errors="replace").startswith(MARK)
    except FileNotFoundError:
        return False


# ---- how such files are written ----------------------------------------------------------------------------------


def _words(text: str) -> str:
    """A value that goes to the end of its line: only '%' means something there."""
    if not text.isprintable():
        raise UsageError(f"{text!r} has a character that a file of systemd cannot hold; rename it")
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """One word of a list."""
    escaped = _words(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _argument(text: str) -> str:
    """One word of a command line, in which '$' begins a variable."""
    return _quoted(text.replace("$", "$$"))


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode())
