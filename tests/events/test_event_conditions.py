"""Conditions as texts: every one parses back, and what is none says where it is wrong."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from framebus.events import Condition, ConditionError, parse
from framebus.events.conditions import PIPELINE_STATES, STREAM_STATES, UNIT_STATES

NAMES = st.text(st.sampled_from("abcxyzAZ019_.-:é*?"), max_size=30).map("n{}".format)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
_COMPARED = ("==", "!=", "<", "<=", ">", ">=")

CONDITIONS = st.one_of(
    st.builds(Condition, st.sampled_from(["stream", "param", "unit", "pipeline"]), NAMES),
    st.builds(
        Condition,
        st.just("stream"),
        NAMES,
        st.sampled_from([">", ">="]),
        st.integers(0, 2**63 - 1).map(str),
    ),
    st.builds(
        Condition, st.just("stream"), NAMES, st.sampled_from(["==", "!="]), st.sampled_from(STREAM_STATES)
    ),
    st.builds(Condition, st.just("param"), NAMES, st.sampled_from(_COMPARED), TEXTS),
    st.builds(
        Condition,
        st.just("unit"),
        NAMES | st.just("ao/slopes"),
        st.sampled_from(["==", "!="]),
        st.sampled_from(UNIT_STATES),
    ),
    st.builds(
        Condition, st.just("pipeline"), NAMES, st.sampled_from(["==", "!="]), st.sampled_from(PIPELINE_STATES)
    ),
)


@given(CONDITIONS)
@example(Condition("param", "n", "<", "=0"))  # else it would be "<=" and "0"
def test_a_condition_parses_back_from_its_text(condition: Condition) -> None:
    assert parse(str(condition)) == condition


@given(st.text(max_size=40) | st.builds("{}:{}".format, st.sampled_from(["stream", "param", "unit"]), TEXTS))
def test_any_text_is_a_condition_or_is_told_where_it_is_none(text: str) -> None:
    found = parsed(text)
    if isinstance(found, ConditionError):
        assert 1 <= found.column <= len(text) + 1
        assert f"column {found.column}: expected " in str(found)
    else:
        assert parse(str(found)) == found


def parsed(text: str) -> Condition | ConditionError:
    """The condition, or what is wrong."""
    try:
        return parse(text)
    except ConditionError as error:
        return error


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("stream:wfs", Condition("stream", "wfs")),
        ("stream:wfs >= 1000", Condition("stream", "wfs", ">=", "1000")),
        ("stream:wfs=gone", Condition("stream", "wfs", "==", "gone")),
        ("param:loop", Condition("param", "loop")),
        ("param:loop.gain changes", Condition("param", "loop.gain")),
        ("param:loop.gain>=0.5", Condition("param", "loop.gain", ">=", "0.5")),
        ("param:cam.name = my cam", Condition("param", "cam.name", "==", "my cam")),
        ('param:cam.name=""', Condition("param", "cam.name", "==", "")),
        ('param:cam.name=" a=b "', Condition("param", "cam.name", "==", " a=b ")),
        ("unit:ao/slopes!=running", Condition("unit", "ao/slopes", "!=", "running")),
        ("unit:slopes.812=dead", Condition("unit", "slopes.812", "==", "dead")),
        ("pipeline:ao = ready", Condition("pipeline", "ao", "==", "ready")),
    ],
)
def test_what_a_text_means(text: str, condition: Condition) -> None:
    assert parse(text) == condition
    assert condition.is_event == (not condition.operator)


@pytest.mark.parametrize(
    ("text", "column", "expected"),
    [
        ("", 1, "'stream:', 'param:', 'unit:' or 'pipeline:'"),
        ("wfs", 1, "'stream:', 'param:', 'unit:' or 'pipeline:'"),
        ("strm:wfs", 1, "'stream:', 'param:', 'unit:' or 'pipeline:'"),
        ("stream:", 8, "the name of a stream"),
        ("param:>=3", 7, "the name of a parameter"),
        ("unit:ao/slo@pes", 9, "a name: "),
        ("unit:ao/", 9, "a name: "),
        ("stream:a/b", 8, "a name: "),
        ("stream:wfs changes", 12, "nothing behind the name (a newer frame), or an operator"),
        ("stream:wfs<3", 11, "=, ==, !=, > or >= for a stream"),
        ("stream:wfs>=many", 13, "a frame's count, a whole number"),
        ("stream:wfs>=-3", 13, "a frame's count, a whole number"),
        ("stream:wfs=>3", 12, "a state: live, "),
        ("stream:wfs>=  ", 13, "a value behind '>='"),
        ("param:loop.gain = ", 18, "a value behind '='"),
        ("param:loop.gain 0.5", 17, "=, ==, !=, <, <=, >, >= or 'changes'"),
        ("param:loop.gain!0.5", 16, "=, ==, !=, <, <=, >, >= or 'changes'"),
        ("unit:slopes>running", 12, "=, == or != for a unit"),
        ("unit:slopes=runing", 13, "a state: off, "),
        ("pipeline:ao=running", 13, "a state: starting, ready, "),
    ],
)
def test_what_is_wrong_is_said_with_its_column(text: str, column: int, expected: str) -> None:
    with pytest.raises(ConditionError) as error:
        parse(text)
    assert error.value.column == column
    assert f"condition '{text}', column {column}: expected {expected}" in str(error.value)
