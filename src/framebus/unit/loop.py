"""Running units: a native thread for one unit or for several fused, seen and steered through its process records."""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from framebus import _core
from framebus.errors import UnitError, UsageError, WaitTimeout
from framebus.params import Params
from framebus.process import ProcessRecord
from framebus.stream.stream import timeout_ns
from framebus.unit.bind import BoundStage, Stage, bind, close_device

Trigger = Literal["stream", "delay", "once", "free"]


@dataclass(frozen=True)
class LoopOptions:
    """How a loop is triggered and where it runs.

    Attributes:
        trigger: ``stream`` (a frame of the first unit's first input), ``delay`` (every ``period_s``, on an absolute
            clock), ``once`` (a single time, with the inputs as they stand), ``free`` (again at once).
        period_s: of ``delay``, in s.
        every_frame: read every frame through the trigger's history instead of skipping to the newest.
        spin_us: watch the trigger for that long before sleeping, in µs; ``inf`` never sleeps.
        cpu: pin the loop's thread to this CPU.
        priority: SCHED_FIFO priority, 1-99; 0 is normal scheduling.
    """

    trigger: Trigger = "stream"
    period_s: float = 0.0
    every_frame: bool = False
    spin_us: float = 0.0
    cpu: int | None = None
    priority: int = 0

    def __post_init__(self) -> None:
        if self.trigger not in ("stream", "delay", "once", "free"):
            raise UsageError(f"trigger is {self.trigger!r}; expected 'stream', 'delay', 'once' or 'free'")
        if self.trigger == "delay" and not 1e-9 <= self.period_s <= 1e6:
            raise UsageError(f"trigger 'delay': period_s is {self.period_s}, expected seconds above 0")
        if not self.spin_us >= 0:
            raise UsageError(f"spin_us is {self.spin_us}, expected µs >= 0, or inf")
        if self.cpu is not None and self.cpu not in range(os.cpu_count() or 1):
            raise UsageError(f"cpu is {self.cpu}; this machine has CPUs 0 to {(os.cpu_count() or 1) - 1}")
        if not 0 <= self.priority <= 99:
            raise UsageError(f"priority is {self.priority}, expected 0 (normal) to 99")


_running: weakref.WeakSet[Loop] = weakref.WeakSet()


class Loop:
    """A loop of one unit, or of several fused in one thread. Made by ``start``; ends with ``stop`` or a ``with`` block."""

    def __init__(self, bound: list[BoundStage], options: LoopOptions) -> None:
        self._bound = bound
        self._options = options
        self._native = _core.Loop()
        self._records: list[ProcessRecord] = []
        self._closed = False
        self._lock = threading.Lock()
        self._failure: UnitError | None = None
        try:
            self._build()
        except BaseException:
            self._release()
            raise

    def _build(self) -> None:
        options = self._options
        triggered = options.trigger in ("stream", "once")
        for i, stage in enumerate(self._bound):
            declaration = stage.stage.declaration
            first = declaration.inputs()[0].name if declaration.inputs() else ""
            trigger = stage.stage.streams.get(first, "") if triggered or i else options.trigger
            record = ProcessRecord.create(stage.label, use=declaration.use, trigger=trigger)
            self._records.append(record)
            self._native.add_stage(
                stage.kernel_address,
                stage.callback(),
                stage.ports(triggered and i == 0),
                stage.dims(),
                stage.params.core if stage.params is not None else None,
                stage.cells(),
                record.core,
            )
        self._native.configure(
            options.trigger,
            round(options.period_s * 1e9),
            options.every_frame,
            -1 if options.spin_us > 4e15 else int(options.spin_us * 1e3),
            -1 if options.cpu is None else options.cpu,
            options.priority,
            self._bound[0].label,
        )

    def begin(self) -> Self:
        """Start the native thread."""
        _running.add(self)
        self._native.start()
        return self

    # ---- what it does ----

    @property
    def records(self) -> list[ProcessRecord]:
        """The process record of every unit of the loop, in order."""
        return self._records

    @property
    def record(self) -> ProcessRecord:
        """The first unit's process record."""
        return self._records[0]

    @property
    def params(self) -> Params:
        """The live parameters of the loop's only unit.

        Raises:
            UsageError: the unit has none, or the loop has several units: use ``params_of``.
        """
        if len(self._bound) > 1:
            raise UsageError("this loop has several units; name the one meant: params_of('name')")
        return self.params_of(self._bound[0].label)

    def params_of(self, name: str) -> Params:
        """The live parameters of the unit that runs under ``name``."""
        for stage in self._bound:
            if stage.label == name and stage.params is not None:
                return stage.params
        raise UsageError(
            f"no unit '{name}' with parameters in this loop; it has {[s.label for s in self._bound]}"
        )

    @property
    def loops(self) -> int:
        """How many frames it has computed."""
        return self._native.loops

    @property
    def refusals(self) -> list[str]:
        """What the kernel refused of the placement asked for (CPU, priority); the loop runs without it."""
        return self._native.refusals

    @property
    def running(self) -> bool:
        """Whether the native thread runs."""
        return not self._closed and not self._native.wait_end(0)

    # ---- its end ----

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until the loop ends by itself (``once``, a stop from outside, a failure). Ctrl-C works.

        Raises:
            UnitError: a unit failed; the message says which and why. Its outputs keep their last good frame.
            WaitTimeout: it still runs.
        """
        deadline = None if timeout_s is None else _core.monotonic_ns() + timeout_ns(timeout_s)
        while not self._closed and not self._native.wait_end(100_000_000):
            if deadline is not None and _core.monotonic_ns() > deadline:
                raise WaitTimeout(f"loop '{self._bound[0].label}' still runs after {timeout_s} s")
        self.stop()

    def stop(self) -> None:
        """End the loop and give its streams back (they stay). Stopping twice is fine.

        Raises:
            UnitError: a unit had failed.
        """
        with self._lock:
            if not self._closed:
                self._native.request_stop()
                self._native.join()
                self._note_failure()
                self._release()
        if self._failure is not None:
            raise self._failure

    def _note_failure(self) -> None:
        failure = self._native.failure
        if failure is None:
            return
        index, code, said = failure
        message, trace = (said, "") if said else self._bound[index].describe_failure(code)
        self._records[index].fail(message, trace, code=code)
        self._failure = UnitError(f"unit '{self._bound[index].label}' failed: {message}")

    def _release(self) -> None:
        self._closed = True
        _running.discard(self)
        for stage in self._bound:
            close_device(stage)
            stage.close()
        for record in self._records:
            if self._failure is None:
                record.remove()
            record.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start(stages: Stage | Sequence[Stage], options: LoopOptions | None = None) -> Loop:
    """Bind units to streams, compile them, and start one native loop for all of them.

    Several stages are fused: a unit's output goes to the next in memory, every output is still published.

    Raises:
        BindingError, UsageError, StreamNotFound, ParameterError: nothing was started; the message says why.
    """
    options = options or LoopOptions()
    listed = [stages] if isinstance(stages, Stage) else list(stages)
    if not listed:
        raise UsageError("start() needs at least one stage")
    if options.trigger == "stream" and not listed[0].declaration.inputs():
        raise UsageError(
            f"unit '{listed[0].label}' has no input whose frames could trigger it; use trigger='delay', 'once' or 'free'"
        )
    return Loop(bind(listed, triggered=options.trigger in ("stream", "once")), options).begin()


@atexit.register
def _stop_all() -> None:
    # Native threads must not outlive the interpreter whose arrays they use.
    for loop in list(_running):
        try:
            loop.stop()
        except UnitError:
            continue  # told in its record
