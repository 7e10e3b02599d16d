"""``framebus check``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from rich.text import Text

from framebus.cli.complete import pipeline_files
from framebus.cli.failures import BAD_DATA
from framebus.cli.output import show, show_json
from framebus.cli.shipped import pipeline_file
from framebus.cli.text import safe
from framebus.errors import NotFoundError, Problem, UsageError

if TYPE_CHECKING:
    from framebus.pipeline.check import Checked
    from framebus.pipeline.read import Variable


def variables_of(given: tuple[str, ...]) -> dict[str, Variable]:
    """What ``--var name=value`` says, given any number of times.

    Raises:
        UsageError: one has another form.
    """
    from framebus.pipeline.read import variable

    return dict(map(variable, given))


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, shell_complete=pipeline_files)
@click.option("--var", "variables", metavar="NAME=VALUE", multiple=True, help="Set a variable of the files.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list, an object for each file.")
@click.option(
    "--schema", "with_schema", is_flag=True, help="Print the JSON schema of pipeline files, for editors."
)
def check(files: tuple[str, ...], variables: tuple[str, ...], as_json: bool, with_schema: bool) -> int:
    """Tell everything that is wrong with pipeline files, before anything starts.

    Each problem has a line, 'file:line: key: message', as compilers print them. The units are imported, and sources
    called; nothing is started or made. The exit code is 4 if there are problems. 'demo' stands for the demonstration's
    file.

    Example: framebus check loop.toml
    """
    if with_schema:
        from framebus.pipeline.schema import schema

        show_json(schema())
        return 0
    if not files:
        raise UsageError("give the pipeline files to check, or --schema; 'framebus check --help' tells more")
    given = variables_of(variables)
    answers = [_check(file, given, alone=len(files) == 1) for file in files]
    if as_json:
        show_json(
            [_as_plain(file, problems, found) for file, (problems, found) in zip(files, answers, strict=True)]
        )
    else:
        for file, (problems, found) in zip(files, answers, strict=True):
            _print(file, problems, found)
    return BAD_DATA if any(problems for problems, _ in answers) else 0


def _check(file: str, variables: dict[str, Variable], *, alone: bool) -> tuple[list[Problem], Checked | None]:
    from framebus.pipeline.check_file import check_file

    try:
        found, problems = check_file(pipeline_file(file), variables)
    except NotFoundError as error:
        if alone:
            raise
        return [Problem(str(error))], None
    return problems, None if problems else found


def _as_plain(file: str, problems: list[Problem], found: Checked | None) -> dict[str, Any]:
    listed = [
        {
            "file": item.file or None,
            "line": item.line or None,
            "key": item.key or None,
            "message": item.message,
        }
        for item in problems
    ]
    answer: dict[str, Any] = {"file": file, "ok": not problems, "problems": listed}
    if found is not None:
        answer |= {
            "name": found.plan.name,
            "order": found.graph.order,
            "processes": found.graph.processes,
            "streams": {
                key: None
                if (spec := found.specs.get(key)) is None
                else {"shape": list(spec.shape), "dtype": spec.dtype.name}
                for key in found.graph.streams()
            },
        }
    return answer


def _print(file: str, problems: list[Problem], found: Checked | None) -> None:
    for problem in problems:
        place = (
            f"{problem.file}:{problem.line}: "
            if problem.line
            else f"{problem.file}: "
            if problem.file
            else ""
        )
        key = f"{problem.key}: " if problem.key else ""
        show(Text.assemble((safe(place), "bold"), (safe(key), "cyan"), safe(problem.message)))
    if problems:
        show(Text(f"{safe(file)}: {_number(len(problems), 'problem')}", "bold red"))
        return
    assert found is not None
    graph = found.graph
    counts = [
        _number(len(graph.order), "unit"),
        _number(len(graph.processes), "process", "processes"),
        _number(len(graph.streams()), "stream"),
    ]
    show(
        Text.assemble((safe(file), "bold"), ": ", ("all is well", "green"), f": {', '.join(counts)}"),
        f"start order: {safe(' '.join(graph.order))}",
    )


def _number(n: int, one: str, many: str = "") -> str:
    return f"{n} {one if n == 1 else many or one + 's'}"
