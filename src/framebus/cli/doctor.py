"""``framebus doctor``."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from framebus.cli.output import make_console, show, show_json
from framebus.cli.text import safe
from framebus.process.findings import Finding, examine
from framebus.process.machine import machine

_STYLES = {"ok": "green", "info": "cyan", "warn": "yellow"}
_TITLES = {"units": "running units", "machine": "this machine", "parts": "optional parts"}
_MARK, _GAP = 4, 2
"""Columns of a severity, and between it and the text."""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def doctor(as_json: bool) -> None:
    """Tell what this machine refuses or lacks for real time, and what to do about it.

    First what running units asked the kernel for and did not get, then the machine and this user's limits, then parts
    of framebus that are not installed. 'warn' is in the way of real time, 'info' is for those who need it. Nothing is
    changed, and framebus runs all the same. The exit code is 0 whatever was found.

    Example: framebus doctor --json
    """
    facts = machine()
    findings = examine(facts)
    if as_json:
        show_json({"findings": [asdict(finding) for finding in findings], "machine": asdict(facts)})
        return
    console = make_console()
    for part, title in _TITLES.items():
        show(Text(title, style="bold underline"), console=console)
        for finding in findings:
            if finding.part == part:
                _show(finding, console)
        click.echo()
    show(Text(_summary(findings)), console=console)


def _show(finding: Finding, console: Console) -> None:
    row = Table.grid(padding=(0, _GAP, 0, 0))
    row.add_column(width=_MARK)
    row.add_column(overflow="fold")
    text = Text.assemble((safe(finding.subject), "bold"), ": ", safe(finding.text))
    row.add_row(Text(finding.severity, style=_STYLES[finding.severity]), text)
    show(row, console=console)
    if finding.remedy:  # as one line, however long: to be copied from the terminal
        click.echo(f"{' ' * (_MARK + _GAP)}→ {safe(finding.remedy)}")


def _summary(findings: list[Finding]) -> str:
    counts = {severity: sum(f.severity == severity for f in findings) for severity in ("warn", "info")}
    return f"{counts['warn']} in the way of real time, {counts['info']} that could be better"
