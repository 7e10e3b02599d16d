"""What a shell's Tab key offers: names of streams, parameters, units and pipelines that are there now, and files.

Each function is a ``shell_complete`` of click's. They list directories and read headers, so that the answer is there
before the finger has left the key; NumPy is not loaded. They never raise and never print: a name that cannot be told is
left out, since a message would spoil the line that is being typed.
"""

from __future__ import annotations

import functools
import json
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from framebus import places

__all__ = [
    "assigned_stream_names",
    "condition_names",
    "expression_names",
    "filter_names",
    "fits_or_stream_names",
    "installed_unit_names",
    "keyword_names",
    "log_names",
    "param_assignments",
    "param_names",
    "param_or_set_names",
    "param_set_names",
    "pipeline_files",
    "pipeline_names",
    "python_files",
    "sequence_files",
    "sequence_names",
    "stream_names",
    "stream_or_set_names",
    "unit_names",
    "unit_or_pipeline_names",
]

Completer = Callable[[click.Context, click.Parameter, str], list["CompletionItem[str]"]]
_Names = Callable[[str], Iterable[str]]

_PATHS = ".", "/", "~"
"""What begins a path, not a name."""


def _completer(names: _Names) -> Completer:
    """A ``shell_complete`` out of a function that gives all names; those that begin as what was typed are offered."""

    @functools.wraps(names)
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
        taken = _given(ctx, param)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = sorted({name for name in names(incomplete) if name.startswith(incomplete)} - taken)
        except Exception:  # noqa: BLE001 - whatever a damaged file leads to: no offer, rather than a spoilt line
            return []
        if not found and incomplete.startswith(_PATHS):
            return [CompletionItem(incomplete, type="file")]
        return [CompletionItem(name) for name in found]

    return complete


def _given(ctx: click.Context, param: click.Parameter) -> set[str]:
    """What an argument that takes several has got already: nobody wants a name twice."""
    given = ctx.params.get(param.name or "")
    return set(given) if param.nargs == -1 and isinstance(given, tuple | list) else set()


def _stems(suffix: str) -> Iterator[str]:
    """Names of the files of one kind, without what they end with."""
    with os.scandir(places.shm_directory()) as entries:
        for entry in entries:
            if entry.name.endswith(suffix) and not entry.name.startswith("."):
                yield entry.name.removesuffix(suffix)


def _streams(incomplete: str) -> Iterator[str]:
    """Streams; modifiers and type in front of the name stay: ``@E:tf32>wf``."""
    typed = max(incomplete.rfind(":"), incomplete.rfind(">")) + 1
    return (incomplete[:typed] + name for name in _stems(places.STREAM))


def _param_sets(_: str) -> Iterator[str]:
    return _stems(places.PARAMS)


def _params(incomplete: str) -> Iterator[str]:
    """Parameters as SET.NAME: of one set once its name is typed, before that the sets' names with the point."""
    from framebus import _core
    from framebus.errors import FramebusError

    stems = list(_stems(places.PARAMS))
    meant = [stem for stem in stems if incomplete.startswith(f"{stem}.")] or stems
    for stem in meant:
        try:
            opened = _core.ParamSet.open(str(places.shm_directory() / f"{stem}{places.PARAMS}"))
        except (FramebusError, OSError):
            continue  # removed just now, or damaged
        for spec in opened.specs:
            yield f"{stem}.{spec.name}"


def _params_or_sets(incomplete: str) -> Iterator[str]:
    yield from _stems(places.PARAMS)
    yield from _params(incomplete)


def _units(incomplete: str) -> Iterator[str]:
    """Units that run, and those of pipelines whether or not they do; as PIPELINE/UNIT once a ``/`` is typed."""
    for pipeline, state in _states():
        names = [unit for process in state["processes"].values() for unit in process["units"]]
        yield from (f"{pipeline}/{name}" for name in names) if "/" in incomplete else names
    if "/" not in incomplete:
        yield from _recorded_units()


def _recorded_units() -> Iterator[str]:
    """The units of records whose process lives; with its pid where several have one name."""
    pids: dict[str, list[str]] = {}
    for stem in _stems(places.RECORD):
        unit, _, pid = stem.rpartition(".")
        if os.path.exists(f"/proc/{pid}"):
            pids.setdefault(unit, []).append(pid)
    for unit, found in pids.items():
        yield from [unit] if len(found) == 1 else (f"{unit}.{pid}" for pid in found)


def _logs(incomplete: str) -> Iterator[str]:
    yield from _units(incomplete)
    if "/" in incomplete:
        yield from (f"{pipeline}/supervisor" for pipeline in _stems(places.PIPELINE))


def _states() -> Iterator[tuple[str, dict[str, Any]]]:
    """What the supervisor of each pipeline has left about it."""
    for pipeline in _stems(places.PIPELINE):
        try:
            file = places.shm_directory() / f"{pipeline}{places.PIPELINE}" / "state.json"
            yield pipeline, json.loads(file.read_bytes())
        except (OSError, ValueError):
            continue  # it goes down just now


def _files(incomplete: str, *suffixes: str) -> Iterator[str]:
    """Files with one of the endings, and directories with a ``/`` behind them."""
    folder = os.path.dirname(incomplete)
    hidden = os.path.basename(incomplete).startswith(".")
    with os.scandir(Path(folder or ".").expanduser()) as entries:
        for entry in entries:
            if entry.name.startswith(".") and not hidden:
                continue
            if entry.is_dir():
                yield os.path.join(folder, entry.name) + "/"
            elif entry.name.endswith(suffixes):
                yield os.path.join(folder, entry.name)


def _units_or_pipelines(incomplete: str) -> Iterator[str]:
    yield from _stems(places.PIPELINE)
    yield from _units(incomplete)


def _conditions(incomplete: str) -> Iterator[str]:
    """``KIND:NAME``; the kinds before there is a colon."""
    kind, colon, name = incomplete.partition(":")
    names: dict[str, _Names] = {
        "stream": lambda _: _stems(places.STREAM),
        "param": _params_or_sets,
        "unit": _units,
        "pipeline": lambda _: _stems(places.PIPELINE),
    }
    if not colon:
        return (f"{each}:" for each in names)
    return (f"{kind}:{each}" for each in names[kind](name)) if kind in names else iter(())


def _filters(incomplete: str) -> Iterator[str]:
    yield from ("streams", "params", "units", "pipelines")
    for suffix in (places.STREAM, places.PARAMS, places.PIPELINE):
        yield from _stems(suffix)
    yield from _units(incomplete)
    if ":" in incomplete:
        yield from _conditions(incomplete)


def _expression(incomplete: str) -> Iterator[str]:
    """What is typed of an expression, its last name completed by those of streams that need no quotes there."""
    typed = re.search(r"[^\W\d]\w*$", incomplete)
    before = incomplete[: typed.start()] if typed else incomplete
    return (before + name for name in _stems(places.STREAM) if name.isidentifier())


def _pipeline_files(incomplete: str) -> Iterator[str]:
    from framebus.cli.shipped import SHIPPED

    yield from SHIPPED
    yield from _files(incomplete, ".toml")


def _pipeline_files_or_names(incomplete: str) -> Iterator[str]:
    yield from _stems(places.PIPELINE)
    if incomplete:  # before that, what runs is more likely meant than what lies about
        yield from _files(incomplete, ".toml")


def _fits_or_streams(incomplete: str) -> Iterator[str]:
    yield from _streams(incomplete)
    yield from _files(incomplete, ".fits", ".fits.fz", ".fits.gz")


def _stream_or_files(incomplete: str) -> Iterator[str]:
    yield from _streams(incomplete)
    if incomplete.startswith(_PATHS):
        yield from _files(incomplete, places.STREAM)


def _streams_or_sets(incomplete: str) -> Iterator[str]:
    yield from _streams(incomplete)
    yield from _stems(places.PARAMS)


def _assigned_streams(incomplete: str) -> Iterator[str]:
    """``NAME=STREAM``: the stream, once ``=`` is typed, and where there is none, the stream alone."""
    typed = incomplete.find("=") + 1
    return (incomplete[:typed] + name for name in _streams(incomplete[typed:]))


def _sequence_files(incomplete: str) -> Iterator[str]:
    from framebus.cli.shipped import SHIPPED_SEQUENCES

    yield from SHIPPED_SEQUENCES
    yield from _files(incomplete, ".py")


def _installed_units(incomplete: str) -> Iterator[str]:
    import importlib.metadata

    from framebus.unit.load import BUILT_IN, ENTRY_POINTS

    yield from BUILT_IN
    yield from (point.name for point in importlib.metadata.entry_points(group=ENTRY_POINTS))
    yield from _files(incomplete, ".py")


def keyword_names(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem[str]]:
    """Keywords of the stream that the argument before names."""

    def names(_: str) -> Iterator[str]:
        from framebus import _core
        from framebus.cli.text import safe

        path = places.shm_directory() / f"{ctx.params['name']}{places.STREAM}"
        handle = _core.StreamHandle.open(str(path), looks_only=True)
        try:
            entries = map(handle.keyword, range(handle.keyword_slots))
            yield from (safe(entry[0]) for entry in entries if entry is not None)
        finally:
            handle.close()

    return _completer(names)(ctx, param, incomplete)


stream_names = _completer(_stream_or_files)
"""Streams in shared memory; files of streams once a path is begun."""
assigned_stream_names = _completer(_assigned_streams)
"""``NAME=STREAM``."""
fits_or_stream_names = _completer(_fits_or_streams)
"""Streams, and FITS files."""
param_set_names = _completer(_param_sets)
"""Parameter sets."""
param_names = _completer(_params)
"""Parameters as SET.NAME."""
param_or_set_names = _completer(_params_or_sets)
"""Parameters, and whole sets."""
stream_or_set_names = _completer(_streams_or_sets)
"""Streams, and parameter sets."""
sequence_names = _completer(lambda _: _stems(places.SEQUENCE))
"""Sequences that run, or ended and were not forgotten."""
condition_names = _completer(_conditions)
"""What is waited for: KIND:NAME."""
filter_names = _completer(_filters)
"""What is chosen out of everything."""
expression_names = _completer(_expression)
"""Names of streams in an expression."""
python_files = _completer(lambda incomplete: _files(incomplete, ".py"))
"""Files of Python."""
sequence_files = _completer(_sequence_files)
"""Files of Python, and the sequences that come with framebus."""
param_assignments = _completer(lambda incomplete: (f"{name}=" for name in _params(incomplete)))
"""Parameters as SET.NAME=, for a value to follow."""
unit_names = _completer(_units)
"""Units, as every command that steers one takes them."""
log_names = _completer(_logs)
"""Units, and PIPELINE/supervisor."""
unit_or_pipeline_names = _completer(_units_or_pipelines)
"""Units, and pipelines."""
pipeline_names = _completer(_pipeline_files_or_names)
"""Pipelines that run or were not taken down, and pipeline files."""
pipeline_files = _completer(_pipeline_files)
"""Pipeline files, and the names of those that come with framebus."""
installed_unit_names = _completer(_installed_units)
"""Units by what stands under USE in 'framebus units', plug-ins' names, and files of Python."""
