"""Parameters and states as they are now: read, written, and given back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from framebus.errors import FramebusError, NotFoundError, UsageError
from framebus.params import Params, Value
from framebus.pipeline.running import find_unit
from framebus.sequence.condition import ConditionLike, condition_of, open_entry
from framebus.sequence.session import session_or_none

__all__ = ["get", "holds", "restoring", "set", "unit_state"]


def get(name: str) -> Value:
    """The value of a parameter, ``"loop.gain"``.

    Raises:
        NotFoundError: there is no such set. ParameterError: the set has no such entry.
    """
    params, entry = open_entry(name)
    with params:
        return params[entry]


def set(name: str, value: Any = None, /, **entries: Any) -> None:  # noqa: A001 - the operator's word for it
    """Change a parameter, ``set("loop.gain", 0.5)``, or several in one step, ``set("loop", gain=0.5, leak=1)``.

    They are checked as always, against type, limits and what may change while a unit runs. On an error nothing changes.

    Raises:
        NotFoundError: there is no such set.
        ParameterError: no such entry, or a value that is refused; the message says what is allowed.
        WaitTimeout: another live process has held the set for 1 s.
        UsageError: neither a value nor entries were given, or both.
    """
    if (value is None) == (not entries):
        raise UsageError(f"set({name!r}, ...): expected a value, or entries of the set by their names")
    if entries:
        with Params.open(name) as params:
            params.update(entries)
    else:
        params, entry = open_entry(name)
        with params:
            params[entry] = value


def holds(condition: ConditionLike) -> bool:
    """Whether a condition on a parameter, ``"loop.gain>=0.5"``, holds now.

    Raises:
        UsageError: it is none. NotFoundError: there is no such set. ParameterError: the set has no such entry.
    """
    wanted = condition_of(condition)
    return bool(wanted.holds(get(wanted.target)))


def unit_state(name: str) -> str:
    """The state of a unit as ``framebus ps`` shows it (``running``, ``idle``, ``dead`` ...); ``absent``: there is none.

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
