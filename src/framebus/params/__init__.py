"""Live parameters: named, typed, limited values in shared memory that any process may read and change."""

from __future__ import annotations

from framebus.params.cells import Value
from framebus.params.files import load_sets, read_sets, save_sets
from framebus.params.listing import SetInfo, find, sets
from framebus.params.paramset import ParamInfo, Params
from framebus.params.place import ProcessId
from framebus.params.spec import ParamSpec
from framebus.params.watch import Changes, Subscription
from framebus.params.writing import set_values

__all__ = [
    "Changes",
    "ParamInfo",
    "ParamSpec",
    "Params",
    "ProcessId",
    "SetInfo",
    "Subscription",
    "Value",
    "find",
    "load_sets",
    "read_sets",
    "save_sets",
    "set_values",
    "sets",
]
