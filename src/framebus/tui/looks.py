"""What one look at shared memory saw: plain values, never changed afterwards."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from framebus.sequence import SequenceStatus

__all__ = ["TROUBLE", "WRONG", "PipelineLook", "Snapshot", "StreamLook", "UnitLook", "short_names"]

NAN = math.nan
WRONG = frozenset({"dead", "bad", "error", "failed"})
"""States of streams, units and sequences that are out of order."""
TROUBLE = WRONG | {"stale", "restarting", "paused"}
"""Those, and states in which they do not do what they are there for."""


class StreamLook(NamedTuple):
    """One stream.

    Attributes:
        name: the stream's name.
        path, inode: its file.
        state: ``live`` (frames come), ``stale`` (its writer lives, and the frames that came have stopped), ``still``
            (its writer lives; none came since this watch began, as in matrices and references), ``empty``, ``unknown``,
            ``dead``, ``bad`` as ``framebus.stream.StreamInfo`` has them.
        shape, dtype: NumPy's; empty for a bad one.
        count: frame counter.
        written_ns: when the newest frame was published (CLOCK_REALTIME); 0: nobody says.
        rate_hz: frames per second, over the last second or the last two frames; 0.0 while none come.
        writer_pid: the process that wrote last, or made it.
        claimed, semaphores: how many of its semaphores readers hold, and how many there are.
        history: past frames that it keeps.
        readers: processes beside the writer that have it mapped; -1: not looked at yet.
        missed: frames that the units which it triggers missed, in all.
        size_bytes: of the file.
        error: what is wrong with a bad one.
    """

    name: str
    path: str
    inode: int
    state: str
    shape: tuple[int, ...] = ()
    dtype: str = ""
    count: int = 0  # type: ignore[assignment] # hides tuple.count
    written_ns: int = 0
    rate_hz: float = 0.0
    writer_pid: int = 0
    claimed: int = 0
    semaphores: int = 0
    history: int = 0
    readers: int = -1
    missed: int = 0
    size_bytes: int = 0
    error: str = ""

    @property
    def wrong(self) -> bool:
        """Whether it is out of order."""
        return self.state in WRONG

    @property
    def in_trouble(self) -> bool:
        """Whether frames do not come though they did, or it is out of order."""
        return self.state in TROUBLE

    def age_s(self, now_ns: int) -> float | None:
        """Seconds since the newest frame; None if there is none, or if nobody says when it came."""
        return max(0.0, (now_ns - self.written_ns) * 1e-9) if self.count and self.written_ns else None


class UnitLook(NamedTuple):
    """One unit.

    Attributes:
        key: ``pipeline/unit``, or ``unit.pid`` if it belongs to none.
        unit, pipeline, process, pid, state, loops, rate_hz, missed, alarms, restarts, message: as
            ``framebus.pipeline.running.UnitStatus`` has them; ``paused`` is an idle unit that was told to pause.
        use: where its code is.
        trigger: the stream that triggers it.
        period_us, compute_us, latency_us: medians of its last loops, µs; NaN where nothing was measured.
        past_compute_us, past_period_us: these medians of the last seconds, the oldest first.
        share: of a CPU that its thread takes, 0 to 1; NaN: not known yet.
        on_cpu: where its thread ran last; -1: not known.
        cpu: that it is pinned to; -1: none.
        priority: SCHED_FIFO priority; 0: normal scheduling.
        traceback: of its last failure.
        log: its process' log file; empty if there is none.
        failures: how often its process ended otherwise than it should, or did not start.
    """

    key: str
    unit: str
    pipeline: str = ""
    process: str = ""
    pid: int = 0
    state: str = "dead"
    loops: int = 0
    rate_hz: float = 0.0
    missed: int = 0
    alarms: int = 0
    restarts: int = 0
    message: str = ""
    use: str = ""
    trigger: str = ""
    period_us: float = NAN
    compute_us: float = NAN
    latency_us: float = NAN
    past_compute_us: tuple[float, ...] = ()
    past_period_us: tuple[float, ...] = ()
    share: float = NAN
    on_cpu: int = -1
    cpu: int = -1
    priority: int = 0
    traceback: str = ""
    log: str = ""
    failures: int = 0

    @property
    def wrong(self) -> bool:
        """Whether it is out of order, one included that failed and is not up again."""
        return (
            self.state in WRONG
            or self.state == "restarting"
            or (self.state == "starting" and self.message != "")
        )

    @property
    def in_trouble(self) -> bool:
        """Whether it does not do what it is there for."""
        return self.wrong or self.state in TROUBLE


class PipelineLook(NamedTuple):
    """One pipeline.

    Attributes:
        name: of the pipeline.
        phase: ``starting``, ``up`` or ``stopping``.
        supervised: whether its supervisor lives.
        suspended_pid: the supervisor's process if that is suspended; else 0.
        log: the supervisor's log file.
        wiring: stream by argument, by unit.
    """

    name: str
    phase: str
    supervised: bool
    suspended_pid: int
    log: str
    wiring: Mapping[str, Mapping[str, str]]

    @property
    def trouble(self) -> str:
        """What to do about it if nobody looks after it; empty if somebody does."""
        if not self.supervised:
            return f"pipeline '{self.name}' has no supervisor; 'framebus up' takes it up"
        if self.suspended_pid:
            pid = self.suspended_pid
            return f"pipeline '{self.name}': its supervisor is suspended; 'kill -CONT {pid}' lets it go on"
        return ""


class Snapshot(NamedTuple):
    """Everything at one moment.

    Attributes:
        time_ns: when (CLOCK_REALTIME).
        streams, units, pipelines: by name (units by their ``key``), each in a stable order.
        changed_streams, changed_units: names of those that differ from the snapshot before, new ones included.
        sequences: by name.
    """

    time_ns: int
    streams: Mapping[str, StreamLook]
    units: Mapping[str, UnitLook]
    pipelines: Mapping[str, PipelineLook]
    changed_streams: frozenset[str] = frozenset()
    changed_units: frozenset[str] = frozenset()
    sequences: Mapping[str, SequenceStatus] = MappingProxyType({})

    @property
    def wrong_streams(self) -> int:
        """How many streams are out of order."""
        return sum(1 for stream in self.streams.values() if stream.wrong)

    @property
    def wrong_units(self) -> int:
        """How many units are out of order."""
        return sum(1 for unit in self.units.values() if unit.wrong)

    @property
    def wrong_sequences(self) -> int:
        """How many sequences failed or were killed."""
        return sum(1 for sequence in self.sequences.values() if sequence.state in WRONG)


def short_names(units: Mapping[str, UnitLook]) -> dict[str, str]:
    """What to call each unit, by its key: its own name where no other unit has that, else its key."""
    times = Counter(unit.unit for unit in units.values())
    return {key: unit.unit if times[unit.unit] == 1 else key for key, unit in units.items()}
