"""Writing parameters of several sets by their full names: all of them, or none."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from framebus.errors import FramebusError, ParameterError, PeerError
from framebus.params.cells import Value
from framebus.params.listing import Directory, locate, set_names
from framebus.params.paramset import Params
from framebus.params.text import from_text

__all__ = ["set_values"]


def set_values(
    values: Mapping[str, Any], *, as_text: bool = False, directory: Directory = None
) -> dict[str, tuple[Value, Value]]:
    """Change parameters by their full names, ``SET.ENTRY``; returns each one's value before and now.

    Everything is checked before anything is changed. The entries of one set change in one step. A set that refuses
    nevertheless (its unit started in this moment, say) has the earlier ones put back to what they were.

    Args:
        values: the new values by full name.
        as_text: they are texts, to be read by the type of their entries (``"0.5"``, ``"on"``).
        directory: where the sets lie; default: that of the streams.

    Raises:
        NotFoundError: there is no such set or entry.
        ParameterError: wrong type, outside the limits, or not writable now; ``problems`` says all of it.
        WaitTimeout, StreamRecreated: as for ``Params.update``.
        PeerError: a set refused, and an earlier one could not be put back; the message says both.
    """
    with ExitStack() as stack:
        opened: dict[str, Params] = {}
        updates: dict[str, dict[str, Any]] = {}
        problems: list[str] = []
        names = set_names(directory)
        for name, value in values.items():
            owner, entry = locate(name, directory=directory, names=names)
            if not entry:
                raise ParameterError(
                    f"'{name}' is a whole parameter set; expected one entry of it, {name}.ENTRY"
                )
            if owner not in opened:
                opened[owner] = stack.enter_context(Params.open(owner, directory=directory))
            try:
                kind = opened[owner].describe(entry).spec.type
                updates.setdefault(owner, {})[entry] = from_text(kind, value) if as_text else value
            except ParameterError as error:
                problems.append(f"{name} {error}")
        for owner, changes in updates.items():
            problems += [f"{owner}.{problem}" for problem in opened[owner].check_values(changes)]
        if problems:
            count = f"{len(problems)} problems, nothing was changed: " if len(problems) > 1 else ""
            raise ParameterError(count + "; ".join(problems), problems)
        before = {owner: opened[owner].snapshot() for owner in updates}
        _update_all(opened, updates, before)
        return {
            f"{owner}.{entry}": (before[owner][entry], opened[owner][entry])
            for owner, changes in updates.items()
            for entry in changes
        }


def _update_all(
    opened: Mapping[str, Params],
    updates: Mapping[str, dict[str, Any]],
    before: Mapping[str, Mapping[str, Value]],
) -> None:
    """Write set after set; when one refuses, put back what the earlier ones had."""
    done: list[str] = []
    try:
        for owner, changes in updates.items():
            opened[owner].update(changes)
            done.append(owner)
    except FramebusError as error:
        lost = []
        for owner in reversed(done):
            try:
                opened[owner].update({entry: before[owner][entry] for entry in updates[owner]})
            except FramebusError as second:
                lost.append(str(second))
        if lost:
            raise PeerError(f"{error}; and what was changed before stays: {'; '.join(lost)}") from error
        raise
