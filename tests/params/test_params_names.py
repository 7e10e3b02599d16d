"""Parameters of several sets by their full names, from Python; and their values as texts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.errors import NotFoundError, ParameterError, PeerError, StreamRecreated
from framebus.params import Params, find, set_values, sets
from framebus.params.listing import locate, select, set_names
from framebus.params.text import from_text, to_text


def test_a_full_name_means_the_longest_set_that_has_such_an_entry() -> None:
    Params.create("a", {"b.c": 1, "b.d": 2})
    Params.create("a.b", {"c": 3})
    assert locate("a.b.c") == ("a.b", "c")
    assert locate("a.b.d") == ("a", "b.d")
    assert locate("a.b") == ("a.b", "")
    with pytest.raises(NotFoundError, match=r"parameter set 'a\.b' has no entry 'e'"):
        locate("a.b.e")
    with pytest.raises(NotFoundError, match=r"no parameter set 'x' in .*; there are: a, a\.b"):
        locate("x.y")


def test_sets_in_another_directory(tmp_path: Path) -> None:
    Params.create("cam", {"x": 1}, directory=tmp_path)
    assert set_names() == [] == sets()
    assert set_names(tmp_path) == ["cam"]
    assert find("cam.x", directory=tmp_path)["cam.x"].value == 1
    assert set_values({"cam.x": 2}, directory=tmp_path) == {"cam.x": (1, 2)}
    (info,) = select("*", directory=tmp_path)
    assert (info.name, info.entries["x"].value, info.generation) == ("cam", 2, 1)
    assert find() == {}


def test_values_of_python_are_set_too() -> None:
    loop = Params.create("loop", {"gain": 0.3, "closed": False})
    assert set_values({"loop.gain": 0.5, "loop.closed": True}) == {
        "loop.gain": (0.3, 0.5),
        "loop.closed": (False, True),
    }
    assert loop.generation == 1
    with pytest.raises(ParameterError) as error:
        set_values({"loop.gain": "0.5", "loop.closed": 3})
    assert len(error.value.problems) == 2
    assert set_values({}) == {}


@pytest.mark.parametrize("back_too", [True, False])
def test_a_set_that_refuses_late_has_the_others_put_back(
    monkeypatch: pytest.MonkeyPatch, back_too: bool
) -> None:
    loop, cam = Params.create("loop", {"gain": 0.3}), Params.create("cam", {"x": 1})
    update = Params.update

    def late(self: Params, values: dict[str, object]) -> int:
        if self.name == "cam":
            raise StreamRecreated("parameter set 'cam' was replaced")
        if not back_too and values["gain"] == 0.3:
            raise StreamRecreated("parameter set 'loop' was replaced")
        return update(self, values)

    monkeypatch.setattr(Params, "update", late)
    with pytest.raises(PeerError, match=r"^parameter set 'cam' was replaced") as error:
        set_values({"loop.gain": 0.5, "cam.x": 2})
    if back_too:
        assert isinstance(error.value, StreamRecreated)
        assert loop.gain == 0.3
    else:
        assert str(error.value).endswith("what was changed before stays: parameter set 'loop' was replaced")
        assert loop.gain == 0.5
    assert cam.x == 1


@given(
    st.floats(allow_nan=False).map(lambda x: ("float64", x))
    | st.integers(-(2**63), 2**63 - 1).map(lambda x: ("int64", x))
    | st.booleans().map(lambda x: ("onoff", x))
    | st.text().map(lambda x: ("string", x))
    | st.integers(0, 2**63 - 1).map(lambda x: ("timestamp", x))
)
def test_a_value_is_read_back_from_its_text(value: tuple[str, float | int | str]) -> None:
    assert from_text(value[0], to_text(value[1])) == value[1]


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001 - its zone is what is tested
def test_times_are_of_utc_unless_they_say_their_zone(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC)
    ns = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    assert from_text("timestamp", moment.isoformat()) == from_text("timestamp", aware.isoformat()) == ns


@pytest.mark.parametrize("text", ["1970-01-01T01:00:00+01:00", "0", "1970-01-01"])
def test_the_beginning_of_time(text: str) -> None:
    assert from_text("timestamp", text) == 0


@pytest.mark.parametrize("kind", ["int32", "uint64", "float32", "float64", "onoff", "pid", "timestamp"])
@given(text=st.text(max_size=12))
def test_what_is_no_value_is_told(kind: str, text: str) -> None:
    said = f"= {text!r}: expected "
    try:
        from_text(kind, text)
    except ParameterError as error:
        said = str(error)
    assert said.startswith(f"= {text!r}: expected ")
