"""The interactive shell, and the same for scripts.

``from framebus.shell import *`` gives a script the prompt's names: ``s`` (streams), ``p`` (parameters), ``u`` (units),
``np``, ``fb``, ``calc`` and NumPy's commonest functions. A bare stream's name, and publishing by assignment, are for
code that the shell itself runs: ``framebus shell FILE.py``, or ``session().run(code)``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import framebus as fb
from framebus.calc import calc
from framebus.shell.image import Image
from framebus.shell.live import LiveStream
from framebus.shell.sessions import ARRAY_FUNCTIONS, Session, session

__all__ = ["Image", "LiveStream", "Session", "calc", "fb", "np", "p", "s", "session", "u", *ARRAY_FUNCTIONS]  # noqa: PLE0604

_OBJECTS = {"s": "streams", "p": "parameters", "u": "units"}


def __getattr__(name: str) -> Any:
    if name in _OBJECTS:
        return getattr(session(), _OBJECTS[name])
    if name in ARRAY_FUNCTIONS:
        return ARRAY_FUNCTIONS[name]
    raise AttributeError(f"module 'framebus.shell' has no attribute '{name}'")
