"""Parameters and states as they are now: read, written, and given back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

from framebus.errors import FramebusError, NotFoundError, UsageError
from framebus.events.conditions import parse
from framebus.events.param_watcher import ParamWatcher
from framebus.params import Value, find, set_values
from framebus.pipeline.running import find_unit
from framebus.sequence.session import session_or_none

__all__ = ["ConditionLike", "get", "holds", "param_watcher", "restoring", "set", "unit_state"]

ConditionLike = str | tuple[str, Callable[[Any], object]]
"""``"loop.gain>=0.5"``, or the name of a parameter and what must be true of its value."""


def get(name: str) -> Value:
    """The value of a parameter, ``"loop.gain"``.

    Raises:
        NotFoundError: there is no such set or entry.
        UsageError: that is a set's name, or a pattern.
    """
    found = find(name)
    if name not in found:
        raise UsageError(f"{name!r} is no parameter; expected SET.ENTRY such as 'loop.gain'")
    return found[name].value


def set(name: str, value: Any = None, /, **entries: Any) -> None:  # noqa: A001 - the operator's word for it
    """Change a parameter, ``set("loop.gain", 0.5)``, or several in one step, ``set("loop", gain=0.5, leak=1)``.

    They are checked as always, against type, limits and what may change while a unit runs. On an error nothing changes.

    Raises:
        NotFoundError: there is no such set or entry.
        ParameterError: a value is refused; the message says what is allowed.
        WaitTimeout: another live process has held the set for 1 s.
        UsageError: neither a value nor entries were given, or both.
    """
    if (value is None) == (not entries):
        raise UsageError(f"set({name!r}, ...): expected a value, or entries of the set by their names")
    set_values({f"{name}.{entry}": new for entry, new in entries.items()} or {name: value})


def holds(condition: ConditionLike) -> bool:
    """Whether a condition on a parameter, ``"loop.gain>=0.5"``, holds now.

    Raises:
        UsageError: it is none. NotFoundError: there is no such set or entry.
        ParameterError: the value is none of the parameter's type, or cannot be compared so.
    """
    with closing(param_watcher(condition)) as watcher:
        if absent := watcher.absent():
            raise NotFoundError(absent)
        return watcher.look() is not None


def param_watcher(condition: ConditionLike) -> ParamWatcher:
    """What looks whether a condition on a parameter holds.

    Raises:
        UsageError: it is none. NotFoundError, ParameterError: as for ``holds``, but for a set that may yet come.
    """
    expected = "expected NAME OPERATOR VALUE such as 'loop.gain>=0.5', or (name, function)"
    if isinstance(condition, str):
        text, test = condition, None
    elif isinstance(condition, tuple) and len(condition) == 2 and callable(condition[1]):
        text, test = condition
    else:
        raise UsageError(f"{condition!r} is no condition; {expected}")
    parsed = parse(f"param:{text.strip().removeprefix('param:')}")
    if parsed.is_event == (test is None):
        raise UsageError(f"{condition!r} is no condition; {expected}")
    if "." not in parsed.name:
        raise UsageError(f"'{parsed.name}' is no parameter; expected SET.ENTRY such as 'loop.gain'")
    return ParamWatcher(parsed, test)


def unit_state(name: str) -> str:
    """The state of a unit as ``framebus ps`` has it (``running``, ``paused``, ``dead`` ...); ``absent``: there is none.

    Raises:
        UsageError: several units have that name.
    """
    try:
        return find_unit(name).state
    except NotFoundError:
        return "absent"


@contextmanager
def restoring(*names: str) -> Iterator[None]:
    """Give parameters back the values that they have now when the block ends, however it ends.

    What cannot be given back is logged; the others are given back all the same.

    Raises:
        NotFoundError, ParameterError: one is not there; nothing was done then.
    """
    before = {name: get(name) for name in names}
    with ExitStack() as back:
        for name, value in reversed(before.items()):
            back.callback(_give_back, name, value)
        yield


def _give_back(name: str, value: Value) -> None:
    try:
        if get(name) != value:
            set(name, value)
    except FramebusError as error:
        if (session := session_or_none()) is None:
            raise
        session.log(f"{name} could not be set back to {value!r}: {error}")
