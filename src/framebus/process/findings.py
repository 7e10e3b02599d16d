"""What stands in the way of real time: what units were refused, what the machine lacks, what is not installed."""

from __future__ import annotations

import os
import shutil
import warnings
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from framebus.process.listing import records
from framebus.process.looks import LOOKS, Severity
from framebus.process.machine import Machine, machine
from framebus.process.surroundings import Surroundings, surroundings
from framebus.process.surroundings_looks import SURROUNDINGS_LOOKS
from framebus.stream.names import shm_directory

__all__ = ["Finding", "examine", "examine_machine", "examine_parts", "examine_surroundings", "examine_units"]

Part = Literal["units", "machine", "parts"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        part: where: running ``units``, the ``machine``, or optional ``parts`` of framebus.
        subject: what was looked at, in a few words.
        severity: ``ok``; ``info``: could be better, for those who need it; ``warn``: in the way of real time;
            ``unknown``: the kernel does not tell.
        text: what was found.
        remedy: what to do, a command where one does it; empty if there is nothing to do.
        effect: what it was measured to cost on this machine; empty: not measured.
    """

    part: Part
    subject: str
    severity: Severity
    text: str
    remedy: str = ""
    effect: str = ""


def examine(
    on: Machine | None = None,
    directory: str | os.PathLike[str] | None = None,
    around: Surroundings | None = None,
) -> list[Finding]:
    """Look at everything: running units first, then the machine, then optional parts.

    Args:
        on: the machine; default: this one.
        directory: where the units' records are; default: that of the streams.
        around: what surrounds its loops; default: of this machine.

    Raises:
        UsageError: /proc cannot be read.
    """
    return [
        *examine_units(directory),
        *examine_machine(on or machine()),
        *examine_surroundings(around or surroundings(shared=shm_directory())),
        *examine_parts(),
    ]


def examine_units(directory: str | os.PathLike[str] | None = None) -> list[Finding]:
    """What the kernel refused to the units that run now, as their process records say."""
    with warnings.catch_warnings(record=True) as unreadable:
        warnings.simplefilter("always", RuntimeWarning)
        running = [record for record in records(directory) if record.alive]
    found = [
        Finding("units", "record", "warn", str(w.message), "remove the file if nobody needs it")
        for w in unreadable
    ]
    refused = 0
    for record in running:
        with record:
            name, refusals = f"{record.unit}.{record.pid}", record.refusals
        for refusal in refusals:
            text, _, remedy = refusal.partition("; ")
            found.append(Finding("units", name, "warn", text, remedy))
            refused += 1
    if not running:
        found.append(Finding("units", "running units", "ok", "none run now"))
    elif not refused:
        found.append(Finding("units", "running units", "ok", f"{len(running)}, nothing was refused to them"))
    return found


def examine_machine(on: Machine) -> list[Finding]:
    """What a machine lacks for real time, as far as this process and its user are concerned."""
    return [Finding("machine", subject, *look(on)) for subject, look in LOOKS]


def examine_surroundings(around: Surroundings) -> list[Finding]:
    """What else of a machine makes loops late: idle states, siblings, memory, interrupts, a hypervisor."""
    return [Finding("machine", subject, *look(around)) for subject, look in SURROUNDINGS_LOOKS]


def examine_parts() -> list[Finding]:
    """Which optional parts of framebus can be used, and how to get the others."""
    found = []
    for extra, modules, use in _EXTRAS:
        missing = [module for module in modules if find_spec(module) is None]
        if missing:
            text = f"not installed ({', '.join(missing)}): {use}"
            found.append(Finding("parts", extra, "info", text, f"pip install 'framebus[{extra}]'"))
        else:
            found.append(Finding("parts", extra, "ok", use))
    use = "terminal windows of units (tmux)"
    if shutil.which("tmux") is None:
        found.append(
            Finding("parts", "tmux program", "info", f"not installed: {use}", "sudo apt install tmux")
        )
    else:
        found.append(Finding("parts", "tmux program", "ok", use))
    return found


_EXTRAS = (
    ("cli", ("click", "rich", "msgspec", "tomli_w"), "commands and pipeline files"),
    ("compute", ("numba", "scipy"), "compiled units"),
    ("fits", ("astropy",), "FITS files"),
    ("ao", ("matplotlib", "aobasis"), "pictures of calibrations, modes from the places of actuators"),
    ("tmux", ("libtmux",), "units in windows of tmux"),
    ("tui", ("textual",), "the dashboard (framebus top)"),
    ("shell", ("IPython",), "the interactive shell (framebus shell)"),
)
"""An extra of the package, the modules that it brings, and what they are for."""
