"""Pipelines and sequences that come with framebus, by name."""

from __future__ import annotations

from pathlib import Path

_DEMO = Path(__file__).parent / "demo"
SHIPPED = {"demo": _DEMO / "telescope.toml"}
"""File of a pipeline by name."""

SHIPPED_SEQUENCES = {"calibrate": _DEMO / "sequences" / "calibrate.py"}
"""File of a sequence by name."""


def pipeline_file(given: str) -> str:
    """The file that a command line means: ``given`` itself, or that of a shipped pipeline if there is no such file."""
    return given if Path(given).exists() or given not in SHIPPED else str(SHIPPED[given])


def sequence_file(given: str) -> str:
    """The file that a command line means, likewise of a sequence."""
    return given if Path(given).exists() or given not in SHIPPED_SEQUENCES else str(SHIPPED_SEQUENCES[given])
