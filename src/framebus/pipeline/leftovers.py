"""What processes leave in shared memory when they are killed, and what a pipeline leaves when it goes down."""

from __future__ import annotations

import contextlib
import socket
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from framebus import _core
from framebus.errors import FramebusError, NotFoundError, StreamNotFound
from framebus.params import Params
from framebus.process import records
from framebus.stream import open as open_stream
from framebus.stream.names import parse, shm_directory, stream_path

__all__ = ["Ledger", "remove_drafts", "remove_records", "remove_sets", "remove_streams", "there_already"]


@dataclass
class Ledger:
    """What a pipeline has made and will remove: not what was there before it.

    Attributes:
        streams: names of streams.
        sets: units whose parameter sets these are.
        units: all units that have run since it was first started.
    """

    streams: list[str] = field(default_factory=list)
    sets: list[str] = field(default_factory=list)
    units: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Ledger:
        """That of a supervisor before, out of the state that it left."""
        return cls(*(list(state.get(key, [])) for key in ("streams", "sets", "units")))

    def plan(self, streams: Iterable[str], units: Iterable[str]) -> None:
        """Note streams and units that are about to be made: what is there already stays in the end."""
        units = list(units)
        names = [name for name in streams if not name.startswith("@L:")]
        there, sets = there_already(names, units)
        self.add(name for name in names if name not in there)
        self.sets = list(dict.fromkeys([*self.sets, *(unit for unit in units if unit not in sets)]))
        self.units = list(dict.fromkeys([*self.units, *units]))

    def add(self, streams: Iterable[str]) -> None:
        """Note streams that were made."""
        self.streams = list(dict.fromkeys([*self.streams, *streams]))

    def clear(self) -> None:
        """Remove it all; nothing of the pipeline runs any more."""
        remove_streams(self.streams)
        remove_sets(self.sets)
        remove_records(self.units)
        remove_drafts()


def there_already(streams: Iterable[str], units: Iterable[str]) -> tuple[list[str], list[str]]:
    """Which of these streams, and which parameter sets of these units, are in shared memory."""
    found = []
    for name in streams:
        parsed = parse(name)
        if not parsed.local and stream_path(parsed).exists():
            found.append(name)
    return found, [unit for unit in units if _has_set(unit)]


def remove_drafts() -> None:
    """Remove files that a process which has died since was about to put in place."""
    for path in shm_directory().glob(".fb-*"):
        pid = path.name.removeprefix(".fb-").partition("-")[0]
        if pid.isdigit() and not _core.process_alive(int(pid)):
            with contextlib.suppress(OSError):  # another user's, or gone already
                path.unlink(missing_ok=True)


def remove_records(units: Iterable[str], *, continued: bool = False) -> None:
    """Remove the process records of these units whose process is dead.

    Args:
        units: names of the units.
        continued: only those whose counts a living process of the unit has taken up.
    """
    wanted = set(units)
    found = [record for record in _records() if record.unit in wanted]
    reached: dict[str, int] = {}
    for record in found:
        if record.alive:
            reached[record.unit] = max(reached.get(record.unit, 0), record.loop_count)
    for record in found:
        with record:
            if record.alive or record.host != socket.gethostname():
                continue
            if continued and record.loop_count > reached.get(record.unit, -1):
                continue  # the next process of the unit goes on from there
            with contextlib.suppress(FramebusError, OSError):
                record.remove()


def _records() -> list[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # files of others that are no records
        return list(records())


def remove_streams(names: Iterable[str]) -> None:
    """Remove streams, readable or not; those that are not there are no error."""
    for name in names:
        parsed = parse(name)
        if parsed.local:
            continue
        path = stream_path(parsed)
        try:
            open_stream(path).remove()
        except StreamNotFound:
            pass
        except (FramebusError, OSError):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def remove_sets(units: Iterable[str]) -> None:
    """Remove the parameter sets of these units that no living process runs with."""
    for unit in units:
        try:
            params = Params.open(unit)
        except NotFoundError:
            continue
        except (FramebusError, OSError):
            continue  # not ours, whatever it is
        with params:
            if params.user_pid == 0:
                params.remove()


def _has_set(unit: str) -> bool:
    from framebus.params.paramset import SUFFIX

    return (shm_directory() / f"{unit}{SUFFIX}").exists()
