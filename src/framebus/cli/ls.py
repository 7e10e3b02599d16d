"""``framebus ls``."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from framebus import stream
from framebus.cli import text
from framebus.cli.complete import stream_names
from framebus.cli.output import STATE_STYLES, columns, make_console, show, show_json
from framebus.cli.processes import command_name
from framebus.errors import FramebusError
from framebus.stream.mappers import reader_counts
from framebus.stream.names import shm_directory

RATE_LOOKS_S = 0.5
"""Time between the two looks that a rate is measured by, in s."""

_WIDE = 100
"""Columns from which on there is room for the writers' names."""


@click.command()
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1, shell_complete=stream_names)
@click.option(
    "--rate", "with_rate", is_flag=True, help=f"Measure frames per second (takes {RATE_LOOKS_S:g} s)."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def ls(patterns: tuple[str, ...], with_rate: bool, as_json: bool) -> None:
    """List the streams in shared memory: those whose name matches a PATTERN (* ? [a-z], in quotes), or all.

    A stream is 'live' while the process that writes it runs, 'empty' before its first frame, 'dead' when that process
    is gone, 'unknown' when the file does not tell who wrote it (DAO's do not), and 'bad' when its file is no stream
    that can be opened.

    Example: framebus ls --rate 'wfs*'
    """
    infos = [info for info in stream.streams() if matches(info.name, patterns)]
    rates = measure_rates(infos) if with_rate else {}
    readers = reader_counts(infos)
    if as_json:
        show_json(
            [
                as_plain(info)
                | {"readers": readers.get(info.path)}
                | ({"rate_hz": rates.get(info.path)} if with_rate else {})
                for info in infos
            ]
        )
    elif infos:
        console = make_console()
        reasons = [_reason(info) for info in infos if info.state == "bad"]
        show(
            _table(infos, rates if with_rate else None, readers, console.width),
            *reasons,
            _caption(infos),
            console=console,
        )
    else:
        show(_nothing(patterns))


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name matches one of the patterns, or there is none."""
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def as_plain(info: stream.StreamInfo) -> dict[str, Any]:
    """A stream as JSON has it."""
    return {
        "name": info.name,
        "path": str(info.path),
        "state": info.state,
        "shape": None if info.shape is None else list(info.shape),
        "dtype": None if info.dtype is None else info.dtype.name,
        "count": info.count,
        "age_s": info.age_s,
        "writer_pid": info.writer_pid,
        "writer_alive": None if info.state in ("bad", "unknown") else info.state != "dead",
        "history": info.history,
        "size_bytes": info.size_bytes,
        "dialect": info.dialect,
        "error": info.error,
    }


def measure_rates(infos: Iterable[stream.StreamInfo], interval_s: float = RATE_LOOKS_S) -> dict[Path, float]:
    """Frames per second of streams that are live or empty, by their path.

    Two looks at the counter give the number of frames; the time is the one between their publication as the header
    tells it, so that few frames give a right rate too. No frame between the looks is a rate of 0.
    """
    with ExitStack() as opened:
        handles: dict[Path, stream.Stream] = {}
        for info in infos:
            if info.state in ("live", "empty", "unknown"):
                try:
                    handles[info.path] = opened.enter_context(stream.open(info.path))
                except (FramebusError, OSError):
                    continue  # it went away since the listing
        before = {path: _look(handle) for path, handle in handles.items()}
        if handles:
            time.sleep(interval_s)
        return {path: _rate(before[path], _look(handle)) for path, handle in handles.items()}


def _look(handle: stream.Stream) -> tuple[int, int, int]:
    return handle.count, handle.handle.written_ns, time.monotonic_ns()


def _rate(before: tuple[int, int, int], after: tuple[int, int, int]) -> float:
    frames, published_ns, looked_ns = (new - old for new, old in zip(after, before, strict=True))
    if frames <= 0:
        return 0.0
    told = (
        published_ns > 0 and before[1] > 0
    )  # else the writer leaves the time out, or its clock was set back
    return frames * 1e9 / (published_ns if told else looked_ns)


def _table(
    infos: Sequence[stream.StreamInfo],
    rates: Mapping[Path, float] | None,
    readers: Mapping[Path, int],
    width: int,
) -> Table:
    named = width >= _WIDE
    headers = [
        "name",
        "shape",
        "dtype",
        "count",
        "rate",
        "age",
        "writer",
        "process",
        "readers",
        "history",
        "state",
    ]
    shown = [h for h in headers if (h != "rate" or rates is not None) and (h != "process" or named)]
    table = columns(*shown, right=("count", "rate", "age", "writer", "readers", "history"), wrapped=("name",))
    for info in infos:
        cells = _cells(info, {} if rates is None else rates, readers, named)
        table.add_row(*(cells[header] for header in shown))
    return table


def _cells(
    info: stream.StreamInfo, rates: Mapping[Path, float], readers: Mapping[Path, int], named: bool
) -> dict[str, Text]:
    good = info.state != "bad"
    known = info.writer_pid > 0
    cells = {
        "name": text.safe(info.name),
        "shape": text.shape(info.shape),
        "dtype": "" if info.dtype is None else info.dtype.name,
        "count": str(info.count) if good else "",
        "rate": text.rate(rates[info.path]) if info.path in rates else "-" if good else "",
        "age": text.duration(info.age_s) if info.age_s is not None else "-" if good else "",
        "writer": str(info.writer_pid) if known else "-" if good else "",
        "process": (text.safe(command_name(info.writer_pid)) or "gone") if known and named else "",
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
