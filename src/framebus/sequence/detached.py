"""Starting a sequence that goes on by itself."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framebus.errors import SequenceError, UsageError
from framebus.pipeline.detached import start_detached
from framebus.sequence.session import log_of
from framebus.sequence.status import Place, SequenceStatus

__all__ = ["start"]


def start(
    file: str | os.PathLike[str], arguments: Mapping[str, Any] | None = None, *, name: str = ""
) -> SequenceStatus:
    """Run a sequence's file in a process of its own; returns when it runs, and it goes on whatever becomes of us.

    What it prints goes to its log. Ctrl-C meanwhile stops it.

    Args:
        file: the file.
        arguments: for its function: whatever JSON can hold; texts become what its annotations say.
        name: of the sequence; default: the file's name without ``.py``.

    Returns:
        Its status as it stands, which may have ended already.

    Raises:
        NotFoundError: there is no such file. DataError: it has no sequence, or is no Python.
        NameFormatError: the name is not possible.
        UsageError: a sequence of that name runs, or the arguments are wrong.
        SequenceError: its process has ended without a word.
    """
    name = name or Path(file).stem
    try:
        given = json.dumps({"file": os.path.abspath(file), "arguments": dict(arguments or {}), "name": name})
    except (TypeError, ValueError) as error:
        raise UsageError(f"{file}: the arguments must be what JSON can hold: {error}") from error
    log = log_of(name)
    if not start_detached("framebus.sequence.background", given.encode(), log, wait_for_end=False):
        raise SequenceError(f"sequence '{name}' has ended without a word; {log.path} may tell why")
    return Place(name).read()
