"""``framebus latency-audit``."""

from __future__ import annotations

from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from framebus.cli import text
from framebus.cli.complete import unit_or_pipeline_names
from framebus.cli.histograms import bars, duration_us
from framebus.cli.output import columns, make_console, show, show_json
from framebus.cli.progress import progress_line
from framebus.latency import Audit, UnitAudit, audit, targets
from framebus.process.histogram import Histogram

_STYLES = {
    "in time": "green",
    "rarely late": "yellow",
    "late": "bold red",
    "silent": "yellow",
    "untimed": "cyan",
    "gone": "red",
}
_WIDEST = 100
_DROP = ("prio", "cpu", "faults", "moved", "queue", "invol.", "compute", "wake-up", "missed", "late")
"""Columns that a narrow terminal does without, in this order."""


@click.command("latency-audit")
@click.argument("names", nargs=-1, metavar="[PIPELINE|UNIT]...", shell_complete=unit_or_pipeline_names)
@click.option(
    "--seconds", type=click.FloatRange(0.0, min_open=True), default=10.0, show_default=True, help="How long."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def latency_audit(names: tuple[str, ...], seconds: float, as_json: bool) -> None:
    """Watch units for a while, and tell which are late and why.

    Of a pipeline (by name or file) all units, without a name all that run. Wake-up is the time from the frame's
    publication, or the clock's tick, to the start of the loop. A frame is late if it was done when the next one was
    due. The kernel's counts are those of the thread that loops: how often it was moved to another CPU, page faults,
    and how often other threads were given its CPU (involuntary switches). The units do not notice.

    Example: framebus latency-audit wfs-loop --seconds 5
    """
    wanted = targets(names)
    with progress_line() as progress:
        found = audit(wanted, seconds, lambda share: progress(f"watching {len(wanted)} units", share))
    if as_json:
        show_json(asdict(found))
        return
    console = make_console()
    for unit in found.units:
        _show(unit, _name(unit, found), console)
    _show_table(found, console)
    _show_verdicts(found, console)


def _name(unit: UnitAudit, found: Audit) -> str:
    """The unit's name; with its pipeline's, unless all are of the same."""
    several = len({other.pipeline for other in found.units}) > 1
    return text.safe(f"{unit.pipeline}/{unit.unit}" if unit.pipeline and several else unit.unit)


def _show(unit: UnitAudit, name: str, console: Console) -> None:
    """Its histograms, side by side."""
    if not unit.loops:
        return
    period = f", a frame every {duration_us(unit.period_us)}" if unit.period_us == unit.period_us else ""
    unseen = f", {unit.unseen} more were not seen" if unit.unseen else ""
    title = f"{name}: {unit.loops} loops{period}{unseen}"
    show(Text(title, style="bold"), console=console)
    shown = (
        [(unit.wakeup, "wake-up"), (unit.compute, "compute")]
        if unit.wakeup.n
        else [(unit.compute, "compute")]
    )
    width = min(_WIDEST, console.width)
    for line in bars([histogram for histogram, _ in shown], [title for _, title in shown], width):
        click.echo(line)
    click.echo()


def _show_table(found: Audit, console: Console) -> None:
    names = (
        "unit",
        "wake-up",
        "compute",
        "late",
        "missed",
        "moved",
        "faults",
        "invol.",
        "queue",
        "cpu",
        "prio",
    )
    table = columns(*names, right=names[1:], drop=_DROP)
    for unit in found.units:
        counts = unit.counts
        table.add_row(
            Text(_name(unit, found)),
            Text(_three(unit.wakeup)),
            Text(_three(unit.compute)),
            *map(_bad, (unit.late, unit.missed)),
            Text(_count(counts.migrations)),
            Text(f"{_count(counts.minor_faults)}+{_count(counts.major_faults)}"),
            Text(_count(counts.involuntary)),
            Text("?" if counts.queue_ns is None else text.duration(counts.queue_ns / 1e9)),
            Text(f"{'?' if counts.cpu is None else counts.cpu}{'' if unit.pinned >= 0 else '*'}"),
            Text(str(counts.priority or "-")),
        )
    show(table, console=console)
    click.echo("wake-up, compute: median/99.9 %, µs; faults: minor+major; *: not pinned")
    click.echo("invol.: other threads got its CPU; queue: how long it waited for one\n")


def _show_verdicts(found: Audit, console: Console) -> None:
    """A line or two for each unit, the late ones last, where they are seen; then what helps, each remedy once."""
    late = found.late
    helped: dict[str, list[str]] = {}
    for unit in [unit for unit in found.units if unit not in late] + late[::-1]:
        verdict, name = unit.verdict, _name(unit, found)
        head = Text.assemble((name, "bold"), " is ", (verdict.kind, _STYLES[verdict.kind]))
        show(Text.assemble(head, f": {text.safe(verdict.text)}"), console=console)
        if verdict.causes:
            row = Table.grid()
            row.add_row("  ", Text(f"because {text.safe('; '.join(verdict.causes))}"))
            show(row, console=console)
        for remedy in verdict.remedies:
            helped.setdefault(remedy, []).append(name)
    for remedy, names in helped.items():
        if len(names) == 1:
            remedy = remedy.replace("UNIT", names[0])
        whose = f"{', '.join(names)}: " if len(found.units) > 1 else ""
        if len(names) > 1 and set(names) == {_name(unit, found) for unit in late}:
            whose = "all that are late: "
        show(Text(f"→ {whose}{text.safe(remedy)}"), console=console)


def _three(histogram: Histogram) -> str:
    """Median and 99.9 %, µs."""
    return f"{_short(histogram.p50)}/{_short(histogram.p999)}" if histogram.n else "-"


def _short(value: float) -> str:
    if value < 9.95:
        return f"{value:.1f}"
    return f"{value:.0f}" if value < 99_950 else f"{value / 1e3:.0f}k"


def _bad(number: int) -> Text:
    return Text(str(number), "yellow" if number else "")


def _count(number: int | None) -> str:
    return "?" if number is None else str(number)
