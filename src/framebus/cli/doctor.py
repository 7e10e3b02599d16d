"""``framebus doctor``."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from framebus.cli.histograms import duration_us, scale, strip
from framebus.cli.output import make_console, show, show_json
from framebus.cli.progress import progress_line
from framebus.cli.text import safe
from framebus.process.effects import Effects, measure_effects, with_effects
from framebus.process.findings import Finding, examine
from framebus.process.machine import machine
from framebus.process.surroundings import surroundings
from framebus.stream.names import shm_directory

_STYLES = {"warn": "yellow", "info": "cyan", "unknown": "magenta", "ok": "green"}
"""How each severity is coloured, the worst first: the order in which they are shown."""

_TITLES = {"units": "running units", "machine": "this machine", "parts": "optional parts"}
_MARK, _GAP = 4, 2
"""Columns of a severity, and between it and the text."""

_INDENT = " " * (_MARK + _GAP)


@click.command()
@click.option(
    "--measure",
    "seconds",
    type=float,
    is_flag=False,
    flag_value=10.0,
    metavar="[SECONDS]",
    help="Also measure what settings cost; wake-ups for so long (10 s), all in all twice that.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def doctor(seconds: float | None, as_json: bool) -> None:
    """Tell what this machine refuses or lacks for real time, and what to do about it.

    First what running units asked the kernel for and did not get, then the machine and this user's limits, then parts
    of framebus that are not installed. 'warn' is in the way of real time, 'info' is for those who need it, '?' is what
    the kernel does not tell. Nothing is changed, and framebus runs all the same. The exit code is 0 whatever was found.

    --measure lets a thread on each CPU sleep for a millisecond again and again, and shows how late it wakes.

    Example: framebus doctor --measure 5
    """
    facts, around = machine(), surroundings(shared=shm_directory())
    findings = examine(facts, around=around)
    effects = None
    if seconds is not None:
        with progress_line() as progress:
            effects = measure_effects(seconds, facts, around, progress)
        findings = with_effects(findings, effects)
    if as_json:
        told = {"findings": [asdict(finding) for finding in findings], "machine": asdict(facts)}
        told |= {"surroundings": asdict(around)} | ({"effects": asdict(effects)} if effects else {})
        show_json(told)
        return
    console = make_console()
    for part, title in _TITLES.items():
        show(Text(title, style="bold underline"), console=console)
        of_part = [finding for finding in findings if finding.part == part]
        for finding in sorted(of_part, key=lambda found: list(_STYLES).index(found.severity)):
            _show(finding, console)
        click.echo()
    if effects is not None:
        _show_wakeups(effects, console)
    show(Text(_summary(findings)), console=console)


def _show(finding: Finding, console: Console) -> None:
    row = Table.grid(padding=(0, _GAP, 0, 0))
    row.add_column(width=_MARK)
    row.add_column(overflow="fold")
    text = Text.assemble((safe(finding.subject), "bold"), ": ", safe(finding.text))
    mark = "?" if finding.severity == "unknown" else finding.severity
    row.add_row(Text(mark, style=_STYLES[finding.severity]), text)
    if finding.effect:
        row.add_row("", Text.assemble(("measured: ", "italic"), safe(finding.effect)))
    show(row, console=console)
    if finding.remedy:  # as one line, however long: to be copied from the terminal
        click.echo(f"{_INDENT}→ {safe(finding.remedy)}")


def _show_wakeups(effects: Effects, console: Console) -> None:
    """A line for each CPU: its histogram, median, 99.9 % and worst."""
    title = f"wake-ups on the clock, {effects.seconds:g} s, heights logarithmic"
    show(Text(title, style="bold underline"), console=console)
    click.echo(f"CPU   {scale()}  {'median':>7}  {'99.9 %':>7}  {'worst':>7}")
    for wakeups in effects.wakeups:
        late = wakeups.late
        figures = "  ".join(f"{duration_us(value):>7}" for value in (late.p50, late.p999, late.max))
        click.echo(f"{wakeups.cpu:>3}   {strip(late)}  {figures}")
    click.echo()


def _summary(findings: list[Finding]) -> str:
    counts = {severity: sum(f.severity == severity for f in findings) for severity in _STYLES}
    unknown = f", {counts['unknown']} not told" if counts["unknown"] else ""
    said = f"{counts['warn']} in the way of real time, {counts['info']} that could be better{unknown}"
    subjects = [safe(f.subject) for f in findings if f.severity == "warn"]
    lines = [said, *([f"in the way: {', '.join(subjects)}"] if subjects else [])]
    return "\n".join([*lines, "'framebus tune' prints what can be changed by a command, and can undo it"])
