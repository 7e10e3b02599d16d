"""Watching parameters: any change, or a comparison with a value."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable
from typing import Any

from framebus.errors import DataError, NotFoundError, ParameterError, PeerError, UsageError, WaitTimeout
from framebus.events.conditions import Condition
from framebus.events.watchers import POLL_S, Sighting, Watcher, sighting
from framebus.params import Params, Value
from framebus.params.cells import TEXT_TYPES, decode, encode
from framebus.params.listing import locate, set_names
from framebus.params.text import from_text, to_text
from framebus.stream.names import near

__all__ = ["ParamWatcher"]

_COMPARE = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


class ParamWatcher(Watcher):
    """A parameter, or a whole set. Sleeps on the set itself; one that is not there is polled for.

    Args:
        condition: what is watched.
        holds: what must be true of the value, where no operator says it.

    Raises:
        NotFoundError: the set is there, but has no such entry.
        ParameterError: the value is none of the entry's type, or cannot be compared so.
    """

    def __init__(self, condition: Condition, holds: Callable[[Any], object] | None = None) -> None:
        super().__init__(condition)
        self._holds = holds
        self._params: Params | None = None
        self._entry = ""
        self._since = 0
        self._last: dict[str, Value] = {}
        self._wanted: Value = 0
        self._problem = ""
        self._open()

    def look(self) -> Sighting | None:
        """Look without waiting; see ``Watcher``."""
        if self._params is not None and self._params.core.retired:
            self._drop()
        if self._params is None and not self._open():
            return None
        return self._changed() if self._any_change else self._compared()

    @property
    def _any_change(self) -> bool:
        return self.condition.is_event and self._holds is None

    def _compared(self) -> Sighting | None:
        assert self._params is not None
        self._since, value = self._params.generation, self._params[self._entry]
        holds = self._holds or (lambda held: _COMPARE[self.condition.operator](held, self._wanted))
        if not holds(value):
            return None
        return sighting(parameter=self._full(self._entry), value=value)

    def _changed(self) -> Sighting | None:
        """Of several entries that changed at once, the first is told."""
        assert self._params is not None
        try:
            changes: Any = self._params.wait_changed(*self._names, since=self._since, timeout_s=0.0)
        except WaitTimeout:
            return None
        except PeerError:
            self._drop()
            return None
        self._since = changes.generation
        name, (_, value) = next(iter(changes.items()))
        before = self._last.get(name)
        self._last |= {entry: now for entry, (_, now) in changes.items()}
        return sighting(parameter=self._full(name), value=value, before=before)

    def wait(self, timeout_s: float) -> None:
        """Sleep until another look may give another answer."""
        if self._params is None:
            time.sleep(min(timeout_s, POLL_S))
            return
        try:
            self._params.wait_changed(*self._names, since=self._since, timeout_s=min(timeout_s, POLL_S))
        except WaitTimeout:
            pass
        except PeerError:
            self._drop()

    def absent(self) -> str:
        """That there is no such set yet."""
        if self._params is not None:
            return ""
        there, name = set_names(), self.condition.name
        known = "'framebus params' lists those that are there" if there else ""
        return self.instead() + ("" if self._problem else near(name.rpartition(".")[0] or name, there, known))

    def instead(self) -> str:
        """How things stand."""
        if self._params is None:
            return self._problem or f"there is no parameter set for '{self.condition.name}'"
        if not self._entry:
            return f"nothing of parameter set '{self.condition.name}' changed"
        return f"{self.condition.name} is {to_text(self._params[self._entry])}"

    def close(self) -> None:
        """Give back what is held."""
        self._drop()

    @property
    def _names(self) -> tuple[str, ...]:
        return (self._entry,) if self._entry else ()

    def _full(self, entry: str) -> str:
        assert self._params is not None
        return f"{self._params.name}.{entry}"

    def _open(self) -> bool:
        """Find the set; False if it is not there, or cannot be read just now."""
        name = self.condition.name
        there = set_names()
        try:
            owner, entry = locate(name, names=there)
            self._params = Params.open(owner)
        except NotFoundError:
            if any(name.startswith(f"{owner}.") for owner in {*there} & {*set_names()}):
                raise  # a set does not get an entry by waiting
            self._problem = ""
            return False
        except (DataError, OSError) as error:
            self._problem = str(error)
            return False
        self._entry, self._problem = entry, ""
        self._since = self._params.generation
        self._last = self._params.snapshot()
        if not self._any_change:
            self._wanted = self._read_wanted(self._params)
        return True

    def _read_wanted(self, params: Params) -> Value:
        if not self._entry:
            raise UsageError(
                f"condition '{self.condition}': expected one entry of the set, {params.name}.ENTRY"
            )
        if self._holds is not None:
            return 0
        kind = params.describe(self._entry).spec.type
        if kind in TEXT_TYPES and self.condition.operator not in ("==", "!="):
            raise ParameterError(
                f"condition '{self.condition}': a text ({kind}) can be compared by = and != only"
            )
        try:
            # As the set would hold it: a float32 is never equal to 0.1.
            return decode(kind, *encode(kind, from_text(kind, self.condition.value)))
        except ParameterError as error:
            raise ParameterError(f"condition '{self.condition}': {self.condition.name} {error}") from None

    def _drop(self) -> None:
        if self._params is not None:
            self._params.close()
        self._params = None
