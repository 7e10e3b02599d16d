"""Drawings of pipelines, with characters and as SVG."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.pipeline.check import Checked
from framebus.pipeline.drawing import LEGEND, draw
from framebus.pipeline.graph import Graph
from framebus.pipeline.layout import Layout, trigger_text
from framebus.pipeline.plan import PipelinePlan, StreamPlan, UnitPlan
from framebus.pipeline.read import read_plan
from framebus.pipeline.svg import draw_svg
from support import units

SVG = "{http://www.w3.org/2000/svg}"


def unit(use: str, streams: str, **keys: object) -> UnitPlan:
    wiring = dict(pair.split("=") for pair in streams.split())
    return UnitPlan(use=f"support.units:{use}", streams=wiring, **keys)  # type: ignore[arg-type]


LOOP = PipelinePlan(
    name="loop",
    streams={"dm": StreamPlan(shape=(4,), fill=0.0)},
    units={
        "camera": unit("add", "image=dm offset=outside result=wfs", trigger="delay", period_s=0.001),
        "slopes": unit("scale", "image=wfs result=slopes", process="rtc", fuse="rtc"),
        "control": unit("scale", "image=slopes result=dm", process="rtc", fuse="rtc"),
        "watch": unit("scale", "image=wfs result=seen", process="rtc"),
    },
)


def layout() -> Layout:
    checked = Checked(LOOP)
    return Layout.of(checked.graph, checked.specs)


def test_drawn_with_characters() -> None:
    assert draw(layout()) == (
        """\
   ╭─ process camera ────────────────╮
   │  camera              every 1 ms │
 ╭┄▶    reads  dm                    │
 ┊ │    reads  outside  from outside │
 ┊ │    writes wfs                   ├───╮
 ┊ ╰─────────────────────────────────╯   │
 ┊                                       │
 ┊ ╭─ process rtc ───────────────────╮   │
 ┊ │┏ slopes                         │   │
 ┊ │┃   on     wfs                   ◀───┤
 ┊ │┃   writes slopes                ├─╮ │
 ┊ │┃ control                        │ │ │
 ┊ │┃   on     slopes                ◀─╯ │
 ╰┄┤┗   writes dm          4 float32 │   │
   │  watch                          │   │
   │    on     wfs                   ◀───╯
   │    writes seen                  │
   ╰─────────────────────────────────╯

"""
        + LEGEND
        + "\n"
    )


def test_names_give_way_to_the_width() -> None:
    plan = PipelinePlan(name="long", units={"u" * 60: unit("scale", f"image={'i' * 70} result={'r' * 70}")})
    drawn = draw(Layout.of(Graph.of(plan)), width=50)
    assert max(map(len, drawn.splitlines())) <= max(50, len(LEGEND))
    assert f"u{'u' * 20}" in drawn
    assert "…" in drawn


@pytest.mark.parametrize(
    ("period_s", "text"),
    [(2.0, "every 2 s"), (0.0125, "every 12.5 ms"), (5e-5, "every 50 µs"), (1e-8, "every 1e-08 s")],
)
def test_periods(period_s: float, text: str) -> None:
    assert trigger_text(UnitPlan(use="m:f", trigger="delay", period_s=period_s)) == text


def test_other_triggers() -> None:
    assert trigger_text(UnitPlan(use="m:f", trigger="free")) == "without a pause"
    assert trigger_text(UnitPlan(use="m:f", trigger="once")) == "once"
    assert trigger_text(UnitPlan(use="m:f")) == ""


def test_picture() -> None:
    root = ElementTree.fromstring(draw_svg(layout()))
    title, description = root.findtext(f"{SVG}title"), root.findtext(f"{SVG}desc")
    assert (root.get("role"), root.get("aria-labelledby")) == ("img", "title desc")
    assert title == "Pipeline loop"
    assert description is not None
    assert (
        "Unit camera of process camera runs every 1 ms, reads dm, reads outside, writes wfs." in description
    )
    assert "Unit control of process rtc is triggered by slopes, writes dm." in description
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"process rtc", "watch", "wfs", "4 float32", "read as it stands"} <= set(texts)
    ways = [path for path in root.iter(f"{SVG}path") if path.find(f"{SVG}title") is not None]
    assert sorted((way.findtext(f"{SVG}title"), way.get("class")) for way in ways) == [
        ("dm", "way read"),
        ("slopes", "way"),
        ("wfs", "way"),
        ("wfs", "way"),
    ]
    width, height = (float(root.get(key) or 0) for key in ("width", "height"))
    assert root.get("viewBox") == f"0 0 {width:g} {height:g}"
    for rect in root.iter(f"{SVG}rect"):
        x, y = float(rect.get("x") or 0), float(rect.get("y") or 0)
        assert x + float(rect.get("width") or 0) <= width
        assert y + float(rect.get("height") or 0) <= height


def test_names_that_mean_something_in_xml() -> None:
    plan = PipelinePlan(name="<&>", units={'a"<b>': unit("ticks", "value=v&", trigger="once")})
    root = ElementTree.fromstring(draw_svg(Layout.of(Graph.of(plan))))
    assert root.findtext(f"{SVG}title") == "Pipeline <&>"
    assert "v&" in [text.text for text in root.iter(f"{SVG}text")]


def test_of_nothing() -> None:
    empty = Layout.of(Graph.of(PipelinePlan(name="empty")))
    assert draw(empty).strip() == LEGEND
    ElementTree.fromstring(draw_svg(empty))


STREAMS = st.sampled_from("abcdef")


@given(st.lists(st.tuples(STREAMS, STREAMS, STREAMS, st.sampled_from([None, "p", "q"])), max_size=8))
def test_any_wiring_can_be_drawn(wiring: list[tuple[str, str, str, str | None]]) -> None:
    """Also one that could never run: the drawing is what helps to see why."""
    plan = PipelinePlan(
        name="any",
        units={
            f"unit{i}": unit("add", f"image={image} offset={offset} result={result}", process=process)
            for i, (image, offset, result, process) in enumerate(wiring)
        },
    )
    drawn = Layout.of(Graph.of(plan, dict.fromkeys(plan.units, units.add)))
    for side in ("right", "left"):
        rails = [rail for rail in drawn.rails if rail.side == side]
        for i, rail in enumerate(rails):
            for other in rails[:i]:
                apart = rail.last < other.first or rail.first > other.last
                assert apart or rail.column != other.column
    text = draw(drawn)
    readers = sum(len(rail.readers) for rail in drawn.rails)
    assert text.count("◀") + text.count("▶") <= readers
    assert (readers > 0) == (text.count("◀") + text.count("▶") > 0)
    ElementTree.fromstring(draw_svg(drawn))


def test_the_picture_in_the_documentation_is_the_one_of_the_example() -> None:
    root = Path(__file__).resolve().parents[2]
    checked = Checked(read_plan(root / "examples" / "loop.toml"))
    picture = draw_svg(Layout.of(checked.graph, checked.specs))
    assert picture == (root / "docs" / "images" / "pipeline.svg").read_text(), "framebus graph --svg makes it"
