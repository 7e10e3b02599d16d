"""Running units: a native thread for one unit or for several fused, seen and steered through its process records."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from framebus import _core
from framebus.errors import BindingError, UnitError, UsageError, WaitTimeout
from framebus.params import Params
from framebus.process import ProcessRecord, State
from framebus.stream.stream import timeout_ns
from framebus.unit.attendant import Attendant
from framebus.unit.bind import Taking
from framebus.unit.lifecycle import Lifecycle
from framebus.unit.load import refuse_while_importing
from framebus.unit.options import LoopOptions
from framebus.unit.stage import Stage

_SLICE_NS = 100_000_000
"""The longest wait before Python looks whether Ctrl-C was pressed."""


class Loop:
    """A loop of one unit, or of several fused in one thread. Made by ``start``.

    It runs until ``stop``, the end of its ``with`` block, or the end of the process, whether or not anybody keeps the
    object. A child that ``fork`` makes has no part in it.
    """

    def __init__(self, life: Lifecycle, *, serve: bool) -> None:
        self._life = life
        self._told = False
        self._closed = False
        self._attendant = Attendant(life) if serve or life.hooked else None
        if self._attendant is not None:
            self._attendant.start()

    # ---- what it does ----

    @property
    def name(self) -> str:
        """The name under which its first unit runs."""
        return self._life.label

    @property
    def records(self) -> list[ProcessRecord]:
        """The process record of every unit of the loop, in order; closed when the loop was stopped."""
        return self._life.records

    @property
    def record(self) -> ProcessRecord:
        """The first unit's process record."""
        return self.records[0]

    @property
    def state(self) -> State:
        """Where the loop is in its life."""
        native = self._life.native
        if self._attendant is None and native is not None and native.wait_end(0):
            return self.record.state  # it has ended; nobody has given back yet what it had
        return self._life.state

    @property
    def failure(self) -> UnitError | None:
        """What it failed with, until it recovers; ``stop`` and ``wait`` raise it."""
        return self._life.failure

    @property
    def params(self) -> Params:
        """The live parameters of the loop's only unit.

        Raises:
            UsageError: the unit has none, the loop was stopped, or it has several units: use ``params_of``.
        """
        if len(self._life.stages) > 1:
            raise UsageError("this loop has several units; name the one meant: params_of('name')")
        return self.params_of(self.name)

    def params_of(self, name: str) -> Params:
        """A handle of the live parameters of the unit that runs under ``name``.

        Raises:
            UsageError: no such unit with parameters, or the loop was stopped.
        """
        bound = list(self._life.bound)
        if not bound:
            raise UsageError(f"the loop was stopped; open what it left behind with Params.open('{name}')")
        for stage in bound:
            if stage.label == name and stage.params is not None:
                return Params(stage.params.core)
        raise UsageError(
            f"no unit '{name}' with parameters in this loop; it has {[stage.label for stage in bound]}"
        )

    @property
    def loops(self) -> int:
        """How many frames it has computed."""
        return self._life.loops

    @property
    def refusals(self) -> list[str]:
        """What the kernel refused of the placement asked for (CPU, priority); the loop runs without it."""
        return self._life.refusals

    @property
    def running(self) -> bool:
        """Whether the native thread runs."""
        native = self._life.native
        return native is not None and not native.wait_end(0)

    @property
    def over(self) -> bool:
        """Whether it has come to an end: stopped, done, or failed."""
        return self._life.state in (State.OFF, State.ERROR) or (
            self._life.native is not None and not self.running
        )

    # ---- its end ----

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until the loop ends by itself (``once``, a stop from outside, a failure). Ctrl-C works.

        Raises:
            UnitError: a unit failed; the message says which and why. Its outputs keep their last good frame.
            WaitTimeout: it still runs, and goes on.
        """
        deadline = None if timeout_s is None else _core.monotonic_ns() + timeout_ns(timeout_s)
        self._refuse_own_thread("wait for")
        while not self.over:
            left = _SLICE_NS if deadline is None else max(0, deadline - _core.monotonic_ns())
            native = self._life.native
            if native is not None:
                native.wait_end(min(left, _SLICE_NS))
            else:  # disabled: what comes next is in its record
                core = self.record.core
                core.wait_activity(core.activity, min(left, _SLICE_NS))
            if left == 0 and not self.over:
                raise WaitTimeout(f"loop '{self.name}' still runs after {timeout_s} s")
        self.stop()

    def stop(self, *, leave_records: bool = False) -> None:
        """End the loop after its frame and give its streams back (they stay). Stopping twice is fine.

        Args:
            leave_records: the process records stay, for a next life of the units to go on from their counts.

        Raises:
            UnitError: a unit had failed, a hook raised, or a device could not be closed.
            UsageError: a unit tried to stop its own loop.
        """
        self._refuse_own_thread("stop")
        life = self._life
        native = life.native
        if native is not None:
            native.request_stop()
            while not native.wait_end(_SLICE_NS):
                pass  # slices: Ctrl-C is answered while a unit takes its time
        with life.lock:
            if not self._closed:
                if life.native is not None:
                    life.settle()
                life.finish()
        self._close(leave_records)
        if life.failure is not None:
            self._told = True
            raise life.failure

    def _close(self, leave_records: bool) -> None:
        """Its life is over: so are the attendant and the records."""
        if self._closed:
            return
        if self._attendant is not None:
            self._attendant.end()
        self._closed = True
        self._life.close(leave_records=leave_records)
        _forget(self)

    def _refuse_own_thread(self, what: str) -> None:
        own = self._attendant is not None and self._attendant.is_current_thread
        if self.running:
            own = own or threading.get_native_id() == self.record.thread_id
        if own:
            raise UsageError(
                f"a unit cannot {what} its own loop from within; return a non-zero int to end it"
            )

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


def start(
    stages: Stage | Sequence[Stage],
    options: LoopOptions | None = None,
    *,
    keep_values: bool = False,
    serve: bool = False,
) -> Loop:
    """Bind units to streams, compile them, and start one native loop for all of them.

    Several stages are fused: a unit's output goes to the next in memory, every output is still published.

    Args:
        stages: one, or several that feed each other.
        options: trigger and placement.
        keep_values: values that were tuned before stay; those of the stages are for entries that nobody changed.
        serve: a small thread serves all events that others send. It is there, too, if a unit has hooks or a check;
            without it, only run, idle and stop are served.

    Raises:
        BindingError, ParameterError, UsageError: nothing was started; the message says which unit, what and why.
        UnitError: a device could not be set up, or a hook raised.
    """
    listed = [stages] if isinstance(stages, Stage) else list(stages)
    return start_together([(listed, options or LoopOptions())], Taking(keep_values), serve=serve)[0]


def start_together(
    loops: Sequence[tuple[Sequence[Stage], LoopOptions]],
    taking: Taking = Taking(),  # noqa: B008 - immutable
    *,
    serve: bool = False,
    stay: bool = False,
) -> list[Loop]:
    """Start several loops: all are bound, in order, before the first one runs, and all begin together.

    Args:
        loops: stages and options of each.
        taking: whose parameters, and with a predecessor whose streams and frames, they go on with.
        serve: as for ``start``.
        stay: a loop that cannot be started is there all the same, in state error, from which it may recover.

    Raises:
        BindingError, ParameterError, UsageError, UnitError: as ``start``; none of the loops runs.
    """
    refuse_while_importing("start units")
    for stages, options in loops:
        if not stages:
            raise UsageError("start() needs at least one stage")
        if options.trigger == "stream" and not stages[0].declaration.inputs():
            raise UsageError(
                f"unit '{stages[0].label}' has no input whose frames trigger it; use trigger='delay', 'once' or 'free'"
            )
    labels = [stage.label for stages, _ in loops for stage in stages]
    _reserve(set(labels))
    lives = [Lifecycle(stages, options, taking) for stages, options in loops]
    try:
        _bring_up(lives, stay)
    except BaseException as error:
        for life in reversed(lives):
            for text in life.finish():
                if text not in str(error):
                    error.add_note(text)
            life.close()
        _here.names.difference_update(labels)
        raise
    started = [Loop(life, serve=serve) for life in lives]
    _here.loops.update(started)
    return started


def _bring_up(lives: Sequence[Lifecycle], stay: bool) -> None:
    """Off to running, all of them; with ``stay``, those that can."""

    def step(life: Lifecycle, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception as error:
            if not stay or not life.records:
                raise
            life.fail_with(error)

    for life in lives:
        step(life, life.init)
        if life.state is State.STANDBY:
            step(life, life.enable)
    ready = [life for life in lives if life.state is State.IDLE]
    # Those that may stay behind in error must not keep the others waiting.
    barrier = _core.Barrier(len(ready)) if len(ready) > 1 and not stay else None
    for life in ready:
        try:
            step(life, functools.partial(life.run, barrier))
        except BaseException:
            if barrier is not None:
                barrier.abort()
            raise
    for life in ready:
        step(life, life.wait_ready)


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
    _here.names.difference_update(stage.label for stage in loop._life.stages)


@atexit.register
def _stop_all() -> None:
    # Native threads must not outlive the interpreter whose arrays they use.
    for loop in list(_here.loops):
        with contextlib.suppress(UnitError):  # told in its record
            loop.stop()


def _after_fork() -> None:
    """The threads are the parent's, and so are the devices, records and claims."""
    for loop in _here.loops:
        loop._life.disown()
        loop._attendant = None
        loop._closed = True
    _here.__init__()  # type: ignore[misc]


os.register_at_fork(after_in_child=_after_fork)
