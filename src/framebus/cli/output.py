"""Where the commands' answers go: tables for eyes, JSON for programs."""

from __future__ import annotations

import json
import math
import os
import sys
from typing import Any

import click
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

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

_GAP = 2
_LEAST = 24
"""Characters that a wrapped column has at least, if its content is that long."""


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


class FittingTable(Table):
    """A table without lines whose columns give way one after the other until it fits into the terminal.

    The first column, a name, is never broken: it is cut, with an ellipsis, only where it does not fit alone. A line
    below the table tells which columns were left out.
    """

    def __init__(self, wrapped: tuple[str, ...], drop: tuple[str, ...], all_are_in: str) -> None:
        super().__init__(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        self._wrapped = tuple(header.upper() for header in wrapped)
        self._drop = tuple(header.upper() for header in drop)
        self._all_are_in = all_are_in

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The columns that fit into ``options.max_width``, and the line about the others."""
        shown, left_out = self._fit(options.max_width)
        yield self._of(shown)
        if left_out:
            names = ", ".join(str(column.header) for column in self.columns if column.header in left_out)
            yield Text(f"no room for {names} ({self._all_are_in})", "dim")

    def _fit(self, width: int) -> tuple[dict[str, int], list[str]]:
        """Width of each column that is shown, and the headers of the others."""
        widths = {str(column.header): _width(column.header, *column.cells) for column in self.columns}
        least = {
            header: min(width, max(_LEAST, len(header))) if header in self._wrapped else width
            for header, width in widths.items()
        }
        left_out: list[str] = []
        for header in self._drop:
            if _total(least) <= width:
                break
            if least.pop(header, None) is not None:
                left_out.append(header)
        spare = width - _total(least)
        if spare < 0:  # nothing is left to drop: texts get narrower than is good, then the name is cut
            for header in [*(h for h in reversed(least) if h in self._wrapped), *list(least)[:1]]:
                less = max(0, min(-spare, least[header] - _LEAST // 2))
                least[header] -= less
                spare += less
        for header in [header for header in least if header in self._wrapped]:  # what is over is theirs
            more = max(0, min(spare, widths[header] - least[header]))
            least[header] += more
            spare -= more
        return least, left_out

    def _of(self, widths: dict[str, int]) -> Table:
        """The columns that ``widths`` names, in these widths."""
        table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold")
        shown = [column for column in self.columns if str(column.header) in widths]
        for column in shown:
            header = str(column.header)
            table.add_column(
                header,
                justify=column.justify,
                no_wrap=header not in self._wrapped,
                overflow="ellipsis",
                min_width=None if header in self._wrapped else widths[header],
                max_width=widths[header],
            )
        for row in zip(*(column.cells for column in shown), strict=True):
            table.add_row(*row)
        return table


def columns(
    *headers: str,
    right: tuple[str, ...] = (),
    wrapped: tuple[str, ...] = (),
    drop: tuple[str, ...] | None = None,
    all_are_in: str = "--json has all",
) -> FittingTable:
    """An empty table without lines that fits itself into the terminal.

    Args:
        headers: of the columns; the first is that of the names, which stay whole.
        right: columns whose cells stand at the right.
        wrapped: columns of texts, which may take several lines; never the first.
        drop: columns that a narrow terminal does without, in this order (default: all but the first and the wrapped
            ones, from the right).
        all_are_in: where those are to be seen.
    """
    wrapped = tuple(header for header in wrapped if header not in headers[:1])
    if drop is None:
        drop = tuple(header for header in reversed(headers[1:]) if header not in wrapped)
    table = FittingTable(wrapped, drop, all_are_in)
    for header in headers:
        table.add_column(header.upper(), justify="right" if header in right else "left")
    return table


def _width(*cells: RenderableType) -> int:
    """Characters of the longest of texts."""
    return max(cell.cell_len if isinstance(cell, Text) else cell_len(str(cell)) for cell in cells)


def _total(widths: dict[str, int]) -> int:
    return sum(widths.values()) + _GAP * (len(widths) - 1)


def plain_values(value: Any) -> Any:
    """``value`` with null in the place of each NaN and infinity, at any depth."""
    if isinstance(value, dict):
        return {key: plain_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_values(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
