"""``framebus graph``."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from framebus.cli.check import variables_of
from framebus.cli.complete import pipeline_files
from framebus.cli.output import show, show_json
from framebus.cli.shipped import pipeline_file
from framebus.cli.text import safe
from framebus.errors import UsageError

if TYPE_CHECKING:
    from framebus.pipeline.check import Checked

_LEAST = 60
"""Columns that a drawing needs to be of use."""


@click.command()
@click.argument("file", shell_complete=pipeline_files)
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), help="Write a picture; '-' prints it."
)
@click.option("--text", "as_text", is_flag=True, help="Draw with characters, also with --svg.")
@click.option("--var", "variables", metavar="NAME=VALUE", multiple=True, help="Set a variable of the file.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def graph(file: str, svg: Path | None, as_text: bool, variables: tuple[str, ...], as_json: bool) -> None:
    """Draw the pipeline of FILE: processes, units, and the streams between them.

    A stream runs along a line from the unit that writes it to those that read it: solid where its frames trigger a
    unit, dashed where they are read as they stand; at the left where it goes back up. The pipeline may still have
    problems: 'framebus check' tells them. 'demo' stands for the demonstration's file.

    Example: framebus graph loop.toml --svg loop.svg
    """
    from framebus.pipeline.check import Checked
    from framebus.pipeline.layout import Layout
    from framebus.pipeline.read import read_file

    reading = read_file(pipeline_file(file), variables_of(variables))
    checked = Checked(reading.plan, reading.where)
    layout = Layout.of(checked.graph, checked.specs)
    if as_json and (as_text or str(svg) == "-"):
        raise UsageError(
            "--json and a drawing on standard output exclude each other; write it with --svg FILE"
        )
    if svg is not None:
        from framebus.pipeline.svg import draw_svg

        if str(svg) == "-":
            sys.stdout.write(draw_svg(layout))
        else:
            svg.write_text(draw_svg(layout), encoding="utf-8")
    if as_json:
        show_json(as_plain(checked))
    elif svg is None or as_text:
        from framebus.pipeline.drawing import draw

        columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 80
        sys.stdout.write(draw(layout, max(_LEAST, columns)))
    if checked.problems:
        n = len(checked.problems)
        click.echo(
            f"note: {n} problem{'s' if n > 1 else ''}; 'framebus check {safe(file)}' tells more", err=True
        )
    elif svg is not None and str(svg) != "-" and not as_json:
        show(f"wrote {safe(str(svg))}")


def as_plain(checked: Checked) -> dict[str, Any]:
    """The graph as JSON has it: units in the order in which they start, streams, and the problems there are."""
    graph, plan = checked.graph, checked.plan
    process = {name: key for key, loops in graph.processes.items() for loop in loops for name in loop}
    edges = {name: [edge for edge in graph.edges if edge.unit == name] for name in graph.order}
    units = [
        {
            "unit": name,
            "use": plan.units[name].use,
            "process": process[name],
            "inputs": {
                edge.argument: {"stream": edge.stream, "triggers": edge.kind == "trigger"}
                for edge in edges[name]
                if edge.kind != "output"
            },
            "outputs": {edge.argument: edge.stream for edge in edges[name] if edge.kind == "output"},
        }
        for name in graph.order
    ]
    streams = {
        key: None
        if (spec := checked.specs.get(key)) is None
        else {"shape": list(spec.shape), "dtype": spec.dtype.name}
        for key in graph.streams()
    }
    problems = [str(problem) for problem in checked.problems]
    return {"name": plan.name, "units": units, "streams": streams, "problems": problems}
