"""``framebus params rm``."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

import click

from framebus.cli import text
from framebus.cli.complete import param_set_names
from framebus.cli.output import show, show_json
from framebus.cli.processes import command_name
from framebus.errors import NotFoundError, UsageError
from framebus.params import Params
from framebus.params.listing import SetInfo, sets
from framebus.stream.names import near


@click.command()
@click.argument("names", metavar="SET...", nargs=-1, required=True, shell_complete=param_set_names)
@click.option("--force", is_flag=True, help="Remove sets too that a running unit uses.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list of what was removed.")
def rm(names: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Remove parameter sets: names, or patterns (* ? [a-z], in quotes).

    All or nothing: if one is not there, or a unit runs with it and --force was not given, none is removed. A unit whose
    set was removed goes on with the values that it has.

    Example: framebus params rm 'crop-*'
    """
    found = _find(names)
    if not force:
        used = [
            f"'{info.name}': process {info.user_pid} ({command_name(info.user_pid)}) runs with it"
            for info in found
            if info.user_pid
        ]
        if used:
            raise UsageError(
                f"{'; '.join(used)}; nothing was removed; end the unit first, or insist with --force"
            )
    for info in found:
        if info.error:  # it is no set, whatever it is
            info.path.unlink(missing_ok=True)
        else:
            Params.open(info.path).remove(force=force)
    if as_json:
        show_json([info.name for info in found])
    else:
        show("\n".join(f"removed {text.safe(info.name)}" for info in found))


def _find(names: Sequence[str]) -> list[SetInfo]:
    """The sets that names and patterns stand for, each once. Raises NotFoundError, with all that are missing."""
    there = sets()
    found: dict[str, SetInfo] = {}
    missing = []
    for name in names:
        meant = {info.name: info for info in there if info.name == name or fnmatchcase(info.name, name)}
        found |= meant
        if not meant:
            missing.append(name)
    if missing:
        hint = near(missing[0], [info.name for info in there])
        raise NotFoundError(f"no parameter set {', '.join(map(repr, missing))}; nothing was removed{hint}")
    return list(found.values())
