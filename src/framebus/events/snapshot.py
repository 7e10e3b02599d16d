"""Everything that there is at one moment, as plain values: streams, parameters, units, pipelines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from framebus import _core
from framebus.errors import UsageError
from framebus.events.plain import pipeline_plain, set_plain, unit_plain
from framebus.events.state_watchers import pipeline_state
from framebus.params.listing import sets
from framebus.pipeline.rundir import RunDir
from framebus.pipeline.running import pipeline_statuses, running
from framebus.stream import streams
from framebus.stream.listing import stream_plain
from framebus.stream.names import shm_directory

__all__ = ["KINDS", "parse_filters", "query"]

KINDS = ("streams", "parameters", "units", "pipelines")
"""The parts of a snapshot."""

_WORDS = {
    **dict.fromkeys(("stream", "streams"), "streams"),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), "parameters"),
    **dict.fromkeys(("unit", "units"), "units"),
    **dict.fromkeys(("pipeline", "pipelines"), "pipelines"),
}


def query(*filters: str) -> dict[str, Any]:
    """One snapshot, as JSON has it (floats may be NaN or infinite).

    Args:
        filters: ``streams``, ``params``, ``units``, ``pipelines`` choose what is looked at; a pattern of names as a
            shell's belongs to the kind before it, or to all that are chosen; ``unit:slopes`` is both in one.
            No filter means everything.

    Returns:
        ``time_ns`` (ns since 1970), ``directory``, and of each kind that is looked at a list: ``streams``,
        ``parameters`` (sets, with those entries whose full names match), ``units``, ``pipelines``.

    Raises:
        UsageError: a filter names a kind that there is not.
    """
    chosen = parse_filters(filters)
    found: dict[str, Any] = {"time_ns": _core.realtime_ns(), "directory": str(shm_directory())}
    wanted = chosen.get("pipelines", [])
    statuses = []
    if "units" in chosen:
        statuses = pipeline_statuses()
    elif "pipelines" in chosen:
        statuses = pipeline_statuses(lambda name: _matches(name, wanted))
    look: dict[str, Callable[[Sequence[str]], list[dict[str, Any]]]] = {
        "streams": _streams,
        "parameters": _parameters,
        "units": lambda patterns: _units(patterns, statuses),
        "pipelines": lambda patterns: _pipelines(patterns, statuses),
    }
    return found | {kind: look[kind](patterns) for kind, patterns in chosen.items()}


def parse_filters(filters: Sequence[str]) -> dict[str, list[str]]:
    """Patterns by kind, in the order of ``KINDS``; a kind without patterns means all of it.

    Raises:
        UsageError: a filter names a kind that there is not.
    """
    chosen: dict[str, list[str]] = {}
    everywhere: list[str] = []
    last = everywhere
    for word in filters:
        name, colon, pattern = word.partition(":")
        kind = _WORDS.get(name, "")
        if colon and not (kind and pattern):
            raise UsageError(
                f"filter '{word}': expected a pattern behind 'stream:', 'param:', 'unit:' or 'pipeline:'"
            )
        if colon:
            chosen.setdefault(kind, []).append(pattern)
        elif kind:
            last = chosen.setdefault(kind, [])
        else:
            last.append(word)
    return {kind: [*everywhere, *chosen.get(kind, [])] for kind in KINDS if kind in chosen or not chosen}


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(name, pattern) for pattern in patterns)


def _streams(patterns: Sequence[str]) -> list[dict[str, Any]]:
    return [stream_plain(info) for info in streams() if _matches(info.name, patterns)]


def _parameters(patterns: Sequence[str]) -> list[dict[str, Any]]:
    found = []
    for plain in map(set_plain, sets()):
        name = plain["name"]
        if not _matches(name, patterns):
            plain["entries"] = {
                entry: info
                for entry, info in plain["entries"].items()
                if _matches(f"{name}.{entry}", patterns)
            }
            if not plain["entries"]:
                continue
        found.append(plain)
    return found


def _units(patterns: Sequence[str], statuses: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        unit_plain(unit)
        for unit in running(statuses)
        if _matches(unit.unit, patterns) or _matches(f"{unit.pipeline}/{unit.unit}", patterns)
    ]


def _pipelines(patterns: Sequence[str], statuses: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [
        pipeline_plain(status, pipeline_state(RunDir(status["pipeline"])))
        for status in statuses
        if _matches(status["pipeline"], patterns)
    ]
