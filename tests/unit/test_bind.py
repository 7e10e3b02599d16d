"""Binding: what is wrong is said before anything runs, with the unit, the argument and what was expected."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest

import framebus as fb
from framebus.errors import BindingError, ParameterError, UsageError
from framebus.stream import Stream
from framebus.unit import Array, ArraySpec, In, LoopOptions, Out, Range, Stage, State, Unit, start, unit
from framebus.unit.bind import bind
from framebus.unit.stage import AnyUnit
from support.processes import Spawner


@unit
def correct(
    image: Annotated[In, Array(("n", "m"), dtype=("float32", "uint16"))],
    dark: Annotated[In, Array(("n", "m"), dtype="float32")],
    result: Annotated[Out, Array(("n", "m"), dtype="float32")],
    *,
    gain: Annotated[float, Range(0.0, 2.0)] = 1.0,
    frames: int = 1,
) -> None:
    """What the tests bind wrongly."""
    for i in range(image.size):
        result.flat[i] = gain * (image.flat[i] - dark.flat[i]) * frames


WIRING = {"image": "image", "dark": "dark", "result": "result"}


def stream(
    name: str, shape: tuple[int, ...] = (3, 4), dtype: str = "float32", written: bool = True
) -> Stream:
    made = fb.create(name, shape=shape, dtype=dtype)
    if written:
        made.write(np.ones(shape, dtype))
    return made


def refusal(
    shm_dir: Path,
    unit: AnyUnit = correct,
    streams: Mapping[str, str] = WIRING,
    parameters: Mapping[str, Any] | None = None,
    kind: type[UsageError] = BindingError,
    **options: Any,
) -> str:
    """Why the unit cannot be bound so; nothing may have come of the attempt."""
    before = sorted(os.listdir(shm_dir))
    with pytest.raises(kind) as caught:
        start(Stage(unit, streams, parameters or {}, **options))
    assert sorted(os.listdir(shm_dir)) == before, "files were made"
    return str(caught.value)


@pytest.fixture
def image() -> Stream:
    return stream("image")


@pytest.fixture
def dark() -> Stream:
    return stream("dark")


class TestStreams:
    def test_unknown(self, shm_dir: Path, image: Stream) -> None:
        said = refusal(shm_dir)
        assert said.startswith("unit 'correct', argument 'dark': no stream 'dark' in ")

    def test_what_is_no_stage(self) -> None:
        with pytest.raises(
            BindingError, match=r"is no unit: put @unit over the function, or subclass Unit and d"
        ):
            Stage(print, {})  # type: ignore[arg-type]
        with pytest.raises(BindingError, match=r"unit 'correct': limits are 3; expected Limits\(...\)"):
            Stage(correct, {}, limits=3)  # type: ignore[arg-type]

    def test_no_stream_given(self, shm_dir: Path) -> None:
        said = refusal(shm_dir, streams={"image": "image", "dark": "dark"})
        assert said == "unit 'correct': no stream is given for argument 'result'"

    def test_unknown_argument(self, shm_dir: Path) -> None:
        said = refusal(shm_dir, streams={**WIRING, "flat": "flat"})
        assert said == "unit 'correct' has no stream argument 'flat'; it has: image, dark, result"

    def test_static_input_without_a_frame(self, shm_dir: Path, image: Stream) -> None:
        stream("dark", written=False)
        said = refusal(shm_dir)
        assert said.startswith("unit 'correct', argument 'dark': stream 'dark' has no frame yet")
        assert said.endswith("write a first frame to it")

    @pytest.mark.parametrize(
        ("argument", "name", "why"),
        [
            ("image", "image[0:2,*]", "the slice '[0:2,*]' is not allowed in In of a unit"),
            ("dark", "@N:dark", "the modifier '@N:' (must not exist) is not allowed in In of a unit"),
            ("result", "result[0,0]", "the slice '[0,0]' is not allowed in Out of a unit"),
            ("result", "tf32>result", "the type prefix 'tf32>' is not allowed in Out of a unit"),
            ("result", "@X:result", "unknown modifier 'X'"),
            ("image", "a b", "white space"),
            ("dark", "tf64>dark", "stream 'dark' has dtype float32, 'tf64>dark' demands float64"),
            ("dark", "@L:dark", "no process-local stream 'dark'"),
        ],
    )
    def test_names_that_do_not_fit(
        self, shm_dir: Path, image: Stream, dark: Stream, argument: str, name: str, why: str
    ) -> None:
        said = refusal(shm_dir, streams={**WIRING, argument: name})
        assert said.startswith(f"unit 'correct', argument '{argument}': ")
        assert why in said

    def test_corrupt(self, shm_dir: Path, image: Stream) -> None:
        (shm_dir / "dark.im.shm").write_bytes(bytes(4096))
        assert refusal(shm_dir).startswith("unit 'correct', argument 'dark': ")

    def test_output_that_must_exist(self, shm_dir: Path, image: Stream, dark: Stream) -> None:
        said = refusal(shm_dir, streams={**WIRING, "result": "@E:result"})
        assert said.startswith("unit 'correct', argument 'result': no stream 'result'")

    def test_output_that_must_not_exist(self, shm_dir: Path, image: Stream, dark: Stream) -> None:
        stream("result")
        said = refusal(shm_dir, streams={**WIRING, "result": "@N:result"})
        assert said.startswith("unit 'correct', argument 'result': ")
        assert "exists already" in said

    def test_existing_output_of_the_right_form_is_used(self, image: Stream, dark: Stream) -> None:
        with stream("result") as result, start(Stage(correct, {**WIRING, "result": "@E:result"})):
            result.skip_to_newest()
            image.write(np.full((3, 4), 3, "float32"))
            assert result.read_next(timeout_s=60).data[0, 0] == 2

    def test_two_units_cannot_write_one_stream(self, shm_dir: Path, image: Stream, dark: Stream) -> None:
        other = Stage(
            correct, {"image": "result", "dark": "dark", "result": f"{shm_dir}/result.im.shm"}, name="b"
        )
        with pytest.raises(
            BindingError, match="is output 'result' of unit 'correct' already; a stream has one"
        ):
            start([Stage(correct, WIRING), other])

    def test_two_outputs_of_one_unit_cannot_be_one_stream(self, shm_dir: Path, image: Stream) -> None:
        @unit
        def split(image: In, left: Out, right: Out) -> None:
            left[0, 0] = right[0, 0] = image[0, 0]

        said = refusal(shm_dir, split, {"image": "image", "left": "half", "right": "@S:half"})
        assert said.startswith("unit 'split', argument 'right': stream '@S:half' is output 'left'")

    def test_a_unit_cannot_trigger_itself(self, shm_dir: Path, image: Stream, dark: Stream) -> None:
        said = refusal(shm_dir, streams={**WIRING, "result": "image"})
        assert said.startswith("unit 'correct', argument 'image': ")
        assert "would trigger itself" in said


class TestArrays:
    def test_rank(self, shm_dir: Path, dark: Stream) -> None:
        stream("image", (12,))
        said = refusal(shm_dir)
        assert said.startswith("unit 'correct', argument 'image' (In): its shape is (12,), expected 2 axes")

    def test_dtype(self, shm_dir: Path, image: Stream) -> None:
        stream("dark", dtype="float64")
        said = refusal(shm_dir)
        assert said == "unit 'correct', argument 'dark' (In): its dtype is float64, expected float32"

    def test_symbol(self, shm_dir: Path, image: Stream) -> None:
        stream("dark", (3, 5))
        said = refusal(shm_dir)
        assert said.startswith(
            "unit 'correct', argument 'dark' (In): its shape is (3, 5), expected m = 4 on axis 1"
        )

    def test_the_name_under_which_it_runs(self, shm_dir: Path, image: Stream) -> None:
        stream("dark", (3, 5))
        assert refusal(shm_dir, name="left").endswith("(it runs as 'left')")

    def test_output_that_a_live_writer_holds(
        self, shm_dir: Path, spawn: Spawner, image: Stream, dark: Stream
    ) -> None:
        writer = spawn(
            """
            import framebus as fb
            fb.create("result", shape=(7, 7), dtype="float32").write([[0] * 7] * 7)
            print("written")
            input()
            """
        )
        writer.expect("written")
        said = refusal(shm_dir)
        assert said.startswith("unit 'correct', argument 'result' (Out): its shape is (7, 7), expected n = 3")
        writer.kill()
        with start(Stage(correct, WIRING)), fb.open("result") as result:  # what the dead leave binds nobody
            assert result.shape == (3, 4)

    def test_output_whose_shape_only_a_dead_process_knew(self, spawn: Spawner) -> None:
        maker = spawn('import framebus as fb; fb.create("result", shape=(2, 5), dtype="uint16")')
        assert maker.wait() == 0

        @unit
        def ticks(result: Out) -> None:
            result[0, 0] = result[0, 0] + 1

        with start(Stage(ticks, {"result": "result"}), LoopOptions(trigger="once")) as loop:
            loop.wait(60)
        with fb.open("result") as result:
            assert result.shape == (2, 5)
            assert result.dtype == "uint16"
            assert result.count == 1

    def test_input_that_is_an_output_of_other_shape(
        self, shm_dir: Path, image: Stream, spawn: Spawner
    ) -> None:
        writer = spawn('import framebus as fb; fb.create("dark", shape=(3, 4)).write([[0] * 4] * 3)')
        assert writer.wait() == 0

        @unit
        def sums(result: In, dark: Annotated[Out, Array((1,), dtype="float32")]) -> None:
            dark[0] = result[0, 0]

        stages = [Stage(correct, WIRING), Stage(sums, {"result": "result", "dark": "dark"})]
        with pytest.raises(
            BindingError, match=r"argument 'dark': stream 'dark' is float32 \(3, 4\), expected"
        ) as caught:
            start(stages)
        assert "output 'dark' of unit 'sums'" in str(caught.value)
        assert not (shm_dir / "result.im.shm").exists()


class TestCode:
    def test_unsupported_construct(self, shm_dir: Path, image: Stream) -> None:
        @unit
        def names(image: In, result: Out) -> None:
            result[0, 0] = len({"a": image[0, 0]}["a"].__class__.__name__)

        said = refusal(shm_dir, names, {"image": "image", "result": "result"})
        assert said.startswith("unit 'names' cannot be compiled: ")
        assert "@unit(compiled=False)" in said

    def test_shape_that_cannot_be_known(self, shm_dir: Path, image: Stream) -> None:
        @unit
        def project(image: In, result: Annotated[Out, Array(("k",))]) -> None:
            result[0] = image[0, 0]

        said = refusal(shm_dir, project, {"image": "image", "result": "result"})
        assert said.startswith("unit 'project', argument 'result' (Out): its shape is not known")


class TestParameters:
    def test_unknown(self, shm_dir: Path) -> None:
        said = refusal(shm_dir, parameters={"gian": 1.0}, kind=ParameterError)
        assert said == "unit 'correct' has no parameter 'gian'; it has: gain, frames"

    def test_outside_its_range(self, shm_dir: Path) -> None:
        said = refusal(shm_dir, parameters={"gain": 3}, kind=ParameterError)
        assert said.startswith("unit 'correct': parameter 'gain' = 3 is outside Range(0")

    def test_wrong_type(self, shm_dir: Path) -> None:
        said = refusal(shm_dir, parameters={"frames": "two"}, kind=ParameterError)
        assert said.startswith("unit 'correct': parameter 'frames' ")

    def test_set_that_another_process_uses(
        self, shm_dir: Path, spawn: Spawner, image: Stream, dark: Stream
    ) -> None:
        with start(Stage(correct, WIRING)):
            other = spawn(
                """
                import sys
                sys.path.append(sys.argv[1])
                import test_bind as t
                from framebus.errors import UsageError
                from framebus.unit import Stage, start
                try:
                    start(Stage(t.correct, {**t.WIRING, "result": "other"}))
                except UsageError as error:
                    print("refused", error)
                """,
                str(Path(__file__).parent),
            )
            said = other.expect("refused")
            assert f"process {os.getpid()} already runs a unit with it" in said
            assert other.wait() == 0
            with fb.Params.open("correct") as params:
                assert params.user_pid == os.getpid()
        with fb.Params.open("correct") as params:
            assert params.user_pid == 0
        assert not (shm_dir / "other.im.shm").exists()


class TestStages:
    def test_name_that_runs_already(self, shm_dir: Path, image: Stream, dark: Stream) -> None:
        with start(Stage(correct, WIRING)) as loop:
            with pytest.raises(
                BindingError, match="unit 'correct' runs in this process already; stop it, or give"
            ):
                start(Stage(correct, {**WIRING, "result": "other"}))
            assert not (shm_dir / "other.im.shm").exists()
            assert loop.running
            with fb.Params.open("correct") as params:
                assert params.user_pid == os.getpid()
            with start(Stage(correct, {**WIRING, "result": "other"}, name="second")) as second:
                assert second.running
        with start(Stage(correct, WIRING)) as loop:
            assert loop.running

    def test_name_that_is_there_twice(self, shm_dir: Path, image: Stream, dark: Stream) -> None:
        stages = [Stage(correct, WIRING), Stage(correct, {**WIRING, "image": "result", "result": "other"})]
        with pytest.raises(BindingError, match="two units of this loop are called 'correct'"):
            start(stages)

    @pytest.mark.parametrize("name", ["a/b", ".hidden", "x" * 80])
    def test_name_that_is_no_name(self, shm_dir: Path, image: Stream, dark: Stream, name: str) -> None:
        said = refusal(shm_dir, name=name)
        assert said.startswith(f"unit '{name}': the name under which it runs: ")

    @pytest.mark.parametrize(
        ("history", "why"),
        [
            (
                {"image": 4},
                "unit 'correct': history is given for 'image', which is no output; it has: result",
            ),
            (-1, "unit 'correct', argument 'result': history is -1, expected 0 or more"),
            ({"result": 1.5}, "unit 'correct', argument 'result': history is 1.5, expected 0 or more"),
        ],
    )
    def test_history(self, shm_dir: Path, history: Any, why: str) -> None:
        assert refusal(shm_dir, history=history) == why

    def test_fused_unit_that_nothing_feeds(self, shm_dir: Path, image: Stream, dark: Stream) -> None:
        stages = [Stage(correct, WIRING), Stage(correct, {**WIRING, "result": "other"}, name="second")]
        with pytest.raises(BindingError) as caught:
            start(stages)
        assert str(caught.value).startswith(
            "unit 'second', argument 'image': stream 'image' is no output of an earlier"
        )
        assert not (shm_dir / "result.im.shm").exists()

    def test_nothing_to_start(self) -> None:
        with pytest.raises(UsageError, match="at least one stage"):
            start([])

    def test_no_input_to_trigger(self) -> None:
        @unit
        def source(result: Annotated[Out, Array((3,))]) -> None:
            result[0] = 1

        with pytest.raises(
            UsageError, match="unit 'source' has no input whose frames trigger it; use trigger='delay'"
        ):
            start(Stage(source, {"result": "result"}))

    def test_failing_later_stage_gives_back_the_earlier(
        self, shm_dir: Path, image: Stream, dark: Stream
    ) -> None:
        closed = []

        class Source(Unit):
            def step(self, image: In, result: Annotated[Out, Array(("n", "m"), dtype="float32")]) -> None: ...

            @staticmethod
            def shapes(image: ArraySpec) -> dict[str, Any]:
                return {"result": (image.shape, "float32")}

            def teardown(self) -> None:
                closed.append("device")

        stages = [
            Stage(Source, {"image": "image", "result": "between"}),
            Stage(correct, {**WIRING, "image": "between", "dark": "absent"}),
        ]
        with pytest.raises(BindingError, match="absent"):
            start(stages)
        assert closed == ["device"]
        assert not list(shm_dir.glob("*.fb"))
        assert not (shm_dir / "between.im.shm").exists()


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"trigger": "never"}, "trigger is 'never'; expected 'stream', 'delay', 'once' or 'free'"),
        ({"trigger": "delay"}, "trigger 'delay': period_s is 0.0, expected seconds above 0"),
        ({"trigger": "delay", "period_s": float("nan")}, "period_s is nan"),
        ({"spin_us": -1}, "spin_us is -1, expected"),
        ({"spin_us": float("nan")}, "spin_us is nan"),
        ({"cpu": 100_000}, "cpu is 100000; this machine has CPUs 0 to"),
        ({"cpu": -1}, "cpu is -1"),
        ({"priority": 100}, "priority is 100; expected 0"),
        ({"priority": "80"}, "priority is '80'; expected 0"),
        ({"spin_us": "inf"}, "spin_us is 'inf', expected"),
        ({"numa_node": "a"}, "numa_node is 'a'; expected"),
        ({"dma_latency_us": "0"}, "dma_latency_us is '0'; expected"),
    ],
)
def test_options_that_mean_nothing(options: dict[str, Any], why: str) -> None:
    with pytest.raises(UsageError) as caught:
        LoopOptions(**options)
    assert why in str(caught.value)


def test_bound_arrays() -> None:
    @unit
    def blend(image: In, dark: In, result: Out, memory: State) -> None:
        memory[0, 0] = result[0, 0] = image[0, 0] + dark[0, 0]

    with stream("image"), stream("dark"), stream("result") as result:
        result.write(np.full((3, 4), 5, "float32"))
        (bound,) = bind([Stage(blend, WIRING)])
        arrays = bound.arrays
        assert list(arrays) == ["image", "dark", "result", "memory"]
        assert not arrays["image"].any()
        assert (arrays["dark"] == 1).all(), "read as it stands"
        assert (arrays["result"] == 5).all(), "it goes on from its stream's last frame"
        assert not arrays["memory"].any()
        assert all(array.ctypes.data % 64 == 0 for array in arrays.values())
        assert bound.dims() == [3, 4] * 4
        bound.close()
        bound.close()
