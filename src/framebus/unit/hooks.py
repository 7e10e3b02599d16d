"""Hooks: what a unit does itself when it goes from one state to another.

A device overrides ``on_init``, ``on_enable`` ... of ``Unit``; a function gets them by ``@my_unit.on("run")``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from framebus.errors import UsageError
from framebus.process import Event

HookFunction: TypeAlias = Callable[..., None]

WITH_ARRAYS = (Event.ENABLE, Event.RUN, Event.IDLE, Event.DISABLE)
"""Events at which a unit's arrays are there."""


@dataclass(frozen=True)
class Hook:
    """A function that an event calls, and the names of the arrays and parameters that it takes."""

    function: HookFunction
    takes: tuple[str, ...]

    @classmethod
    def of(
        cls, unit: str, event: Event, function: HookFunction, arrays: Sequence[str], parameters: Sequence[str]
    ) -> Hook:
        """The hook that ``function`` is.

        Raises:
            UsageError: it takes something that is not there at that event.
        """
        known = [*(arrays if event in WITH_ARRAYS else ()), *parameters]
        if event is Event.FAIL:
            known.append("message")
        takes = []
        for item in inspect.signature(function).parameters.values():
            by_name = item.kind in (item.POSITIONAL_OR_KEYWORD, item.KEYWORD_ONLY)
            if not by_name or item.name not in known:
                raise UsageError(
                    f"unit {unit!r}: its hook on {event.value!r} takes {item.name!r}; it can have: "
                    f"{', '.join(known) or 'nothing'}"
                )
            takes.append(item.name)
        return cls(function, tuple(takes))

    def __call__(self, there: Mapping[str, Any]) -> None:
        """Call it with what it takes of what is there."""
        self.function(**{name: there[name] for name in self.takes})


def event_named(unit: str, name: str) -> Event:
    """The event of that name.

    Raises:
        UsageError: there is none.
    """
    try:
        return Event(name)
    except ValueError:
        names = ", ".join(event.value for event in Event)
        raise UsageError(f"unit {unit!r}: there is no event {name!r}; there are: {names}") from None
