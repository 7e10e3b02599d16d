"""One pipeline in three forms: built in Python, as data, and as the text of a file."""

from __future__ import annotations

import math
import os
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import framebus as fb
from framebus.errors import PipelineError, UsageError
from framebus.pipeline import Pipeline
from framebus.pipeline.convert import option_keys, option_values, process_plans
from framebus.pipeline.graph import Graph
from framebus.pipeline.plan import LimitsPlan, PipelinePlan, SourcePlan, StreamPlan, SupervisionPlan, UnitPlan
from framebus.pipeline.read import read_file, read_plan
from framebus.pipeline.schema import schema
from framebus.pipeline.text import plan_text
from framebus.unit import Limits, LoopOptions
from support import units
from support.processes import Spawner

ROOT = Path(__file__).resolve().parents[2]
NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=6)
TEXTS = st.one_of(NAMES, st.sampled_from(["${x}", "$${x}", "$", "a\nb", '"""', "'''", "\\", "\x7f", "é"]))
NUMBERS = st.floats(allow_nan=False)
SCALARS = st.one_of(TEXTS, NUMBERS, st.integers(-(2**63), 2**63 - 1), st.booleans())
MORE = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=5,
)
STREAMS = st.builds(
    StreamPlan,
    shape=st.none() | st.lists(st.integers(1, 9), min_size=1, max_size=3).map(tuple),
    dtype=st.none() | TEXTS,
    history=st.integers(0, 9),
    fill=st.none() | NUMBERS,
    file=st.none() | NAMES.map(lambda name: os.path.normpath("/data/" + name.replace("/", "_"))),
    keywords=st.dictionaries(NAMES, TEXTS | st.integers(0, 9) | NUMBERS, max_size=2),
    on_down=NUMBERS | st.just("last"),
    keep=st.booleans(),
)
UNITS = st.builds(
    UnitPlan,
    use=st.sampled_from(["package.module:function", "/a/b.py:function", "plug-in", "${odd}"]),
    streams=st.dictionaries(NAMES, TEXTS, max_size=2),
    parameters=st.dictionaries(NAMES, SCALARS, max_size=2),
    trigger=st.sampled_from(["stream", "delay", "once", "free"]),
    period_s=NUMBERS,
    wait=NUMBERS | st.sampled_from(["sleep", "spin"]),
    history=st.integers(0, 3) | st.dictionaries(NAMES, st.integers(0, 3), max_size=2),
    process=st.none() | TEXTS | st.just(""),
    cpu=st.none() | st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2).map(tuple),
    irqs=st.lists(st.integers(0, 3) | TEXTS, max_size=2).map(tuple),
    limits=st.none()
    | st.builds(LimitsPlan, period_us=st.none() | NUMBERS, action=st.sampled_from(["alarm", "pause"])),
    depends_on=st.lists(NAMES, max_size=2).map(tuple),
    restart=st.sampled_from(["never", "on-failure", "always"]),
)
PLANS = st.builds(
    PipelinePlan,
    name=NAMES,
    supervision=st.builds(
        SupervisionPlan, launcher=st.sampled_from(["tmux", "subprocess"]), backoff_s=NUMBERS
    ),
    streams=st.dictionaries(NAMES, STREAMS, max_size=2),
    sources=st.dictionaries(
        NAMES,
        st.builds(SourcePlan, use=st.just("m:f"), arguments=st.dictionaries(NAMES, MORE, max_size=2)),
        max_size=2,
    ),
    units=st.dictionaries(NAMES, UNITS, max_size=3),
)


@given(plan=PLANS)
def test_a_plan_that_is_written_is_read_back_equal(
    tmp_path_factory: pytest.TempPathFactory, plan: PipelinePlan
) -> None:
    path = tmp_path_factory.getbasetemp() / "written.toml"
    path.write_text(plan_text(plan), encoding="utf-8", newline="")
    assert read_plan(path) == plan


def built() -> Pipeline:
    """A pipeline with everything in it, built in Python."""
    pipeline = Pipeline("built")
    pipeline.add_stream("image", shape=(8,), dtype=np.float32, fill=0, on_down=1.5, keywords={"RATE": 3})
    pipeline.add_stream("loaded", file="offset.npy", keep=True)
    pipeline.add_source(units_of_a_source, arguments={"size": 8}, prefix="from_", history=2)
    pipeline.add(
        units.scale,
        streams={"image": "image", "result": "first"},
        parameters={"gain": np.float32(3)},
        options=LoopOptions(spin_us=math.inf, cpu=(0,), priority=3, lock_memory=True),
        history={"result": 3},
        process="rtc",
        fuse="rtc",
        limits=Limits(period_us=100.0, action="pause"),
    )
    pipeline.add(
        "support.units:add",
        streams={"image": "first", "offset": "from_offset", "result": "sum"},
        name="sum",
        process="rtc",
        fuse="rtc",
        depends_on=["clock"],
        restart="always",
    )
    pipeline.add(
        units.Counter,
        streams={"frame": "${odd}"},
        name="clock",
        options=LoopOptions(trigger="delay", period_s=0.5),
    )
    pipeline.add(
        units.plain_scale,
        streams={"image": "first", "result": "slow"},
        options=LoopOptions(spin_us=7),
        process="",
    )
    return pipeline


def units_of_a_source(size: int) -> dict[str, np.ndarray[Any, Any]]:
    return {"offset": np.arange(size, dtype=np.float32)}


def test_built_in_python_and_read_from_its_file_are_equal(tmp_path: Path) -> None:
    pipeline = built()
    pipeline.save(tmp_path / "built.toml")
    assert read_plan(tmp_path / "built.toml") == pipeline.plan()
    loaded = Pipeline.load(tmp_path / "built.toml")
    assert loaded.plan() == pipeline.plan()
    assert [node.stage.unit for node in loaded.nodes] == [node.stage.unit for node in pipeline.nodes]
    assert [(node.options, node.loop) for node in loaded.nodes] == [
        (node.options, node.loop) for node in pipeline.nodes
    ]
    assert Pipeline.from_plan(pipeline.plan()).plan() == pipeline.plan()


def test_a_file_that_was_saved_reads_well(tmp_path: Path) -> None:
    built().save(tmp_path / "built.toml")
    text = (tmp_path / "built.toml").read_text()
    assert text.startswith('name = "built"\n\n[streams.image]\nshape = [8]\ndtype = "float32"\nfill = 0\n')
    assert 'limits = { period_us = 100.0, action = "pause" }' in text
    assert 'streams = { frame = "$${odd}" }' in text
    assert "include" not in text
    assert not list(tmp_path.glob("built.toml.*"))


@given(
    st.builds(
        LoopOptions,
        trigger=st.sampled_from(["stream", "once", "free"]),
        spin_us=st.floats(0, allow_nan=False),
        priority=st.integers(0, 99),
        every_frame=st.booleans(),
        huge_pages=st.sampled_from(["none", "transparent", "explicit"]),
        dma_latency_us=st.none() | st.floats(0, 1e6),
    )
)
def test_options_as_keys_and_back(options: LoopOptions) -> None:
    unit = UnitPlan(use="m:f", **option_keys(options))
    assert LoopOptions(**option_values(unit)) == options


def test_what_hosts_are_told() -> None:
    plan = built().plan()
    graph = Graph.of(
        plan,
        {"sum": units.add, "scale": units.scale, "clock": units.Counter, "plain_scale": units.plain_scale},
        ["from_offset"],
    )
    told = process_plans(plan, graph)
    assert list(told) == ["clock", "rtc", "built"]
    rtc = told["rtc"]
    assert (rtc["pipeline"], rtc["process"], rtc["predecessor"], rtc["stay"]) == ("built", "rtc", None, False)
    (loop,) = rtc["loops"]
    assert loop["options"]["spin_us"] is None, "JSON has no infinity"
    assert loop["options"]["cpu"] == (0,)
    assert [stage["name"] for stage in loop["stages"]] == ["scale", "sum"]
    assert loop["stages"][0]["parameters"] == {"gain": 3.0}
    assert loop["limits"] == {"scale": {"period_us": 100.0, "compute_us": None, "action": "pause"}}
    assert told["built"]["loops"][0]["stages"][0]["name"] == "plain_scale"


class TestRefused:
    def test_units_that_no_file_can_name(self, tmp_path: Path) -> None:
        pipeline = Pipeline().add(units.Counter(), streams={"frame": "frame"}, process="")
        with pytest.raises(UsageError, match="unit 'Counter' is an object of this process"):
            pipeline.save(tmp_path / "a.toml")
        assert not list(tmp_path.iterdir())

    def test_all_units_that_cannot_be_loaded(self, tmp_path: Path) -> None:
        path = tmp_path / "a.toml"
        path.write_text(
            '[units.a]\nuse = "support.units:none"\n[units.b]\nuse = "none:a"\n'
            '[units.c]\nuse = "support.units:scale"\ncpu = -1\n'
        )
        with pytest.raises(PipelineError) as caught:
            Pipeline.load(path)
        assert [problem.line for problem in caught.value.problems] == [2, 4, 5]
        assert "support.units has no 'none'" in caught.value.problems[0].message
        assert "there is no module 'none'" in caught.value.problems[1].message
        assert "cpu is -1" in caught.value.problems[2].message

    def test_names_twice(self) -> None:
        pipeline = Pipeline("p").add_stream("a", shape=3).add_source(units_of_a_source)
        with pytest.raises(UsageError, match="pipeline 'p' has a stream 'a' already"):
            pipeline.add_stream("a", shape=3)
        with pytest.raises(UsageError, match="pipeline 'p' has a source 'units_of_a_source' already"):
            pipeline.add_source(units_of_a_source)

    def test_sources_that_nobody_can_import(self) -> None:
        def inner() -> dict[str, Any]:
            return {}

        with pytest.raises(UsageError, match="cannot be imported; put the function into a file"):
            Pipeline().add_source(inner)

    def test_no_dtype(self) -> None:
        with pytest.raises(UsageError, match="dtype 'float31' is unknown"):
            Pipeline().add_stream("a", shape=3, dtype="float31")

    def test_while_it_runs(self) -> None:
        with (
            Pipeline()
            .add(
                units.ticks,
                streams={"value": "v"},
                options=LoopOptions(trigger="delay", period_s=1),
                process="",
            )
            .start() as pipeline
        ):
            with pytest.raises(UsageError, match="runs; stop it before adding streams"):
                pipeline.add_stream("a", shape=3)
            with pytest.raises(UsageError, match="runs; stop it before adding sources"):
                pipeline.add_source(units_of_a_source)


class TestRun:
    def pipeline(self, tmp_path: Path, **stream: Any) -> Pipeline:
        np.save(tmp_path / "offset.npy", np.arange(8, dtype=np.float32))
        pipeline = Pipeline("run").add_stream("offset", file=tmp_path / "offset.npy", **stream)
        # Added before what it reads: the order of start is found.
        pipeline.add(units.add, streams={"image": "ones", "offset": "offset", "result": "sum"}, process="")
        pipeline.add_stream("image", shape=8, fill=2, keep=True, on_down=5)
        return pipeline.add(units.scale, streams={"image": "image", "result": "ones"}, process="")

    def test_streams_are_made_first_and_go_last(self, tmp_path: Path, shm_dir: Path) -> None:
        pipeline = self.pipeline(tmp_path)
        assert pipeline.validate() == []
        with pipeline.start(), fb.open("image") as image, fb.open("sum") as result:
            assert image.read().tolist() == [2.0] * 8
            image.write(np.ones(8, np.float32))
            frame = result.read_next(timeout_s=60)
            assert frame.data.tolist() == [2.0 + i for i in range(8)]
        with fb.open("image") as image:
            assert image.read().tolist() == [5.0] * 8, "the safe value"
        assert not (shm_dir / "offset.im.shm").exists()
        assert (shm_dir / "sum.im.shm").exists()

    def test_one_that_was_there_stays(self, tmp_path: Path) -> None:
        with fb.create("offset", shape=(8,)) as offset:
            offset.write(np.ones(8))
        with self.pipeline(tmp_path).start():
            pass
        with fb.open("offset") as offset:
            assert offset.read().tolist() == [1.0] * 8

    def test_one_that_cannot_be_made(self, tmp_path: Path, shm_dir: Path) -> None:
        pipeline = self.pipeline(tmp_path).add_stream("more", file=tmp_path / "none.npy").add_source("none:f")
        with pytest.raises(
            PipelineError, match=r"streams\.more: there is no file .*none\.npy\nsources\.f: .*no module"
        ):
            pipeline.start()
        assert not list(shm_dir.iterdir())

    def test_units_that_cannot_start_leave_no_streams(self, tmp_path: Path, shm_dir: Path) -> None:
        pipeline = self.pipeline(tmp_path).add(
            units.whole, streams={"image": "none", "value": "value"}, process=""
        )
        with pytest.raises(UsageError, match="no stream 'none'"):
            pipeline.start()
        assert not (shm_dir / "offset.im.shm").exists()

    def test_depends_on(self) -> None:
        pipeline = Pipeline()
        once = LoopOptions(trigger="once")
        pipeline.add(
            units.ticks, streams={"value": "a"}, name="a", options=once, process="", depends_on=["c", "none"]
        )
        pipeline.add(units.ticks, streams={"value": "b"}, name="b", options=once, process="")
        pipeline.add(units.ticks, streams={"value": "c"}, name="c", options=once, process="")
        with pipeline.start():
            started = [loop.name for loop in pipeline._loops]
        assert started == ["b", "c", "a"]


class TestSchema:
    """A small judge, which knows the words that the schema uses."""

    def judge(self, value: Any, rule: dict[str, Any], whole: dict[str, Any]) -> bool:
        known = {
            "$schema",
            "$ref",
            "title",
            "description",
            "default",
            "definitions",
            "type",
            "enum",
            "pattern",
        }
        assert set(rule) <= known | {"anyOf", "properties", "additionalProperties", "items"}
        if "$ref" in rule:
            return self.judge(value, whole["definitions"][rule["$ref"].rpartition("/")[2]], whole)
        if "anyOf" in rule:
            return any(self.judge(value, choice, whole) for choice in rule["anyOf"])
        if "enum" in rule:
            return value in rule["enum"]
        kinds: dict[str, type | tuple[type, ...]] = {
            "object": dict,
            "array": list,
            "string": str,
            "integer": int,
            "number": (int, float),
            "boolean": bool,
        }
        if "type" in rule and (
            not isinstance(value, kinds[rule["type"]])
            or (isinstance(value, bool) and rule["type"] != "boolean")
        ):
            return False
        if "pattern" in rule and not re.search(rule["pattern"], value):
            return False
        if isinstance(value, list) and "items" in rule:
            return all(self.judge(item, rule["items"], whole) for item in value)
        if isinstance(value, dict):
            rest = rule.get("additionalProperties", True)
            for key, item in value.items():
                inner = rule.get("properties", {}).get(key, rest)
                if inner is False or (isinstance(inner, dict) and not self.judge(item, inner, whole)):
                    return False
        return True

    def accepts(self, text: str) -> bool:
        rules = schema()
        return self.judge(tomllib.loads(text), rules, rules)

    @given(plan=PLANS)
    def test_takes_what_the_reader_takes(self, plan: PipelinePlan) -> None:
        assert self.accepts(plan_text(plan))

    @pytest.mark.parametrize(
        "path", sorted([*ROOT.glob("examples/*.toml"), *ROOT.glob("src/framebus/cli/demo/*.toml")])
    )
    def test_takes_the_files_that_are_there(self, path: Path) -> None:
        assert self.accepts(path.read_text())

    @pytest.mark.parametrize(
        "text",
        [
            *(
                "[units.a]\ncpu = '${cpu}'\nevery_frame = '${x}'",
                "[units.a]\nlimits = { period_us = '${x}' }",
            ),
            *("[defaults]\npriority = 3", "[variables]\na = 1\nb = true", "[units.a]\ncpu = [0, '${x}']"),
        ],
    )
    def test_takes_variables_and_parts(self, text: str) -> None:
        assert self.accepts(text)

    @pytest.mark.parametrize(
        "text",
        [
            *(
                "nam = 'a'",
                "name = 3",
                "[units.a]\ncpu = 'x'",
                "[units.a]\ntrigger = 'clock'",
                "[units.a]\nlimits = 3",
            ),
            *(
                "[defaults]\nstreams = {}",
                "[variables]\na = [1]",
                "[units.a]\npriority = true",
                "[streams.a]\nshape = ['x']",
            ),
        ],
    )
    def test_refuses_what_the_reader_refuses(self, text: str) -> None:
        assert not self.accepts(text)

    def test_tells_what_every_key_means(self) -> None:
        rules = schema()
        for table in (rules, *rules["definitions"].values()):
            for key, rule in table.get("properties", {}).items():
                assert rule["description"], key
        unit = rules["definitions"]["UnitPlan"]["properties"]
        assert unit["cpu"]["description"] == "CPU, or set of CPUs, that its thread may run on."


def test_the_example_is_the_one_that_is_documented(tmp_path: Path) -> None:
    reading = read_file(ROOT / "examples" / "loop.toml")
    assert list(reading.plan.units) == ["camera", "flatten", "remove_mean", "clip"]
    assert Pipeline.from_plan(reading.plan, reading.where).validate() == []


def test_a_pipeline_that_stays_in_python_needs_no_reader(spawn: Spawner) -> None:
    process = spawn("import framebus, sys; framebus.Pipeline('x').add; print('msgspec' in sys.modules)")
    assert process.expect("False")
    assert process.wait() == 0
