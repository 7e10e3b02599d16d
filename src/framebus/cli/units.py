"""``framebus units``."""

from __future__ import annotations

import inspect
from typing import Any

import click
from rich.text import Text

from framebus.cli.complete import installed_unit_names
from framebus.cli.ls import matches
from framebus.cli.output import columns, make_console, show, show_json
from framebus.cli.text import safe
from framebus.errors import FramebusError
from framebus.unit.load import InstalledUnit, installed_units, load_unit

_EXAMPLE = (
    "'framebus run UNIT --help' tells what a unit needs; UNIT is what stands under USE, or a plug-in's name"
)


@click.command()
@click.argument("patterns", metavar="[PATTERN]...", nargs=-1, shell_complete=installed_unit_names)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def units(patterns: tuple[str, ...], as_json: bool) -> None:
    """List the units that are installed: those whose name or USE matches a PATTERN (* ? [a-z], in quotes), or all.

    They come with framebus, or with packages that offer units ('framebus new unit' begins one). A unit that cannot be
    loaded is listed with the reason.

    Example: framebus units 'framebus.ao:*'
    """
    found = [
        as_plain(unit)
        for unit in installed_units()
        if matches(unit.name, patterns) or matches(unit.use, patterns)
    ]
    if as_json:
        show_json(found)
        return
    if not found:
        show(f"no installed unit matches {safe(' '.join(patterns))}; 'framebus units' lists them all")
        return
    table = columns("use", "name", "from", "does", wrapped=("does",), drop=("from", "name", "does"))
    for unit in found:
        does = Text(safe(unit["error"]), "red") if unit["error"] else Text(safe(unit["help"]))
        table.add_row(*(Text(safe(unit[key])) for key in ("use", "name", "package")), does)
    console = make_console()
    show(table, Text(_EXAMPLE, "dim"), console=console)


def as_plain(unit: InstalledUnit) -> dict[str, Any]:
    """A unit as JSON has it: ``name``, ``use``, ``package``, ``help`` (one line) and ``error``."""
    text, error = "", unit.error
    if not error:
        try:
            text = first_line(load_unit(unit.use))
        except (FramebusError, ModuleNotFoundError) as problem:
            error = str(problem)
    return {
        "name": unit.name,
        "use": unit.use,
        "package": unit.distribution,
        "help": text,
        "error": " ".join(error.split()),
    }


def first_line(unit: Any) -> str:
    """What a unit does: the first paragraph of its docstring, or nothing."""
    said = unit.__dict__.get("__doc__") or ""  # a class would answer with what its base says
    return " ".join(inspect.cleandoc(said).partition("\n\n")[0].replace("``", "").split())
