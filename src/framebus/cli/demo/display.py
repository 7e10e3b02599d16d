"""What the demonstration shows in a terminal: phase, residual over time, stages; and the summary at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from framebus.cli.demo.monitor import Percentiles, percentiles
from framebus.cli.demo.rig import PREFIX, Rig
from framebus.cli.demo.run import REQUIRED_RATIO, Demonstration, Result, View
from framebus.cli.output import make_console
from framebus.ops.graphics import chart


def microseconds(times: Percentiles) -> str:
    """``"12 / 35 / 310"``."""
    return " / ".join("–" if math.isnan(t) else f"{t:.1f}" if t < 10 else f"{t:.0f}" for t in times)


class LiveView:
    """Redraws a few times per second, in place."""

    def __init__(self, console: Console, rig: Rig, placement: str) -> None:
        self.console, self.rig, self.placement = console, rig, placement
        self.title, self.done, self.total = "", 0, 0
        self.began = time.monotonic()
        self.demo: Demonstration | None = None
        self._stages = Table()
        self.screen = Live(console=console, refresh_per_second=4, get_renderable=self._draw, transient=True)

    def phase(self, title: str, seconds: float | None = None) -> None:
        """A new phase begins."""
        self.title, self.done, self.total = title, 0, 1000 if seconds else 0

    def progress(self, done: int, total: int) -> None:
        """So much of the phase is done."""
        self.done, self.total = done, total

    def live(self, demo: Demonstration) -> None:
        """New data has come."""
        # Drawn here, not at each refresh: the last one comes when the records are closed.
        self._stages = stage_table(demo)
        self.demo = demo

    def _draw(self) -> RenderableType:
        head = Table.grid(padding=(0, 1), expand=True)
        head.add_column(no_wrap=True)
        head.add_column(ratio=1)
        head.add_column(justify="right", no_wrap=True)
        bar = ProgressBar(total=self.total or None, completed=self.done, pulse=not self.total, width=None)
        head.add_row(Text(self.title, style="bold"), bar, f"{time.monotonic() - self.began:.0f} s")
        parts: list[RenderableType] = [head]
        if self.demo is not None:
            parts += [Text(""), self._residual(self.demo), Text(""), self._stages]
        return Panel(
            Group(*parts),
            title=f"framebus demo · {self.placement} · {self.rig.rate_hz:g} Hz",
            title_align="left",
            subtitle=self.rig.title,
            subtitle_align="left",
            border_style="blue",
        )

    def _residual(self, demo: Demonstration) -> RenderableType:
        assert demo.residual is not None
        values = demo.residual.since(0)
        if len(values) < 2:
            return Text("waiting for frames")
        width = max(20, self.console.width - 30)
        top = float(np.percentile(values[:, 0], 99.0))
        split = len(values) if demo.closed_at is None else demo.closed_at
        at = round(width * split / len(values))
        drawing = Text()
        for row in chart(values[:, 0], width, top):
            drawing.append(row[:at], style="red").append(row[at:] + "\n", style="green")
        rms, strehl, free = values[-200:].mean(axis=0)
        closed = demo.closed_at is not None
        side = Table.grid()
        side.add_row(Text(f"residual {rms:6.0f} nm", style="bold green" if closed else "bold red"))
        side.add_row(f"turbulence {free:4.0f} nm")
        side.add_row(f"Strehl {100 * strehl:8.0f} %")
        side.add_row(Text(f"at {self.rig.science_um:g} µm", style="dim"))
        side.add_row(
            Text("loop closed" if closed else "loop open", style="bold green" if closed else "bold red")
        )
        grid = Table.grid(padding=(0, 2))
        grid.add_row(drawing, side)
        return grid


def stage_table(demo: Demonstration) -> Table:
    """Rates and latencies of the last moments, one row per unit."""
    table = _table("Hz", expand=True)
    for name, monitor in demo.stages.items():
        rows = monitor.recent()
        span = float(rows["start_ns"][-1] - rows["start_ns"][0]) if len(rows) > 1 else 0.0
        woken = rows[rows["trigger_ns"] != 0]
        missed = monitor.record.missed - monitor.missed_before
        table.add_row(
            name.removeprefix(PREFIX),
            f"{(len(rows) - 1) * 1e9 / span:.0f}" if span else "–",
            Text(str(missed), style="yellow" if missed else ""),
            microseconds(percentiles(woken["start_ns"] - woken["trigger_ns"])),
            microseconds(percentiles(rows["end_ns"] - rows["start_ns"])),
        )
    if demo.end_to_end is not None:
        recent = np.array(demo.end_to_end.latencies_ns[-1000:], np.int64)
        table.add_row(
            Text("frame→command", style="bold"),
            "",
            "",
            Text(microseconds(percentiles(recent)), style="bold"),
            "",
        )
    return table


class PlainView:
    """One line per phase: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def phase(self, title: str, seconds: float | None = None) -> None:
        """A new phase begins."""
        self.console.print(title + (f" for {seconds:g} s" if seconds else ""))

    def progress(self, done: int, total: int) -> None:
        """Nothing is printed."""

    def live(self, demo: Demonstration) -> None:
        """Nothing is printed."""


@contextmanager
def make_view(rig: Rig, placement: str, *, to_stderr: bool) -> Iterator[View]:
    """The live view in a terminal, plain lines elsewhere."""
    console = make_console(stderr=to_stderr)
    if not console.is_terminal:
        console.print(f"framebus demo: {rig.title}, {placement}", soft_wrap=True)
        yield PlainView(console)
        return
    view = LiveView(console, rig, placement)
    with view.screen:
        yield view


def summary(result: Result, picture: Path, *, to_stderr: bool, kept: str = "") -> None:
    """What was found, at the end; ``kept``: the pipeline that goes on."""
    console = make_console(stderr=to_stderr)
    console.print(
        Text(f"{result.rig}, {result.placement}, {result.rate_hz:g} Hz", style="bold"), soft_wrap=True
    )
    console.print(_units(result))
    facts = Table.grid(padding=(0, 2))
    facts.add_row(
        "interaction matrix",
        f"{result.calibration_s:.1f} s; {result.modes} modes, condition {result.condition_number:.1f}",
    )
    facts.add_row(
        "open loop",
        f"{result.open_nm:.0f} nm rms, Strehl ratio {100 * result.open_strehl:.0f} % at {result.science_um:g} µm",
    )
    facts.add_row(
        "closed loop",
        f"{result.closed_nm:.0f} nm rms, Strehl ratio {100 * result.closed_strehl:.0f} %, "
        f"{result.loop_hz:.0f} commands/s",
    )
    facts.add_row(
        "",
        f"{result.ratio:.1f} times below the {result.turbulence_nm:.0f} nm of open loop in the same frames "
        f"({REQUIRED_RATIO:g} required)",
    )
    facts.add_row("frame → command", f"{microseconds(result.end_to_end_us)} µs (p50 / p99 / max)")
    facts.add_row("frames", f"{result.missed} missed, {result.unexplained} unexplained{_causes(result)}")
    facts.add_row("picture", str(picture))
    console.print(facts)
    for problem in result.problems():
        console.print(Text(f"FAILED: {problem}", style="bold red"), soft_wrap=True)
    if not result.problems():
        console.print(
            Text(f"The loop closed, every frame accounted for ({result.seconds:.0f} s).", style="bold green")
        )
    if kept:
        console.print(
            Text(f"It runs on: 'framebus top' shows it, 'framebus down {kept}' ends it."), soft_wrap=True
        )


def _units(result: Result) -> Table:
    table = _table("frames")
    for name, account in result.accounts.items():
        times = result.stages[name]
        table.add_row(
            name.removeprefix(PREFIX),
            str(account.published),
            Text(str(account.missed), style="yellow" if account.missed else ""),
            microseconds(times["wake_up_us"]),
            microseconds(times["compute_us"]),
        )
    return table


def _table(second: str, *, expand: bool = False) -> Table:
    """Units by row; narrow enough for a terminal of 80 columns."""
    table = Table(box=None, padding=(0, 1), expand=expand)
    table.add_column("unit", no_wrap=True)
    for title in (second, "missed", "wake-up µs\np50 / p99 / max", "compute µs\np50 / p99 / max"):
        table.add_column(title, justify="right", no_wrap=True, vertical="bottom")
    return table


def _causes(result: Result) -> str:
    total: dict[str, int] = {}
    for account in result.accounts.values():
        for cause, n in account.causes.items():
            total[cause] = total.get(cause, 0) + n
    return " (" + ", ".join(f"{n} {cause}" for cause, n in total.items()) + ")" if total else ""
