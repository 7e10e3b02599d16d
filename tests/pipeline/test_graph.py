"""Who feeds whom, in which order units start, and what shares a process."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.errors import PipelineError
from framebus.pipeline.graph import Edge, Graph
from framebus.pipeline.loading import stream_key
from framebus.pipeline.plan import PipelinePlan, SourcePlan, StreamPlan, UnitPlan
from support import units


def scale(image: str, result: str, **keys: object) -> UnitPlan:
    return UnitPlan(use="support.units:scale", streams={"image": image, "result": result}, **keys)  # type: ignore[arg-type]


def add(image: str, offset: str, result: str, **keys: object) -> UnitPlan:
    streams = {"image": image, "offset": offset, "result": result}
    return UnitPlan(use="support.units:add", streams=streams, **keys)  # type: ignore[arg-type]


def test_edges_and_streams() -> None:
    plan = PipelinePlan(
        streams={"dm": StreamPlan(shape=(3,))},
        sources={"s": SourcePlan(use="support.sources:arrays", prefix="s_")},
        units={"a": add("dm", "s_wide", "x", trigger="delay"), "b": scale("x", "dm")},
    )
    graph = Graph.of(plan)
    assert graph.edges == [
        Edge("a", "dm", "image", "read"),
        Edge("a", "s_wide", "offset", "read"),
        Edge("a", "x", "result", "output"),
        Edge("b", "x", "image", "trigger"),
        Edge("b", "dm", "result", "output"),
    ]
    assert graph.made == {"dm", "s_wide"}
    assert graph.streams() == ["dm", "s_wide", "x"]
    assert graph.writers("dm") == ["b"]
    assert graph.feeds() == {"a": ["b"], "b": ["a"]}
    assert graph.feeds(triggers_only=True) == {"a": [], "b": ["a"]}


def test_producers_come_first_whatever_the_order_of_the_file() -> None:
    units = {"c": scale("y", "z"), "b": scale("x", "y"), "a": scale("image", "x")}
    graph = Graph.of(PipelinePlan(units=units))
    assert graph.order == ["a", "b", "c"]
    assert graph.processes == {"a": [["a"]], "b": [["b"]], "c": [["c"]]}
    assert graph.after == {"a": [], "b": ["a"], "c": ["b"]}


def test_streams_that_are_declared_need_no_producer_first() -> None:
    units = {"b": scale("x", "y"), "a": scale("image", "x")}
    declared = {"x": StreamPlan(shape=(3,))}
    graph = Graph.of(PipelinePlan(streams=declared, units=units))
    assert graph.order == ["a", "b"], "it is still what is wished for"
    assert graph.after == {"a": [], "b": []}
    closed = {"b": scale("x", "y"), "a": scale("y", "x")}
    assert Graph.of(PipelinePlan(streams=declared, units=closed)).order == ["b", "a"]


def test_depends_on() -> None:
    units = {"a": scale("x", "y", depends_on=("b",)), "b": scale("x", "z")}
    assert Graph.of(PipelinePlan(units=units)).order == ["b", "a"]


def test_processes_and_loops() -> None:
    plan = PipelinePlan(
        name="rtc",
        units={
            "last": scale("c", "d", process=""),
            "cam": UnitPlan(use="support.units:Counter", streams={"frame": "a"}, trigger="free"),
            "one": scale("a", "b", process="rtc", fuse="f"),
            "side": scale("a", "s", process="rtc"),
            "two": scale("b", "c", process="rtc", fuse="f"),
            "f": scale("d", "e", process="rtc"),
        },
    )
    graph = Graph.of(plan)
    assert list(graph.processes) == ["cam", "rtc"]
    assert sorted(map(tuple, graph.processes["rtc"])) == [("f",), ("last",), ("one", "two"), ("side",)]
    order = graph.order
    assert order.index("two") < order.index("last") < order.index("f")
    assert [name for loop in graph.processes["rtc"] for name in loop] == [n for n in order if n != "cam"]


def test_units_that_are_given_are_not_imported() -> None:
    plan = PipelinePlan(units={"a": UnitPlan(use="none:a", streams={"value": "v"}, trigger="once")})
    with pytest.raises(PipelineError, match=r"units\.a\.use: 'none:a': there is no module 'none'"):
        Graph.of(plan)
    assert Graph.of(plan, {"a": units.ticks}).streams() == ["v"]
    assert Graph.of(plan, {}).edges == []


def test_names_of_one_stream() -> None:
    assert stream_key("@E:wfs") == stream_key("tf32>wfs") == "wfs"
    assert stream_key("/x/wfs.im.shm") == "/x/wfs.im.shm"
    assert stream_key("@L:wfs", "p") != stream_key("@L:wfs", "q")


@given(st.permutations(range(6)), st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=6))
def test_the_order_keeps_every_need_that_can_be_kept(names: list[int], pairs: list[tuple[int, int]]) -> None:
    needs: dict[int, list[int]] = {n: [] for n in names}
    for earlier, later in pairs:
        if earlier < later:  # no cycles
            needs[later].append(earlier)
    plan = PipelinePlan(
        units={
            f"u{n}": scale("image", f"s{n}", depends_on=tuple(f"u{other}" for other in needs[n]))
            for n in names
        }
    )
    order = Graph.of(plan, {f"u{n}": units.scale for n in names}).order
    assert sorted(order) == sorted(plan.units)
    for n, others in needs.items():
        assert all(order.index(f"u{other}") < order.index(f"u{n}") for other in others)
