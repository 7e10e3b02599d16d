"""Parameter sets, units and pipelines as plain values, such as JSON holds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from framebus.params.listing import SetInfo
from framebus.params.paramset import ParamInfo
from framebus.pipeline.running import UnitStatus

__all__ = ["pipeline_plain", "set_plain", "unit_plain"]


def set_plain(info: SetInfo) -> dict[str, Any]:
    """A parameter set; ``user_pid`` is the process whose unit runs with it (0: none)."""
    return {
        "name": info.name,
        "path": str(info.path),
        "user_pid": info.user_pid,
        "generation": info.generation,
        "error": info.error,
        "entries": {name: _entry_plain(entry) for name, entry in info.entries.items()},
    }


def _entry_plain(entry: ParamInfo) -> dict[str, Any]:
    spec = entry.spec
    return {
        "value": entry.value,
        "type": spec.type,
        "unit": spec.unit,
        "minimum": spec.minimum,
        "maximum": spec.maximum,
        "default": spec.default,
        "changes": entry.changes,
        "finding": entry.finding,
        "description": spec.description,
        **{flag: getattr(spec, flag) for flag in ("live", "restart", "saved", "status")},
    }


def unit_plain(unit: UnitStatus) -> dict[str, Any]:
    """A unit; see ``UnitStatus``."""
    return dataclasses.asdict(unit)


def pipeline_plain(status: Mapping[str, Any], state: str) -> dict[str, Any]:
    """A pipeline: what its supervisor tells (see ``Supervisor.status``), and the state that conditions ask for."""
    kept = ("phase", "supervised", "supervisor", "processes", "streams", "sets", "events")
    return {"name": status["pipeline"], "state": state} | {key: status[key] for key in kept if key in status}
