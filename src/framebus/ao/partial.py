"""What an interrupted measurement has so far, in a file from which the next try goes on."""

from __future__ import annotations

import json
import os
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framebus.errors import DataError, UsageError


class Partial:
    """A file of arrays that are saved as a measurement goes on, and removed when it is complete.

    Args:
        path: the file; ``None``: nothing is kept.
        settings: what must be the same for going on; JSON values.
        every_s: how often ``save`` writes at most, seconds.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None, settings: Mapping[str, Any], every_s: float = 2.0
    ) -> None:
        self.path = None if path is None else Path(path)
        self.settings = json.dumps(dict(settings), sort_keys=True)
        self.every_s = every_s
        self.saved_s = time.monotonic()

    def load(self) -> dict[str, NDArray[Any]] | None:
        """The arrays of an earlier try; ``None`` if there was none.

        Raises:
            UsageError: the file is of a measurement with other settings.
            DataError: the file cannot be read.
        """
        if self.path is None or not self.path.exists():
            return None
        try:
            with np.load(self.path) as file:
                arrays = {name: file[name] for name in file.files}
            theirs = str(arrays.pop("settings"))
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(
                f"{self.path}: no partial measurement: {error}; remove it to start anew"
            ) from error
        if theirs != self.settings:
            old, new = json.loads(theirs), json.loads(self.settings)
            differ = [key for key in sorted({*old, *new}) if old.get(key) != new.get(key)]
            told = ", ".join(f"{key} {old.get(key)} there, {new.get(key)} here" for key in differ)
            raise UsageError(
                f"{self.path}: it belongs to another measurement ({told}); remove it to start anew, or use its settings"
            )
        return arrays

    def save(self, arrays: Mapping[str, Any], *, now: bool = False) -> None:
        """Replace the file, if ``every_s`` have passed since the last time or ``now``."""
        if self.path is None or not (now or time.monotonic() - self.saved_s >= self.every_s):
            return
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        with beside.open("wb") as file:
            np.savez(file, settings=np.array(self.settings), **dict(arrays))
        beside.replace(self.path)
        self.saved_s = time.monotonic()

    def done(self) -> None:
        """The measurement is complete."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
