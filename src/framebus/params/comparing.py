"""What a saved file would change of the parameter sets that are there."""

from __future__ import annotations

from typing import Any, NamedTuple

from framebus.errors import FramebusError
from framebus.params.cells import Value
from framebus.params.files import Path, read_sets
from framebus.params.listing import Directory
from framebus.params.paramset import Params

__all__ = ["Difference", "compare_file"]


class Difference(NamedTuple):
    """One value of a file that is not the one in shared memory.

    Attributes:
        name: its full name, ``SET.ENTRY``.
        now: in shared memory; None: there is no such set or entry.
        in_file: in the file.
        problem: why ``load_sets`` would refuse it; empty if it would not.
    """

    name: str
    now: Value | None
    in_file: Any
    problem: str


def compare_file(path: Path, *, directory: Directory = None) -> list[Difference]:
    """What ``load_sets(path)`` would change, and what it would refuse, in the order of the file.

    Raises:
        ParameterError: it is not TOML, or has values outside of tables.
        OSError: the file cannot be read.
    """
    found = []
    for owner, values in read_sets(path).items():
        try:
            with Params.open(owner, directory=directory) as params:
                differs = params.diff(values)
                changed = [name for name in values if name in differs]
                problems = params.problems({name: values[name] for name in changed})
                for name in changed:
                    problem = problems.get(name, "")
                    where = f"{owner}." if name in params else f"{owner}: "
                    full = f"{owner}.{name}"
                    found.append(
                        Difference(full, params.get(name), values[name], problem and where + problem)
                    )
        except FramebusError as error:
            found += [
                Difference(f"{owner}.{name}", None, value, str(error)) for name, value in values.items()
            ]
    return found
