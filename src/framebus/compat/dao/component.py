"""``daoComponent``: DAO's base class of components, with a process record in the place of its command channel."""

from __future__ import annotations

import atexit
import os
import threading
import traceback
from types import TracebackType
from typing import Any, Self

from framebus.compat.dao.attendant import Attendant
from framebus.compat.dao.double_buffer import DoubleBuffer
from framebus.compat.dao.segment import shm
from framebus.compat.dao.state_machine import daoComponentStateMachine
from framebus.errors import UnitError, UsageError
from framebus.process import ProcessRecord, State
from framebus.unit.declare import use_of

__all__ = ["daoComponent"]

_LOOK_S = 0.1
"""How long a thread that waits for a map goes on after it was told to end."""

_names: set[str] = set()  # of the components of this process: each has its record by its name
_names_lock = threading.Lock()


class daoComponent(daoComponentStateMachine):  # noqa: N801 - the name is DAO's
    """A component: configuration, a processing thread, double buffers that follow streams. Override what you need.

    ``Init`` calls ``load_static_config``; ``Enable`` calls ``load_dynamic_config`` and lets the buffers of
    ``add_update_map`` follow their streams; ``Run`` starts a thread that calls ``processingThread``; ``StopRun`` sets
    ``procThreadStop`` and waits for it. What a hook or a thread raises leads to Error.

    Other processes see it in ``framebus ps``, and steer it by ``framebus send NAME EVENT``.

    Args:
        name: of the component, unique in this process.
        config: kept as ``config``.
        port: of DAO's command channel, which is not here; ignored.
        goRunning: whether to go to Running at once.

    Attributes:
        config: as given.
        procThreadStop: set when the processing thread is to return; a new one for each run.
        procThread: the processing thread of the last run.
        stop_timeout_s: how long it may take to return, s.
        update_map_list: what ``add_update_map`` was given.
        variable_dictionary: for whatever the component keeps there; nothing asks for it from outside.

    Raises:
        UsageError, NameFormatError: the name is taken or not possible.
        UnitError: it was to go to Running, and a hook raised.
    """

    stop_timeout_s = 10.0

    def __init__(
        self, name: str = "daoComponent", config: Any = None, port: int = 5556, goRunning: bool = True
    ) -> None:
        super().__init__(name)
        self.config = config
        self.procThread: threading.Thread | None = None
        self.procThreadStop = threading.Event()
        self.update_map_list: list[tuple[shm, DoubleBuffer]] = []
        self.variable_dictionary: dict[str, Any] = {}
        self._update_threads: list[threading.Thread] = []
        self._update_stop = threading.Event()
        self._thread_failures: list[tuple[str, BaseException]] = []
        self._patience_over = False
        self._return_told = False
        self._closed = False
        self._pid = os.getpid()
        with _names_lock:
            if name in _names:
                raise UsageError(
                    f"a component '{name}' is in this process already; stop() it, or take another name"
                )
            self._record = ProcessRecord.create(name, use=use_of(type(self))[-255:])
            _names.add(name)
        self._attendant = Attendant(self, self._record)
        self._attendant.start()
        atexit.register(self.stop)
        if goRunning:
            try:
                self.Init()
                self.Enable()
                self.Run()
            except BaseException:
                self._close()
                raise

    # ---- to be overridden ------------------------------------------------------------------------------------------

    def load_static_config(self) -> None:
        """What is set up once, at ``Init``."""

    def load_dynamic_config(self) -> None:
        """What is set up at every ``Enable``."""

    def processingThread(self) -> None:
        """The work, in a thread of its own: until ``procThreadStop`` is set, at the latest."""

    def processThreadContainer(self) -> None:
        """What the thread calls: ``processingThread``."""
        self.processingThread()

    def on_Init(self) -> None:
        """Loads the static configuration."""
        self.load_static_config()

    def on_Enable(self) -> None:
        """Loads the dynamic configuration; fills the buffers, and lets them follow their streams."""
        self.load_dynamic_config()
        self._update_stop = threading.Event()
        for i, (source, buffer) in enumerate(self.update_map_list):
            own = source.twin()
            buffer.write(own.get_data())
            thread = threading.Thread(
                target=self._update, args=(own, buffer, self._update_stop), name=f"update {i}", daemon=True
            )
            self._update_threads.append(thread)
            thread.start()

    def on_Run(self) -> None:
        """Starts the processing thread.

        Raises:
            UnitError: that of the run before has not returned.
        """
        if self.procThread is not None and self.procThread.is_alive():
            raise UnitError("the processing thread of the run before has not returned yet")
        self.procThreadStop = threading.Event()
        self._patience_over = self._return_told = False
        self.procThread = threading.Thread(target=self._process, name=f"run {self.name}"[:15], daemon=True)
        self.procThread.start()

    def on_StopRun(self) -> None:
        """Tells the processing thread to return, and waits for it.

        Raises:
            UnitError: it does not within ``stop_timeout_s``.
        """
        self._end_processing()

    # ---- what it offers --------------------------------------------------------------------------------------------

    def add_update_map(self, shm_file: shm, double_buffer: DoubleBuffer) -> None:
        """Let ``double_buffer`` hold the newest frame of a stream, from the next ``Enable`` to ``Disable``."""
        self.update_map_list.append((shm_file, double_buffer))

    def stop(self) -> None:
        """The end of the component, from whichever state: ``Stop``, and its record is removed. Twice is fine.

        Raises:
            UnitError: a hook raised. The record of a component that failed stays, to be read.
            UsageError: its own processing thread, or a hook called by an event from outside, calls it.
        """
        if self._closed or os.getpid() != self._pid:  # a child that fork made has no part in it
            return
        self._check_caller()
        if self._attendant.is_current_thread:
            raise UsageError(
                f"component '{self.name}' cannot end itself in a hook that 'framebus send' has led to"
            )
        try:
            with self._event_lock:
                if self._life_state is State.ERROR:
                    self._call(self.on_Stop)
                elif self._life_state is not State.OFF:
                    self.Stop()
        finally:
            self._close()

    def _close(self) -> None:
        self._attendant.end()
        self._closed = True
        atexit.unregister(self.stop)
        if self._record.state is State.ERROR:
            self._record.close()
        else:
            self._record.remove()
        with _names_lock:
            _names.discard(self.name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except UnitError as failure:
            if error is None:
                raise
            error.add_note(str(failure))

    # ---- its threads -----------------------------------------------------------------------------------------------

    def _process(self) -> None:
        try:
            self.processThreadContainer()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - told below, and it leads to Error
            self._note_thread_failure("the processing thread", error)

    def _update(self, source: shm, buffer: DoubleBuffer, stop: threading.Event) -> None:
        source.on_timeout = "none"
        path = source.stream.path
        try:
            with source:
                while not stop.is_set():
                    frame = source.get_data(check=True, timeout=_LOOK_S)
                    if frame is not None:
                        buffer.write(frame)
        except Exception as error:  # noqa: BLE001 - told below, and it leads to Error
            self._note_thread_failure(f"the update of a map from {path}", error)

    def _note_thread_failure(self, whose: str, error: BaseException) -> None:
        """For whoever holds the lock to find: a thread that took it could not be waited for."""
        self._thread_failures.append((f"{whose}: {type(error).__name__}: {error}", error))

    def look_at_threads(self) -> None:
        """Go to Error if a thread has failed, tell if the processing thread is done; called by the attendant."""
        while self._thread_failures:
            text, error = self._thread_failures.pop(0)
            if self._life_state is not State.ERROR:
                self._fail(text, "".join(traceback.format_exception(error)))
        thread = self.procThread
        if (
            self._life_state is State.RUNNING
            and thread is not None
            and not thread.is_alive()
            and not self._return_told
        ):
            self._return_told = True
            self._record.set_message("its processing thread has returned")

    def _end_processing(self) -> None:
        thread = self.procThread
        self.procThreadStop.set()
        if thread is not None and not self._patience_over:
            thread.join(self.stop_timeout_s)
            if thread.is_alive():
                self._patience_over = True
                raise UnitError(
                    f"the processing thread goes on {self.stop_timeout_s:g} s after procThreadStop was set; "
                    "look at that, and give waits a timeout"
                )

    def _end_updates(self) -> None:
        self._update_stop.set()
        threads, self._update_threads = self._update_threads, []
        for thread in threads:
            thread.join()

    # ---- how it goes -----------------------------------------------------------------------------------------------

    def _check_caller(self) -> None:
        if self._closed:
            raise UsageError(f"component '{self.name}' was ended by stop(); make a new one")
        if threading.current_thread() is self.procThread:
            raise UsageError(
                f"component '{self.name}': its processing thread cannot change its state; let it return, or raise"
            )

    def _end_work(self, after: State) -> None:
        try:
            if after is not State.RUNNING:
                self._end_processing()
        finally:
            if after not in (State.IDLE, State.RUNNING):
                self._end_updates()
        # Who has just begun to run is left to the attendant: whether it fails soon is not this event's matter.
        if after not in (State.RUNNING, State.ERROR) and self._thread_failures:
            text, error = self._thread_failures.pop(0)
            raise UnitError(text) from error

    def _enter(self, state: State) -> None:
        super()._enter(state)
        self._attendant.entered(state)

    def _tell(self, message: str, trace: str) -> None:
        super()._tell(message, trace)
        self._record.fail(message, trace)
