"""Watching a running loop from outside: timings of every stage, the residual, and an account of every frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from framebus.process import ProcessRecord
from framebus.stream import Stream

Percentiles = tuple[float, float, float]
"""p50, p99 and max, µs."""


def percentiles(times_ns: npt.NDArray[np.int64]) -> Percentiles:
    """p50, p99 and max in µs; NaN without values."""
    if len(times_ns) == 0:
        return (np.nan, np.nan, np.nan)
    p50, p99, top = np.percentile(times_ns, [50.0, 99.0, 100.0]) / 1e3
    return float(p50), float(p99), float(top)


@dataclass
class StageMonitor:
    """Collects every loop that a unit's record tells of, from now on; look at it at least every 1000 frames."""

    record: ProcessRecord
    period_ns: float
    rows: list[npt.NDArray[np.void]] = field(default_factory=list)
    last_loop: int = 0
    missed_before: int = 0

    def __post_init__(self) -> None:
        while True:
            missed = self.record.missed
            newest = self.record.timings(1)
            if missed == self.record.missed:
                break
        if len(newest):
            self.rows.append(newest)
            self.last_loop = int(newest["loop"][0])
            self.missed_before = missed - int(newest["missed"][0])

    def look(self) -> None:
        """Take the loops since the last look."""
        timings = self.record.timings()
        new = timings[timings["loop"] > self.last_loop]
        if len(new):
            self.last_loop = int(new["loop"][-1])
            self.rows.append(new)

    def all(self) -> npt.NDArray[np.void]:
        """Every loop seen, in order."""
        return np.concatenate(self.rows) if self.rows else self.record.timings(0)

    def recent(self) -> npt.NDArray[np.void]:
        """The loops of the last look or two."""
        return np.concatenate(self.rows[-2:]) if self.rows else self.record.timings(0)

    def causes(self) -> dict[str, int]:
        """Missed frames by what kept the unit: told from its own times around each gap.

        ``computing``: the loop before took longer than a frame. ``woken late``: the frame that ended the gap had
        waited longer than a frame for the unit. ``came close together``: neither; frames followed each other faster
        than the period says, as when the camera itself was late. ``not watched``: its times were overwritten before
        anybody looked.
        """
        timings = self.all()
        missed = np.flatnonzero(timings["missed"])
        took = timings["end_ns"] - timings["start_ns"]
        gap = np.diff(timings["start_ns"], prepend=timings["start_ns"][:1])
        causes: dict[str, int] = {}
        for i in missed:
            busy = i > 0 and took[i - 1] > self.period_ns
            cause = (
                "computing" if busy else "woken late" if gap[i] > self.period_ns else "came close together"
            )
            causes[cause] = causes.get(cause, 0) + int(timings["missed"][i])
        unseen = self.record.missed - self.missed_before - int(timings["missed"].sum())
        return causes | {"not watched": unseen} if unseen and not self.complete() else causes

    def complete(self) -> bool:
        """Whether no loop was overwritten before it was looked at."""
        timings = self.all()
        return len(timings) == 0 or len(timings) == int(timings["loop"][-1]) - int(timings["loop"][0]) + 1


@dataclass(frozen=True)
class Account:
    """What became of the frames that a unit was to process.

    Attributes:
        published: frames of its trigger since it was bound.
        processed: loops.
        missed: frames that the unit itself counted as missed.
        causes: the missed ones by cause.
    """

    published: int
    processed: int
    missed: int
    causes: Mapping[str, int]

    @property
    def unexplained(self) -> int:
        """Frames neither processed nor counted, or missed without a cause."""
        return abs(self.published - self.processed - self.missed) + abs(
            self.missed - sum(self.causes.values())
        )


def account_for(monitor: StageMonitor, trigger: Stream | None) -> Account:
    """The account of one unit, once its trigger has stopped and it has come to rest.

    Args:
        monitor: the unit's, looked at since its first loop.
        trigger: the stream that triggers it; None for a clock.
    """
    monitor.look()
    timings = monitor.all()
    if len(timings) == 0:
        return Account(0, 0, 0, {})
    processed = int(timings["loop"][-1]) - int(timings["loop"][0]) + 1
    missed = monitor.record.missed - monitor.missed_before
    if trigger is None:  # the unit's own clock: every tick is a loop or counted as missed
        return Account(processed + missed, processed, missed, monitor.causes())
    first_due = int(timings["trigger_count"][0]) - int(timings["missed"][0])
    return Account(trigger.count - first_due + 1, processed, missed, monitor.causes())


class ResidualMonitor:
    """Collects the frames of the ``residual`` stream: time, rms nm, Strehl ratio, rms nm of the turbulence alone."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.times_ns: list[int] = []
        self.values: list[npt.NDArray[np.float32]] = []
        self.missed = 0

    def look(self) -> int:
        """Take what is new; returns how many frames that was."""
        taken = 0
        while self.stream.count > self.stream.statistics().cursor:
            frame = self.stream.read_next(timeout_s=1.0)
            self.times_ns.append(frame.write_ns)
            self.values.append(frame.data)
            self.missed += frame.missed
            taken += 1
        return taken

    def since(self, start: int) -> npt.NDArray[np.float64]:
        """Values from the ``start``-th frame on, float64 (n, 3)."""
        return np.array(self.values[start:], np.float64).reshape(-1, 3)


class EndToEnd:
    """Latency from the camera's frame to the mirror's command, frame by frame, matched by acquisition time."""

    def __init__(self, camera: Stream, mirror: Stream) -> None:
        self.camera, self.mirror = camera, mirror
        self._seen = [camera.count, mirror.count]
        self._published: dict[int, int] = {}
        self.latencies_ns: list[int] = []

    def look(self) -> None:
        """Take what is new."""
        frames, commands = self._new(0, self.camera), self._new(1, self.mirror)
        for _, acquired, written in frames:
            self._published[acquired] = written
        for _, acquired, written in commands:
            published = self._published.get(acquired)
            if published is not None:
                self.latencies_ns.append(written - published)
        for acquired in sorted(self._published)[:-4096]:
            del self._published[acquired]

    def _new(self, which: int, stream: Stream) -> list[tuple[int, ...]]:
        rows = stream.times(self._seen[which])
        if len(rows):
            self._seen[which] = int(rows[-1, 0])
        return [tuple(row) for row in rows.tolist()]
