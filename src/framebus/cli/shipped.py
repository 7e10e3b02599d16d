"""Pipelines that come with framebus, by name."""

from __future__ import annotations

from pathlib import Path

SHIPPED = {"demo": Path(__file__).parent / "demo" / "telescope.toml"}
"""File by name."""


def pipeline_file(given: str) -> str:
    """The file that a command line means: ``given`` itself, or that of a shipped pipeline if there is no such file."""
    return given if Path(given).exists() or given not in SHIPPED else str(SHIPPED[given])
