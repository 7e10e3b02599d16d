"""The thread beside a loop that needs Python while it runs: it serves events, calls hooks, renews findings."""

from __future__ import annotations

import threading
from collections.abc import Callable

from framebus import _core
from framebus.errors import ParameterError, UsageError
from framebus.process import Event, State
from framebus.unit.lifecycle import Lifecycle

_LOOK_NS = 50_000_000
"""How long what no futex tells (a change of parameters, a command to a later unit of the loop) may go unnoticed."""


class Attendant:
    """Waits for what comes up in the life of one loop, and does it."""

    def __init__(self, life: Lifecycle) -> None:
        self._life = life
        self._ending = False
        self._thread = threading.Thread(target=self._attend, name=f"attend {life.label}"[:15], daemon=True)

    def start(self) -> None:
        """Begin; from now on others may send any event."""
        for record in self._life.records:
            record.serve_events(True)
        self._thread.start()

    def end(self) -> None:
        """Begin no more; returns when what was begun is done."""
        self._ending = True
        self._thread.join()
        for record in self._life.records:
            record.serve_events(False)

    @property
    def is_current_thread(self) -> bool:
        """Whether this is called by a hook, or by something else that the attendant does."""
        return threading.current_thread() is self._thread

    def _attend(self) -> None:
        core = self._life.records[0].core
        while not self._ending:
            seen = core.activity
            with self._life.lock:
                if not self._ending:
                    self._try(self._look)
            core.wait_activity(seen, _LOOK_NS)

    def _look(self) -> None:
        """Do what has come up: an end, a change of the command or of parameters, an event."""
        life = self._life
        native = life.native
        if native is not None and native.wait_end(0):
            life.settle()
        elif native is not None and native.gate_closed:
            self._at_the_gate(native)
        elif native is None and life.state is not State.OFF:
            self._look_at_commands()
        for record in life.records:
            event = record.take_event()
            if event is not None:
                self._obey(event)
        life.renew_findings()

    def _at_the_gate(self, native: _core.Loop) -> None:
        """The native loop is idle, and stays so until hooks and checks have had their turn."""
        life = self._life
        self._try(life.rest)
        if life.native is None or any(record.control in ("pause", "stop") for record in life.records):
            return
        if self._try(life.flow):
            native.open_gate()
        elif life.native is not None:
            life.records[0].pause()

    def _look_at_commands(self) -> None:
        """Without a native loop that would: whoever tells one of its units to stop or run means the loop."""
        life = self._life
        commands = [record.control for record in life.records]
        if "stop" in commands:
            life.finish()
        elif life.state is State.IDLE and any(command != "pause" for command in commands):
            for record in life.records:
                if record.control == "pause":
                    record.resume()
            if not self._try(life.run) and life.state is State.IDLE:
                life.arm()

    def _obey(self, event: Event) -> None:
        """Do what an event asks for; run, idle and stop are commands to the native loop."""
        life = self._life
        does: dict[Event, Callable[[], object]] = {
            Event.INIT: life.init,
            Event.ENABLE: self._enable,
            Event.DISABLE: life.disable,
            Event.RECOVER: life.recover,
        }
        if event in does:
            self._try(does[event])

    def _enable(self) -> None:
        self._life.arm()  # before idle shows: who sees it may send run at once
        self._life.enable()

    def _try(self, action: Callable[[], object]) -> bool:
        """Whether that went well. If not the record tells, and the unit is in error unless it only has to wait."""
        life = self._life
        before = life.state
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - a device or a module may raise anything, SystemExit too
            record = life.records[0]
            if isinstance(error, ParameterError) and before is State.IDLE:
                record.set_message(str(error))
            elif isinstance(error, UsageError) and before is State.ERROR:
                life.note(record, str(error))
            else:
                life.fail_with(error)
            return False
        return True
