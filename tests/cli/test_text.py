from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.cli import text


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0 µs"),
        (3.4e-7, "0.3 µs"),
        (12e-6, "12 µs"),
        (0.00123, "1.2 ms"),
        (0.5, "500 ms"),
        (3.0, "3 s"),
        (90.0, "90 s"),
        (150.0, "2.5 min"),
        (5 * 3600.0, "5 h"),
        (12 * 86400.0, "12 d"),
        (3 * 31_557_600.0, "3 years"),
        (999.4e-6, "999 µs"),
        (999.6e-6, "1 ms"),
        (0.99951, "1 s"),
    ],
)
def test_durations_have_the_unit_a_person_would_take(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown


@pytest.mark.parametrize(
    ("hertz", "shown"),
    [
        (0.0, "0 Hz"),
        (0.1, "0.1 Hz"),
        (499.7, "500 Hz"),
        (999.6, "1 kHz"),
        (1214.0, "1.21 kHz"),
        (2.5e6, "2.5 MHz"),
    ],
)
def test_rates(hertz: float, shown: str) -> None:
    assert text.rate(hertz) == shown


@pytest.mark.parametrize(
    ("n_bytes", "shown"),
    [
        (0, "0 B"),
        (384, "384 B"),
        (999, "999 B"),
        (1234, "1.2 kB"),
        (28_800, "29 kB"),
        (999_999, "1 MB"),
        (3 * 10**15, "3000 TB"),
    ],
)
def test_sizes(n_bytes: int, shown: str) -> None:
    assert text.size(n_bytes) == shown


def test_times_keep_every_digit() -> None:
    assert text.iso_time(1_700_000_000_000_000_001) == "2023-11-14T22:13:20.000000001Z"
    assert text.iso_time(0) == ""


@given(st.integers(-(2**63), 2**63 - 1))
def test_any_time_that_a_header_may_hold_can_be_shown(ns: int) -> None:
    assert isinstance(text.iso_time(ns), str)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (float("nan"), "-"), (float("inf"), "-"), (3, "3"), (2.0, "2"), (0.123456789, "0.123457")],
)
def test_figures(value: float | None, shown: str) -> None:
    assert text.figure(value) == shown


def test_shapes_are_numpys_without_blanks() -> None:
    assert text.shape((2, 3, 4)) == "2x3x4"
    assert text.shape(None) == ""


def test_escapes_stand_for_what_a_terminal_would_obey() -> None:
    assert text.safe("a\x1b[31mb\n\u202ec") == "a\\x1b[31mb\\n\\u202ec"
    assert text.safe("Größe [red] ok") == "Größe [red] ok"


@given(st.text(st.characters(exclude_categories=[])))
def test_nothing_gets_through_that_is_not_printable(anything: str) -> None:
    shown = text.safe(anything)
    assert shown.isprintable()
    assert shown.encode().decode() == shown
