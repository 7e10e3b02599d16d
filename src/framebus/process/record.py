"""``ProcessRecord``: a running unit as any process on the machine sees it."""

from __future__ import annotations

import math
import os
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

import numpy as np

from framebus import _core
from framebus.errors import NotFoundError, StreamNotFound, UsageError
from framebus.places import RECORD as SUFFIX
from framebus.process.states import Event, State, sendable, transition
from framebus.process.timing import RING_LENGTH, TIMING_DTYPE, Statistics, rate_hz, statistics_of
from framebus.stream.names import check_name, shm_directory

__all__ = ["SUFFIX", "LimitAction", "Limits", "ProcessRecord"]

LimitAction = Literal["alarm", "pause"]

_COMMANDS = ("run", "pause", "step", "stop")


class Limits(NamedTuple):
    """What a unit's times may be at most.

    Attributes:
        period_us: from the start of one loop to the start of the next, µs; None: no limit.
        compute_us: from start to end of one loop, µs; None: no limit.
        action: ``alarm`` (counted and told in the record) or ``pause`` (the unit pauses, too).
    """

    period_us: float | None = None
    compute_us: float | None = None
    action: LimitAction = "alarm"


class ProcessRecord:
    """A unit's record in shared memory, ``<unit>.<pid>.proc.fb``.

    Any process reads it, may send events to the unit and set limits; only the unit's own writes the rest.
    """

    def __init__(self, core: _core.ProcessRecord) -> None:
        """Use ``ProcessRecord.create``, ``ProcessRecord.open`` or ``records()``."""
        self._open: _core.ProcessRecord | None = core

    # ---- making and opening --------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        unit: str,
        *,
        use: str = "",
        trigger: str = "",
        cpu: int = -1,
        priority: int = 0,
        mode: int = 0o660,
        directory: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Make the record of a unit of this process: state off, nothing looped yet.

        Args:
            unit: the unit's name, unique in this process.
            use: where its code is, ``"package.module:function"``.
            trigger: the stream that triggers it, or what else does.
            cpu: where it is pinned; -1: nowhere.
            priority: SCHED_FIFO priority; 0: normal scheduling.
            mode: access mode of the file, under the umask.
            directory: default: the one of the streams.

        Raises:
            UsageError: a unit of that name runs in this process already, or a text is too long.
            NameFormatError: the name is not possible.
        """
        check_name(unit)
        path = _directory(directory) / f"{unit}.{os.getpid()}{SUFFIX}"
        try:
            old = _core.ProcessRecord.open(str(path))
        except StreamNotFound:
            pass
        else:
            if old.alive and State(old.state) in (State.IDLE, State.RUNNING):
                raise UsageError(
                    f"unit '{unit}' runs in this process already ({path}); "
                    "stop it, or give this one another name"
                )
        return cls(_core.ProcessRecord.create(str(path), unit, use, trigger, cpu, priority, mode))

    @classmethod
    def open(cls, name: str | os.PathLike[str], *, directory: str | os.PathLike[str] | None = None) -> Self:
        """Open a record by the unit's name, by ``"unit.pid"``, or by its file's path.

        A path is an ``os.PathLike`` or a text with a ``/`` in it. Of several records of one unit, that of a
        live process is meant; if all are dead, the newest.

        Raises:
            NotFoundError: there is none.
            UsageError: several live processes run a unit of that name; the message lists them.
            StreamFormatError: the file is corrupt, foreign or truncated; its ``field`` says what is wrong.
        """
        if isinstance(name, os.PathLike) or "/" in name:
            paths = [Path(name)]
        else:
            folder = _directory(directory)
            exact = folder / f"{name}{SUFFIX}"
            paths = (
                [exact] if exact.exists() else [p for p in folder.glob(f"*{SUFFIX}") if _unit_of(p) == name]
            )
        found = []
        for path in paths:
            try:
                found.append(cls(_core.ProcessRecord.open(str(path))))
            except StreamNotFound:
                continue  # removed since it was listed
        if not found:
            folder = paths[0].parent if paths else _directory(directory)
            there = sorted({_unit_of(path) for path in folder.glob(f"*{SUFFIX}")} - {""})
            known = f"are: {', '.join(there[:20])}" if there else "are none"
            raise NotFoundError(f"no process record '{name}' in {folder}; there {known}")
        live = [record for record in found if record.alive]
        if len(live) > 1:
            choices = ", ".join(f"'{r.unit}.{r.pid}'" for r in live)
            raise UsageError(f"several live processes run a unit '{name}'; name one of them: {choices}")
        return live[0] if live else max(found, key=lambda record: record.creation_ns)

    def close(self) -> None:
        """Give up this handle; the record stays. Using the handle afterwards raises ``UsageError``."""
        self._open = None

    def remove(self) -> None:
        """Remove the record's file.

        Raises:
            UsageError: it is the record of another process, which is alive.
        """
        core = self.core
        if core.pid != os.getpid() and core.alive:
            whose = f"the record of unit '{core.unit}' belongs to process {core.pid}"
            raise UsageError(f"{whose}, which is alive; stop it first")
        path = Path(core.path)
        try:
            if path.stat().st_ino == core.inode:
                path.unlink()
        except FileNotFoundError:
            pass  # removed by somebody else: what we wanted
        self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def core(self) -> _core.ProcessRecord:
        """The native record, for the loop.

        Raises:
            UsageError: this handle is closed.
        """
        if self._open is None:
            raise UsageError("this record's handle is closed; open it again with ProcessRecord.open(name)")
        return self._open

    # ---- reading -------------------------------------------------------------------------------------------

    @property
    def unit(self) -> str:
        """The unit's name."""
        return self.core.unit

    @property
    def use(self) -> str:
        """Where its code is."""
        return self.core.use

    @property
    def trigger(self) -> str:
        """The stream that triggers it."""
        return self.core.trigger

    @property
    def host(self) -> str:
        """The machine it runs on."""
        return self.core.host

    @property
    def path(self) -> Path:
        """The record's file."""
        return Path(self.core.path)

    @property
    def pid(self) -> int:
        """Its process."""
        return self.core.pid

    @property
    def thread_id(self) -> int:
        """The kernel's id of the thread that loops."""
        return self.core.thread_id

    @property
    def cpu(self) -> int:
        """The CPU that it is pinned to; -1: none."""
        return self.core.cpu

    @property
    def priority(self) -> int:
        """Its SCHED_FIFO priority; 0: normal scheduling."""
        return self.core.priority

    @property
    def creation_ns(self) -> int:
        """When the record was made (CLOCK_REALTIME)."""
        return self.core.creation_ns

    @property
    def alive(self) -> bool:
        """Whether its process lives: the kernel's answer by pid and start time, on the record's machine."""
        return self.core.alive

    @property
    def state(self) -> State:
        """Its state; that of a dead process is the last it had."""
        return State(self.core.state)

    @property
    def control(self) -> str:
        """What it is told to do: run, pause, step or stop."""
        return _COMMANDS[min(self.core.control_word & 0xFF, 3)]

    @property
    def loop_count(self) -> int:
        """Loops done."""
        return self.core.loop_count

    @property
    def missed(self) -> int:
        """Triggering frames that it missed, in all."""
        return self.core.missed

    @property
    def last_missed(self) -> int:
        """Triggering frames that its last loop found gone."""
        return self.core.last_missed

    @property
    def skipped(self) -> int:
        """Loops that published nothing because the unit said so (``SKIP``)."""
        return self.core.skipped

    @property
    def refusals(self) -> list[str]:
        """What the kernel refused of the placement asked for, a sentence each; the unit runs without it."""
        return self.core.refusals.splitlines()

    @property
    def limits(self) -> Limits:
        """The limits of its times."""
        period_ns, compute_ns, pauses = self.core.limits()
        return Limits(period_ns / 1e3 or None, compute_ns / 1e3 or None, "pause" if pauses else "alarm")

    @property
    def alarms(self) -> int:
        """How often a time was above its limit."""
        return self.core.alarms

    @property
    def last_alarm(self) -> str:
        """Which time was above its limit last, and by how much; "" if none ever was."""
        return self.core.last_alarm()[1]

    @property
    def last_alarm_ns(self) -> int:
        """When that was (CLOCK_REALTIME); 0: never."""
        return self.core.last_alarm()[0]

    @property
    def serves_events(self) -> bool:
        """Whether its process takes the events init, enable, disable and recover."""
        return self.core.serves_events

    @property
    def errors(self) -> int:
        """How often it failed."""
        return self.core.errors

    @property
    def error_code(self) -> int:
        """Code of its last failure; 0: none."""
        return self.core.error_code

    @property
    def message(self) -> str:
        """Its last message."""
        return self.core.texts()[0]

    @property
    def traceback(self) -> str:
        """Where its last failure came from; "" if it has none."""
        return self.core.texts()[1]

    @property
    def rate_hz(self) -> float:
        """Loops per second over the remembered loops; 0.0 unless it is alive and running."""
        if self.state is not State.RUNNING or not self.alive:
            return 0.0
        rate = rate_hz(self.timings())
        return 0.0 if math.isnan(rate) else rate

    @property
    def age_s(self) -> float | None:
        """Seconds since its last loop ended; None if it did none."""
        last = self.timings(1)
        return (_core.realtime_ns() - int(last["end_ns"][0])) / 1e9 if len(last) else None

    def timings(self, n: int = RING_LENGTH) -> np.ndarray[Any, np.dtype[np.void]]:
        """The last ``n`` loops (at most 1024), oldest first, as an array of ``TIMING_DTYPE``.

        A copy without torn entries: loops that are overwritten while it is made are left out, at its old end.

        Raises:
            UsageError: ``n`` is negative.
        """
        if n < 0:
            raise UsageError(f"cannot give the timings of {n} loops; expected 0 to {RING_LENGTH}")
        raw = np.empty(min(n, RING_LENGTH) * TIMING_DTYPE.itemsize, np.uint8)
        kept = self.core.read_timings(raw) if len(raw) else 0
        return raw.view(TIMING_DTYPE)[:kept]

    def statistics(self) -> Statistics:
        """Rate, period, jitter, compute time and latency over the remembered loops."""
        return statistics_of(self.timings())

    def __repr__(self) -> str:
        if self._open is None:
            return "<ProcessRecord, closed>"
        life = "" if self.alive else ", its process is dead"
        state = self.state.name.lower()
        return f"<ProcessRecord '{self.unit}' of process {self.pid}: {state}{life}, {self.loop_count} loops>"

    # ---- control -------------------------------------------------------------------------------------------

    def send(self, event: Event) -> None:
        """Tell the unit to do ``event``; it is there when its ``state`` is the one that the event leads to.

        ``run``, ``idle`` and ``stop`` are ``resume``, ``pause`` and ``stop``; the unit's process takes the others.

        Raises:
            UsageError: not possible in the unit's state (the message lists what is), its process is dead or takes no
                events, or it has not taken the one before.
        """
        self._refuse_if_dead(f"send event '{event}' to")
        event = sendable(self.unit, self.state, event)
        match event:
            case Event.RUN:
                self.resume()
            case Event.IDLE:
                self.pause()
            case Event.STOP:
                self.stop()
            case _:
                self.core.post_event(event.number)

    def set_limits(
        self,
        *,
        period_us: float | None = None,
        compute_us: float | None = None,
        action: LimitAction = "alarm",
    ) -> None:
        """Set both limits, from the next loop on: what is not given is not limited.

        A time above its limit is counted in ``alarms`` and told in ``last_alarm``; with ``pause`` the unit pauses after
        that loop, and its message says why.

        Raises:
            UsageError: a limit is not above 0, or the action is unknown.
        """
        if action not in ("alarm", "pause"):
            said = f"a limit's action is {action!r}; expected 'alarm' or 'pause'"
            raise UsageError(f"unit '{self.unit}': {said}")
        self.core.set_limits(
            self._limit_ns("period_us", period_us),
            self._limit_ns("compute_us", compute_us),
            pause=action == "pause",
        )

    def _limit_ns(self, name: str, limit_us: float | None) -> int:
        if limit_us is None:
            return 0
        if not (isinstance(limit_us, int | float | np.number) and 1e-3 <= limit_us <= 1e15):
            raise UsageError(
                f"unit '{self.unit}': limit {name} is {limit_us!r}, expected µs above 0, or None"
            )
        return round(limit_us * 1e3)

    def pause(self) -> None:
        """Let it wait before its next frame; UsageError, here and below, if it failed or is dead."""
        self._request("pause")

    def resume(self) -> None:
        """Let it run again."""
        self._request("run")

    def step(self, n: int = 1) -> None:
        """Let it do ``n`` more frames and then pause; on top of steps that are still pending.

        Raises:
            UsageError: ``n`` is not 1 to 16777215.
        """
        if not (isinstance(n, int | np.integer) and 1 <= n < 2**24):
            raise UsageError(f"unit '{self.unit}': cannot step {n!r} frames; 1 to {2**24 - 1} are possible")
        self._request("step", n)

    def stop(self) -> None:
        """Let it end, after the frame that it is computing."""
        self._request("stop")

    def _refuse_if_dead(self, what: str) -> None:
        if not self.core.alive:
            raise UsageError(f"cannot {what} unit '{self.unit}': its process {self.pid} is dead")

    def _request(self, command: str, steps: int = 1) -> None:
        verb = "resume" if command == "run" else command
        self._refuse_if_dead(verb)
        if command != "stop" and self.state is State.ERROR:
            said = f"it has failed ({self.message}); send 'recover' or 'stop'"
            raise UsageError(f"cannot {verb} unit '{self.unit}': {said}")
        self.core.request(_COMMANDS.index(command), steps)

    def wait_activity(self, seen: int, timeout_s: float) -> int:
        """Sleep until ``activity`` is no longer ``seen``, at most ``timeout_s``; returns what it is then."""
        self.core.wait_activity(seen, round(timeout_s * 1e9))
        return self.core.activity

    @property
    def activity(self) -> int:
        """A number that changes with every change of state or control and with every event."""
        return self.core.activity

    # ---- the unit's own side -------------------------------------------------------------------------------

    def serve_events(self, serves: bool = True) -> None:
        """Say whether this process takes events.

        Raises:
            UsageError: it is another process' record.
        """
        self.core.serve_events(serves)

    def take_event(self) -> Event | None:
        """The event that was sent, which is removed; None if there is none.

        Raises:
            UsageError: it is another process' record.
        """
        number = self.core.take_event()
        return list(Event)[number - 1] if number else None

    def advance(self, event: Event) -> State:
        """Go to the state that ``event`` leads to, and return it.

        Raises:
            UsageError: not possible in this state, or not this process' record.
        """
        state = transition(self.state, event)
        self.core.set_state(state)
        return state

    def set_message(self, message: str, traceback: str = "") -> None:
        """Say something, cut to 255 bytes (and 2047 of traceback).

        Raises:
            UsageError: it is another process' record.
        """
        self.core.set_message(message, traceback)

    def fail(self, message: str, traceback: str = "", *, code: int = 1) -> None:
        """Count a failure, keep what is said about it, and go to ``State.ERROR``."""
        self.core.fail(code, message, traceback)


def _directory(directory: str | os.PathLike[str] | None) -> Path:
    return Path(directory) if directory is not None else shm_directory()


def _unit_of(path: Path) -> str:
    """The unit's name in ``<unit>.<pid>.proc.fb``; "" if that is not its form."""
    unit, _, pid = path.name.removesuffix(SUFFIX).rpartition(".")
    return unit if pid.isdigit() else ""
