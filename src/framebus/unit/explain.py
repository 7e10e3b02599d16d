"""Numba's errors in a line or two: what it cannot compile, where, and why."""

from __future__ import annotations

import linecache
import os
import re
import types

import numba

_PLACE = re.compile(r"\b(?:at|from) (\S+\.py) \((\d+)\)")
_HEADERS = ("Failed in nopython mode pipeline", "Failed in full_ir mode pipeline", "During:")
_DETAIL = re.compile(r"^\s*(?:raised )?(?:\w+Error|\w+Exception): (.+)$")


_WRITES = (
    "it writes to an input, but inputs are read-only; make the argument Out or State, or write to a copy"
)


def explain(error: Exception, function: types.FunctionType, writes_input: bool = False) -> str:
    """The reason of a failed compilation of ``function`` and the line of source that it speaks of.

    Args:
        error: what Numba raised.
        function: what it was to compile.
        writes_input: it is known to compile once its inputs can be written.
    """
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    file, line = _place(text, error, function)
    source = linecache.getline(file, line).strip()
    where = f"{os.path.basename(file)}, line {line}" + (f": {source}" if source else "")
    return f"{_WRITES if writes_input else _reason(text, error)}\n  {where}"


def _reason(text: str, error: Exception) -> str:
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith(_HEADERS)]
    if not lines:
        return type(error).__name__
    call = re.search(r">>> (.+)", text)
    if lines[0].startswith("No implementation of function") and call is not None:
        details = [found[1] for line in lines if (found := _DETAIL.match(line))]
        because = f": {details[-1]}" if details else ""
        return f"Numba has no {call[1]}{because}"
    reason = re.sub(r"\.? ?Raised from .*$", "", lines[0])
    return f"Numba says: {reason}"


def _place(text: str, error: Exception, function: types.FunctionType) -> tuple[str, int]:
    """File and line: the first one named, hence the innermost, not in Numba; else where the function starts."""
    own = os.path.dirname(numba.__file__) + os.sep
    places = [(file, int(line)) for file, line in _PLACE.findall(text)]
    location = getattr(error, "loc", None)
    if location is not None:
        places.append((location.filename, location.line))
    code = function.__code__
    for file, line in places:
        if os.path.isabs(file) and not file.startswith(own):
            return file, line
    return code.co_filename, code.co_firstlineno
