"""Pipelines: the same units, wherever they run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import framebus as fb
from framebus.errors import BindingError, NotFoundError, ParameterError, UnitError, UsageError
from framebus.pipeline import Pipeline
from framebus.process import ProcessRecord, State
from framebus.stream import Stream
from framebus.unit import In, LoopOptions, Out, unit
from support import units
from support.processes import Spawner
from support.waiting import until

FRAMES = 20
PLACEMENTS: dict[str, list[dict[str, str]]] = {
    "processes": [{}, {}, {}],
    "threads": [{"process": ""}] * 3,
    "fused": [{"process": "", "fuse": "all"}] * 3,
    "fused in a process": [{"process": "one", "fuse": "all"}] * 3,
    "threads of a process": [{"process": "one"}] * 3,
    # The middle one reads what the first one's process puts out, and feeds another loop of that process.
    "there and back": [{"process": "one"}, {"process": ""}, {"process": "one"}],
}


@pytest.fixture
def image() -> Stream:
    with fb.create("offset", shape=(8,)) as offset:
        offset.write(np.arange(8))
    return fb.create("image", shape=(8,), history=FRAMES)


def chain(placement: str) -> Pipeline:
    first, second, third = PLACEMENTS[placement]
    pipeline = Pipeline("chain")
    pipeline.add(
        units.scale,
        streams={"image": "image", "result": "first"},
        parameters={"gain": np.float32(3)},
        history=FRAMES,
        **first,  # type: ignore[arg-type]
    )
    wiring = {"image": "first", "offset": "offset", "result": "second"}
    pipeline.add("support.units:add", streams=wiring, history={"result": FRAMES}, **second)  # type: ignore[arg-type]
    pipeline.add(
        units.plain_scale,
        streams={"image": "second", "result": "third"},
        parameters={"gain": 0.5},
        name="half",
        history=FRAMES,
        **third,  # type: ignore[arg-type]
    )
    return pipeline


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_every_placement_computes_the_same(image: Stream, placement: str) -> None:
    frames = np.random.default_rng(3).random((FRAMES, 8), np.float32)
    with chain(placement) as pipeline:
        assert pipeline.start() is pipeline
        with fb.open("third") as third, fb.open("first") as first:
            for number, frame in enumerate(frames, 1):
                image.write(frame)
                assert third.read_next(timeout_s=60).count == number
            until(lambda: first.count == FRAMES)  # a fused loop publishes its last output first
            trace = [entry.trigger_count for entry in third.trace()]
            computed = np.array([frame.data for frame in third.history()])
            tripled = np.array([frame.data for frame in first.history()])
        pipeline.check()
        records = pipeline.records()
        pids = [records[name].pid for name in ("scale", "add", "half")]
        until(lambda: all(record.loop_count == FRAMES for record in records.values()))
        for record in records.values():
            assert record.state is State.RUNNING
            assert record.missed == 0
            record.close()
    expected = [own["process"] if "process" in own else str(n) for n, own in enumerate(PLACEMENTS[placement])]
    assert [pid == os.getpid() for pid in pids] == [name == "" for name in expected]
    assert len(set(pids)) == len(set(expected))
    assert trace == [FRAMES, FRAMES, FRAMES, 0]
    np.testing.assert_array_equal(tripled, np.float32(3) * frames)
    np.testing.assert_array_equal(computed, np.float32(0.5) * (tripled + np.arange(8, dtype=np.float32)))


def test_parameters_of_a_unit_elsewhere(image: Stream) -> None:
    with (
        chain("processes").start() as pipeline,
        fb.open("third") as third,
        pipeline.params("scale") as params,
    ):
        assert params.gain == 3
        for gain in (0.0, 4.0):
            params.gain = gain
            image.write(np.ones(8))
            assert third.read_next(timeout_s=60).data[0] == gain / 2
        with pytest.raises(
            UsageError, match=r"pipeline 'chain' has no unit 'none'; it has: scale, add, half"
        ):
            pipeline.params("none")


def test_started_again(image: Stream) -> None:
    pipeline = chain("threads")
    for _ in range(2):
        with pipeline.start(), fb.open("third") as third:
            image.write(np.ones(8))
            third.read_next(timeout_s=60)
    pipeline.stop()


def test_options_reach_the_other_process() -> None:
    options = LoopOptions(
        trigger="delay", period_s=1e-3, spin_us=float("inf"), cpu=min(os.sched_getaffinity(0))
    )
    pipeline = Pipeline().add(
        units.Counter, streams={"frame": "frame"}, options=options, parameters={"step": 2}
    )
    with pipeline.start(), fb.open("frame") as frame:
        until(lambda: frame.count >= 3)
        (record,) = pipeline.records().values()
        assert record.cpu == options.cpu
        assert record.trigger == "delay"
        record.close()
        assert frame.read()[0] >= 6


def test_units_that_run_once_may_end(image: Stream) -> None:
    once = LoopOptions(trigger="once")
    pipeline = Pipeline()
    pipeline.add(units.ticks, streams={"value": "there"}, name="there", options=once)
    pipeline.add(units.ticks, streams={"value": "here"}, name="here", options=once, process="")
    pipeline.add(units.whole, streams={"image": "image", "value": "value"}, process="")
    with pipeline.start():
        until(lambda: "there" not in pipeline.records())
        records = pipeline.records()
        until(lambda: records["here"].state is State.OFF)
        pipeline.check()
        records["whole"].stop()
        until(lambda: records["whole"].state is State.OFF)
        with pytest.raises(UnitError, match="loop 'whole' has ended"):
            pipeline.check()
        for record in records.values():
            record.close()


class TestRefused:
    def test_name_twice(self, image: Stream) -> None:
        with pytest.raises(
            UsageError, match="pipeline 'chain' has a unit 'scale' already; give this one another name"
        ):
            chain("threads").add(units.scale, streams={})

    def test_unknown_unit(self) -> None:
        with pytest.raises(NotFoundError, match=r"support\.units has no 'none'"):
            Pipeline().add("support.units:none", streams={})

    def test_started_twice_or_changed_while_it_runs(self, image: Stream) -> None:
        with chain("fused").start() as pipeline:
            with pytest.raises(UsageError, match="pipeline 'chain' runs already"):
                pipeline.start()
            with pytest.raises(UsageError, match="pipeline 'chain' runs; stop it before adding units"):
                pipeline.add(units.ticks, streams={"value": "ticks"})

    def test_records_of_one_that_does_not_run(self, image: Stream) -> None:
        with pytest.raises(UsageError, match="pipeline 'chain' does not run; start it"):
            chain("processes").records()

    def test_what_another_process_cannot_find(self) -> None:
        @unit
        def inner(image: In, result: Out) -> None:
            result[0] = image[0]

        with pytest.raises(
            UsageError, match=r"unit 'inner' stands inside a function; run it here \(process=''\), or"
        ):
            Pipeline().add(inner, streams={})
        Pipeline().add(inner, streams={}, process="")
        with pytest.raises(UsageError, match="unit 'Counter' is an object of this process; run it here"):
            Pipeline().add(units.Counter(), streams={})

    def test_unit_of_an_interactive_session(self, spawn: Spawner) -> None:
        process = spawn(
            """
            import framebus as fb
            @fb.unit
            def half(image: fb.In, result: fb.Out) -> None:
                result[0] = image[0] / 2
            try:
                fb.Pipeline().add(half, streams={})
            except ValueError as error:
                print(error)
            """
        )
        assert process.expect(
            "unit 'half' has no file that could be imported there; run it here (process=''), or"
        )
        assert process.wait() == 0

    def test_options_of_a_unit_that_shares_a_loop(self) -> None:
        pipeline = Pipeline().add(
            units.scale, streams={}, process="", fuse="one", options=LoopOptions(spin_us=1)
        )
        with pytest.raises(
            UsageError, match="unit 'ticks' shares loop 'one', whose first unit has the options"
        ):
            pipeline.add(units.ticks, streams={}, process="", fuse="one", options=LoopOptions(cpu=0))

    @pytest.mark.parametrize("process", ["", "apart"])
    def test_the_same_errors_wherever_it_runs(self, process: str, image: Stream, shm_dir: Path) -> None:
        pipeline = Pipeline()
        pipeline.add(units.scale, streams={"image": "image", "result": "result"}, name="before", process="")
        pipeline.add(
            units.add, streams={"image": "image", "offset": "none", "result": "sum"}, process=process
        )
        with pytest.raises(BindingError, match="unit 'add', argument 'offset': no stream 'none'") as caught:
            pipeline.start()
        assert str(caught.value).startswith("process 'apart' did not start: " if process else "unit 'add'")
        self.nothing_runs(shm_dir)

    @pytest.mark.parametrize("process", ["", "apart"])
    def test_value_outside_its_range(self, process: str, image: Stream, shm_dir: Path) -> None:
        pipeline = Pipeline().add(
            units.scale,
            streams={"image": "image", "result": "result"},
            parameters={"gain": 11},
            process=process,
        )
        with pytest.raises(ParameterError, match=r"unit 'scale': parameter 'gain' = 11 is outside Range\(0"):
            pipeline.start()
        self.nothing_runs(shm_dir)

    def test_half_way(self, image: Stream, shm_dir: Path) -> None:
        """What was started before is stopped again."""
        pipeline = chain("processes")
        pipeline.add(
            units.add, streams={"image": "third", "offset": "none", "result": "sum"}, name="last", process=""
        )
        with pytest.raises(BindingError, match="unit 'last', argument 'offset': no stream 'none'"):
            pipeline.start()
        self.nothing_runs(shm_dir)

    def test_process_that_dies_at_once(
        self, image: Stream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        broken = tmp_path / "python"
        broken.write_text("#!/bin/sh\necho 'this is no Python' >&2\nexit 3\n")
        broken.chmod(0o755)
        monkeypatch.setattr("sys.executable", str(broken))
        with pytest.raises(UnitError, match="process 'scale' has ended: exit code 3; this is no Python"):
            chain("processes").start()

    def test_process_that_cannot_be_made(self, image: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("sys.executable", "/no/such/python")
        with pytest.raises(FileNotFoundError):
            chain("processes").start()

    def test_process_that_takes_too_long(self, image: Stream) -> None:
        with pytest.raises(UnitError, match="process 'scale' was not ready in time: it said nothing"):
            chain("processes").start(timeout_s=0)

    @staticmethod
    def nothing_runs(shm_dir: Path) -> None:
        assert not list(shm_dir.glob("*.proc.fb"))


class TestFailure:
    def limited(self, process: str | None, compiled: bool) -> Pipeline:
        made = units.limited if compiled else units.plain_limited
        return Pipeline().add(
            made, streams={"image": "image", "value": "value"}, name="limited", process=process
        )

    @pytest.mark.parametrize("compiled", [True, False])
    @pytest.mark.parametrize("process", [None, ""])
    def test_of_a_unit(self, image: Stream, process: str | None, compiled: bool) -> None:
        said = "unit 'limited' failed: ValueError: far too large"
        pipeline = self.limited(process, compiled).start()
        image.write(np.full(8, 1000))
        until(lambda: self.failed(pipeline))
        with pytest.raises(UnitError, match=said):
            pipeline.check()
        with pytest.raises(UnitError, match=said):
            pipeline.stop()
        pipeline.stop()

    def failed(self, pipeline: Pipeline) -> bool:
        try:
            pipeline.check()
        except UnitError:
            return True
        return False

    def run_until_it_fails(self, process: str | None, error: Exception | None) -> None:
        with self.limited(process, compiled=False).start() as pipeline:
            with fb.open("image") as image:
                image.write(np.full(8, 1000))
            until(lambda: self.failed(pipeline))
            if error is not None:
                raise error

    def test_leaving_the_block_tells(self, image: Stream) -> None:
        with pytest.raises(UnitError, match="far too large"):
            self.run_until_it_fails("", None)

    def test_it_does_not_hide_what_else_went_wrong(self, image: Stream) -> None:
        with pytest.raises(LookupError) as caught:
            self.run_until_it_fails(None, LookupError("no picture"))
        (note,) = caught.value.__notes__
        assert note.startswith(
            "process 'limited' has ended: exit code 1; unit 'limited' failed: ValueError: far too large"
        )

    def test_process_killed(self, image: Stream, shm_dir: Path) -> None:
        pipeline = chain("processes").start()
        records = pipeline.records()
        pids = [record.pid for record in records.values()]
        os.kill(records["add"].pid, 9)
        until(lambda: self.failed(pipeline))
        assert not records["add"].alive
        said = "process 'add' has ended: killed by SIGKILL; it said nothing"
        with pytest.raises(UnitError, match=said):
            pipeline.check()
        assert records["scale"].alive
        assert records["half"].alive
        with pytest.raises(UnitError, match=said):
            pipeline.stop()
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
        left = [path.name for path in shm_dir.glob("*.proc.fb")]
        assert left == [f"add.{pids[1]}.proc.fb"], "the dead one's record tells that it died"
        with chain("processes").start(), fb.open("third") as third:
            image.write(np.ones(8))
            third.read_next(timeout_s=60)

    def test_process_that_does_not_listen(
        self, image: Stream, shm_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A unit that never comes back: its process is told more firmly, in the end by SIGKILL."""
        monkeypatch.setattr("framebus.pipeline.hosted.END_S", 0.2)
        pipeline = Pipeline().add("support.units:hang", streams={"image": "image", "value": "value"}).start()
        with fb.open("image") as trigger:
            trigger.write(np.ones(8))
        until((shm_dir / "hanging").exists)
        with pytest.raises(UnitError, match="process 'hang' has ended: killed by SIGKILL"):
            pipeline.stop()


class TestScripts:
    SCRIPT = """
import sys
from typing import Annotated
import numpy as np
import framebus as fb
from framebus.unit import Array, Out, Unit, LoopOptions
from script_neighbour import FACTOR

@fb.unit
def times(image: fb.In, result: fb.Out) -> None:
    for i in range(image.size):
        result[i] = FACTOR * image[i]

class Source(Unit):
    def step(self, frame: Annotated[Out, Array((4,), dtype="float32")]) -> None:
        frame[:] = 2

def main():
    with fb.Pipeline("script") as pipeline:
        pipeline.add(Source, streams={"frame": "image"}, options=LoopOptions(trigger="delay", period_s=1e-3))
        pipeline.add(times, streams={"image": "image", "result": "result"})
        pipeline.start()
        with fb.open("result") as result:
            print("result", result.read_next(timeout_s=60).data[0])
        print("started", *(record.pid for record in pipeline.records().values()))
        sys.stdin.readline()
"""

    def script(self, directory: Path, guarded: bool) -> list[str]:
        import sys

        (directory / "script_neighbour.py").write_text("FACTOR = 3\n")
        text = self.SCRIPT + ("\nif __name__ == '__main__':\n    main()\n" if guarded else "\nmain()\n")
        (directory / "script.py").write_text(text)
        return [sys.executable, "-u", str(directory / "script.py")]

    def test_units_of_the_script_that_runs(self, spawn: Spawner, tmp_path: Path) -> None:
        process = spawn(command=self.script(tmp_path, guarded=True))
        assert process.expect("result") == "result 6.0"
        process.expect("started")
        process.send()
        assert process.wait() == 0, process.errors

    def test_units_of_a_loose_file(self, image: Stream, tmp_path: Path) -> None:
        self.script(tmp_path, guarded=True)
        pipeline = Pipeline()
        pipeline.add(f"{tmp_path}/script.py:times", streams={"image": "image", "result": "result"})
        with pipeline.start(), fb.open("result") as result:
            image.write(np.ones(8))
            assert result.read_next(timeout_s=60).data[0] == 3

    def test_a_script_without_a_guard_does_not_start_itself_for_ever(
        self, spawn: Spawner, tmp_path: Path
    ) -> None:
        process = spawn(command=self.script(tmp_path, guarded=False))
        assert process.wait() == 1
        assert "UsageError: process 'Source' did not start: " in process.errors
        assert "tries to start a pipeline while it is imported for its units" in process.errors
        assert "if __name__ == '__main__':" in process.errors

    def test_parent_killed(self, spawn: Spawner, tmp_path: Path) -> None:
        process = spawn(command=self.script(tmp_path, guarded=True))
        pids = [int(pid) for pid in process.expect("started").split()[1:]]
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
        process.kill()
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))

    def test_ctrl_c(self, spawn: Spawner, tmp_path: Path, shm_dir: Path) -> None:
        process = spawn(command=self.script(tmp_path, guarded=True))
        pids = process.expect("started").split()[1:]
        process.signal(2)
        assert process.wait() == -2
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))
        assert not list(shm_dir.glob("*.proc.fb"))


def test_records_name_what_runs_where(image: Stream) -> None:
    with chain("there and back").start() as pipeline:
        found: dict[str, Any] = {name: record.pid for name, record in pipeline.records().items()}
        assert found["scale"] == found["half"] != found["add"] == os.getpid()
        with ProcessRecord.open("half") as record:
            assert record.use == "support.units:plain_scale"
