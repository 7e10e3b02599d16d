"""framebus: real-time image streaming for adaptive optics and scientific imaging.

The names here are the ones that a newcomer needs. They load on first use, so that ``import framebus`` costs little
more than ``import numpy``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framebus.params import Params
    from framebus.pipeline import Pipeline
    from framebus.stream import Stream, create, open, streams  # noqa: A004
    from framebus.unit import In, Out, State, unit

__version__ = "0.1.0"
__all__ = ["In", "Out", "Params", "Pipeline", "State", "Stream", "create", "open", "streams", "unit"]

_HOMES = {
    "Stream": "framebus.stream",
    "open": "framebus.stream",
    "create": "framebus.stream",
    "streams": "framebus.stream",
    "unit": "framebus.unit",
    "In": "framebus.unit",
    "Out": "framebus.unit",
    "State": "framebus.unit",
    "Params": "framebus.params",
    "Pipeline": "framebus.pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'framebus' has no attribute '{name}'")
    package = importlib.import_module(_HOMES[name])
    if name == "unit":
        return package  # itself callable: the import system binds the subpackage under the decorator's name
    value = getattr(package, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
