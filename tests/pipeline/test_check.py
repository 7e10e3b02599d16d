"""Everything that is wrong with a pipeline is told at once, where it stands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest

import framebus as fb
from framebus.pipeline import Pipeline
from framebus.pipeline.check import Checked, check_plan
from framebus.pipeline.order import cycles, sort
from framebus.pipeline.plan import PipelinePlan, UnitPlan
from framebus.pipeline.read import read_file
from framebus.unit import Array, In, LoopOptions, Out, Unit, unit
from support import units

MODULE = "support.units"


def told(tmp_path: Path, text: str) -> list[str]:
    """The problems of a file, each ``line: key: message``."""
    path = tmp_path / "a.toml"
    path.write_text(text.replace("@", MODULE))
    reading = read_file(path)
    return [str(problem).removeprefix(f"{path}:") for problem in check_plan(reading.plan, reading.where)]


CLOCK = '[units.clock]\nuse = "@:Counter"\nstreams = { frame = "image" }\ntrigger = "delay"\nperiod_s = 1.0\n'
"""Five lines: a stream 'image' of four float32."""


def test_all_is_well(tmp_path: Path) -> None:
    text = (
        CLOCK + '[units.scale]\nuse = "@:scale"\nstreams = { image = "image", result = "r" }\nparameters = '
        "{ gain = 3 }"
    )
    assert told(tmp_path, text) == []


def test_shapes_go_through_the_whole_graph(tmp_path: Path) -> None:
    np.save(tmp_path / "offset.npy", np.zeros(4, np.uint16))
    path = tmp_path / "a.toml"
    path.write_text(
        (
            '[streams.offset]\nfile = "offset.npy"\n[sources.s]\nuse = "support.sources:arrays"\n'
            'prefix = "s_"\n'
            + CLOCK
            + '[units.add]\nuse = "@:add"\nstreams = { image = "image", offset = "offset", result = '
            '"sum" }\n'
            '[units.more]\nuse = "@:add"\nstreams = { image = "sum", offset = "s_wide", result = "more" }\n'
        ).replace("@", MODULE)
    )
    reading = read_file(path)
    checked = Checked(reading.plan, reading.where)
    assert checked.problems == []
    found = {name: (spec.shape, spec.dtype.name) for name, spec in checked.specs.items()}
    assert found == {
        "offset": ((4,), "uint16"),
        "s_wide": ((6,), "float64"),
        "image": ((4,), "float32"),
        "sum": ((4,), "float32"),
        "more": ((6,), "float32"),
    }


class TestUnits:
    def test_that_cannot_be_imported(self, tmp_path: Path) -> None:
        (tmp_path / "broken.py").write_text("1 / 0\n")
        problems = told(
            tmp_path,
            '[units.a]\nuse = "@:none"\n[units.b]\nuse = "broken.py:f"\n[units.c]\nuse = "nothing:at_all"\n',
        )
        assert problems[0].startswith("2: units.a.use: 'support.units:none': support.units has no 'none'")
        assert "ZeroDivisionError" in problems[1]
        assert problems[1].startswith("4: units.b.use: ")
        assert problems[2].startswith("6: units.c.use: 'nothing:at_all': there is no module 'nothing'")
        assert len(problems) == 3

    def test_none_at_all(self, tmp_path: Path) -> None:
        (problem,) = told(tmp_path, "")
        assert problem == " units: the pipeline has no units"

    def test_arguments(self, tmp_path: Path) -> None:
        text = (
            CLOCK + '[units.a]\nuse = "@:add"\nhistory = { reslt = 3, result = -1 }\n'
            'streams = { image = "image", ofset = "image", result = "a[0:1]" }\n'
        )
        assert told(tmp_path, text) == [
            "8: units.a.history.reslt: 'reslt' is no output of the unit; did you mean 'result'?",
            "8: units.a.history.result: it is -1, expected 0 or more",
            "9: units.a.streams: no stream is given for input 'offset'",
            "9: units.a.streams.ofset: the unit has no stream argument 'ofset'; did you mean 'offset'?",
            (
                "9: units.a.streams.result: stream name 'a[0:1]': the slice '[0:1]' is not allowed in "
                "Out of a unit; allowed "
                "there: @S:, @L:, @E:, @N:, path"
            ),
        ]

    def test_parameters(self, tmp_path: Path) -> None:
        text = (
            CLOCK + '[units.a]\nuse = "@:scale"\nstreams = { image = "image", result = "r" }\n'
            "[units.a.parameters]\n"
        )
        assert told(tmp_path, text + "gian = 1\n") == [
            "10: units.a.parameters.gian: the unit has no parameter 'gian'; did you mean 'gain'?"
        ]
        (problem,) = told(tmp_path, text + "gain = 11\n")
        assert problem == "10: units.a.parameters.gain: 'gain' = 11 is outside Range(0, 10)"
        (problem,) = told(tmp_path, text + 'gain = "x"\n')
        assert problem.startswith("10: units.a.parameters.gain: 'gain' ")

    def test_parameters_taken_together(self) -> None:
        pipeline = Pipeline().add(
            checked, streams={"image": "image", "result": "r"}, parameters={"low": 5}, process=""
        )
        pipeline.add_stream("image", shape=3)
        assert [str(problem) for problem in pipeline.validate()] == [
            "units.checked.parameters.low: it is above high",
        ]
        (node,) = pipeline.nodes
        node.stage.parameters = {"low": 5, "high": 6}
        assert pipeline.validate() == []

    def test_trigger_without_an_input(self, tmp_path: Path) -> None:
        assert told(
            tmp_path, '[units.a]\nuse = "@:ticks"\nstreams = { value = "v" }\ntrigger = "stream"'
        ) == [
            (
                "4: units.a.trigger: the unit has no input whose frames could trigger it; expected "
                "'delay', 'once' or 'free'"
            )
        ]

    def test_names(self, tmp_path: Path) -> None:
        text = 'name = "a b"\n[units."x/y"]\nuse = "@:ticks"\nstreams = { value = "v" }\ntrigger = "once"\n'
        text += 'process = ".p"'
        problems = told(tmp_path, text)
        assert [problem.split(": ")[:2] for problem in problems] == [
            ["1", "name"],
            ["2", 'units."x/y"'],
            ["6", 'units."x/y".process'],
        ]
        assert "white space" in problems[0]


@unit(compiled=False)
def checked(image: In, result: Out, *, low: float = 0.0, high: float = 1.0) -> None:
    result[...] = np.clip(image, low, high)


@checked.check
def ordered(low: float, high: float) -> dict[str, str]:
    return {"low": "it is above high"} if low > high else {}


class TestPlacement:
    def test_what_cannot_be(self, tmp_path: Path) -> None:
        text = (
            CLOCK + '[units.a]\nuse = "@:scale"\nstreams = { image = "image", result = "r" }\ncpu = [0, '
            "9999]\npriority = 100\n"
            "wait = -1.0\nnuma_node = 99\ndma_latency_us = -1.0\nperiod_s = 2.0\n"
            "limits = { period_us = 0.0, compute_us = -inf }\n"
            '[units.b]\nuse = "@:scale"\nstreams = { image = "image", result = "q" }\ntrigger = '
            '"delay"\nlimits = {}\n'
        )
        cpus = (os.cpu_count() or 1) - 1
        assert told(tmp_path, text) == [
            f"9: units.a.cpu: cpu is 9999; this machine has CPUs 0 to {cpus}",
            "10: units.a.priority: priority is 100; expected 0 (normal scheduling) to 99",
            "11: units.a.wait: spin_us is -1.0, expected µs >= 0, or inf",
            "12: units.a.numa_node: this machine has no NUMA node 99",
            "13: units.a.dma_latency_us: dma_latency_us is -1.0; expected µs from 0, or None",
            "14: units.a.period_s: it is 2.0, and only the trigger 'delay' has a period",
            "15: units.a.limits.period_us: it is 0.0, expected µs above 0",
            "15: units.a.limits.compute_us: it is -inf, expected µs above 0",
            "16: units.b.period_s: trigger 'delay': period_s is 0.0, expected seconds above 0",
            "20: units.b.limits: it limits nothing; give 'period_us' or 'compute_us'",
        ]

    def test_supervision(self, tmp_path: Path) -> None:
        text = (
            CLOCK + "\n[supervision]\nbackoff_s = -1\nstop_timeout_s = 0\nlog_files = 0\nlog_bytes = 0\n"
            "restart_limit = -1\nstart_timeout_s = inf"
        )
        assert told(tmp_path, text) == [
            "8: supervision.backoff_s: it is -1.0, expected 0 or more",
            "9: supervision.stop_timeout_s: it is 0.0, expected a number above 0",
            "11: supervision.log_bytes: it is 0, expected 1 or more",
            "12: supervision.restart_limit: it is -1, expected 0 or more",
            "13: supervision.start_timeout_s: it is inf, expected a number above 0",
        ]

    def test_fused_units(self, tmp_path: Path) -> None:
        text = (
            CLOCK + '[units.a]\nuse = "@:scale"\nstreams = { image = "image", result = "r" }\nprocess = '
            '"p"\nfuse = "f"\n'
            'wait = "spin"\n[units.b]\nuse = "@:scale"\nstreams = { image = "image", result = "q" }\n'
            'process = "p"\n'
            'fuse = "f"\npriority = 3\nwait = "spin"\n[units.c]\nuse = "@:ticks"\nstreams = { value '
            '= "v" }\nprocess = "p"\n'
            'fuse = "f"\n[units.d]\nuse = "@:scale"\nstreams = { image = "r", result = "s" }\nfuse = "f"\n'
        )
        assert told(tmp_path, text) == [
            (
                "14: units.b.streams.image: stream 'image' is no output of a unit before it in loop 'f', "
                "so its frames could not "
                "trigger the unit; fuse units in the order in which they feed each other"
            ),
            (
                "17: units.b.priority: the loop's first unit 'a' says it for all that are fused; leave "
                "it out here"
            ),
            (
                "23: units.c.fuse: the unit has no input, so nothing triggers it after another unit; let "
                "it stand first"
            ),
            (
                "27: units.d.fuse: units 'a' and 'd' are to be fused, and run in processes 'p' and 'd'; "
                "give both the same "
                "'process'"
            ),
        ]

    def test_depends_on(self, tmp_path: Path) -> None:
        text = (
            CLOCK + 'depends_on = ["b"]\n[units.b]\nuse = "@:scale"\nstreams = { image = "image", result = '
            '"q" }\n'
            'depends_on = [\n  "clock",\n  "clok",\n]\n'
        )
        assert told(tmp_path, text) == [
            "6: units.clock.depends_on: units wait for each other: clock → b → clock; none can start",
            "12: units.b.depends_on[1]: there is no unit 'clok'; did you mean 'clock'?",
        ]


class TestStreams:
    def test_declared_ones(self, tmp_path: Path) -> None:
        np.save(tmp_path / "a.npy", np.zeros((2, 2), ">f4"))
        (tmp_path / "bad.npy").write_bytes(b"x")
        (tmp_path / "bad.fits").write_bytes(b"x")
        text = (
            "[streams.none]\n[streams.shape]\nshape = [0]\n[streams.axes]\nshape = [1, 1, 1, 1]\n"
            '[streams.dtype]\nshape = [1]\ndtype = "float31"\n[streams.missing]\nfile = "none.npy"\n'
            '[streams.other]\nfile = "a.npy"\nshape = [3]\n[streams.both]\nfile = "a.npy"\nfill = 1\n'
            '[streams.kind]\nfile = "a.png"\n[streams.bad]\nfile = "bad.npy"\n[streams.fits]\nfile = '
            '"bad.fits"\n'
            '[streams.value]\nshape = [1]\ndtype = "uint8"\nfill = 256\non_down = 0.5\nhistory = -1\n'
            f'[streams."a b"]\nshape = [1]\nkeywords = {{ {"k" * 99} = 1 }}\n[streams.good]\nfile = '
            '"a.npy"\ndtype = "int16"\n'
        ) + CLOCK
        (tmp_path / "a.png").touch()
        problems = told(tmp_path, text)
        assert [problem.split(": ")[:2] for problem in problems] == [
            ["1", "streams.none"],
            ["3", "streams.shape.shape"],
            ["5", "streams.axes.shape"],
            ["8", "streams.dtype.dtype"],
            ["10", "streams.missing.file"],
            ["12", "streams.other.file"],
            ["15", "streams.both.file"],
            ["18", "streams.kind.file"],
            ["20", "streams.bad.file"],
            ["22", "streams.fits.file"],
            ["26", "streams.value.fill"],
            ["27", "streams.value.on_down"],
            ["28", "streams.value.history"],
            ["29", 'streams."a b"'],
            ["31", 'streams."a b".keywords'],
        ]
        assert problems[0].endswith("it has neither 'shape' nor 'file'; give one of them")
        assert "its shape is (3,), and" in problems[5]
        assert problems[10].endswith("it is 256.0, which the stream's dtype uint8 cannot hold")

    def test_sources(self, tmp_path: Path) -> None:
        text = (
            '[streams.wide]\nshape = [6]\n[sources.none]\nuse = "support.sources:none"\nprefix = "n_"\n'
            '[sources.value]\nuse = "support.sources:VALUE"\nprefix = "n_"\n[sources.fails]\nuse = '
            '"support.sources:fails"\n'
            'prefix = "n_"\narguments = { why = "so" }\n[sources.list]\nuse = '
            '"support.sources:gives_a_list"\nprefix = "n_"\n'
            '[sources.text]\nuse = "support.sources:gives_text"\nprefix = "n_"\n[sources.twice]\n'
            'use = "support.sources:arrays"\nhistory = -1\n[sources.again]\nuse = '
            '"support.sources:arrays"\n'
        ) + CLOCK
        problems = told(tmp_path, text)
        assert [problem.split(": ")[:2] for problem in problems] == [
            ["4", "sources.none.use"],
            ["7", "sources.value.use"],
            ["10", "sources.fails.use"],
            ["14", "sources.list.use"],
            ["17", "sources.text.use"],
            ["19", "sources.twice"],
            ["21", "sources.twice.history"],
            ["22", "sources.again"],
        ]
        assert problems[1].endswith("'support.sources:VALUE' is 3, no function")
        assert problems[2].endswith("'support.sources:fails' failed: RuntimeError: so")
        assert problems[3].endswith("gave a list, expected arrays by name (a dict)")
        assert "array 'text': dtype" in problems[4]
        assert problems[5].endswith("it makes stream 'wide', which is declared under 'streams', too")

    def test_what_a_source_that_fails_would_have_made_is_not_told_as_missing(self, tmp_path: Path) -> None:
        text = (
            '[sources.none]\nuse = "support.sources:none"\nprefix = "n_"\n'
            + CLOCK
            + '[units.a]\nuse = "@:add"\nstreams = { image = "image", offset = "n_offset", result = "q" }\n'
        )
        (problem,) = told(tmp_path, text)
        assert problem.startswith("2: sources.none.use: ")

    def test_one_that_somebody_else_writes_in_another_shape(self, tmp_path: Path) -> None:
        with fb.create("taken", shape=(3,)) as taken:
            taken.write(np.zeros(3))
            assert told(tmp_path, "[streams.taken]\nshape = [4]\n" + CLOCK) == [
                (
                    f"1: streams.taken: process {os.getpid()} writes a stream of that name that is "
                    "float32 (3,), and float32 "
                    "(4,) is declared"
                )
            ]


class TestWiring:
    def test_two_writers(self, tmp_path: Path) -> None:
        text = CLOCK + CLOCK.replace("units.clock", "units.other")
        assert told(tmp_path, text) == [
            (
                "8: units.other.streams.frame: stream 'image' is output 'frame' of unit 'clock' already; "
                "a stream has one writer"
            )
        ]

    def test_inputs_that_nobody_writes(self, tmp_path: Path) -> None:
        text = (
            CLOCK
            + '[units.a]\nuse = "@:add"\nstreams = { image = "imge", offset = "elsewhere", result = "q" }\n'
        )
        assert told(tmp_path, text) == [
            (
                "8: units.a.streams.image: nobody writes stream 'imge', and it does not exist; did you "
                "mean 'image'?"
            ),
            (
                "8: units.a.streams.offset: nobody writes stream 'elsewhere', and it does not exist; "
                "declare it under 'streams', "
                "or start first what writes it"
            ),
        ]

    @pytest.fixture
    def elsewhere(self) -> Iterator[fb.Stream]:
        with fb.create("elsewhere", shape=(4,)) as stream:
            yield stream

    def test_inputs_that_others_make(self, tmp_path: Path, elsewhere: fb.Stream) -> None:
        text = (
            CLOCK + '[units.a]\nuse = "@:add"\nstreams = { image = "image", offset = "elsewhere", result = '
            '"q" }\n'
        )
        assert told(tmp_path, text) == [
            (
                "8: units.a.streams.offset: stream 'elsewhere' has no frame at the start, and the unit "
                "reads it as it stands; "
                "declare it under 'streams' with a 'fill'"
            )
        ]
        elsewhere.write(np.zeros(4))
        assert told(tmp_path, text) == []

    def test_inputs_that_come_later(self, tmp_path: Path) -> None:
        loop = (
            '[units.a]\nuse = "@:add"\nstreams = { image = "image", offset = "back", result = "q" }\n'
            '[units.b]\nuse = "@:scale"\nstreams = { image = "q", result = "back" }\n'
        )
        said = (
            "stream 'back' has no frame at the start, and the unit reads it as it stands (unit "
            "'b' writes it, which starts later)"
        )
        first = told(tmp_path, CLOCK + loop)
        assert first[-1] == f"8: units.a.streams.offset: {said}; declare it under 'streams' with a 'fill'"
        assert "processes 'a' and 'b' wait for each other's streams (back, q)" in first[0]
        declared = "[streams.back]\nshape = [4]\n"
        assert told(tmp_path, CLOCK + loop + declared) == [
            f"8: units.a.streams.offset: {said}; give 'streams.back' a 'fill' or a 'file'"
        ]
        assert told(tmp_path, CLOCK + loop + declared + "fill = 0") == []

    def test_a_loop_that_reads_what_another_process_leaves_behind(self, tmp_path: Path) -> None:
        with fb.create("back", shape=(5,)) as back:
            back.write(np.zeros(5))
            text = (
                CLOCK
                + '[units.a]\nuse = "@:add"\nstreams = { image = "image", offset = "back", result = "q" }\n'
                'process = "p"\n[units.b]\nuse = "@:add"\nstreams = { image = "q", offset = "image", '
                'result = "back" }\nprocess = "p"\n'
            )
            assert told(tmp_path, text) == [
                (
                    "12: units.b.streams.result: the unit makes float32 (4,), and a unit that starts "
                    "before it reads the stream "
                    "that exists, float32 (5,); remove that stream"
                )
            ]

    def test_units_that_trigger_each_other_without_end(self, tmp_path: Path) -> None:
        text = (
            '[streams.a]\nshape = [4]\nfill = 0\n[units.a]\nuse = "@:scale"\nstreams = { image = '
            '"a", result = "b" }\n'
            '[units.b]\nuse = "@:scale"\nstreams = { image = "b", result = "a" }\n'
            '[units.c]\nuse = "@:scale"\nstreams = { image = "c", result = "c" }\n[streams.c]\nshape '
            "= [4]\n"
        )
        assert told(tmp_path, text) == [
            (
                "6: units.a.streams.image: units trigger each other without end: b → a → b; let one of "
                "them run by a clock "
                "(trigger = 'delay') and read this stream as it stands"
            ),
            (
                "12: units.c.streams.image: unit 'c' triggers itself without end; let one of them run by "
                "a clock (trigger = "
                "'delay') and read this stream as it stands"
            ),
        ]
        clocked = text.replace("[units.b]", 'trigger = "delay"\nperiod_s = 1.0\n[units.b]').split(
            "[units.c]"
        )[0]
        assert told(tmp_path, clocked) == []

    def test_shapes_that_do_not_fit(self, tmp_path: Path) -> None:
        text = (
            "[streams.offset]\nshape = [2, 2]\nfill = 0\n[streams.q]\nshape = [5]\n"
            + CLOCK
            + '[units.a]\nuse = "@:add"\nstreams = { image = "image", offset = "offset", result = "p" }\n'
            '[units.b]\nuse = "@:scale"\nstreams = { image = "image", result = "q" }\n'
        )
        assert told(tmp_path, text) == [
            "13: units.a.streams.offset: its shape is (2, 2), expected 1 axis: (n,)",
            (
                "16: units.b.streams.result: the stream is declared as float32 (5,), expected float32 "
                "(4,), which the unit makes"
            ),
        ]

    def test_outputs_that_only_the_open_device_knows(self) -> None:
        pipeline = Pipeline()
        pipeline.add(Sensor, streams={"frame": "frame"}, options=LoopOptions(trigger="free"), process="")
        pipeline.add(units.add, streams={"image": "frame", "offset": "two", "result": "r"}, process="")
        pipeline.add_stream("two", shape=(2, 2), fill=0)
        (problem,) = pipeline.validate()
        assert str(problem) == "units.add.streams.offset: its shape is (2, 2), expected 1 axis: (n,)"

    def test_streams_of_one_process_only(self) -> None:
        pipeline = Pipeline()
        once = LoopOptions(trigger="once")
        pipeline.add(units.ticks, streams={"value": "@L:v"}, options=once, process="p")
        pipeline.add("support.units:whole", streams={"image": "@L:v", "value": "w"}, process="q")
        (problem,) = pipeline.validate()
        assert "nobody writes stream '@L:v of q'" in problem.message
        assert (
            Pipeline.from_plan(
                PipelinePlan(
                    units={
                        "a": UnitPlan(
                            use="support.units:ticks", streams={"value": "@L:v"}, trigger="once", process="p"
                        ),
                        "b": UnitPlan(
                            use="support.units:whole", streams={"image": "@L:v", "value": "w"}, process="p"
                        ),
                    }
                )
            ).validate()
            == []
        )


class Sensor(Unit):
    """Its frames are as large as the device says, once it is open."""

    def shapes(self) -> dict[str, object]:
        raise AssertionError("the device is closed")

    def step(self, frame: Annotated[Out, Array((None, None))]) -> None:
        frame[:] = 0


class TestOrder:
    def test_of_what_must_be_and_what_would_be_good(self) -> None:
        assert sort("abc", {("c", "a")}) == ["b", "c", "a"]
        assert sort("abc", set(), {("c", "a")}) == ["b", "c", "a"]
        assert sort("abc", {("a", "b")}, {("b", "a"), ("c", "b")}) == ["c", "a", "b"]
        assert sort("ab", {("a", "b"), ("b", "a")}) == ["a", "b"]
        assert sort("cab", {("a", "b"), ("b", "a"), ("b", "c")}) == ["c", "a", "b"]
        assert sort("", set()) == []

    def test_cycles(self) -> None:
        assert cycles({"a": ["b"], "b": ["a"], "c": ["a"]}) == [["a", "b"]]
        assert cycles({"a": ["a"], "b": []}) == [["a"]]
        assert cycles({"a": ["b", "c"], "b": ["c"], "c": ["a"]}) == [["a", "c"]]
        assert cycles({"a": [], "b": ["c"], "c": ["b"], "d": ["d"]}) == [["b", "c"], ["d"]]
