"""Rates out of counters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.ops.flow import Flow

S = 1_000_000_000


def flow(*looks: tuple[int, float]) -> Flow:
    made = Flow()
    for count, when_s in looks:
        made.add(count, round(when_s * S))
    return made


def test_nothing_is_known_of_one_look() -> None:
    one = flow((7, 100.0))
    assert one.now(100 * S) == (0.0, False)
    assert one.now(900 * S) == (0.0, False)
    assert not one.moved


def test_rate_is_that_of_the_last_second() -> None:
    made = flow((0, 100.0), (10, 101.0), (110, 102.0), (210, 103.0))
    assert made.now(103 * S)[0] == pytest.approx(100.0)


def test_few_frames_give_a_right_rate() -> None:
    made = flow((5, 100.0), (6, 104.0))
    rate, stopped = made.now(105 * S)
    assert rate == pytest.approx(0.25)
    assert not stopped


def test_what_stops_is_told() -> None:
    made = flow((0, 100.0), (100, 101.0))
    rate, stopped = made.now(round(101.4 * S))
    assert rate == pytest.approx(100.0)
    assert not stopped
    rate, stopped = made.now(round(101.8 * S))
    assert rate == pytest.approx(1.25)  # on its way there
    assert not stopped
    assert made.now(round(102.5 * S)) == (0.0, True)
    made.add(101, round(102.6 * S))
    assert made.now(round(102.6 * S))[1] is False


def test_a_slow_one_has_five_periods() -> None:
    made = flow((1, 100.0), (2, 110.0))
    assert made.now(159 * S)[1] is False
    assert made.now(161 * S) == (0.0, True)


def test_a_first_one_alone_is_no_flow() -> None:
    made = flow((0, 100.0), (1, 110.0))
    assert not made.moved
    assert made.standing(300 * S) == "still"
    made.add(2, 310 * S)
    assert made.standing(310 * S) == "live"
    assert made.standing(2000 * S) == "stale"


def test_a_counter_that_begins_anew() -> None:
    made = flow((500, 100.0), (600, 101.0), (3, 102.0), (4, 103.0))
    assert made.now(103 * S)[0] == pytest.approx(1.0)


def test_what_is_known_from_before_holds_until_it_moves() -> None:
    made = Flow()
    made.seed(1000, 90 * S, (1000, 100 * S))
    assert made.moved
    assert made.now(100 * S)[0] == pytest.approx(100.0)
    assert made.now(105 * S) == (0.0, True)
    assert made.add(1000, 100 * S) is False
    assert made.add(1001, 110 * S) is True
    assert made.now(110 * S)[0] == pytest.approx(0.1)


@given(st.lists(st.tuples(st.integers(0, 2**40), st.integers(1, 2**40)), max_size=80))
def test_never_negative_and_never_fails(looks: list[tuple[int, int]]) -> None:
    made = Flow()
    for count, when in looks:
        made.add(count, when)
        rate, stopped = made.now(when)
        assert rate >= 0.0
        assert not (stopped and rate)
