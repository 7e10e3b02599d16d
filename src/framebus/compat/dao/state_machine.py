"""DAO's states, events and hooks, over framebus' state machine (``framebus.process.transition``)."""

from __future__ import annotations

import logging
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from framebus.errors import UnitError
from framebus.process import Event, State, transition

__all__ = ["ComponentState", "Log", "daoComponentStateMachine"]

TRACE = 5
"""DAO's log level below DEBUG."""


class Log(logging.LoggerAdapter[logging.Logger]):
    """A logger with DAO's ``trace``."""

    def trace(self, message: str, *args: Any) -> None:
        """Log at the level below DEBUG."""
        self.log(TRACE, message, *args)


@dataclass(frozen=True)
class ComponentState:
    """A state by DAO's name; ``state`` is framebus' own.

    Attributes:
        name: ``Off``, ``Standby``, ``Idle``, ``Running`` or ``Error``.
        state: the same for framebus.
    """

    name: str
    state: State

    @property
    def value(self) -> str:
        """Its name; so is ``id``."""
        return self.name

    id = value


class daoComponentStateMachine:  # noqa: N801 - the name is DAO's
    """Off, Standby, Idle, Running, Error; what leads from one to another; and a hook for each step, to be overridden.

    An event calls ``on_exit_`` (of the state that it leaves), ``on_`` (of the event) and ``on_enter_`` (of the state
    that it leads to). A hook that raises leads to Error.

    Args:
        name: of the component; also of its logger.

    Attributes:
        name, log: as given; ``log.trace`` is there too.
    """

    Off: ClassVar = ComponentState("Off", State.OFF)
    Standby: ClassVar = ComponentState("Standby", State.STANDBY)
    Idle: ClassVar = ComponentState("Idle", State.IDLE)
    Running: ClassVar = ComponentState("Running", State.RUNNING)
    Error: ClassVar = ComponentState("Error", State.ERROR)

    def __init__(self, name: str) -> None:
        self.name = name
        self.log = Log(logging.getLogger(name), {})
        self._life_state = State.OFF
        self._event_lock = threading.RLock()  # around every event, whichever thread it comes from

    @property
    def current_state(self) -> ComponentState:
        """Where it is: ``component.current_state == component.Running``."""
        states = (self.Off, self.Standby, self.Idle, self.Running, self.Error)
        return next(known for known in states if known.state is self._life_state)

    @property
    def current_state_value(self) -> str:
        """The name of the state."""
        return self.current_state.name

    # ---- events; each raises UsageError where it is not possible, and UnitError where a hook raised ------------------

    def Init(self) -> None:
        """Off to Standby."""
        self._go(Event.INIT, self.on_Init)

    def Enable(self) -> None:
        """Standby to Idle."""
        self._go(Event.ENABLE, self.on_Enable)

    def Run(self) -> None:
        """Idle to Running."""
        self._go(Event.RUN, self.on_Run)

    def StopRun(self) -> None:
        """Running to Idle."""
        self._go(Event.IDLE, self.on_StopRun)

    def Disable(self) -> None:
        """Idle to Standby."""
        self._go(Event.DISABLE, self.on_Disable)

    def Stop(self) -> None:
        """To Off, from any state but Off itself: by way of StopRun and Disable, if these are to be done."""
        with self._event_lock:
            transition(self._life_state, Event.STOP)
            if self._life_state is State.RUNNING:
                self.StopRun()
            if self._life_state is State.IDLE:
                self.Disable()
            self._go(Event.STOP, self.on_Stop)

    def Recover(self) -> None:
        """Error to Idle, by way of Standby: ``on_Enable`` is called again, as what it takes may be what failed."""
        with self._event_lock:
            self.recover_to_standby()
            self.Enable()

    def Err(self) -> None:
        """To Error."""
        self._check_caller()
        self._fail("Err was called")

    def Err2(self) -> None:
        """To Error."""
        self._check_caller()
        self._fail("Err2 was called")

    def recover_to_standby(self) -> None:
        """Error to Standby: framebus' event ``recover``, the first half of ``Recover``."""
        self._go(Event.RECOVER, self.on_Recover)

    # ---- hooks -----------------------------------------------------------------------------------------------------

    def on_Init(self) -> None:
        """Called by ``Init``."""

    def on_Stop(self) -> None:
        """Called by ``Stop``."""

    def on_Enable(self) -> None:
        """Called by ``Enable``."""

    def on_Disable(self) -> None:
        """Called by ``Disable``."""

    def on_Run(self) -> None:
        """Called by ``Run``."""

    def on_StopRun(self) -> None:
        """Called by ``StopRun``."""

    def on_Err(self) -> None:
        """It fails, and was Running."""

    def on_Err2(self) -> None:
        """It fails, and was not Running."""

    def on_Recover(self) -> None:
        """Called by ``Recover``."""

    def on_enter_Off(self) -> None:
        """It is Off."""

    def on_exit_Off(self) -> None:
        """It leaves Off."""

    def on_enter_Standby(self) -> None:
        """It is in Standby."""

    def on_exit_Standby(self) -> None:
        """It leaves Standby."""

    def on_enter_Idle(self) -> None:
        """It is Idle."""

    def on_exit_Idle(self) -> None:
        """It leaves Idle."""

    def on_enter_Running(self) -> None:
        """It is Running."""

    def on_exit_Running(self) -> None:
        """It leaves Running."""

    def on_enter_Error(self) -> None:
        """It is in Error."""

    def on_exit_Error(self) -> None:
        """It leaves Error."""

    # ---- how it goes -----------------------------------------------------------------------------------------------

    def _go(self, event: Event, hook: Callable[[], None]) -> None:
        self._check_caller()
        with self._event_lock:
            before = self._life_state
            after = transition(before, event)
            self._call(getattr(self, f"on_exit_{self.current_state.name}"))
            self._call(hook)
            if self._life_state is not before:
                return  # a hook has led elsewhere
            self._call(lambda: self._end_work(after), f"the way to {after.name.lower()}")
            self._enter(after)
            self._call(getattr(self, f"on_enter_{self.current_state.name}"))

    def _call(self, hook: Callable[[], None], label: str = "") -> None:
        try:
            hook()
        except (Exception, SystemExit) as error:  # a component that exits has failed; its process goes on
            if self._life_state is State.ERROR:
                raise  # an event that the hook called has failed, and was told of
            message = f"{label or hook.__name__}: {type(error).__name__}: {error}"
            self._fail(message, traceback.format_exc())
            raise UnitError(f"component '{self.name}': {message}") from error

    def _fail(self, message: str, trace: str = "") -> None:
        """To Error, from everywhere, whatever the hooks on the way raise."""
        with self._event_lock:
            running = self._life_state is State.RUNNING
            leave: Callable[[], None] = getattr(self, f"on_exit_{self.current_state.name}")
            said = [message]
            for step in (leave, self.on_Err if running else self.on_Err2, self._end_all_work):
                said += self._try(step)
            self._tell("; ".join(said), trace)  # first: whoever sees the state finds the reason
            self._enter(State.ERROR)
            if more := self._try(self.on_enter_Error):
                self._tell("; ".join(said + more), trace)

    def _try(self, step: Callable[[], None]) -> list[str]:
        """What went wrong, if anything did."""
        try:
            step()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - the way to Error is gone to its end
            return [f"{step.__name__.lstrip('_')}: {type(error).__name__}: {error}"]
        return []

    def _end_all_work(self) -> None:
        self._end_work(State.ERROR)

    # ---- for components --------------------------------------------------------------------------------------------

    def _check_caller(self) -> None:
        """Refuse threads that an event would have to wait for."""

    def _end_work(self, after: State) -> None:
        """End what must not go on in that state."""

    def _enter(self, state: State) -> None:
        self._life_state = state

    def _tell(self, message: str, trace: str) -> None:
        """Say what went wrong."""
        self.log.error("%s", message)
