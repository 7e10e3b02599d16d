"""Calls that block, in threads of their own; cancelling the task ends them before it goes on."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import ctypes
import functools
import threading
import time
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

__all__ = ["Interrupted", "in_thread", "wait_in_slices"]

P = ParamSpec("P")
T = TypeVar("T")

SLICE_S = 0.05
"""How long a waiting thread sleeps at most before it looks whether it is still wanted."""


class Interrupted(KeyboardInterrupt):
    """Raised in a thread whose task was cancelled, as Ctrl-C would be, so that the call restores what it changed."""


class _Call:
    """One call in a thread of its own.

    Not in a pool: a dozen waits must not keep each other from starting. The thread is a daemon, so that one that hangs
    does not keep the process from ending when it was told twice.
    """

    def __init__(self, call: Callable[[], Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[Any] = self._loop.create_future()
        self._call = call
        self._context = contextvars.copy_context()
        self._lock = threading.Lock()
        self._open = True  # an Interrupted may be raised in the thread
        self._thread = threading.Thread(target=self._run, name="sequence call", daemon=True)
        self._thread.start()

    def interrupt(self) -> None:
        """Raise ``Interrupted`` in the thread: once it is back from what it waits for in native code."""
        with self._lock:
            if self._open and self._thread.ident is not None:
                self._open = False
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._thread.ident), ctypes.py_object(Interrupted)
                )

    def _run(self) -> None:
        value: Any = None
        failure: BaseException | None = None
        try:
            try:
                value = self._context.run(self._call)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the task that waits
                failure = error
            with self._lock:
                self._open = False
        except Interrupted as late:  # it came after the call had ended
            failure = failure or late
        with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._settle, value, failure)

    def _settle(self, value: Any, failure: BaseException | None) -> None:
        if self.done.done():
            return
        if failure is None:
            self.done.set_result(value)
        elif isinstance(failure, StopIteration | KeyboardInterrupt | SystemExit):
            # What a future or a loop takes for its own; the cause keeps the traceback.
            told = RuntimeError(f"the call ended by {type(failure).__name__}")
            told.__cause__ = failure
            self.done.set_exception(told)
        else:
            self.done.set_exception(failure)


async def in_thread(function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that blocks, such as ``framebus.ao.measure_response``, in a thread; the sequence can be stopped.

    When it is stopped (or a timeout around it is over), an ``Interrupted``, which is a ``KeyboardInterrupt``, is raised
    in the thread at the next step of the interpreter, and the task goes on when the call has ended: what the call
    restores after Ctrl-C is restored. A call that waits in native code notices when that wait ends.

    ``step``, ``progress`` and ``log`` work within the function.
    """
    call = _Call(functools.partial(function, *args, **kwargs))
    value: T = await _outcome(call, call.interrupt)
    return value


async def wait_in_slices(
    look: Callable[[float], T | None], timeout_s: float | None, *, slice_s: float = SLICE_S
) -> T | None:
    """Call ``look(seconds)``, which waits at most so long, in a thread until it gives something.

    Returns:
        What it gave; None if the time was over. A look that begins before the end is always finished, and there is one
        with 0 s at the end.
    """
    stop = threading.Event()
    deadline = None if timeout_s is None else time.monotonic() + timeout_s

    def wait() -> T | None:
        while not stop.is_set():
            left_s = slice_s if deadline is None else deadline - time.monotonic()
            found = look(min(slice_s, max(0.0, left_s)))
            if found is not None or left_s <= 0.0:
                return found
        return None

    found: T | None = await _outcome(_Call(wait), stop.set)
    return found


async def _outcome(call: _Call, end: Callable[[], object]) -> Any:
    """What a call gives; when this task is cancelled, the call is ended first."""
    try:
        return await asyncio.shield(call.done)
    except asyncio.CancelledError:
        end()
        while not call.done.done():
            try:
                await asyncio.wait([call.done])
            except asyncio.CancelledError:
                continue  # told again; whoever does not want to wait for the cleanup kills the process
        failure = call.done.exception()
        if failure is not None and not isinstance(failure.__cause__, Interrupted):
            raise asyncio.CancelledError(f"and the call failed: {failure}") from failure
        raise
