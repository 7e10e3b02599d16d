"""Units as a table: what ``ps`` prints and what ``up`` shows while it runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from framebus.cli import text
from framebus.cli.output import columns
from framebus.pipeline.running import UnitStatus
from framebus.process.timing import Spread

STATE_STYLES = {
    "running": "green",
    "idle": "yellow",
    "waiting": "dim",
    "starting": "cyan",
    "restarting": "yellow",
    "stopping": "dim",
    "ended": "dim",
    "error": "bold white on red",
    "failed": "bold white on red",
    "dead": "red",
}
"""How each state of a unit is coloured; it is always written out too."""

_LEAST = 40
"""Columns that a message has at least."""


_LEFT_OUT = ("cpu", "restarts", "pid", "compute", "alarms", "missed", "latency", "rate")
"""Columns that a narrow terminal does without, in this order."""

_GAP = 2


def unit_table(units: Sequence[UnitStatus], width: int, *, pipelines: bool) -> Table:
    """A row for each unit, its name whole: of the other columns those that fit beside it.

    Args:
        units: what is shown.
        width: of the terminal, in characters.
        pipelines: with the pipeline's name where it has one.
    """
    headers = ["unit", "state", "pid", "rate", "compute", "latency", "missed"]
    headers += ["alarms"] * any(unit.alarms for unit in units)
    headers += ["cpu"] * any(unit.cpu >= 0 for unit in units) + ["restarts"]
    rows = [_cells(unit, pipelines) for unit in units]
    sizes = {header: max([len(header), *(row[header].cell_len for row in rows)]) for header in headers}
    for header in _LEFT_OUT:
        if sum(sizes[other] + _GAP for other in headers) - _GAP <= width:
            break
        if header in headers:
            headers.remove(header)
    table = columns(*headers, right=_LEFT_OUT)
    for row in rows:
        table.add_row(*(row[header] for header in headers))
    return table


def _cells(unit: UnitStatus, pipelines: bool) -> dict[str, Text]:
    name = f"{unit.pipeline}/{unit.unit}" if pipelines and unit.pipeline else unit.unit
    return {
        "unit": Text(text.safe(name)),
        "state": Text(unit.state, STATE_STYLES.get(unit.state, "")),
        "pid": Text(str(unit.pid) if unit.pid else "-"),
        "rate": Text(text.rate(unit.rate_hz) if unit.rate_hz else "-"),
        "compute": Text(_spread(unit.compute_us)),
        "latency": Text(_spread(unit.latency_us)),
        "missed": _count(unit.missed),
        "alarms": _count(unit.alarms),
        "cpu": Text(str(unit.cpu) if unit.cpu >= 0 else "-"),
        "restarts": _count(unit.restarts) if unit.pipeline else Text("-"),
    }


def messages(units: Iterable[UnitStatus], width: int) -> list[Text]:
    """A line for each unit that has something to say, cut to the width."""
    lines = []
    for unit in units:
        if unit.message:
            said = unit.message.removeprefix(f"unit '{unit.unit}' ")
            line = text.safe(" ".join(f"{unit.unit}: {said}".split()))
            bad = unit.state in ("error", "failed", "dead", "restarting")
            cut = Text(line, "red" if bad else "")
            cut.truncate(max(_LEAST, width), overflow="ellipsis")
            lines.append(cut)
    return lines


def _spread(times_us: Spread) -> str:
    """Median and 99th percentile, in µs."""
    return "-" if math.isnan(times_us.p50) else f"{_short(times_us.p50)}/{_short(times_us.p99)}"


def _short(value_us: float) -> str:
    """Three digits at most: of a second on, k stands for milliseconds."""
    if value_us < 9.95:
        return f"{value_us:.1f}"
    return f"{value_us:.0f}" if value_us < 99_950 else f"{value_us / 1e3:.0f}k"


def _count(number: int) -> Text:
    return Text(str(number), "yellow" if number else "")
