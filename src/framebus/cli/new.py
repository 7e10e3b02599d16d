"""``framebus new``."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from framebus.cli import scaffold
from framebus.cli.lazy import Entry, LazyGroup
from framebus.cli.output import show, show_json
from framebus.cli.text import safe

COMMANDS = {
    "unit": Entry("framebus.cli.new:new_unit", "Begin a package with one unit."),
    "pipeline": Entry("framebus.cli.new:new_pipeline", "Begin a package with a pipeline and its units."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def new() -> None:
    """Begin a unit or a pipeline of your own: a package that works, with tests that pass.

    Example: framebus new unit denoise
    """


@click.command("unit")
@click.argument("name")
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def new_unit(name: str, directory: Path | None, as_json: bool) -> None:
    """Begin a package with the unit NAME, in DIR (default: ./NAME).

    It has the unit with its parameters, tests that call it, compile it and run it on streams, and registers it, so that
    'framebus units' lists it once the package is installed. DIR must not exist yet.

    Example: framebus new unit denoise
    """
    made = scaffold.write("unit", name, directory)
    _tell(
        made,
        [f"{_enter(made)} && pip install -e '.[test]' && pytest", f"framebus run {name} --help"],
        as_json,
    )


@click.command("pipeline")
@click.argument("name")
@click.argument("directory", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def new_pipeline(name: str, directory: Path | None, as_json: bool) -> None:
    """Begin a package with the pipeline NAME and its units, in DIR (default: ./NAME).

    It has a pipeline file that runs at once, its units, and tests of both. DIR must not exist yet.

    Example: framebus new pipeline loop
    """
    made = scaffold.write("pipeline", name, directory)
    _tell(made, [f"{_enter(made)} && framebus up {name}.toml", "pip install -e '.[test]' && pytest"], as_json)


def _enter(made: scaffold.Made) -> str:
    return f"cd {shlex.quote(str(made.directory))}"


def _tell(made: scaffold.Made, steps: list[str], as_json: bool) -> None:
    if as_json:
        files = [str(path) for path in made.files]
        show_json({"directory": str(made.directory), "files": files, "try": steps})
        return
    lines = [f"made {made.directory}", *(f"  {path}" for path in made.files), "try:"]
    show("\n".join(map(safe, [*lines, *(f"  {step}" for step in steps)])))
