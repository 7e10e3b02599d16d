"""Inputs that are replaced from a given frame on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
import pytest

import framebus as fb
from framebus.errors import UsageError
from framebus.stream import Stream
from framebus.unit import Array, FunctionUnit, In, LoopOptions, Out, Stage, start, unit
from support import units
from support.c_writer import CNT0, CStream
from support.processes import Spawner
from support.waiting import until

WIRING = {"image": "image", "matrix": "matrix", "value": "value"}
BOTH = pytest.mark.parametrize(
    "made", [units.whole_matrix, units.plain_whole_matrix], ids=lambda made: made.name
)


def streams(history: int = 0) -> tuple[Stream, Stream]:
    image = fb.create("image", shape=(4,))
    image.write(np.zeros(4))
    matrix = fb.create("matrix", shape=(8, 8), history=history)
    matrix.write(np.full((8, 8), 1))
    return image, matrix


def computer(image: Stream, value: Stream) -> Callable[[], tuple[int, float]]:
    """Computes one frame: its count, and the matrix that it was computed with."""

    def compute() -> tuple[int, float]:
        count = image.write(np.zeros(4))
        return count, float(value.read_next(timeout_s=60).data[1])

    return compute


@BOTH
@pytest.mark.parametrize("history", [0, 4])
class TestFromAFrameOn:
    def test_it_waits_for_its_frame(self, made: FunctionUnit, history: int) -> None:
        image, matrix = streams(history)
        with start(Stage(made, WIRING)), fb.open("value") as value:
            compute = computer(image, value)
            assert compute() == (2, 1)
            matrix.write(np.full((8, 8), 2), at_count=5)
            assert [compute() for _ in range(5)] == [(3, 1), (4, 1), (5, 2), (6, 2), (7, 2)]
            matrix.write(np.full((8, 8), 3), at_count=4)
            assert compute() == (8, 3), "its frame has passed"

    def test_a_later_one_takes_its_place(self, made: FunctionUnit, history: int) -> None:
        image, matrix = streams(history)
        with start(Stage(made, WIRING)), fb.open("value") as value:
            compute = computer(image, value)
            matrix.write(np.full((8, 8), 2), at_count=3)
            assert compute() == (2, 1)
            matrix.write(np.full((8, 8), 3), at_count=5)
            assert [compute() for _ in range(3)] == [(3, 1), (4, 1), (5, 3)]
            matrix.write(np.full((8, 8), 4), at_count=100)
            assert compute() == (6, 3)
            matrix.write(np.full((8, 8), 5))
            assert compute() == (7, 5), "without a count it takes effect at once"

    def test_frames_that_were_skipped_count(self, made: FunctionUnit, history: int) -> None:
        image, matrix = streams(history)
        with start(Stage(made, WIRING)) as loop, fb.open("value") as value:
            compute = computer(image, value)
            compute()
            matrix.write(np.full((8, 8), 2), at_count=5)
            loop.record.pause()
            until(lambda: loop.record.state.name == "IDLE")
            for _ in range(5):
                image.write(np.zeros(4))
            loop.record.resume()
            frame = value.read_next(timeout_s=60)
            assert frame.data[1] == 2


def test_never_half_of_one_and_never_early(spawn: Spawner) -> None:
    """Another process schedules matrix after matrix: matrix m is for the frames from 10 m on."""
    image, matrix = streams()
    matrix.write(np.zeros((8, 8)))
    writer = spawn(
        """
        import numpy as np
        import framebus as fb
        with fb.open("matrix") as matrix, fb.open("image") as image:
            print("ready")
            input()
            for number in range(1, 101):
                matrix.write(np.full((8, 8), number), at_count=10 * number)
                image.wait_newer(10 * number - 1, timeout_s=60)
        """
    )
    writer.expect("ready")
    with start(Stage(units.whole_matrix, WIRING)), fb.open("value") as value:
        compute = computer(image, value)
        assert compute()[1] == 0
        writer.send()
        seen = [compute() for _ in range(1100)]
    assert all(number <= count // 10 for count, number in seen)
    assert seen[-1][1] == 100
    assert writer.wait() == 0


def test_of_a_loop_that_no_frame_triggers_it_takes_effect_at_once() -> None:
    _image, matrix = streams()
    with (
        start(Stage(units.whole_matrix, WIRING), LoopOptions(trigger="delay", period_s=1e-3)),
        fb.open("value") as value,
    ):
        matrix.write(np.full((8, 8), 2), at_count=10**6)
        until(lambda: value.read()[1] == 2)


def test_of_a_fused_unit_the_count_is_that_of_its_own_trigger() -> None:
    @unit
    def use(
        value: Annotated[In, Array((2,))],
        factor: Annotated[In, Array((1,))],
        result: Annotated[Out, Array((1,), dtype="float64")],
    ) -> None:
        result[0] = factor[0]

    image, _matrix = streams()
    factor = fb.create("factor", shape=(1,))
    factor.write(np.ones(1))
    stages = [
        Stage(units.whole_matrix, WIRING),
        Stage(use, {"value": "value", "factor": "factor", "result": "r"}),
    ]
    with start(stages), fb.open("r") as result:
        for _ in range(5):  # the image is at 6, its first unit's output at 5
            image.write(np.zeros(4))
            result.read_next(timeout_s=60)
        factor.write(np.full(1, 2.0), at_count=7)
        seen = []
        for _ in range(3):
            image.write(np.zeros(4))
            seen.append(float(result.read_next(timeout_s=60).data[0]))
        assert seen == [1, 2, 2], "frames 6, 7 and 8 of the first unit"


class TestTheKeyword:
    def test_says_it_to_everybody(self) -> None:
        _image, matrix = streams()
        assert "at_count" not in matrix.keywords
        matrix.write(np.zeros((8, 8)), at_count=12)
        assert matrix.keywords["at_count"] == 12
        with fb.open("matrix") as other:
            other.write(np.zeros((8, 8)), at_count=13)
        assert matrix.keywords["at_count"] == 13
        assert matrix.keywords.updates("at_count") == 2

    def test_may_be_deleted(self) -> None:
        image, matrix = streams()
        with start(Stage(units.whole_matrix, WIRING)), fb.open("value") as value:
            matrix.write(np.full((8, 8), 2), at_count=100)
            del matrix.keywords["at_count"]
            matrix.write(np.full((8, 8), 3))
            assert computer(image, value)()[1] == 3
            matrix.write(np.full((8, 8), 4), at_count=4)
            assert [computer(image, value)() for _ in range(2)] == [(3, 3), (4, 4)]

    def test_says_nothing_of_frames_that_another_program_wrote(self) -> None:
        """It set the counter back: frames to come have counts for which the keyword holds what was said of others."""
        image, matrix = streams()
        with start(Stage(units.whole_matrix, WIRING)), fb.open("value") as value:
            compute = computer(image, value)
            for number in (2, 3, 4):
                matrix.write(np.full((8, 8), number, "float32"), at_count=1000)
            with CStream(matrix.path) as other:
                other.u64[CNT0] = 0
                other.write(np.full((8, 8), 9, "float32"))
            assert compute()[1] == 9

    def test_needs_a_slot(self) -> None:
        full = fb.create("full", shape=(2,), keywords={"A": 1}, keyword_slots=1)
        with pytest.raises(
            UsageError, match=r"needs the keyword 'at_count', and all 1 keyword slots are taken"
        ):
            full.write(np.zeros(2), at_count=3)
        assert full.count == 0

    @pytest.mark.parametrize("count", [0, -1, 2**63])
    def test_counts_from_one(self, count: int) -> None:
        stream = fb.create("stream", shape=(2,))
        with pytest.raises(UsageError, match=f"at_count is {count}, expected a frame's count, from 1 on"):
            stream.write(np.zeros(2), at_count=count)

    def test_of_slices_and_arrays_that_are_converted(self) -> None:
        fb.create("stream", shape=(4,)).write(np.zeros(4))
        with fb.open("stream[0:1]") as part, fb.open("stream") as whole:
            part.write([1, 2], at_count=7)
            assert whole.keywords["at_count"] == 7
            whole.write([1, 2, 3, 4], at_count=8)
            assert whole.keywords["at_count"] == 8
