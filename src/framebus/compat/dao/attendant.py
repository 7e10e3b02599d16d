"""The thread beside a component that does what others ask for through its process record."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from framebus.errors import UnitError, UsageError
from framebus.process import Event, ProcessRecord, State

if TYPE_CHECKING:
    from framebus.compat.dao.component import daoComponent

__all__ = ["Attendant"]

_LOOK_S = 0.05
"""How long the failure of a thread, which no futex tells, may go unnoticed."""


class Attendant:
    """Waits for events and commands in a record, and calls the component's methods."""

    def __init__(self, component: daoComponent, record: ProcessRecord) -> None:
        self._component = component
        self._record = record
        self._ending = False
        self._thread = threading.Thread(
            target=self._attend, name=f"attend {component.name}"[:15], daemon=True
        )

    def start(self) -> None:
        """Begin; from now on others may send events."""
        self._record.serve_events()
        self._thread.start()

    def end(self) -> None:
        """Begin nothing more; returns when what was begun is done."""
        self._ending = True
        self._thread.join()
        self._record.serve_events(False)

    @property
    def is_current_thread(self) -> bool:
        """Whether this is called by something that the attendant does."""
        return threading.current_thread() is self._thread

    def entered(self, state: State) -> None:
        """Say the state, and expect commands that fit it."""
        record = self._record
        before = record.state
        # The command first: whoever sees the state may send the next at once. That it is to stop stands, though.
        if state is State.STANDBY and before is not State.IDLE:
            if before is State.OFF or record.control != "stop":
                record.core.reset_control()
            record.set_message("")
        with contextlib.suppress(UsageError):
            if state is State.IDLE:
                record.pause()
            elif state is State.RUNNING:
                record.resume()
        record.core.set_state(state)

    def _attend(self) -> None:
        record, lock = self._record, self._component._event_lock
        while not self._ending:
            seen = record.activity
            if not lock.acquire(timeout=_LOOK_S):
                continue  # whoever has it may be about to end us
            try:
                if not self._ending:
                    self._look()
            finally:
                lock.release()
            record.wait_activity(seen, _LOOK_S)

    def _look(self) -> None:
        component, record = self._component, self._record
        component.look_at_threads()
        asked = self._asked()
        if asked is None:
            return
        try:
            asked()
        except UnitError:  # it is in Error, and the record tells why
            if record.control == "stop":  # asked again, it would fail again, and for ever
                record.core.reset_control()
        except UsageError as refusal:  # the state has changed since it was sent
            record.set_message(str(refusal))

    def _asked(self) -> Callable[[], None] | None:
        """What the record asks for."""
        component, record = self._component, self._record
        does = {
            Event.INIT: component.Init,
            Event.ENABLE: component.Enable,
            Event.DISABLE: component.Disable,
            Event.RECOVER: component.recover_to_standby,
        }
        event = record.take_event()
        if event in does:
            return does[event]
        state, command = record.state, record.control
        if command == "stop" and state is not State.OFF:
            return component.Stop
        if state is State.RUNNING and command == "pause":
            return component.StopRun
        if state is State.IDLE and command == "run":
            return component.Run
        if command == "step" and state in (State.IDLE, State.RUNNING):
            return self._refuse_steps
        return None

    def _refuse_steps(self) -> None:
        self.entered(self._record.state)
        self._record.set_message("a component has no frames that could be stepped; send 'run' or 'idle'")
