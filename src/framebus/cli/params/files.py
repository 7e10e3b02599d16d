"""``framebus params save``, ``load`` and ``diff``."""

from __future__ import annotations

import click
from rich.text import Text

from framebus.cli import text
from framebus.cli.complete import param_set_names
from framebus.cli.get import shown
from framebus.cli.output import columns, show, show_json


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.argument("names", metavar="[SET]...", nargs=-1, shell_complete=param_set_names)
@click.option("--all", "everything", is_flag=True, help="Also values that are the defaults.")
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def save(file: str, names: tuple[str, ...], everything: bool, overwrite: bool, as_json: bool) -> None:
    """Write the values of parameter sets to FILE, as TOML: of those named, or of all; one at once, or not at all.

    Only what differs from the defaults is written. Entries with the flag 'unsaved' and status values are left out.

    Example: framebus params save night.toml loop camera
    """
    from framebus.ops.files import check_new
    from framebus.params import save_sets
    from framebus.params.listing import set_names

    chosen = names or tuple(set_names())
    save_sets(check_new(file, overwrite=overwrite), chosen, changed_only=not everything)
    if as_json:
        show_json({"file": file, "sets": list(chosen)})
    else:
        click.echo(f"{text.safe(file)}: {_sets(len(chosen))} saved")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def load(file: str, as_json: bool) -> None:
    """Take over the values of FILE, which 'params save' wrote: all of them, or none if one is refused.

    What the file does not name stays as it is.

    Example: framebus params load night.toml
    """
    from framebus.ops import load_parameters

    loaded = load_parameters(file)
    if as_json:
        show_json({"file": file, "sets": list(loaded)})
    else:
        click.echo(f"{text.safe(file)}: {_sets(len(loaded))} loaded")


@click.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def diff(file: str, as_json: bool) -> None:
    """Show what 'params load FILE' would change, and what of it would be refused.

    Example: framebus params diff night.toml
    """
    from framebus.ops.files import check_there
    from framebus.params.comparing import compare_file

    differences = compare_file(check_there(file))
    if as_json:
        show_json([found._asdict() for found in differences])
        return
    if not differences:
        show(Text(f"{text.safe(file)}: would change nothing"))
        return
    table = columns("name", "now", "in file", right=("now", "in file"), wrapped=("now", "in file"))
    for found in differences:
        now = "-" if found.now is None else shown(found.now)
        table.add_row(Text(text.safe(found.name)), Text(now), Text(shown(found.in_file)))
    problems = dict.fromkeys(found.problem for found in differences if found.problem)
    show(table, *(Text(text.safe(problem), "red") for problem in problems))


def _sets(number: int) -> str:
    return "1 parameter set" if number == 1 else f"{number} parameter sets"
