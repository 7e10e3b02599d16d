"""``framebus export``."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from framebus.cli import systemd
from framebus.cli.lazy import Entry, LazyGroup
from framebus.cli.output import show, show_json
from framebus.cli.text import safe
from framebus.errors import PipelineError, UsageError

COMMANDS = {
    "systemd": Entry("framebus.cli.export:export_systemd", "Write a pipeline as a service of systemd.")
}


@click.group(cls=LazyGroup, table=COMMANDS)
def export() -> None:
    """Write a pipeline for another supervisor, which starts it with the machine.

    Example: framebus export systemd loop.toml --user
    """


@click.command("systemd")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory to write to (default: the working directory).",
)
@click.option("--user", is_flag=True, help="Write where systemd looks for your units.")
@click.option("--var", "variables", multiple=True, metavar="NAME=VALUE", help="Set a variable of the file.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def export_systemd(
    file: Path, output: Path | None, user: bool, variables: tuple[str, ...], as_json: bool
) -> None:
    """Write the pipeline in FILE as a service of your own systemd, which needs no root.

    The service runs 'framebus up FILE' and starts it again if it dies; the units run on meanwhile and are adopted.
    What to do with the files is printed.

    Example: framebus export systemd loop.toml --user
    """
    from framebus.pipeline.check import check_plan
    from framebus.pipeline.read import read_file, variable

    if user and output is not None:
        raise UsageError("--user and --output exclude each other: the former means a directory, too")
    reading = read_file(file, dict(map(variable, variables)))
    problems = check_plan(reading.plan, where=reading.where)
    if problems:
        raise PipelineError(problems)
    directory = systemd.user_directory() if user else output or Path()
    arguments = [word for text in variables for word in ("--var", text)]
    paths = systemd.write(systemd.units_for(reading.plan, file, arguments), directory)
    if as_json:
        service = systemd.service_name(reading.plan.name)
        show_json({"service": service, "written": [str(path.absolute()) for path in paths]})
        return
    shown = [f"wrote {path}" for path in paths]
    steps = _steps(
        systemd.service_name(reading.plan.name), paths, user, systemd.needs_raised_limits(reading.plan)
    )
    show("\n".join(map(safe, [*shown, *steps])))


def _steps(service: str, paths: Sequence[Path], installed: bool, limits: bool) -> list[str]:
    """What to do with the files."""
    control, name = "systemctl --user", shlex.quote(service)
    link = [] if installed else [f"  {control} link {shlex.join(str(path.absolute()) for path in paths)}"]
    steps = [
        "to start it now, and whenever you log in:",
        *link,
        f"  {control} daemon-reload",
        f"  {control} enable --now {systemd.TARGET} {name}",
        "to start it with the machine, and keep it when you log out:",
        "  loginctl enable-linger",
        "to see and to end it:",
        f"  {control} status {name}",
        f"  {control} stop {name}",
    ]
    if limits:
        steps += [
            "it asks for real-time priority or locked memory, which root must grant once:",
            "  sudo mkdir -p /etc/systemd/system/user@.service.d",
            "  printf '[Service]\\nLimitRTPRIO=99\\nLimitMEMLOCK=infinity\\n' |",
            "    sudo tee /etc/systemd/system/user@.service.d/framebus.conf",
            "  sudo systemctl daemon-reload  # then log in anew",
        ]
    return steps
