"""Tables in terminals that are too narrow for them: names stay whole, columns give way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from rich.console import Console
from rich.text import Text

import framebus as fb
from framebus.cli.output import columns
from framebus.cli.unit_table import messages, unit_table
from framebus.pipeline.running import UnitStatus
from framebus.process.timing import Spread
from support.commands import answer, output

STREAMS = ("demo_control_matrix", "demo_wavefront", "demo_wfs")
WIDTHS = (120, 100, 80, 65, 50, 40)
IN_ITSELF = ("live", "330932", "uint16", "1024x1024")
"""Cells that are there as a whole or not at all."""


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets commands believe that the terminal has so many columns."""

    def set_width(width: int) -> None:
        for module in ("ls", "units"):
            monkeypatch.setattr(f"framebus.cli.{module}.make_console", lambda: console(width))

    return set_width


def console(width: int) -> Console:
    return Console(width=width, color_system=None, markup=False, highlight=False, emoji=False)


def printed(table: object, width: int) -> list[str]:
    """The lines of a table."""
    where = console(width)
    with where.capture() as captured:
        where.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("options", [(), ("--rate",)])
def test_streams(narrow: Callable[[int], None], options: tuple[str, ...], width: int) -> None:
    for name in STREAMS:
        with fb.create(name, shape=(1024, 1024), dtype="uint16", history=2) as stream:
            stream.write(np.zeros((1024, 1024), "uint16"))
    narrow(width)
    header, *rows = output("ls", *options).splitlines()
    assert [row.split()[0] for row in rows[:3]] == list(STREAMS)
    for row in rows[:3]:
        assert row.endswith("  live")
        assert set(row.split()) & {"1024x1024", "uint16", "1024x102", "uint1"} <= set(IN_ITSELF)
        assert len(row) <= width
    assert ("RATE" in header) is bool(options)
    assert ("DTYPE" in header) is (width >= 100)
    below = " ".join(rows[3:])
    assert all(
        (column in header) is (column not in below) for column in ("HISTORY", "WRITER", "SHAPE", "COUNT")
    )
    assert "3 streams in " in below


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (120, ["unit", "state", "pid", "rate", "compute", "latency", "missed", "alarms", "cpu", "restarts"]),
        (100, ["unit", "state", "pid", "rate", "compute", "latency", "missed", "alarms"]),
        (80, ["unit", "state", "rate", "latency", "missed"]),
        (65, ["unit", "state", "rate", "latency"]),
        (50, ["unit", "state"]),
        (40, ["unit"]),
    ],
)
def test_units_that_run(width: int, shown: list[str]) -> None:
    spread = Spread(1234.5, 45678.9, 50000.0)
    name = "telescope_bench/demo_controller"
    unit = UnitStatus(
        *("demo_controller", "telescope_bench", "loop", 23270, "restarting", 9, 12345.0, 123, 4, 3, 12),
        *(Spread(123.4, 4567.8, 9999.0), spread, "it rests " * 20),
    )
    header, row, *left_out = printed(unit_table([unit], pipelines=True), width)
    assert header.split() == [word.upper() for word in shown]
    assert row.split()[:2] == [name, "restarting"][: len(shown)]
    assert len(header) <= width
    assert (" ".join(left_out) != "") is (width < 120)
    [message] = messages([unit], width)
    assert message.plain.endswith("…")


def test_no_unit_at_all() -> None:
    assert printed(unit_table([], pipelines=True), 80) == [
        "UNIT  STATE  PID  RATE  COMPUTE  LATENCY  MISSED  RESTARTS"
    ]


@pytest.mark.parametrize("width", WIDTHS)
def test_installed_units(narrow: Callable[[int], None], width: int) -> None:
    narrow(width)
    lines = output("units").splitlines()
    words = {line.split()[0] for line in lines if line and not line.startswith(" ")}
    assert {unit["use"] for unit in answer("units")} <= words
    assert all(len(line) <= width for line in lines[: -len(lines) // 4])
    assert any(line.startswith("no room for NAME, FROM") for line in lines) is (width < 100)


def test_texts_wrap_at_words_and_names_never() -> None:
    table = columns("name", "text", wrapped=("text",))
    table.add_row("a_rather_long_name", Text("which of its columns are left out when there is no room"))
    assert printed(table, 44) == [
        "NAME                TEXT",
        "a_rather_long_name  which of its columns are",
        "                    left out when there is",
        "                    no room",
    ]


def test_what_does_not_fit_alone_ends_in_an_ellipsis() -> None:
    table = columns("name", "count", all_are_in="elsewhere is all")
    table.add_row("a_rather_long_name", "1234567")
    assert printed(table, 27)[1] == "a_rather_long_name  1234567"
    assert printed(table, 20)[1:] == ["a_rather_long_name", "no room for COUNT", "(elsewhere is all)"]
    assert printed(table, 12)[1] == "a_rather_lo…"
