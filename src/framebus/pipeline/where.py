"""Where in which file each key of a pipeline stands, and how that is written."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from framebus.errors import Problem
from framebus.pipeline.locate import Path

_BARE = re.compile(r"[A-Za-z0-9_-]+")


class Place(NamedTuple):
    """A line of a file.

    Attributes:
        file: as the user named it.
        line: from 1; 0 where none can be told.
        directory: the file's, absolute: what relative paths in it start from.
    """

    file: str
    line: int
    directory: str


@dataclass
class Where:
    """The places of keys; of a pipeline that was built in Python there are none."""

    places: dict[Path, Place] = field(default_factory=dict)

    def place(self, path: Path) -> Place:
        """Where a key stands: itself, or the nearest table around it that stands somewhere."""
        for length in range(len(path), -1, -1):
            if (found := self.places.get(path[:length])) is not None:
                return found
        return Place("", 0, "")

    def problem(self, path: Path, message: str) -> Problem:
        """What is wrong with a key."""
        place = self.place(path)
        return Problem(message, place.file, place.line, key_text(path))

    def forget(self, path: Path) -> None:
        """Nothing is known any more of a key and what is below it."""
        for known in [known for known in self.places if known[: len(path)] == path]:
            del self.places[known]


def key_text(path: Path) -> str:
    """A key as a file has it: ``units.camera.streams.dm``, ``units."my camera".cpu[1]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            dot = "." if text else ""
            text += dot + (part if _BARE.fullmatch(part) else '"' + part.replace('"', '\\"') + '"')
    return text
