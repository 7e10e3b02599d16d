"""The tab of units."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping
from typing import Any

from framebus.cli.text import duration, rate, safe
from framebus.tui.columns import Column
from framebus.tui.looks import UnitLook, short_names
from framebus.tui.painted import Line
from framebus.tui.pane import Pane, rule, wrapped
from framebus.tui.picture import sparkline
from framebus.tui.sheet import Row
from framebus.tui.styles import UNIT_SIGNS

__all__ = ["UnitsPane", "micro"]

_ORDER = list(UNIT_SIGNS)[::-1]
_SPARK = 8


class UnitsPane(Pane):
    """Units: how each stands, and more about the selected one."""

    NAME = "units"
    GROWS = True
    COLUMNS = (
        Column("unit", "UNIT", 18, weight=2, most=30),
        Column("state", "STATE", 10),
        Column("rate", "RATE", 8, right=True),
        Column("period", "PERIOD", 7, right=True, rank=5),
        Column("compute", "COMPUTE", 7, right=True),
        Column("spark", "LAST 8 s", _SPARK, rank=1),
        Column("latency", "LATENCY", 7, right=True, rank=6),
        Column("share", "%CPU", 4, right=True),
        Column("cpu", "CPU", 3, right=True, rank=2),
        Column("priority", "PRI", 3, right=True, rank=3),
        Column("missed", "MISSED", 6, right=True),
        Column("restarts", "RST", 3, right=True, rank=7),
        Column("message", "MESSAGE", 8, weight=3, rank=4),
    )
    SORTABLE = ("unit", "state", "rate", "compute", "latency", "share", "missed", "restarts")
    DESCENDING = frozenset({"rate", "compute", "latency", "share", "missed", "restarts"})
    EMPTY = "no unit runs; to start some: framebus up PIPELINE.toml, or framebus run UNIT"
    KEYS = (
        ("r", "run"),
        ("p", "pause"),
        ("n", "step"),
        ("x", "stop"),
        ("R", "restart"),
        ("u", "replace"),
        ("l", "logs"),
        ("a", "tmux"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[str, str] = {}

    def items(self) -> Mapping[str, UnitLook]:
        """The units."""
        self._names = short_names(self.snapshot.units)
        return self.snapshot.units

    @property
    def chosen(self) -> UnitLook | None:
        """The unit that the cursor is on, as it stands now."""
        key = self.sheet.cursor_key
        return None if key is None else self.snapshot.units.get(key)

    def in_sight(self) -> tuple[Container[str], Container[str]]:
        """The units on the screen."""
        return (), self.sheet.shown

    def words(self, key: str) -> str:
        """Name, state, code, process and message."""
        look = self.snapshot.units[key]
        return f"{look.key} {look.state} {look.use} {look.process} {look.message}"

    def in_trouble(self, key: str) -> bool:
        """Those that do not run though they should, or that miss frames."""
        return self.snapshot.units[key].in_trouble or self.snapshot.units[key].alarms > 0

    def value(self, key: str, column: str) -> Any:
        """What a unit is sorted by."""
        look = self.snapshot.units[key]
        return {
            "unit": self._names[key],
            "state": _ORDER.index(look.state) if look.state in _ORDER else -1,
            "rate": look.rate_hz,
            "compute": _number(look.compute_us),
            "latency": _number(look.latency_us),
            "share": _number(look.share),
            "missed": look.missed,
            "restarts": look.restarts,
        }[column]

    def row(self, key: str) -> Row:
        """A unit's cells."""
        look = self.snapshot.units[key]
        alarm = look.wrong
        plain = "bad" if alarm else ""
        sign, sign_style = UNIT_SIGNS.get(look.state, (f"? {look.state}", "info"))
        quiet = look.state != "running"
        said = " ".join(look.message.removeprefix(f"unit '{look.unit}' ").split())
        return (
            (safe(self._names[key]), "bad" if alarm else "name"),
            (sign, sign_style),
            (rate(look.rate_hz) if look.rate_hz else "-", "bad" if alarm else "warn" if quiet else ""),
            (micro(look.period_us), "dim" if quiet else plain),
            (micro(look.compute_us), "dim" if quiet else plain),
            (sparkline(look.past_compute_us, _SPARK), "data"),
            (micro(look.latency_us), "dim" if quiet else plain),
            (_percent(look.share), "warn" if look.share > 0.9 else plain),
            (_cpu(look), plain if look.cpu >= 0 else "dim"),
            (str(look.priority) if look.priority else "-", plain if look.priority else "dim"),
            (_count(look.missed), "warn" if look.missed else "dim"),
            (str(look.restarts) if look.pipeline else "-", "warn" if look.restarts else "dim"),
            (safe(said), "bad" if alarm else "dim"),
        )

    # ---- details ---------------------------------------------------------------------------------------------------

    def details(self, key: str) -> list[Line]:
        """Period and compute time of the last minute, counters, streams, and all of its message."""
        look = self.snapshot.units[key]
        width, lines = self.detail.size.width, self.detail.size.height - 1
        where = f"process {look.process}" if look.process else ""
        pid = f"pid {look.pid}" if look.pid else "does not run"
        bars = max(8, min(60, width - 38))
        told: list[Line] = [
            (
                ("period  ", "dim"),
                (f"{micro(look.period_us):>8} ", ""),
                (sparkline(look.past_period_us, bars), "data"),
                (" one bar a second", "dim"),
            ),
            (
                ("compute ", "dim"),
                (f"{micro(look.compute_us):>8} ", ""),
                (sparkline(look.past_compute_us, bars), "data"),
                (f" latency {micro(look.latency_us)}", "dim"),
            ),
            self._counters(look),
            *self._wiring(look, width),
        ]
        if look.message:
            bad = look.in_trouble
            told += wrapped(
                safe_lines(look.message), width, "bad" if bad else "info", max(1, lines - len(told))
            )
        if look.traceback:
            trace = [line for line in safe_lines(look.traceback).splitlines() if line.strip()]
            room = lines - len(told)
            told += [((line, "dim"),) for line in trace[-room:]] if room > 0 else []
        return [
            rule(safe(look.key), ", ".join(filter(None, (where, pid, safe(look.use)))), width),
            *told[:lines],
        ]

    def _counters(self, look: UnitLook) -> Line:
        trouble = "warn" if look.missed or look.alarms else ""
        return (
            ("loops   ", "dim"),
            (f"{look.loops}", ""),
            ("  missed ", "dim"),
            (f"{look.missed}", trouble if look.missed else ""),
            ("  alarms ", "dim"),
            (f"{look.alarms}", trouble if look.alarms else ""),
            ("  restarts ", "dim"),
            (f"{look.restarts}", "warn" if look.restarts else ""),
            ("  pinned to ", "dim"),
            (f"CPU {look.cpu}" if look.cpu >= 0 else "no CPU", ""),
        )

    def _wiring(self, look: UnitLook, width: int) -> list[Line]:
        """What triggers it, and the streams of its arguments: in three lines at most, in one if it has to say more."""
        pipeline = self.snapshot.pipelines.get(look.pipeline)
        wiring = pipeline.wiring.get(look.unit, {}) if pipeline is not None else {}
        given = " ".join(f"{argument}={stream}" for argument, stream in wiring.items())
        streams = [
            text for line in wrapped(safe(given), width - 8, "", 1 if look.message else 3) for text, _ in line
        ]
        return [
            (("trigger ", "dim"), (safe(look.trigger) or "-", "")),
            *((("streams " if i == 0 else " " * 8, "dim"), (text, "")) for i, text in enumerate(streams)),
        ]


def safe_lines(text: str) -> str:
    """The text without characters that a terminal would obey, its line ends kept."""
    return "\n".join(safe(line) for line in text.expandtabs(2).splitlines())


def micro(value_us: float) -> str:
    """A time in at most seven columns: ``34 µs``, ``1.2 ms``."""
    return "-" if math.isnan(value_us) else duration(value_us * 1e-6)


def _number(value: float) -> float:
    return -1.0 if math.isnan(value) else value


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{100 * share:.0f}"


def _cpu(look: UnitLook) -> str:
    """Where it is pinned; ``~3``: where it ran last, if it is not."""
    return str(look.cpu) if look.cpu >= 0 else f"~{look.on_cpu}" if look.on_cpu >= 0 else "-"


def _count(number: int) -> str:
    return str(number) if number < 1_000_000 else f"{number / 1e6:.1f}M"
