"""``Watcher``: one look at everything in shared memory after another, and what changed in between.

Handles stay open from look to look, and a look reads a few words of each stream and record, so that hundreds of them
cost about a millisecond.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from types import TracebackType
from typing import Self, TypeVar

from framebus import _core
from framebus.pipeline import rundir
from framebus.process import record
from framebus.sequence.status import SUFFIX as SEQUENCES
from framebus.stream import names
from framebus.tui.folder import Folder
from framebus.tui.looks import Snapshot, StreamLook, UnitLook
from framebus.tui.pipeline_watch import PipelineWatch
from framebus.tui.readers import Readers
from framebus.tui.sequence_watch import SequenceWatch
from framebus.tui.stream_watch import StreamWatch
from framebus.tui.unit_watch import UnitWatch

__all__ = ["EVERYTHING", "Watcher"]

_Look = TypeVar("_Look", StreamLook, UnitLook)
PARAMETERS = ".params.fb"


class _Everything:
    def __contains__(self, name: object) -> bool:
        return True


EVERYTHING = _Everything()
"""Has every name in it."""
_COUNTED_NS = 1_000_000_000
"""How old the numbers of readers may be."""


class Watcher:
    """Looks at the streams, units and pipelines in shared memory.

    Used from one thread. ``close`` gives the handles back; ``with`` does that, too.
    """

    def __init__(self) -> None:
        path = names.shm_directory()
        self.folder = Folder(path, (names.SUFFIX, record.SUFFIX, rundir.SUFFIX, PARAMETERS, SEQUENCES))
        self._streams, self._units = StreamWatch(path), UnitWatch(path)
        self._pipelines, self._readers = PipelineWatch(path), Readers(path)
        self._sequences = SequenceWatch(path)
        self._before = Snapshot(0, {}, {}, {})
        self._counts: Mapping[str, int] = {}
        self._missed: Mapping[str, int] = {}
        self._counted_ns = 0

    def look(self, *, streams: Container[str] = EVERYTHING, units: Container[str] = EVERYTHING) -> Snapshot:
        """Look at everything. What did not change is the very object of the snapshot before.

        Args:
            streams, units: the names (of units, the keys) of those to look at; others are as they were at the look
                before, unless they are new.
        """
        now_ns = _core.realtime_ns()
        self.folder.look()
        pipelines = self._pipelines.look(self.folder.files(rundir.SUFFIX), now_ns)
        before = self._before
        same_units = {key: unit for key, unit in before.units.items() if key not in units}
        units_now = self._units.look(
            self.folder.files(record.SUFFIX), self._pipelines, list(pipelines), now_ns, same_units
        )
        units_now, changed_units = _kept(before.units, units_now)
        self._missed = _missed_by_stream(units_now)
        self._look_for_readers(now_ns, units_now)
        same_streams = {name: stream for name, stream in before.streams.items() if name not in streams}
        streams_now = self._streams.look(
            self.folder.files(names.SUFFIX), now_ns, self._counts, self._missed, same_streams
        )
        streams_now, changed_streams = _kept(before.streams, streams_now)
        sequences = self._sequences.look(self.folder.files(SEQUENCES), now_ns)
        self._before = Snapshot(
            now_ns, streams_now, units_now, pipelines, changed_streams, changed_units, sequences
        )
        return self._before

    def _look_for_readers(self, now_ns: int, units: Mapping[str, UnitLook]) -> None:
        if now_ns - self._counted_ns < _COUNTED_NS and self._counts:
            self._readers.look()
            return
        self._counted_ns = now_ns
        writers = {name: stream.writer_pid for name, stream in self._before.streams.items()}
        self._readers.look({unit.pid for unit in units.values() if unit.pid} | set(writers.values()) - {0})
        self._counts = self._readers.counts(writers)

    def stream(self, name: str) -> _core.StreamHandle | None:
        """The open handle of a stream, for its frame and its trace; None if it cannot be opened."""
        return self._streams.handle(name)

    def inodes(self) -> Mapping[str, int]:
        """The streams' inodes by name, as process traces refer to them."""
        return self.folder.files(names.SUFFIX)

    def close(self) -> None:
        """Give all handles back."""
        self._streams.close()
        self._units.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def _missed_by_stream(units: Mapping[str, UnitLook]) -> dict[str, int]:
    """Frames that living units missed, by the stream that triggers them."""
    missed: dict[str, int] = {}
    for unit in units.values():
        if unit.trigger and unit.state != "dead":
            missed[unit.trigger] = missed.get(unit.trigger, 0) + unit.missed
    return missed


def _kept(before: Mapping[str, _Look], now: dict[str, _Look]) -> tuple[dict[str, _Look], frozenset[str]]:
    """Looks with those of before where they are equal, and the names of the others."""
    changed = set()
    for name, look in now.items():
        old = before.get(name)
        if old is look or (old is not None and old == look):
            now[name] = old
        else:
            changed.add(name)
    return now, frozenset(changed)
