"""Running units: a native thread for one unit or for several fused, seen and steered through its process records."""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from framebus import _core
from framebus.errors import BindingError, UnitError, UsageError, WaitTimeout
from framebus.params import Params
from framebus.process import ProcessRecord, State
from framebus.stream.names import parse
from framebus.stream.stream import timeout_ns
from framebus.unit.bind import Trigger, bind
from framebus.unit.load import refuse_while_importing
from framebus.unit.stage import BoundStage, Stage

_SLICE_NS = 100_000_000
"""The longest wait before Python looks whether Ctrl-C was pressed."""


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


class Loop:
    """A loop of one unit, or of several fused in one thread. Made by ``start``.

    It runs until ``stop``, the end of its ``with`` block, or the end of the process, whether or not anybody keeps the
    object. A child that ``fork`` makes has no part in it.
    """

    def __init__(self, bound: list[BoundStage], options: LoopOptions) -> None:
        self._bound = bound
        self._options = options
        self._native: _core.Loop | None = None
        self._records: list[ProcessRecord] = []
        self._loops = 0
        self._refusals: list[str] = []
        self._failure: UnitError | None = None
        self._told = False
        self._lock = threading.Lock()
        native = _core.Loop()
        try:
            self._build(native)
            native.start()
        except BaseException:
            self._release([])
            raise
        self._native = native

    def _build(self, native: _core.Loop) -> None:
        options = self._options
        triggered = options.trigger in ("stream", "once")
        for i, stage in enumerate(self._bound):
            declaration = stage.stage.declaration
            trigger = _trigger_name(stage.stage) if triggered or i else ""
            record = ProcessRecord.create(
                stage.label, use=_tail(declaration.use, 255), trigger=_tail(trigger or options.trigger, 79)
            )
            self._records.append(record)
            native.add_stage(
                stage.kernel_address,
                stage.callback(record),
                stage.ports(triggered and i == 0),
                stage.dims(),
                stage.params.core if stage.params is not None and stage.kernel_address else None,
                stage.cells(),
                record.core,
            )
        native.configure(
            options.trigger,
            round(options.period_s * 1e9),
            options.every_frame,
            -1 if options.spin_us > 4e15 else int(options.spin_us * 1e3),
            -1 if options.cpu is None else options.cpu,
            options.priority,
            self.name,
        )

    # ---- what it does ----

    @property
    def name(self) -> str:
        """The name under which its first unit runs."""
        return self._bound[0].label

    @property
    def records(self) -> list[ProcessRecord]:
        """The process record of every unit of the loop, in order; closed when the loop was stopped."""
        return self._records

    @property
    def record(self) -> ProcessRecord:
        """The first unit's process record."""
        return self._records[0]

    @property
    def params(self) -> Params:
        """The live parameters of the loop's only unit.

        Raises:
            UsageError: the unit has none, the loop was stopped, or it has several units: use ``params_of``.
        """
        if len(self._bound) > 1:
            raise UsageError("this loop has several units; name the one meant: params_of('name')")
        return self.params_of(self.name)

    def params_of(self, name: str) -> Params:
        """A handle of the live parameters of the unit that runs under ``name``.

        Raises:
            UsageError: no such unit with parameters, or the loop was stopped.
        """
        if self._native is None:
            raise UsageError(f"the loop was stopped; open what it left behind with Params.open('{name}')")
        for stage in self._bound:
            if stage.label == name and stage.params is not None:
                return Params(stage.params.core)
        raise UsageError(
            f"no unit '{name}' with parameters in this loop; it has {[s.label for s in self._bound]}"
        )

    @property
    def loops(self) -> int:
        """How many frames it has computed."""
        native = self._native
        return self._loops if native is None else native.loops

    @property
    def refusals(self) -> list[str]:
        """What the kernel refused of the placement asked for (CPU, priority); the loop runs without it."""
        native = self._native
        return self._refusals if native is None else native.refusals

    @property
    def running(self) -> bool:
        """Whether the native thread runs."""
        native = self._native
        return native is not None and not native.wait_end(0)

    # ---- its end ----

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until the loop ends by itself (``once``, a stop from outside, a failure). Ctrl-C works.

        Raises:
            UnitError: a unit failed; the message says which and why. Its outputs keep their last good frame.
            WaitTimeout: it still runs, and goes on.
        """
        deadline = None if timeout_s is None else _core.monotonic_ns() + timeout_ns(timeout_s)
        self._refuse_own_thread("wait for")
        native = self._native
        while native is not None:
            left = _SLICE_NS if deadline is None else max(0, deadline - _core.monotonic_ns())
            if native.wait_end(min(left, _SLICE_NS)):
                break
            if left == 0:
                raise WaitTimeout(f"loop '{self.name}' still runs after {timeout_s} s")
        self.stop()

    def stop(self) -> None:
        """End the loop after its frame and give its streams back (they stay). Stopping twice is fine.

        Raises:
            UnitError: a unit had failed, or a device could not be closed.
            UsageError: a unit tried to stop its own loop.
        """
        self._refuse_own_thread("stop")
        native = self._native
        if native is not None:
            native.request_stop()
            while not native.wait_end(_SLICE_NS):
                pass  # slices: Ctrl-C is answered while a unit takes its time
            with self._lock:
                if self._native is not None:
                    self._finish(native)
        if self._failure is not None:
            self._told = True
            raise self._failure

    def _refuse_own_thread(self, what: str) -> None:
        if self._native is not None and threading.get_native_id() == self.record.thread_id:
            raise UsageError(
                f"a unit cannot {what} its own loop from within; return a non-zero int to end it"
            )

    def _finish(self, native: _core.Loop) -> None:
        """What remains to be done once the thread has ended."""
        native.join()
        self._loops, self._refusals = native.loops, native.refusals
        said = []
        if native.failure is not None:
            index, code, text = native.failure
            stage, record = self._bound[index], self._records[index]
            if not text:
                text = stage.describe_failure(code)
                record.set_message(text, record.traceback)
            said.append(f"unit '{stage.label}' failed: {text}")
        self._release(said)
        if said:
            self._failure = UnitError("; ".join(said))
        self._native = None

    def _release(self, said: list[str]) -> None:
        """Give everything back, and add to ``said`` what went wrong with that."""
        for stage, record in reversed(list(zip(self._bound, self._records, strict=False))):
            if trouble := stage.close():
                if record.state is State.ERROR:  # what came first stands first
                    record.set_message(f"{record.message}; {trouble}", record.traceback)
                else:
                    record.fail(trouble)
                said.append(f"unit '{stage.label}': {trouble}")
        for stage in self._bound[len(self._records) :]:
            stage.close()
        for record in self._records:
            if record.state is not State.ERROR:  # what failed can still be read
                record.remove()
            record.close()
        _forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        told = self._told
        try:
            self.stop()
        except UnitError as failure:
            if error is None and not told:
                raise
            if error is not None and error is not failure:
                error.add_note(str(failure))  # often what the error in the block came from


def start(stages: Stage | Sequence[Stage], options: LoopOptions | None = None) -> Loop:
    """Bind units to streams, compile them, and start one native loop for all of them.

    Several stages are fused: a unit's output goes to the next in memory, every output is still published.

    Raises:
        BindingError, ParameterError, UsageError: nothing was started; the message says which unit, what and why.
        UnitError: a device could not be set up.
    """
    refuse_while_importing("start units")
    options = options or LoopOptions()
    listed = [stages] if isinstance(stages, Stage) else list(stages)
    if not listed:
        raise UsageError("start() needs at least one stage")
    if options.trigger == "stream" and not listed[0].declaration.inputs():
        raise UsageError(
            f"unit '{listed[0].label}' has no input whose frames trigger it; use trigger='delay', 'once' or 'free'"
        )
    labels = {stage.label for stage in listed}
    _reserve(labels)
    try:
        loop = Loop(bind(listed, options.trigger), options)
    except BaseException:
        _here.names.difference_update(labels)
        raise
    _here.loops.add(loop)
    return loop


# ---- the loops of this process -------------------------------------------------------------------------------------


class _Registry:
    """The loops that were not stopped, and the names of their units."""

    def __init__(self) -> None:
        self.loops: set[Loop] = set()
        self.names: set[str] = set()
        self.lock = threading.Lock()


_here = _Registry()


def _reserve(labels: set[str]) -> None:
    """Each name once: parameter set and process record go by it."""
    with _here.lock:
        taken = labels & _here.names
        if taken:
            raise BindingError(
                f"unit '{min(taken)}' runs in this process already; stop it, or give this one another name"
            )
        _here.names.update(labels)


def _forget(loop: Loop) -> None:
    _here.loops.discard(loop)
    _here.names.difference_update(stage.label for stage in loop._bound)


@atexit.register
def _stop_all() -> None:
    # Native threads must not outlive the interpreter whose arrays they use.
    for loop in list(_here.loops):
        with contextlib.suppress(UnitError):  # told in its record
            loop.stop()


def _after_fork() -> None:
    """The threads are the parent's, and so are the devices, records and claims."""
    for loop in _here.loops:
        loop._native = None
    _here.__init__()  # type: ignore[misc]


os.register_at_fork(after_in_child=_after_fork)


def _trigger_name(stage: Stage) -> str:
    """The stream of the unit's first input, as the process record shows it."""
    inputs = stage.declaration.inputs()
    if not inputs:
        return ""
    name = parse(stage.streams[inputs[0].name])
    return str(name) if name.local or name.path is not None else name.name


def _tail(text: str, size: int) -> str:
    """As much of the end of ``text`` as fits into ``size`` bytes."""
    return text.encode()[-size:].decode(errors="ignore")
