"""``framebus ls``."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import click
from rich.table import Table
from rich.text import Text

from framebus import stream
from framebus.cli import text
from framebus.cli.complete import stream_names
from framebus.cli.output import STATE_STYLES, columns, make_console, show, show_json
from framebus.cli.processes import command_name
from framebus.stream.listing import stream_plain
from framebus.stream.mappers import reader_counts
from framebus.stream.names import SUFFIX, shm_directory
from framebus.stream.rates import INTERVAL_S, measure_rates

_DROP = ("process", "dtype", "history", "readers", "writer", "shape", "count", "age", "rate", "state")
"""Columns that a narrow terminal does without, in this order."""


@click.command()
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1, shell_complete=stream_names)
@click.option(
    "--rate", "with_rate", is_flag=True, help=f"Measure frames per second (takes {INTERVAL_S:g} s)."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def ls(patterns: tuple[str, ...], with_rate: bool, as_json: bool) -> None:
    """List the streams in shared memory: those whose name matches a PATTERN (* ? [a-z], in quotes), or all.

    A stream is 'live' while the process that writes it runs, 'left' when that has ended in order (a calibration, a
    result), 'dead' when it was killed, 'empty' before the first frame, 'unknown' when the file does not tell who wrote
    it (DAO's do not), and 'bad' when its file is no stream that can be opened.

    Example: framebus ls --rate 'wfs*'
    """
    infos = [info for info in stream.streams() if matches(info.name, patterns)]
    rates = measure_rates(infos) if with_rate else {}
    readers = reader_counts(infos)
    if as_json:
        show_json(
            [
                stream_plain(info)
                | {"writer_command": command_name(info.writer_pid) if info.writer_pid > 0 else ""}
                | {"readers": readers.get(info.path)}
                | ({"rate_hz": rates.get(info.path)} if with_rate else {})
                for info in infos
            ]
        )
    elif infos:
        console = make_console()
        reasons = [_reason(info) for info in infos if info.state == "bad"]
        show(
            _table(infos, rates if with_rate else None, readers),
            *reasons,
            _caption(infos),
            console=console,
        )
    else:
        show(_nothing(patterns))


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name matches one of the patterns, or there is none."""
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def _table(
    infos: Sequence[stream.StreamInfo], rates: Mapping[Path, float] | None, readers: Mapping[Path, int]
) -> Table:
    headers = ["name", "shape", "dtype", "count"]
    headers += ["rate"] * (rates is not None)
    headers += ["age", "writer", "process", "readers", "history", "state"]
    table = columns(*headers, right=("count", "rate", "age", "writer", "readers", "history"), drop=_DROP)
    for info in infos:
        cells = _cells(info, {} if rates is None else rates, readers)
        table.add_row(*(cells[header] for header in headers))
    return table


def _cells(
    info: stream.StreamInfo, rates: Mapping[Path, float], readers: Mapping[Path, int]
) -> dict[str, Text]:
    good = info.state != "bad"
    known = info.writer_pid > 0
    cells = {
        "name": text.safe(info.name) + (f" → {text.safe(_target(info))}" if info.link else ""),
        "shape": text.shape(info.shape),
        "dtype": "" if info.dtype is None else info.dtype.name,
        "count": str(info.count) if good else "",
        "rate": text.rate(rates[info.path]) if info.path in rates else "-" if good else "",
        "age": text.duration(info.age_s) if info.age_s is not None else "-" if good else "",
        "writer": str(info.writer_pid) if known else "-" if good else "",
        "process": (text.safe(command_name(info.writer_pid)) or "gone") if known else "",
        "readers": str(readers.get(info.path, "-")) if good else "",
        "history": (str(info.history) if info.history else "-") if good else "",
    }
    return {key: Text(cell) for key, cell in cells.items()} | {
        "state": Text(info.state, STATE_STYLES[info.state])
    }


def _reason(info: stream.StreamInfo) -> Text:
    return Text(text.safe(f"{info.name}: {info.error.removeprefix(f'{info.path}: ')}"), "red")


def _caption(infos: Sequence[stream.StreamInfo]) -> Text:
    states = [info.state for info in infos]
    counts = ", ".join(f"{states.count(state)} {state}" for state in STATE_STYLES if state in states)
    return Text(f"{_number(len(infos))} in {text.safe(str(shm_directory()))}: {counts}", "dim")


def _nothing(patterns: Sequence[str]) -> str:
    where = text.safe(str(shm_directory()))
    there = len(stream.streams())
    if there and patterns:
        return f"no name matches {text.safe(' '.join(patterns))}; there are {_number(there)} in {where}"
    return (
        f"no streams in {where} ({_why_there()})\n"
        "to make some: framebus demo, or in Python:\n"
        '  import framebus as fb\n  wfs = fb.create("wfs", shape=(120, 120), dtype="uint16")'
    )


def _why_there() -> str:
    setting = os.environ.get("MILK_SHM_DIR", "")
    if not setting:
        return "MILK_SHM_DIR is not set"
    return (
        "from MILK_SHM_DIR"
        if os.path.isdir(setting)
        else f"MILK_SHM_DIR is no directory: {text.safe(setting)}"
    )


def _number(n: int) -> str:
    return f"{n} stream{'' if n == 1 else 's'}"


def _target(info: stream.StreamInfo) -> str:
    """What a link leads to: a stream's name if that is in the same directory, else a path."""
    target = Path(info.link)
    return (
        target.name.removesuffix(SUFFIX)
        if info.path.parent == (info.path.parent / target).parent
        else info.link
    )
