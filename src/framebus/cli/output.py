"""Where the commands' answers go: tables for eyes, JSON for programs."""

from __future__ import annotations

import json
import math
import os
import sys
from typing import Any

import click
from rich.console import Console, RenderableType
from rich.table import Table

STATE_STYLES = {
    "live": "green",
    "empty": "yellow",
    "unknown": "cyan",
    "left": "dim",
    "dead": "red",
    "bad": "bold white on red",
}
"""How each state of a stream is coloured; it is always written out too."""

_UNBOUNDED = 10_000
"""Columns of an output that is no terminal: nothing is wrapped there."""


def make_console(*, stderr: bool = False) -> Console:
    """Standard output, or standard error: as wide as the terminal, without limit elsewhere.

    ``NO_COLOR`` in the environment means no colours and no emphasis either.
    """
    return Console(
        stderr=stderr,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        width=None if (sys.stderr if stderr else sys.stdout).isatty() else _UNBOUNDED,
        markup=False,
        highlight=False,
        emoji=False,
    )


def show(*parts: RenderableType, console: Console | None = None) -> None:
    """Print to standard output. Text is taken as it stands, never as markup."""
    console = console or make_console()
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    text = captured.get()
    if not sys.stdout.isatty():
        text = "".join(line.rstrip() + "\n" for line in text.splitlines())
    sys.stdout.write(text)


def show_json(value: Any, *, indent: int | None = 2) -> None:
    """Print as JSON, which has no NaN and no infinity: those become null. Without ``indent`` it is one line."""
    click.echo(json.dumps(plain_values(value), indent=indent, allow_nan=False))


def columns(*headers: str, right: tuple[str, ...] = (), wrapped: tuple[str, ...] = ()) -> Table:
    """An empty table without lines. Columns in ``wrapped`` give way, by wrapping, where the terminal is narrow."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for header in headers:
        table.add_column(
            header.upper(),
            justify="right" if header in right else "left",
            no_wrap=header not in wrapped,
            overflow="fold",
        )
    return table


def plain_values(value: Any) -> Any:
    """``value`` with null in the place of each NaN and infinity, at any depth."""
    if isinstance(value, dict):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
