"""What starts a unit, what it reads beside that, and files that are made anew while it runs."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest

import framebus as fb
from framebus.errors import UnitError
from framebus.params import Params
from framebus.process import ProcessRecord, State
from framebus.stream import Stream
from framebus.unit import Array, FunctionUnit, In, LoopOptions, Out, Stage, start, unit
from support import units
from support.c_writer import CNT0, CStream
from support.processes import Spawner
from support.waiting import until, until_computed


def image(shape: tuple[int, ...] = (4,), history: int = 0, value: float | None = None) -> Stream:
    made = fb.create("image", shape=shape, history=history)
    if value is not None:
        made.write(np.full(shape, value))
    return made


class Gate:
    """A unit that takes the value of a frame and waits to be let go on, then computes for so long."""

    def __init__(self, compute_s: float = 0.0) -> None:
        self._open = threading.Semaphore(0)
        self._compute_s = compute_s
        self.seen: list[float] = []

    def let(self, n: int = 1) -> None:
        self._open.release(n)

    def unit(self) -> FunctionUnit:
        @unit(compiled=False)
        def gated(image: In, value: units.One) -> None:
            self.seen.append(float(image.flat[0]))
            assert self._open.acquire(timeout=60)
            threading.Event().wait(self._compute_s)
            value[0] = image.flat[0]

        return gated


GATED = {"image": "image", "value": "value"}


class TestStream:
    @pytest.mark.parametrize("spin_us", [0, 50, math.inf])
    def test_every_way_to_wait(self, spin_us: float) -> None:
        with image() as stream, start(Stage(units.whole, GATED), LoopOptions(spin_us=spin_us)) as loop:
            with fb.open("value") as value:
                for count in range(1, 201):
                    stream.write(np.full(4, count))
                    assert value.read_next(timeout_s=60).data[0] == count
            until(lambda: loop.record.loop_count == 200)
            assert loop.record.missed == 0

    @pytest.mark.parametrize("spin_us", [0, math.inf])
    def test_of_a_writer_that_wakes_nobody(self, shm_dir: Path, spin_us: float) -> None:
        with (
            CStream.create(shm_dir / "image.im.shm", (4,), "float32") as stream,
            start(Stage(units.whole, GATED), LoopOptions(spin_us=spin_us)),
            fb.open("value") as value,
        ):
            for count in range(1, 21):
                stream.write(np.full(4, count, "float32"), flagged=count % 2 == 0, post=count % 3 == 0)
                assert value.read_next(timeout_s=60).data[0] == count

    def test_newest(self) -> None:
        gate, stream = Gate(), image(history=8)
        with start(Stage(gate.unit(), GATED)) as loop:
            stream.write(np.full(4, 1))
            until(lambda: gate.seen == [1])
            for count in range(2, 6):
                stream.write(np.full(4, count))
            gate.let(2)
            until(lambda: loop.record.loop_count == 2)
            assert gate.seen == [1, 5]
            assert loop.record.missed == 3
            assert loop.record.timings()["missed"].tolist() == [0, 3]

    def test_every_frame(self) -> None:
        gate, stream = Gate(), image(history=4)
        with start(Stage(gate.unit(), GATED), LoopOptions(every_frame=True)) as loop:
            stream.write(np.full(4, 1))
            until(lambda: gate.seen == [1])
            for count in range(2, 8):  # 2 and 3 leave the history
                stream.write(np.full(4, count))
            gate.let(5)
            until(lambda: loop.record.loop_count == 5)
            assert gate.seen == [1, 4, 5, 6, 7]
            assert loop.record.missed == 2

    def test_frames_from_before_the_start_are_not_computed(self) -> None:
        stream = image(value=1)
        with start(Stage(units.whole, GATED)) as loop, fb.open("value") as value:
            stream.write(np.full(4, 2))
            assert value.read_next(timeout_s=60).data[0] == 2
            until(lambda: loop.record.loop_count == 1)
            assert loop.record.missed == 0

    def test_a_counter_that_is_set_back(self, shm_dir: Path) -> None:
        with (
            CStream.create(shm_dir / "image.im.shm", (4,), "float32") as stream,
            start(Stage(units.whole, GATED)),
            fb.open("value") as value,
        ):
            for count in (1, 2, 3):
                stream.write(np.full(4, count, "float32"))
                value.read_next(timeout_s=60)
            stream.u64[CNT0] = 0
            stream.write(np.full(4, 9, "float32"))
            assert value.read_next(timeout_s=60).data[0] == 9

    def test_a_frame_that_is_never_finished(self) -> None:
        """The unit waits for the next one, and stops when told."""
        stream = image(value=1)
        with start(Stage(units.whole, GATED)) as loop, fb.open("value") as value:
            loop.record.pause()
            until(lambda: loop.record.state is State.IDLE)
            stream.write(np.full(4, 2))
            stream.handle.begin_write()
            loop.record.resume()
            until(lambda: loop.record.state is State.RUNNING)
            assert value.count == 0
            stream.handle.end_write(0)
            assert value.read_next(timeout_s=60).count == 1
            until(lambda: loop.record.loop_count == 1)
            assert loop.record.missed == 1


class TestClock:
    @pytest.mark.parametrize("spin_us", [0, 100, math.inf])
    def test_every_tick_is_computed_or_counted(self, spin_us: float) -> None:
        period_ns = 500_000
        options = LoopOptions(trigger="delay", period_s=period_ns / 1e9, spin_us=spin_us)
        with start(Stage(units.ticks, {"value": "value"}), options) as loop, fb.open("value") as value:
            until(lambda: loop.record.loop_count >= 400)
            record = ProcessRecord.open(loop.record.path)
            loop.stop()
            timings = record.timings()
            assert record.trigger == "delay"
            assert value.read()[0] == value.count == record.loop_count
            assert value.trace()[0].trigger_mode == 4
            assert value.trace()[0].trigger_inode == 0
            record.close()
        # A tick begins less than a period after its time, or it is missed; so the ticks tell the time that passed.
        ticks = len(timings) - 1 + int(timings["missed"][1:].sum())
        passed = int(timings["start_ns"][-1] - timings["start_ns"][0])
        assert abs(ticks - passed / period_ns) <= 1
        assert not timings["trigger_count"].any()

    @pytest.mark.parametrize("spin_us", [0, math.inf])
    def test_a_long_period_does_not_keep_it_from_stopping(self, spin_us: float) -> None:
        options = LoopOptions(trigger="delay", period_s=1e6, spin_us=spin_us)
        with start(Stage(units.ticks, {"value": "value"}), options) as loop:
            until(lambda: loop.loops == 1)

    def test_inputs_are_read_as_they_stand(self) -> None:
        stream = image(value=1)
        options = LoopOptions(trigger="delay", period_s=1e-4)
        with start(Stage(units.whole, GATED), options), fb.open("value") as value:
            assert value.read(timeout_s=60)[0] == 1
            stream.write(np.full(4, 2))
            until(lambda: value.read()[0] == 2)

    def test_ticks_that_were_missed_are_in_the_timings_and_in_their_sum(self) -> None:
        never = threading.Event()

        @unit(compiled=False)
        def slow(value: units.Two) -> None:
            never.wait(0.05)

        with start(Stage(slow, {"value": "value"}), LoopOptions(trigger="delay", period_s=1e-2)) as loop:
            until(lambda: loop.loops > 3)
            loop.record.pause()
            until(lambda: loop.record.state is State.IDLE)
            missed = loop.record.timings()["missed"].tolist()
            assert (len(missed), sum(missed)) == (loop.record.loop_count, loop.record.missed)
            assert all(missed[1:]), "each frame takes longer than a tick"

    def test_pausing_stops_the_clock(self) -> None:
        options = LoopOptions(trigger="delay", period_s=1e-3)
        with start(Stage(units.ticks, {"value": "value"}), options) as loop:
            loop.record.pause()
            until(lambda: loop.record.state is State.IDLE)
            done = loop.record.loop_count
            loop.record.step(3)
            until(lambda: loop.record.control == "pause" and loop.record.state is State.IDLE)
            assert loop.record.loop_count == done + 3


class TestOnceAndFree:
    @pytest.mark.parametrize(
        "made", [units.whole_matrix, units.plain_whole_matrix], ids=lambda made: made.name
    )
    def test_once_with_inputs_as_they_stand(self, made: FunctionUnit) -> None:
        image(value=3)
        matrix = fb.create("matrix", shape=(2, 2))
        matrix.write(np.full((2, 2), 4))
        wiring = {"image": "image", "matrix": "matrix", "value": "value"}
        loop = start(Stage(made, wiring), LoopOptions(trigger="once"))
        loop.wait(60)
        assert loop.loops == 1
        with fb.open("value") as value, fb.open("image") as trigger:
            assert value.count == 1
            assert value.read().tolist() == [3, 4]
            assert value.trace()[0].trigger_inode == trigger.handle.inode

    def test_once_waits_for_a_first_frame(self) -> None:
        stream = image()
        loop = start(Stage(units.whole, GATED), LoopOptions(trigger="once"))
        assert loop.running
        stream.write(np.full(4, 5))
        loop.wait(60)
        with fb.open("value") as value:
            assert value.read()[0] == 5

    def test_once_without_input(self) -> None:
        loop = start(Stage(units.ticks, {"value": "value"}), LoopOptions(trigger="once"))
        loop.wait(60)
        assert loop.loops == 1

    def test_free(self) -> None:
        with start(Stage(units.ticks, {"value": "value"}), LoopOptions(trigger="free")) as loop:
            with fb.open("value") as value:
                until(lambda: value.count >= 1000)
                assert value.trace()[0].trigger_mode == 0
            assert loop.record.trigger == "free"
            assert loop.record.missed == 0


class TestInputsThatChange:
    # Without a history a matrix can be read between two frames only: the writer leaves a pause now and then, until the
    # unit has had its next frame.
    MATRIX_WRITER = """
    import sys
    import numpy as np
    import framebus as fb
    matrix = fb.create("matrix", shape=(512, 512), history=int(sys.argv[1]))
    image = fb.open("image")
    pixels = np.empty((512, 512), "float32")
    for count in range(1, 20001):
        pixels.fill(count)
        matrix.write(pixels)
        if count == 1:
            print("written")
        if count % 20 == 0:
            image.wait_newer(timeout_s=None)
    print("all")
    """

    @pytest.mark.parametrize(
        "made", [units.whole_matrix, units.plain_whole_matrix], ids=lambda made: made.name
    )
    @pytest.mark.parametrize("history", [0, 2])
    def test_never_half_of_one(self, spawn: Spawner, made: FunctionUnit, history: int) -> None:
        stream = image(value=0)
        writer = spawn(self.MATRIX_WRITER, str(history))
        writer.expect("written")
        wiring = {"image": "image", "matrix": "matrix", "value": "value"}
        seen: list[float] = []
        with start(Stage(made, wiring)) as loop, fb.open("value") as value:

            def compute() -> int:
                stream.write(np.full(4, len(seen)))
                number, matrix = value.read_next(timeout_s=60).data.tolist()
                assert number == len(seen)
                assert not seen or matrix >= seen[-1]
                seen.append(matrix)
                return len(set(seen))

            for _ in range(1000):
                compute()
            until(lambda: compute() > 1)
            assert loop.running
        writer.kill()

    def test_a_writer_that_is_never_done_is_told(self) -> None:
        stream, matrix = image(value=0), fb.create("matrix", shape=(4, 4))
        matrix.write(np.full((4, 4), 1))
        wiring = {"image": "image", "matrix": "matrix", "value": "value"}
        with start(Stage(units.whole_matrix, wiring)) as loop, fb.open("value") as value:

            def compute() -> float:
                stream.write(np.zeros(4))
                return float(value.read_next(timeout_s=60).data[1])

            assert compute() == 1
            matrix.write(np.full((4, 4), 2))
            matrix.handle.begin_write()
            until(lambda: compute() and "no whole frame for more than 1 s" in loop.record.message)
            matrix.handle.end_write(0)
            until(lambda: compute() and "is read whole again" in loop.record.message)

    def test_one_that_is_never_whole_stays_as_it_was(self) -> None:
        stream, matrix = image(value=0), fb.create("matrix", shape=(64, 64))
        matrix.write(np.full((64, 64), 1))
        wiring = {"image": "image", "matrix": "matrix", "value": "value"}
        with start(Stage(units.whole_matrix, wiring)), fb.open("value") as value:
            matrix.write(np.full((64, 64), 2))
            matrix.handle.begin_write()[:32] = 3  # type: ignore[index]
            for count in range(3):
                stream.write(np.full(4, count))
                assert value.read_next(timeout_s=60).data[1] == 1
            matrix.handle.end_write(0)

    def test_a_parameter_set_that_goes_is_told(self) -> None:
        stream = image()
        stage = Stage(units.scale, {"image": "image", "result": "result"}, parameters={"gain": 3.0})
        with start(stage) as loop, fb.open("result") as result:
            Params.open("scale").remove()
            until(lambda: "the parameter set was replaced or removed" in loop.record.message)
            stream.write(np.ones(4))
            assert result.read_next(timeout_s=60).data[0] == 3

    def test_removed_and_made_anew(self) -> None:
        stream, matrix = image(value=0), fb.create("matrix", shape=(4, 4))
        matrix.write(np.full((4, 4), 1))
        wiring = {"image": "image", "matrix": "matrix", "value": "value"}
        with start(Stage(units.whole_matrix, wiring)) as loop, fb.open("value") as value:

            def computed_with() -> float:
                stream.write(np.zeros(4))
                return float(value.read_next(timeout_s=60).data[1])

            matrix.remove()
            assert computed_with() == 1
            matrix = fb.create("matrix", shape=(4, 4))
            assert computed_with() == 1, "the new one has no frame yet"
            matrix.write(np.full((4, 4), 2))
            until(lambda: computed_with() == 2)
            fb.create("matrix", shape=(5, 5)).close()
            with pytest.raises(
                UnitError, match=r"unit 'whole_matrix' failed: .*matrix\.im\.shm: was made anew with"
            ):
                loop.wait(60)
        with ProcessRecord.open("whole_matrix") as record:
            assert record.state is State.ERROR
            assert record.errors == 1
            assert "made anew with another shape" in record.message


class TestFilesMadeAnew:
    def test_trigger_of_the_same_shape_is_followed(self) -> None:
        image().close()
        with start(Stage(units.whole, GATED)) as loop, fb.open("value") as value:
            for count in range(1, 11):
                with image() as stream:
                    stream.write(np.full(4, count))
                    assert value.read_next(timeout_s=60).data[0] == count
                    assert value.trace()[0].trigger_inode == stream.handle.inode
            until(lambda: loop.record.loop_count == 10)
            assert loop.record.missed == 0

    def test_trigger_made_anew_by_a_c_program(self, shm_dir: Path) -> None:
        image().close()
        with start(Stage(units.whole, GATED)), fb.open("value") as value:
            for count in range(1, 4):  # unlinks the file and tells nobody
                with CStream.create(shm_dir / "image.im.shm", (4,), "float32") as stream:
                    stream.write(np.full(4, count, "float32"))
                    assert value.read_next(timeout_s=60).data[0] == count

    def test_newest_frames_of_both_files_count(self) -> None:
        gate, stream = Gate(), image()
        with start(Stage(gate.unit(), GATED)) as loop:
            stream.write(np.full(4, 1))
            until(lambda: gate.seen == [1])
            for count in range(2, 6):
                stream.write(np.full(4, count))
            stream = image()
            for count in range(6, 9):
                stream.write(np.full(4, count))
            gate.let(9)
            until(lambda: gate.seen[-1] == 8 and loop.record.loop_count == len(gate.seen))
            assert gate.seen == [1, 5, 8]
            assert loop.record.loop_count + loop.record.missed == 8

    def test_frames_that_the_old_file_holds_come_first(self) -> None:
        gate, stream = Gate(0.01), image(history=16)
        with start(Stage(gate.unit(), GATED), LoopOptions(every_frame=True)) as loop:
            stream.write(np.full(4, 1))
            until(lambda: gate.seen == [1])
            for count in range(2, 6):
                stream.write(np.full(4, count))
            stream = image(history=16)
            for count in range(6, 9):
                stream.write(np.full(4, count))
            gate.let(9)
            until(lambda: loop.record.loop_count == 8)
            assert gate.seen == list(range(1, 9))
            assert loop.record.missed == 0

    def test_an_old_file_whose_writer_died_in_a_frame_is_left(self, spawn: Spawner) -> None:
        writer = spawn(
            """
            import os
            import numpy as np
            import framebus as fb
            stream = fb.create("image", shape=(4,))
            print("made")
            input()
            for count in (1, 2, 3):
                stream.write(np.full(4, count))
            stream.handle.begin_write()
            os.kill(os.getpid(), 9)
            """
        )
        writer.expect("made")
        with start(Stage(units.whole, GATED)) as loop, fb.open("value") as value:
            loop.record.pause()
            until(lambda: loop.record.state is State.IDLE)
            writer.send()
            assert writer.wait() == -9
            loop.record.resume()
            until(lambda: loop.record.state is State.RUNNING)
            with image() as stream:
                stream.write(np.full(4, 7))
                assert value.read_next(timeout_s=60).data[0] == 7
            until(lambda: loop.record.loop_count == 1)
            assert loop.record.missed == 3

    def test_trigger_of_another_shape_is_an_error(self) -> None:
        image().close()
        loop = start(Stage(units.whole, GATED))
        image((5,)).close()
        with pytest.raises(
            UnitError, match=r"unit 'whole' failed: .*image\.im\.shm: was made anew with another shape"
        ):
            loop.wait(60)
        with ProcessRecord.open("whole") as record:
            assert record.state is State.ERROR

    def test_removed_trigger_is_waited_for(self) -> None:
        image().remove()
        stream = image()
        with start(Stage(units.whole, GATED)) as loop, fb.open("value") as value:
            stream.remove()
            with image() as stream:
                stream.write(np.full(4, 1))
                assert value.read_next(timeout_s=60).data[0] == 1
            assert loop.running

    @pytest.mark.parametrize("shape", [(4,), (96, 96)])
    def test_output_of_the_same_shape_is_followed_and_keeps_its_content(self, shape: tuple[int, ...]) -> None:
        stream = image(shape)
        with start(Stage(units.counting, GATED)) as loop:
            total = 0
            for _ in range(4):
                with fb.create("value", shape=(2,), dtype="float64") as value:
                    # Until one arrives in the new file: those in the one that nobody can open any more count too.
                    while value.count == 0:
                        total += 1
                        stream.write(np.full(shape, total))
                        until(lambda: loop.record.loop_count == total)  # noqa: B023
                    assert value.read().tolist() == [total, total]

    def test_output_of_another_shape_is_an_error(self) -> None:
        image().close()
        loop = start(Stage(units.whole, GATED))
        fb.create("value", shape=(2,), dtype="float64").close()
        with pytest.raises(
            UnitError, match=r"unit 'whole' failed: .*value\.im\.shm: was made anew with another shape"
        ):
            loop.wait(60)

    def test_removed_output_is_an_error(self) -> None:
        image().close()
        loop = start(Stage(units.whole, GATED))
        fb.open("value").remove()
        with pytest.raises(
            UnitError, match=r"unit 'whole' failed: .*value\.im\.shm: an output of the unit was removed"
        ):
            loop.wait(60)
        with ProcessRecord.open("whole") as record:
            assert record.state is State.ERROR

    def test_a_busy_loop_looks_too(self) -> None:
        loop = start(Stage(units.ticks, {"value": "value"}), LoopOptions(trigger="free"))
        fb.open("value").remove()
        with pytest.raises(UnitError, match="was removed"):
            loop.wait(60)


def test_process_local_streams() -> None:
    stream = fb.create("@L:image", shape=(4,))

    @unit
    def double(image: In, result: Annotated[Out, Array((4,))]) -> None:
        for i in range(4):
            result[i] = 2 * image[i]

    with (
        start(Stage(double, {"image": "@L:image", "result": "@L:result"})) as loop,
        fb.open("@L:result") as result,
    ):
        assert loop.record.trigger == "@L:image"
        stream.write(np.ones(4))
        assert result.read_next(timeout_s=60).data.tolist() == [2] * 4
    for name in ("@L:image", "@L:result"):
        fb.open(name).remove()


def test_a_stream_that_may_only_be_read(spawn: Spawner, shm_dir: Path) -> None:
    """Its trigger's file is another user's; its output's must not be."""
    stream, matrix = image(value=1), fb.create("matrix", shape=(2, 2))
    matrix.write(np.full((2, 2), 3))
    fb.create("held", shape=(2,), dtype="float64").close()
    for name in ("image", "matrix", "held"):
        (shm_dir / f"{name}.im.shm").chmod(0o444)
    shm_dir.chmod(0o777)
    process = spawn(
        """
        import os, sys
        import framebus as fb
        from framebus.errors import BindingError
        from framebus.unit import Stage, start
        from support.units import plain_whole_matrix
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
        wiring = {"image": "image", "matrix": "matrix", "value": "value"}
        try:
            start(Stage(plain_whole_matrix, {**wiring, "value": "held"}))
        except BindingError as error:
            print("refused", error)
        with start(Stage(plain_whole_matrix, wiring)), fb.open("value") as value:
            print("running")
            print("read", value.read_next(timeout_s=60).data.tolist())
        print("stopped")
        """,
    )
    assert "unit 'plain_whole_matrix', argument 'value': this process may not write" in process.expect(
        "refused"
    )
    process.expect("running")
    stream.write(np.full(4, 2))
    assert process.expect("read") == "read [2.0, 3.0]"
    process.expect("stopped")
    assert process.wait() == 0
    with fb.open("value") as value:
        until_computed(value, 2)
