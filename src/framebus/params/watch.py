"""Waiting for changes of a parameter set, and being called at each of them."""

from __future__ import annotations

import atexit
import math
import threading
import time
import warnings
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Self

from framebus.errors import FramebusError
from framebus.params.cells import Value

if TYPE_CHECKING:
    from framebus import _core

__all__ = ["Changes", "Subscription", "wait_generation"]

SLICE_NS = 50_000_000
"""How long a waiting call sleeps at most before it looks for Ctrl-C, a closed subscription, a removed file."""


class Changes(dict[str, tuple[Value | None, Value]]):
    """Names of entries that changed, each with its value before and its value now.

    Attributes:
        generation: of the values now; ``wait_changed(since=changes.generation)`` goes on from here.
    """

    def __init__(self, pairs: dict[str, tuple[Value | None, Value]], generation: int) -> None:
        super().__init__(pairs)
        self.generation = generation


def wait_generation(core: _core.ParamSet, seen: int, deadline: float) -> bool:
    """Wait until the set has another generation than ``seen``; False if ``deadline`` (monotonic s) came first.

    Raises:
        StreamRecreated: the set was replaced or removed.
    """
    while True:
        left_s = deadline - time.monotonic()
        sleep_ns = SLICE_NS if left_s > SLICE_NS * 1e-9 else max(0, math.ceil(left_s * 1e9))
        if core.wait(seen, sleep_ns) != seen:
            return True
        if left_s <= 0:
            return False


class Subscription:
    """Calls a function from a thread of its own whenever entries of a set change; made by ``Params.subscribe``.

    What the function raises goes to ``on_error``, by default as a ``RuntimeWarning``, and the subscription goes on.
    It ends when it is closed, and when the set is replaced or removed: then ``on_error`` gets the ``StreamRecreated``.
    """

    def __init__(
        self,
        wait: Callable[[int, float], Changes],
        since: int,
        callback: Callable[[Changes], object],
        on_error: Callable[[Exception], object] | None,
        name: str,
    ) -> None:
        """``wait(since, seconds)`` gives the changes since then, or none of them when the time is over."""
        self._wait = wait
        self._callback = callback
        self._on_error = on_error or self._warn
        self._name = name
        self._closing = threading.Event()
        self._ended = False  # by the callback
        self._thread = threading.Thread(target=self._run, args=(since,), name=f"params {name}", daemon=True)
        atexit.register(self.close)  # a thread that waits must not meet the interpreter's end
        self._thread.start()

    @property
    def active(self) -> bool:
        """Whether it still waits for changes."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End it: changes up to now are told, and when this returns the function is not called any more.

        Called by the function itself, that is its last call.
        """
        self._closing.set()
        atexit.unregister(self.close)
        if threading.current_thread() is self._thread:
            self._ended = True
        else:
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, since: int) -> None:
        closing = False
        while not (closing or self._ended):
            closing = self._closing.is_set()
            try:
                changes = self._wait(since, 0.0 if closing else SLICE_NS * 1e-9)
            except FramebusError as error:  # the set is gone
                self._report(error)
                return
            since = changes.generation
            try:
                if changes:
                    self._callback(changes)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is reported and the next change comes
                self._report(error)

    def _report(self, error: Exception) -> None:
        try:
            self._on_error(error)
        except Exception as second:  # noqa: BLE001 - also warnings that are errors here
            threading.excepthook(
                threading.ExceptHookArgs((type(second), second, second.__traceback__, self._thread))
            )

    def _warn(self, error: Exception) -> None:
        warnings.warn(
            f"subscription to parameter set '{self._name}': {type(error).__name__}: {error}",
            RuntimeWarning,
            stacklevel=2,
        )
