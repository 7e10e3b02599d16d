"""Parts of the dashboard by themselves: wiring, pictures, values that are typed, columns, lines."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from framebus.params import ParamSpec
from framebus.params.cells import TEXT_TYPES, TYPES, decode, encode, limits_of
from framebus.params.text import from_text
from framebus.stream.trace import TraceEntry
from framebus.tui.columns import GAP, Column, laid_out
from framebus.tui.entry import as_typed, limits_text
from framebus.tui.line_editor import LineEditor
from framebus.tui.looks import PipelineLook, Snapshot, StreamLook, UnitLook
from framebus.tui.painted import Line, clipped
from framebus.tui.picture import bars, characters, figures, half_blocks, sparkline
from framebus.tui.wiring import FlowRow, Wires, flow_rows, wires_of


def trace(pid: int, trigger_inode: int, updated_ns: int) -> TraceEntry:
    return TraceEntry(1, pid, trigger_inode, 0, updated_ns, -1, 0, 1)


def loop() -> tuple[Snapshot, dict[str, int], dict[str, list[TraceEntry]]]:
    """Camera → slopes, with a dark → control in the same process → dm → camera again."""
    names = ("cam", "dark", "slopes", "dm")
    writers = {"cam": 1, "dark": 9, "slopes": 2, "dm": 2}
    inodes = {name: 10 + i for i, name in enumerate(names)}
    streams = {n: StreamLook(n, "", inodes[n], "live", count=5, writer_pid=writers[n]) for n in names}
    units = {
        f"ao/{name}": UnitLook(f"ao/{name}", name, "ao", name, pid, "running", trigger=trigger)
        for name, pid, trigger in (("camera", 1, "dm"), ("slopes", 2, "cam"), ("control", 2, "slopes"))
    }
    wiring = {
        "camera": {"command": "dm", "image": "cam"},
        "slopes": {"image": "cam", "dark": "dark", "slopes": "slopes"},
        "control": {"slopes": "@S:slopes", "command": "dm[0:3]", "bad": "@@"},
    }
    pipelines = {"ao": PipelineLook("ao", "up", True, 0, "", wiring)}
    traces = {
        "cam": [trace(1, inodes["dm"], 1000)],
        "dark": [],
        "slopes": [trace(2, inodes["cam"], 51_000), trace(1, 0, 1000)],
        "dm": [trace(2, inodes["slopes"], 81_000), trace(2, inodes["cam"], 51_000), trace(1, 0, 1000)],
    }
    return Snapshot(0, streams, units, pipelines), inodes, traces


def test_a_unit_is_wrong_until_it_is_up_again() -> None:
    unit = UnitLook("loop/slopes", "slopes", "loop", state="starting")
    assert not unit.wrong, "for the first time, or by hand"
    for failed in (
        unit._replace(message="too bright"),
        unit._replace(state="restarting"),
        unit._replace(state="error"),
    ):
        assert failed.wrong
        assert failed.in_trouble
        assert Snapshot(0, {}, {"loop/slopes": failed}, {}).wrong_units == 1
    paused = unit._replace(state="paused", message="by hand")
    assert (paused.wrong, paused.in_trouble) == (False, True)
    running = unit._replace(state="running", message="by hand")
    assert (running.wrong, running.in_trouble) == (False, False)


def test_wires_are_told_by_traces_and_plans() -> None:
    snapshot, inodes, traces = loop()
    wires = wires_of(snapshot, inodes, traces.__getitem__)
    assert wires.triggers == {"ao/camera": "dm", "ao/slopes": "cam", "ao/control": "slopes"}
    assert wires.outputs == {"ao/camera": ["cam"], "ao/slopes": ["slopes"], "ao/control": ["dm"]}
    assert wires.reads["ao/slopes"] == ["dark"]
    assert wires.latency_us == {"cam": 0.0, "slopes": 50.0, "dm": 80.0}


def test_a_unit_that_fell_keeps_its_place() -> None:
    snapshot, inodes, traces = loop()
    units = {**snapshot.units, "ao/slopes": UnitLook("ao/slopes", "slopes", "ao", "slopes", 0, "failed")}
    streams = {**snapshot.streams, "slopes": snapshot.streams["slopes"]._replace(writer_pid=77, state="dead")}
    fallen = snapshot._replace(units=units, streams=streams)
    wires = wires_of(fallen, inodes, traces.__getitem__)
    assert wires.triggers["ao/slopes"] == "cam"
    assert wires.outputs["ao/slopes"] == ["slopes"]
    assert wires.reads["ao/slopes"] == ["dark"]
    both = fallen._replace(
        units={**units, "ao/other": UnitLook("ao/other", "other", "ao", "other", 0, "failed")},
        pipelines={
            "ao": fallen.pipelines["ao"]._replace(
                wiring={**fallen.pipelines["ao"].wiring, "other": {"image": "cam", "slopes": "slopes"}}
            )
        },
    )
    assert "ao/slopes" not in wires_of(both, inodes, traces.__getitem__).triggers  # who knows which it was


def test_a_circle_is_drawn_once_and_named_where_it_closes() -> None:
    snapshot, inodes, traces = loop()
    rows = flow_rows(snapshot, wires_of(snapshot, inodes, traces.__getitem__))
    assert [(row.kind, row.name) for row in rows] == [
        ("stream", "dm"),
        ("unit", "ao/camera"),
        ("stream", "cam"),
        ("unit", "ao/slopes"),
        ("reads", "dark"),
        ("stream", "slopes"),
        ("unit", "ao/control"),
        ("again", "dm"),
    ]
    assert drawn(rows) == [
        "dm",
        "▼  ao/camera",
        "▼  cam",
        "▼  ao/slopes",
        "├┄ dark",
        "▼  slopes",
        "▼  ao/control",
        "▼  dm",
    ]
    assert len({row.key for row in rows}) == len(rows)


def drawn(rows: list[FlowRow]) -> list[str]:
    return [row.branch + row.name for row in rows]


def test_only_forks_of_the_graph_indent() -> None:
    names = ("wfs", "a", "b", "side", "dm", "record")
    streams = {name: StreamLook(name, "", i, "live", count=5) for i, name in enumerate(names)}
    units = {name: UnitLook(name, name) for name in ("sim", "left", "right", "last", "logger")}
    wires = Wires(
        triggers={"left": "wfs", "right": "wfs", "logger": "wfs", "last": "a"},
        outputs={"sim": ["wfs", "side"], "left": ["a"], "right": ["b"], "last": ["dm"], "logger": []},
        reads={"last": ["record"], "logger": []},
        latency_us={},
    )
    assert drawn(flow_rows(Snapshot(0, streams, units, {}), wires)) == [
        "sim",
        "├▶ side",
        "▼  wfs",
        "├▶ logger",
        "├▶ left",
        "│  ▼  a",
        "│  ▼  last",
        "│  ├┄ record",
        "│  ▼  dm",
        "└▶ right",
        "   ▼  b",
    ]


def test_a_long_chain_keeps_its_names_in_thirty_columns() -> None:
    stages = (
        "simulator wfs",
        "calibrate pixels",
        "centroids slopes",
        "reconstructor error",
        "controller command",
    )
    pairs = [("demo_" + unit, "demo_" + stream) for unit, stream in map(str.split, stages)]
    units = {unit: UnitLook(unit, unit) for unit, _ in pairs}
    streams = {stream: StreamLook(stream, "", i, "live") for i, (_, stream) in enumerate(pairs)}
    wires = Wires(
        triggers={unit: pairs[i][1] for i, (unit, _) in enumerate(pairs[1:])},
        outputs={unit: [stream] for unit, stream in pairs},
        reads={},
        latency_us={},
    )
    rows = flow_rows(Snapshot(0, streams, units, {}), wires)
    assert len(rows) == 2 * len(pairs)
    assert max(len(line) + len("[]") for line in drawn(rows)) <= 30


def test_what_nothing_is_connected_to_stands_alone() -> None:
    streams = {"a": StreamLook("a", "", 1, "still", count=1, writer_pid=4)}
    units = {"u.4": UnitLook("u.4", "u", pid=4, state="running", trigger="clock")}
    snapshot = Snapshot(0, streams, units, {})
    rows = flow_rows(snapshot, wires_of(snapshot, {"a": 1}, lambda _name: []))
    assert [(row.kind, row.name) for row in rows] == [("unit", "u.4"), ("stream", "a")]


@settings(max_examples=40)
@given(
    arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=40)),
    st.integers(1, 60),
    st.integers(1, 30),
)
def test_pictures_fit_whatever_is_in_them(image: np.ndarray, columns: int, lines: int) -> None:
    drawn = half_blocks(image, columns, lines, "viridis")
    assert 1 <= len(drawn) <= lines
    widths = {sum(len(text) for text, _ in line) for line in drawn}
    assert len(widths) == 1
    assert 1 <= widths.pop() <= columns


def test_a_picture_without_colours_is_of_characters() -> None:
    assert characters(np.array([[0.0, 1.0], [0.0, 1.0], [math.nan, 0.5], [math.nan, 0.5]]), 2, 2) == [
        [(" @", "")],
        [("?+", "")],
    ]


def test_a_hot_pixel_hides_nothing() -> None:
    image = np.tile(np.arange(20.0), (20, 1))
    image[3, 3] = 1e9
    (_, style) = half_blocks(image, 20, 10)[9][-1]
    assert style.startswith("#ffffff")


def test_what_is_not_finite_has_a_colour_of_its_own() -> None:
    image = np.ones((2, 2))
    image[0, 0] = math.nan
    assert half_blocks(image, 2, 1)[0][0][1].startswith("#ff00ff on ")


def test_a_last_row_alone_is_the_upper_half_of_a_line() -> None:
    image = np.arange(9.0).reshape(3, 3)
    drawn = half_blocks(image, 3, 2)
    assert [sum(len(text) for text, _ in line) for line in drawn] == [3, 3]
    assert all(" on " in style for _, style in drawn[0])
    assert [style for _, style in drawn[1]][-1] == "#ffffff"


@settings(max_examples=40)
@given(arrays(np.float64, st.integers(1, 300)), st.integers(1, 60), st.integers(1, 10))
def test_bars_fit_whatever_is_in_them(vector: np.ndarray, columns: int, lines: int) -> None:
    drawn = bars(vector, columns, lines, "data")
    assert len(drawn) == lines
    assert len({len(line[0][0]) for line in drawn}) == 1
    assert 1 <= len(drawn[0][0][0]) <= columns


def test_bars_have_the_heights_of_their_values() -> None:
    (line,) = bars(np.array([0.0, 1.0]), 2, 1, "data")
    assert line[0][0] == "▁█"


def test_figures_of_the_finite_values() -> None:
    found = figures(np.array([1.0, 3.0, math.nan]), 3)
    assert found is not None
    assert found[:4] == (1.0, 2.0, 3.0, 1.0)
    assert (found.not_finite, found.thinned) == (1, False)
    assert figures(np.array([math.nan]), 1) is None


def test_sparkline() -> None:
    assert sparkline([1.0, 1.0, 2.0, 0.0], 6) == "  ▄▄█ "
    assert sparkline([], 3) == "   "
    assert sparkline([math.nan], 1) == " "


NUMBERS = {kind: st.integers(*limits_of(kind)) for kind in TYPES if kind not in TEXT_TYPES} | {
    "float32": st.floats(width=32, allow_nan=False),
    "float64": st.floats(allow_nan=False),
    "onoff": st.booleans(),
}
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60)


@given(st.data(), st.sampled_from(sorted(TYPES)))
def test_a_value_of_any_type_is_typed_as_it_is(data: st.DataObject, kind: str) -> None:
    value: Any = data.draw(
        st.just("wfs") if kind == "stream" else TEXT if kind in TEXT_TYPES else NUMBERS[kind]
    )
    typed = from_text(kind, as_typed(kind, value))
    assert decode(kind, *encode(kind, typed)) == value


def test_values_and_limits_as_they_are_shown() -> None:
    assert as_typed("float32", float(np.float32(0.1))) == "0.1"
    assert as_typed("onoff", True) == "on"
    assert as_typed("float32", float(np.float32(16777.217))) == "16777.217"
    spec = ParamSpec("a", 1.0, "float64", -math.inf, 2.0)
    assert limits_text(spec) == "≤ 2"
    assert limits_text(ParamSpec("a", 1.0, "float64", 0.0, math.inf)) == "≥ 0"
    assert limits_text(ParamSpec("a", 1.0, "float64", 0.0, 2.0)) == "0 … 2"
    assert limits_text(ParamSpec("a", 1, "int32", -(2**31), 2**31 - 1)) == ""


@given(
    st.lists(
        st.builds(
            Column,
            st.text(),
            st.text(),
            st.integers(1, 20),
            st.booleans(),
            st.integers(0, 5),
            st.integers(0, 3),
            st.just(0),
        ),
        min_size=1,
    ),
    st.integers(1, 250),
)
def test_columns_fit_into_the_width(columns: list[Column], width: int) -> None:
    shown = laid_out(columns, width)
    assert shown
    used = sum(wide for _, wide in shown) + GAP * (len(shown) - 1)
    assert used <= width or len(shown) == 1
    assert [i for i, _ in shown] == sorted(i for i, _ in shown)
    if used <= width and any(columns[i].weight for i, _ in shown):
        assert used == width


def test_a_line_that_is_cut_says_so() -> None:
    line: Line = (("trigger ", "dim"), ("wfs", ""))
    assert clipped(line, 11) is line
    assert clipped(line, 10) == (("trigger ", "dim"), ("w…", ""))
    assert clipped(line, 8) == (("trigger…", "dim"),)
    assert clipped(line, 0) == (("", "dim"),)


def test_a_line_is_edited() -> None:
    line = LineEditor("gain")
    for key, character in (
        ("home", None),
        ("x", "x"),
        ("end", None),
        ("backspace", None),
        ("left", None),
        ("delete", None),
    ):
        assert line.key(key, character)
    assert (line.text, line.caret) == ("xga", 3)
    assert not line.key("f5", None)
    line.insert("no\ntwo")
    assert line.text == "xgano"
    assert "".join(text for text, _ in line.spans(3)) == "no "
    assert line.key("ctrl+u", None)
    assert line.text == ""


def test_what_a_terminal_would_obey_is_edited_but_not_shown() -> None:
    line = LineEditor("a\x1b[31m\nb")
    assert "".join(text for text, _ in line.spans(12)) == "a␛[31m␊b    "
    line.key("c", "c")
    assert line.text == "a\x1b[31m\nbc"
