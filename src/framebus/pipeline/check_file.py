"""Everything that is wrong with a pipeline file: what cannot be read of it, and what is wrong with the rest."""

from __future__ import annotations

import os
from collections.abc import Mapping

from framebus.errors import Problem
from framebus.pipeline.check import Checked
from framebus.pipeline.read import Variable, read_some

__all__ = ["check_file"]


def check_file(
    path: str | os.PathLike[str], variables: Mapping[str, Variable] | None = None
) -> tuple[Checked | None, list[Problem]]:
    """A pipeline file, and all that is wrong with it: what cannot be read, and what is wrong with the rest.

    Returns:
        The plan that was checked, None if none could be read; and the problems, in the order of the file.

    Raises:
        NotFoundError: there is no such file.
    """
    reading, problems = read_some(path, variables)
    if reading is None:
        return None, problems
    checked = Checked(reading.plan, reading.where)
    keys = [problem.key for problem in problems]
    # What follows from a key that was left out is no news: the same key, and with it what feeds what.
    loose = any(not key.startswith("units.") or key.count(".") < 2 for key in keys)
    loose = loose or any(key.split(".")[2].startswith(("streams", "trigger", "use")) for key in keys)
    for problem in checked.problems:
        known = any(f"{problem.key}.".startswith(f"{key}.") or key.startswith(problem.key) for key in keys)
        if not known and not (loose and (".streams" in problem.key or ".depends_on" in problem.key)):
            problems.append(problem)
    return checked, sorted(problems, key=lambda problem: (problem.file, problem.line))
