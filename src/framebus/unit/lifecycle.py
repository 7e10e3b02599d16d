"""The life of a loop: what each event does to it and its units, and in which order.

Off → ``init`` → standby → ``enable`` → idle → ``run`` → running, and back by ``idle``, ``disable``, ``stop``; ``fail``
leads to error from everywhere, ``recover`` from there to standby. ``stop`` goes down all stairs that are left.

All stages of a loop share its life. Every method is for one thread at a time: whoever holds ``lock``.
"""

from __future__ import annotations

import contextlib
import threading
import traceback
from collections.abc import Sequence

from framebus import _core
from framebus.errors import FramebusError, UnitError, UsageError
from framebus.params import Params
from framebus.process import Event, ProcessRecord, State, transition
from framebus.process.placement import Placement
from framebus.unit.bind import (
    Taking,
    bind,
    check_stages,
    make_device,
    refuse_findings,
    rehearse,
    take_params,
)
from framebus.unit.device import Unit
from framebus.unit.former import records_of, records_of_dead
from framebus.unit.options import LoopOptions
from framebus.unit.stage import BoundStage, Stage, call_hook

_SLICE_NS = 100_000_000
"""The longest wait before Python looks whether Ctrl-C was pressed."""


class HookError(UnitError):
    """A hook of a unit raised; its record says so already."""


class Lifecycle:
    """What one loop has, and what happens to it.

    Attributes:
        stages: its units, as asked for.
        options: its trigger and placement.
        records: the process record of each unit; made by ``init``.
        bound: the units bound to streams; between ``enable`` and ``disable``.
        failure: what it failed with, until it recovers.
        lock: to be held around every call, but for the properties.
    """

    def __init__(self, stages: Sequence[Stage], options: LoopOptions, taking: Taking) -> None:
        self.stages = list(stages)
        self.options = options
        self.records: list[ProcessRecord] = []
        self.bound: list[BoundStage] = []
        self.failure: UnitError | None = None
        self.lock = threading.RLock()
        self._taking = taking
        self._devices: list[Unit | None] = []
        self._native: _core.Loop | None = None
        self._state = State.OFF
        self._flowing = False  # on_run was called, on_idle not since
        self._loops = 0
        self._refusals: list[str] = []
        self._checked: list[int] = []  # generations of the parameters that were checked last

    # ---- what it is ------------------------------------------------------------------------------------------------

    @property
    def label(self) -> str:
        """The name under which its first unit runs."""
        return self.stages[0].label

    @property
    def native(self) -> _core.Loop | None:
        """The native loop, from ``run`` to its end."""
        return self._native

    @property
    def state(self) -> State:
        """Its state; the native loop goes between running and idle by itself."""
        native = self._native
        if native is None:
            return self._state
        return State.IDLE if State(self.records[0].core.state) is State.IDLE else State.RUNNING

    @property
    def loops(self) -> int:
        """How many frames it has computed."""
        native = self._native
        return self._loops + (native.loops if native is not None else 0)

    @property
    def refusals(self) -> list[str]:
        """What the kernel refused of the placement."""
        native = self._native
        return (
            self._refusals
            if native is None
            else [*dict.fromkeys([*native.refusals, *self._refused_arrays()])]
        )

    def _refused_arrays(self) -> list[str]:
        return [refusal for stage in self.bound for refusal in stage.refused]

    @property
    def hooked(self) -> bool:
        """Whether Python has something to do between two runs: hooks, or checks of parameters."""
        return any(stage.declaration.checks is not None or stage.has_hooks for stage in self.stages)

    # ---- up --------------------------------------------------------------------------------------------------------

    def init(self) -> None:
        """Off to standby: records and devices are made.

        Raises:
            BindingError, ParameterError, UsageError: something is wrong that can be seen without streams.
            UnitError: a device could not be made, or a hook raised.
        """
        transition(self.state, Event.INIT)
        check_stages(self.stages)
        if self.options.numa_node is not None:
            Placement(numa_node=self.options.numa_node).check()
        if not self._devices:
            self._devices = [make_device(stage) for stage in self.stages]
        for i, stage in enumerate(self.stages):
            if len(self.records) == i:
                self.records.append(self._make_record(i, stage))
                if stage.limits is not None:
                    self.records[i].set_limits(**stage.limits._asdict())
            self.records[i].core.reset_control()
        self.call_hooks(Event.INIT)
        self._enter(State.STANDBY)

    def _make_record(self, index: int, stage: Stage) -> ProcessRecord:
        options = self.options
        by_frames = index > 0 or options.trigger in ("stream", "once")
        trigger = stage.trigger_name if by_frames else ""
        use = _tail(stage.declaration.use, 255)
        return ProcessRecord.create(stage.label, use=use, trigger=_tail(trigger or options.trigger, 79))

    def enable(self) -> None:
        """Standby to idle: streams are opened, devices set up, code compiled, parameters taken, outputs made.

        Raises:
            BindingError, ParameterError, UsageError: it cannot be bound; it stays in standby.
            UnitError: a device could not be set up, or a hook raised.
        """
        transition(self.state, Event.ENABLE)
        taking, self._taking = self._taking, Taking(keep_values=True)
        self.bound = bind(
            self.stages,
            self.options.trigger,
            devices=self._devices,
            taking=taking,
            placement=self.options.placement,
        )
        try:
            if taking.predecessor is not None:
                rehearse(self.bound, taking)
            if taking.predecessor is not None or taking.resume:
                self._taking = taking  # parameters and frames are taken over at the last moment
        except BaseException:
            self._release()
            raise
        self.call_hooks(Event.ENABLE)
        self._enter(State.IDLE)

    def arm(self) -> None:
        """Wait in idle for the command to run; who told a unit to stop meanwhile is not overruled."""
        for record in self.records:
            with contextlib.suppress(UsageError):
                record.pause()

    def run(self, barrier: _core.Barrier | None = None) -> None:
        """Idle to running: the native loop starts; with a barrier, its first frame comes when all stand before it.

        Raises:
            ParameterError: a unit's check found something; the loop stays in idle.
            UnitError: a hook raised, or the predecessor did not end.
        """
        transition(self.state, Event.RUN)
        taking, self._taking = self._taking, Taking(keep_values=True)
        self.flow()
        if taking.predecessor is not None:
            take_params(self.bound, taking)
        native = self._build()
        if taking.predecessor is not None:
            native.succeed(records_of(self.stages, taking.predecessor))
        elif taking.resume:
            native.succeed(records_of_dead(self.stages))
        native.start(barrier)
        self._native = native
        if self._refused_arrays():
            for record in self.records:
                record.core.set_refusals("\n".join(self.refusals))
        self._state = State.RUNNING

    def wait_ready(self) -> None:
        """Wait, after ``run``, until it takes frames.

        Raises:
            UnitError: the predecessor did not end.
        """
        native = self._native
        while native is not None and not native.wait_ready(_SLICE_NS) and not native.wait_end(0):
            pass

    def _build(self) -> _core.Loop:
        options = self.options
        native = _core.Loop()
        triggered = options.trigger in ("stream", "once")
        for i, (stage, record) in enumerate(zip(self.bound, self.records, strict=True)):
            native.add_stage(
                stage.kernel_address,
                stage.callback(record),
                stage.ports(triggered and i == 0),
                stage.dims(),
                stage.params.core if stage.params is not None and stage.kernel_address else None,
                stage.cells(),
                record.core,
                stage.stage.declaration.carries,
            )
        native.configure(
            options.trigger,
            round(options.period_s * 1e9),
            options.every_frame,
            options.spin_ns,
            list(options.cpus),
            options.priority,
            self.label,
            lock_memory=options.lock_memory,
            numa_node=-1 if options.numa_node is None else options.numa_node,
            dma_latency_us=-1.0 if options.dma_latency_us is None else options.dma_latency_us,
            huge_pages="" if options.huge_pages == "none" else options.huge_pages,
            irqs=[str(irq) for irq in options.irqs],
        )
        native.hold_gate(self.hooked)
        return native

    # ---- down ------------------------------------------------------------------------------------------------------

    def disable(self) -> None:
        """Idle to standby: the native loop ends, devices are torn down, streams and parameters given back.

        Raises:
            UnitError: a hook or a device's ``teardown`` raised.
        """
        transition(self.state, Event.DISABLE)
        self._end_native()
        self.rest()
        self.call_hooks(Event.DISABLE)
        said = self._release()
        if said:
            raise UnitError("; ".join(said))
        self._enter(State.STANDBY)

    def rest(self) -> None:
        """After the last frame, for the time being.

        Raises:
            HookError: a hook raised.
        """
        if self._flowing:
            self._flowing = False
            self.call_hooks(Event.IDLE)

    def flow(self) -> None:
        """Before the first frame after a rest.

        Raises:
            ParameterError: a unit's check found something.
            HookError: a hook raised.
        """
        self.check_now()
        self.call_hooks(Event.RUN)
        self._flowing = True

    def finish(self) -> list[str]:
        """Down all stairs to off, from wherever it is, or from error; what went wrong on the way."""
        self._end_native()
        said: list[str] = []
        if self._state is State.ERROR:
            said += self._tell_hooks(Event.STOP)
            self._state = State.OFF
            return said
        if self._flowing:
            self._flowing = False
            said += self._tell_hooks(Event.IDLE)
        if self.bound:
            said += self._tell_hooks(Event.DISABLE)
            said += self._release()
        if self._state is not State.OFF:
            said += self._tell_hooks(Event.STOP)
        self._state = State.OFF
        for record in self.records:
            if record.state is not State.ERROR:
                record.core.set_state(State.OFF)
        if said:
            self.failure = UnitError("; ".join(said))
        return said

    def settle(self) -> None:
        """What remains to be done once the native loop has ended by itself, or because it was told to."""
        native = self._native
        assert native is not None
        self._end_native()
        if native.failure is None:
            self.finish()
            return
        index, code, text = native.failure
        stage, record = self.bound[index], self.records[index]
        if not text:
            text = stage.describe_failure(code)
            record.set_message(text, record.traceback)
        self._after_failure(index, text)

    def fail(self, index: int, message: str, trace: str = "") -> None:
        """To error, from everywhere: the loop ends, everything is given back, the record tells."""
        self._end_native()
        for i, record in enumerate(self.records):
            if i == index:
                record.fail(message, trace)
            else:
                record.core.set_state(State.OFF)
        self._after_failure(index, message)

    def _after_failure(self, index: int, message: str) -> None:
        """Its record is in error already."""
        self._state = State.ERROR
        self._flowing = False
        said = [f"unit '{self.stages[index].label}' failed: {message}"]
        said += self._tell_hooks(Event.FAIL, message, [index])
        said += self._release()
        self.failure = UnitError("; ".join(said))

    def fail_with(self, error: BaseException) -> None:
        """To error, with what was raised; the unit that it speaks of is the one that failed."""
        if isinstance(error, HookError):
            return  # told already
        text = "\n".join([str(error), *getattr(error, "__notes__", [])])
        if not isinstance(error, FramebusError):
            text = f"{type(error).__name__}: {text}"
        labels = [stage.label for stage in self.stages]
        index = next((i for i, label in enumerate(labels) if f"'{label}'" in text), 0)
        self.fail(index, text, "".join(traceback.format_exception(error)))

    def recover(self) -> None:
        """Error to standby.

        Raises:
            UnitError: a hook raised.
        """
        transition(self.state, Event.RECOVER)
        for record in self.records:
            record.core.reset_control()
        self.call_hooks(Event.RECOVER)
        self.failure = None
        for record in self.records:
            record.set_message("")
        self._enter(State.STANDBY)

    def _end_native(self) -> None:
        native = self._native
        if native is None:
            return
        native.request_stop()
        while not native.wait_end(_SLICE_NS):
            pass  # slices: Ctrl-C is answered while a unit takes its time
        native.join()
        self._loops += native.loops
        self._refusals = self.refusals
        self._state = State.IDLE
        self._native = None

    def _release(self) -> list[str]:
        """Give streams, devices and parameters back; what went wrong with that stands in the records, too."""
        said = []
        bound, self.bound = self.bound, []
        self._checked = []
        for stage, record in reversed(list(zip(bound, self.records, strict=False))):
            if trouble := stage.close():
                self.note(record, trouble)
                said.append(f"unit '{stage.label}': {trouble}")
        return said

    def close(self, *, leave_records: bool = False) -> None:
        """Give the records up: those of units that failed, or all, can still be read."""
        for record in self.records:
            if record.state is not State.ERROR and not leave_records:
                record.remove()
            record.close()

    def disown(self) -> None:
        """After ``fork``, in the child: all of it is the parent's."""
        self.lock = threading.RLock()
        self._native = None
        self._state = State.OFF

    # ---- parameters ------------------------------------------------------------------------------------------------

    def check_now(self) -> None:
        """See whether it may run with its parameters as they are.

        Raises:
            ParameterError: a unit's check found something.
        """
        for stage, record in zip(self.bound, self.records, strict=False):
            values = stage.values()
            if stage.params is not None:
                refuse_findings(stage.label, _publish_findings(stage, stage.params, record), values)

    def renew_findings(self) -> None:
        """What the checks find stands beside the parameters whenever these have changed."""
        sets = [(stage, stage.params) for stage in self.bound if stage.params is not None]
        generations = [params.generation for _, params in sets]
        if generations == self._checked:
            return
        for stage, params in sets:
            _publish_findings(stage, params, self.records[self.bound.index(stage)])
        self._checked = [params.generation for _, params in sets]

    # ---- hooks -----------------------------------------------------------------------------------------------------

    def _enter(self, state: State) -> None:
        self._state = state
        for record in self.records:
            record.core.set_state(state)

    def call_hooks(self, event: Event) -> None:
        """Call all hooks on ``event``; the first that raises leads to error.

        Raises:
            HookError: one raised.
        """
        for i in range(len(self.stages)):
            try:
                self._call_hook(i, event)
            except (Exception, SystemExit) as error:  # a unit that exits has failed; its process goes on
                text = f"hook on '{event.value}': {type(error).__name__}: {error}"
                self.fail(i, text, traceback.format_exc())
                raise HookError(f"unit '{self.stages[i].label}': {text}") from error

    def _tell_hooks(self, event: Event, message: str = "", indices: Sequence[int] | None = None) -> list[str]:
        """Call hooks on ``event`` on a way that cannot be left; what went wrong, which the records tell, too."""
        said = []
        for i in range(len(self.stages)) if indices is None else indices:
            try:
                self._call_hook(i, event, message)
            except (Exception, SystemExit) as error:  # noqa: BLE001 - what follows must be done
                text = f"hook on '{event.value}': {type(error).__name__}: {error}"
                self.note(self.records[i], text, traceback.format_exc())
                said.append(f"unit '{self.stages[i].label}': {text}")
        return said

    def _call_hook(self, index: int, event: Event, message: str = "") -> None:
        if self.bound:
            self.bound[index].run_hook(event, message)
            return
        stage = self.stages[index]
        device = self._devices[index] if self._devices else None
        call_hook(stage, device, event, stage.offered(), message)

    def note(self, record: ProcessRecord, text: str, trace: str = "") -> None:
        """Say in the record what went wrong; a failure that it tells already stays first."""
        if record.state is State.ERROR:  # what came first stands first
            record.set_message(f"{record.message}; {text}", record.traceback)
        else:
            record.fail(text, trace)


def _publish_findings(stage: BoundStage, params: Params, record: ProcessRecord) -> dict[str, str]:
    """What the unit's check finds, which then stands beside its parameters."""
    findings = stage.check(stage.values())
    if findings != params.findings:
        try:
            params.set_findings(findings)
        except FramebusError as error:  # somebody removed the set; that does not end the unit
            record.set_message(f"what the check found cannot be told: {error}")
    return findings


def _tail(text: str, size: int) -> str:
    """As much of the end of ``text`` as fits into ``size`` bytes."""
    return text.encode()[-size:].decode(errors="ignore")
