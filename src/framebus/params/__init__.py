"""Live parameters: named, typed, limited values in shared memory that any process may read and change."""

from __future__ import annotations

from framebus.params.cells import Value
from framebus.params.paramset import ParamInfo, Params
from framebus.params.spec import ParamSpec

__all__ = ["ParamInfo", "ParamSpec", "Params", "Value"]
