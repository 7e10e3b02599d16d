"""One loop, one unit: every frame computed or counted, none torn, errors told, an end that leaves nothing behind."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pytest

import framebus as fb
from framebus.errors import ParameterError, UnitError, UsageError, WaitTimeout
from framebus.process import ProcessRecord, State
from framebus.stream import Stream
from framebus.unit import Array, FunctionUnit, In, Loop, LoopOptions, Out, Stage, start, unit
from framebus.unit import State as Memory
from framebus.unit.arrays import DTYPES
from support import units
from support.c_writer import CStream
from support.processes import Spawner
from support.waiting import until, until_computed

# A writer that is far faster than a unit that looks at every element; each frame has one value all over, its count.
WRITER = """
import sys
import numpy as np
import framebus as fb
shape, history, frames = eval(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
stream = fb.create("image", shape=shape, dtype="float32", history=history)
pixels = np.empty(shape, "float32")
print("made")
input()
for count in range(1, frames + 1):
    pixels.fill(count)
    stream.write(pixels)
print("written")
input()
"""
SMALL, LARGE = (64,), (128, 128)
"""Below and above 16 kB: copied, and read in place where that is safe."""


def image(shape: tuple[int, ...] = (4,), dtype: str = "float32", history: int = 0) -> Stream:
    return fb.create("image", shape=shape, dtype=dtype, history=history)


def record_of(loop: Loop) -> ProcessRecord:
    """A handle that outlives the loop's own."""
    return ProcessRecord.open(loop.record.path)


class TestEveryFrame:
    @pytest.mark.parametrize("made", [units.whole, units.counting], ids=lambda unit: unit.name)
    @pytest.mark.parametrize(
        ("shape", "history", "frames"),
        [(SMALL, 0, 20_000), (SMALL, 8, 20_000), (LARGE, 0, 10_000), (LARGE, 4, 5_000)],
    )
    def test_is_whole_and_computed_or_counted(
        self, spawn: Spawner, made: FunctionUnit, shape: tuple[int, ...], history: int, frames: int
    ) -> None:
        writer = spawn(WRITER, str(shape), str(history), str(frames))
        writer.expect("made")
        with start(Stage(made, {"image": "image", "value": "value"})) as loop, fb.open("value") as value:
            writer.send()
            until_computed(value, frames)
            record = record_of(loop)
            loop.stop()
            assert record.loop_count + record.missed == frames
            assert record.loop_count == value.count == loop.loops
            last = value.read()
            assert last[0] == frames
            if made is units.counting:
                assert last[1] == record.loop_count, "what was taken back left no trace"
            record.close()
        writer.send()
        assert writer.wait() == 0

    @pytest.mark.parametrize(("flagged", "history"), [(True, 0), (True, 4), (False, 4), (False, 32)])
    def test_of_a_c_writer(self, spawn: Spawner, shm_dir: Path, flagged: bool, history: int) -> None:
        frames = 2000
        writer = spawn(
            """
            import sys
            import numpy as np
            from support.c_writer import CStream
            flagged, history, frames = sys.argv[2] == "True", int(sys.argv[3]), int(sys.argv[4])
            with CStream.create(sys.argv[1] + "/image.im.shm", (128, 128), "float32", history=history) as stream:
                print("made")
                input()
                for count in range(1, frames + 1):
                    stream.write(np.full((128, 128), count, "float32"), flagged=flagged)
                print("written")
                input()
            """,
            *(str(shm_dir), str(flagged), str(history), str(frames)),
        )
        writer.expect("made")
        with (
            start(Stage(units.counting, {"image": "image", "value": "value"})) as loop,
            fb.open("value") as value,
        ):
            writer.send()
            until_computed(value, frames)
            record = record_of(loop)
            loop.stop()
            assert record.loop_count + record.missed == frames
            assert value.read().tolist() == [frames, record.loop_count]
            record.close()
        writer.send()
        assert writer.wait() == 0

    @pytest.mark.parametrize("shape", [SMALL, LARGE])
    def test_in_order_through_the_history(self, spawn: Spawner, shape: tuple[int, ...]) -> None:
        frames = 2000
        writer = spawn(WRITER, str(shape), str(frames), str(frames))
        writer.expect("made")
        with start(
            Stage(units.counting, {"image": "image", "value": "value"}, history=frames),
            LoopOptions(every_frame=True),
        ) as loop:
            with fb.open("value") as value:
                writer.send()
                until_computed(value, frames)
                record = record_of(loop)
                loop.stop()
                found = [frame.data[0] for frame in value.history()]
            assert record.loop_count == frames
            assert record.missed == 0
            assert found == list(range(1, frames + 1))
            record.close()
        writer.send()
        assert writer.wait() == 0


class TestPlace:
    """Where a compiled unit finds its trigger's pixels: copied, or in shared memory."""

    def mapped(self, address: int) -> str:
        """The file that the address lies in."""
        for line in Path("/proc/self/maps").read_text().splitlines():
            low, high = (int(bound, 16) for bound in line.split()[0].split("-"))
            if low <= address < high:
                return line.split()[-1].rpartition("/")[2]
        raise AssertionError("mapped nowhere")

    @staticmethod
    def where() -> FunctionUnit:
        @unit
        def where(image: In, place: Annotated[Out, Array((1,), dtype="uint64")]) -> None:
            place[0] = image.ctypes.data

        return where

    def places(self, made: FunctionUnit, write: Callable[[], int], **options: Any) -> list[bool]:
        """Of frames written one by one: whether the unit read them in place."""
        found = []
        stage = Stage(made, {"image": "image", "place": "place"})
        with start(stage, LoopOptions(**options)), fb.open("place") as place:
            for _ in range(3):
                write()
                address = int(place.read_next(timeout_s=60).data[0])
                found.append(self.mapped(address) == "image.im.shm")
        return found

    @pytest.mark.parametrize("history", [0, 4])
    def test_large_frames_of_framebus_writers_are_read_in_place(self, history: int) -> None:
        stream = image(LARGE, history=history)
        pixels = np.zeros(LARGE, "float32")
        # The first is copied: until the unit has published there is nothing from which to take a call back.
        assert self.places(self.where(), lambda: stream.write(pixels)) == [False, True, True]

    def test_small_frames_are_copied(self) -> None:
        stream = image(SMALL)
        assert not any(self.places(self.where(), lambda: stream.write(np.zeros(SMALL))))

    def test_frames_that_come_in_order_are_copied(self) -> None:
        stream = image(LARGE, history=8)
        assert not any(self.places(self.where(), lambda: stream.write(np.zeros(LARGE)), every_frame=True))

    def test_a_large_state_is_not_worth_it(self) -> None:
        @unit
        def where(image: In, place: Annotated[Out, Array((1,), dtype="uint64")], memory: Memory) -> None:
            memory[0, 0] += 1
            place[0] = image.ctypes.data

        stream = image(LARGE)
        assert not any(self.places(where, lambda: stream.write(np.zeros(LARGE))))

    @pytest.mark.parametrize(
        ("flagged", "history", "in_place"), [(True, 0, False), (False, 0, False), (False, 8, True)]
    )
    def test_of_c_writers_only_what_their_counters_guard(
        self, shm_dir: Path, flagged: bool, history: int, in_place: bool
    ) -> None:
        with CStream.create(shm_dir / "image.im.shm", LARGE, "float32", history=history) as stream:
            for _ in range(2 * history):
                stream.write(np.zeros(LARGE, "float32"), flagged=flagged)
            found = self.places(
                self.where(), lambda: stream.write(np.zeros(LARGE, "float32"), flagged=flagged)
            )
        assert any(found) == in_place

    def test_another_writer_of_the_output_cannot_become_its_memory(self) -> None:
        """An output that somebody else wrote to says nothing of what the unit's own array held."""
        stream = image(LARGE)

        @unit
        def count(image: In, place: Annotated[Out, Array((2,), dtype="uint64")]) -> None:
            place[0] = image.ctypes.data
            place[1] += 1

        with start(Stage(count, {"image": "image", "place": "place"})), fb.open("place") as place:
            found = []
            for _ in range(4):
                stream.write(np.zeros(LARGE))
                found.append(place.read_next(timeout_s=60).data.tolist())
                place.write(np.zeros(2, "uint64"))
                place.skip_to_newest()
        assert [self.mapped(address) == "image.im.shm" for address, _ in found] == [False] * 4
        assert [number for _, number in found] == [1, 2, 3, 4]


class TestArrays:
    @pytest.mark.parametrize(
        ("dtype", "shape", "compiled"),
        [
            *((dtype, (3, 5), True) for dtype in ("uint8", "int16", "float64", "complex64")),
            *(("int16", shape, True) for shape in ((7,), (2, 3, 4))),
            *((dtype, (2, 3, 4), False) for dtype in DTYPES),
        ],
    )
    def test_types_and_axes(self, dtype: str, shape: tuple[int, ...], compiled: bool) -> None:
        @unit(compiled=compiled)
        def copy(image: In, result: Out) -> None:
            for i in range(image.size):
                result.flat[i] = image.flat[i]

        stream, result = image(shape, dtype), fb.create("result", shape=shape, dtype=dtype)
        values: npt.NDArray[Any] = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
        if dtype.startswith("complex"):
            values = values * np.dtype(dtype).type(1 - 2j)
        with start(Stage(copy, {"image": "image", "result": "result"})):
            stream.write(values)
            data = result.read_next(timeout_s=60).data
        assert data.dtype == dtype
        np.testing.assert_array_equal(data, values)

    def test_float16_in_the_interpreter(self) -> None:
        stream = image((3,), "float16")
        with (
            start(Stage(units.plain_scale, {"image": "image", "result": "result"})),
            fb.open("result") as result,
        ):
            assert result.dtype == np.float16
            stream.write(np.array([0.5, 1, 2], "float16"))
            assert result.read_next(timeout_s=60).data.tolist() == [1, 2, 4]

    def test_state_starts_at_zero_each_time_and_out_goes_on(self) -> None:
        @unit
        def count(image: In, value: units.Two, calls: Annotated[Memory, Array((1,), dtype="int64")]) -> None:
            calls[0] += 1
            value[0] = calls[0]
            value[1] += 1

        stream = image()
        for expected in ([[1, 1], [2, 2]], [[1, 3], [2, 4]]):
            with start(Stage(count, {"image": "image", "value": "value"})), fb.open("value") as value:
                for want in expected:
                    stream.write(np.zeros(4))
                    assert value.read_next(timeout_s=60).data.tolist() == want

    def test_an_input_cannot_be_changed_by_mistake(self) -> None:
        @unit(compiled=False)
        def spoil(image: In, dark: In, result: Out) -> None:
            dark[0] = 1

        stream = image()
        fb.create("dark", shape=(4,)).write(np.zeros(4))
        loop = start(Stage(spoil, {"image": "image", "dark": "dark", "result": "result"}))
        stream.write(np.zeros(4))
        with pytest.raises(
            UnitError, match="unit 'spoil' failed: ValueError: assignment destination is read-only"
        ):
            loop.wait(60)

    def test_acquisition_time_is_carried_through(self) -> None:
        stream = image()
        with start(Stage(units.scale, {"image": "image", "result": "result"})), fb.open("result") as result:
            stream.write(np.zeros(4), acquisition_ns=123_456_789_000)
            assert result.read_next(timeout_s=60).acquisition_ns == 123_456_789_000


@pytest.mark.parametrize("made", [units.limited, units.plain_limited], ids=lambda unit: unit.name)
class TestFailure:
    def fail(self, made: FunctionUnit, bad: float, frames: int = 2) -> tuple[UnitError, ProcessRecord]:
        stream = image()
        loop = start(Stage(made, {"image": "image", "value": "value"}))
        with fb.open("value") as value:
            for count in range(1, frames + 1):
                stream.write(np.full(4, count))
                assert value.read_next(timeout_s=60).data[0] == count
            stream.write(np.full(4, bad))
            with pytest.raises(UnitError) as caught:
                loop.wait(timeout_s=60)
            assert not loop.running
            assert value.count == frames, "nothing was published"
            assert value.count == 0 or value.read()[0] == frames
        with pytest.raises(UnitError):
            loop.stop()
        assert loop.loops == frames
        return caught.value, ProcessRecord.open(made.name)

    def test_code(self, made: FunctionUnit) -> None:
        error, record = self.fail(made, 150)
        assert str(error) == f"unit '{made.name}' failed: returned 7; units return None or 0 for a good frame"
        with record:
            assert record.state is State.ERROR
            assert record.error_code == 7
            assert record.errors == 1
            assert record.message == "returned 7; units return None or 0 for a good frame"
            assert record.loop_count == 2

    @pytest.mark.parametrize("frames", [0, 2])
    def test_exception(self, made: FunctionUnit, frames: int) -> None:
        error, record = self.fail(made, 300, frames)
        assert str(error).startswith(f"unit '{made.name}' failed: ValueError: far too large")
        with record:
            assert record.state is State.ERROR
            assert record.errors == 1
            assert record.message.startswith("ValueError: far too large")
            if made.compiled:
                assert "units.py, line " in record.message
            else:
                assert "units.py" in record.traceback
                assert 'raise ValueError("far too large")' in record.traceback

    def test_it_can_be_started_again(self, made: FunctionUnit) -> None:
        self.fail(made, 300)[1].close()
        stream = image()
        with start(Stage(made, {"image": "image", "value": "value"})) as loop, fb.open("value") as value:
            assert loop.record.state is State.RUNNING
            stream.write(np.full(4, 5))
            assert value.read_next(timeout_s=60).data[0] == 5


class TestInterpreted:
    @pytest.mark.parametrize("returned", [0, None, False])
    def test_good_returns(self, returned: Any) -> None:
        @unit(compiled=False)
        def give(image: In, result: Out) -> Any:
            return returned

        stream = image()
        with start(Stage(give, {"image": "image", "result": "result"})), fb.open("result") as result:
            stream.write(np.zeros(4))
            assert result.read_next(timeout_s=60).count == 1

    @pytest.mark.parametrize(
        ("returned", "said"),
        [
            (2**32, "returned 2147483647; units"),
            (-(2**31), "returned -2147483647; units"),
            (True, "returned 1; units"),
            (0.0, "TypeError: the unit returned 0.0, expected None or an int"),
            ("text", "TypeError: the unit returned 'text', expected None or an int"),
            (np.zeros(4), "TypeError: the unit returned array"),
        ],
    )
    def test_bad_returns(self, returned: Any, said: str) -> None:
        @unit(compiled=False)
        def give(image: In, result: Out) -> Any:
            return returned

        stream = image()
        loop = start(Stage(give, {"image": "image", "result": "result"}))
        stream.write(np.zeros(4))
        with pytest.raises(UnitError) as caught:
            loop.wait(60)
        assert str(caught.value).startswith(f"unit 'give' failed: {said}")

    def test_system_exit_ends_the_unit_alone(self) -> None:
        @unit(compiled=False)
        def leave(image: In, result: Out) -> None:
            raise SystemExit(3)

        stream = image()
        loop = start(Stage(leave, {"image": "image", "result": "result"}))
        stream.write(np.zeros(4))
        with pytest.raises(UnitError, match="unit 'leave' failed: SystemExit: 3"):
            loop.wait(60)

    def test_text_parameters(self) -> None:
        @unit(compiled=False)
        def choose(
            image: In, result: Out, *, window: str = "flat", gain: float = 1.0, mode: str = "a"
        ) -> None:
            result[:] = gain * (len(window) + len(mode))

        stream = image()
        with (
            start(Stage(choose, {"image": "image", "result": "result"})) as loop,
            fb.open("result") as result,
        ):
            for values, expected in (({}, 5), ({"window": "hanning"}, 8), ({"gain": 2.0, "mode": ""}, 14)):
                loop.params.update(values)
                stream.write(np.zeros(4))
                assert result.read_next(timeout_s=60).data[0] == expected

    def test_a_unit_cannot_stop_its_own_loop(self) -> None:
        loops: list[Loop] = []

        @unit(compiled=False)
        def stop(image: In, result: Out) -> None:
            with pytest.raises(UsageError, match="cannot stop its own loop from within"):
                loops[0].stop()
            with pytest.raises(UsageError, match="cannot wait for its own loop from within"):
                loops[0].wait()
            loops[0].record.stop()

        stream = image()
        loops.append(start(Stage(stop, {"image": "image", "result": "result"})))
        stream.write(np.zeros(4))
        loops[0].wait(60)
        assert loops[0].loops == 1
        loops.clear()


class TestParameters:
    @pytest.mark.parametrize("made", [units.scale, units.plain_scale], ids=lambda unit: unit.name)
    def test_take_effect_at_the_next_frame(self, made: FunctionUnit) -> None:
        stream = image()
        loop = start(Stage(made, {"image": "image", "result": "result"}, {"gain": 3.0}))
        with loop, fb.open("result") as result, fb.Params.open(made.name) as other:
            for gain in (3.0, 0.5, 10.0):
                loop.params.gain = gain
                assert other.gain == gain
                stream.write(np.ones(4))
                assert result.read_next(timeout_s=60).data[0] == gain
            other.gain = 4.0
            loop.params.close()  # a handle of the user's own
            stream.write(np.ones(4))
            assert result.read_next(timeout_s=60).data[0] == 4
            with pytest.raises(ParameterError, match=r"gain.*10"):
                loop.params.gain = 10.5
            assert loop.params.gain == 4

    def test_survive_a_restart(self) -> None:
        stream = image()
        stage = Stage(units.scale, {"image": "image", "result": "result"})
        with start(stage) as loop:
            loop.params.gain = 7.0
        with start(stage) as loop, fb.open("result") as result:
            assert loop.params.gain == 7
            stream.write(np.ones(4))
            assert result.read_next(timeout_s=60).data[0] == 7
        given = Stage(units.scale, {"image": "image", "result": "result"}, {"gain": 1.5})
        with start(given) as loop:
            assert loop.params.gain == 1.5

    def test_changed_together_are_seen_together(self) -> None:
        stage = Stage(units.pair, {"image": "image", "value": "value"})
        image().write(np.zeros(4))
        with start(stage, LoopOptions(trigger="free")) as loop:
            params = loop.params
            for value in range(2000):
                params.update(a=float(value), b=float(value))
            assert loop.running
            before = loop.loops
            until(lambda: loop.loops > before + 1)
        with fb.open("value") as value_stream:
            assert value_stream.read()[0] == 1999

    def test_of_which_loop(self) -> None:
        image()
        stages = [
            Stage(units.scale, {"image": "image", "result": "twice"}),
            Stage(units.plain_scale, {"image": "twice", "result": "more"}),
        ]
        with start(stages) as loop:
            assert loop.params_of("scale").gain == loop.params_of("plain_scale").gain == 2
            with pytest.raises(UsageError, match=r"several units; name the one meant: params_of\('name'\)"):
                _ = loop.params
            with pytest.raises(
                UsageError, match=r"no unit 'other' with parameters .* \['scale', 'plain_scale'\]"
            ):
                loop.params_of("other")
        with pytest.raises(UsageError, match="the loop was stopped; open what it left"):
            loop.params_of("scale")


class TestControl:
    def test_pause_step_resume_stop(self) -> None:
        stream = image(history=16)
        stage = Stage(units.whole, {"image": "image", "value": "value"}, history=16)
        loop = start(stage, LoopOptions(every_frame=True))
        with ProcessRecord.open("whole") as record, fb.open("value") as value:
            assert record.state is State.RUNNING
            record.pause()
            until(lambda: record.state is State.IDLE)
            for count in range(1, 8):
                stream.write(np.full(4, count))
            record.step(2)
            assert [value.read_next(timeout_s=60).count for _ in range(2)] == [1, 2]
            until(lambda: record.control == "pause" and record.state is State.IDLE)
            assert record.loop_count == value.count == 2
            record.step()
            assert value.read_next(timeout_s=60).count == 3
            until(lambda: record.control == "pause")
            assert value.count == 3
            record.resume()
            until_computed(value, 7)
            assert value.count == 7, "what came meanwhile was in the history"
            record.stop()
            loop.wait(60)
            assert record.state.name == "OFF"
            assert (record.loop_count, record.missed) == (7, 0)

    def test_frames_of_a_pause_are_missed_and_counted(self) -> None:
        stream = image()
        with (
            start(Stage(units.whole, {"image": "image", "value": "value"})) as loop,
            fb.open("value") as value,
        ):
            record = loop.record
            record.pause()
            until(lambda: record.state is State.IDLE)
            for count in range(1, 11):
                stream.write(np.full(4, count))
            record.resume()
            until_computed(value, 10)
            until(lambda: record.loop_count == 1)
            assert record.missed == record.last_missed == 9

    def test_from_another_process(self, spawn: Spawner) -> None:
        stream = image()
        loop = start(Stage(units.whole, {"image": "image", "value": "value"}))
        other = spawn(
            """
            from framebus.process import ProcessRecord, State
            from support.waiting import until
            with ProcessRecord.open("whole") as record:
                record.pause()
                until(lambda: record.state is State.IDLE)
                print("paused")
                input()
                record.step(1)
                until(lambda: record.loop_count == 1 and record.state is State.IDLE)
                print("stepped", record.loop_count, record.missed)
                record.stop()
                until(lambda: record.state is State.OFF)
                print("stopped")
            """,
        )
        other.expect("paused")
        for count in (1, 2, 3):
            stream.write(np.full(4, count))
        assert loop.loops == 0
        other.send()
        assert other.expect("stepped") == "stepped 1 2"
        other.expect("stopped")
        loop.wait(60)
        assert other.wait() == 0

    def test_pause_while_it_waits_keeps_the_frame(self) -> None:
        """A frame that comes after the pause, but while the loop still sleeps, is neither computed nor lost."""
        stream = image(history=4)
        loop = start(Stage(units.whole, {"image": "image", "value": "value"}), LoopOptions(every_frame=True))
        with loop, fb.open("value") as value:
            for count in range(1, 51):
                loop.record.pause()
                stream.write(np.full(4, count))
                until(lambda: loop.record.state is State.IDLE)
                assert value.count == count - 1
                loop.record.resume()
                assert value.read_next(timeout_s=60).data[0] == count

    def test_the_record_tells_of_every_loop(self) -> None:
        stream = image()
        with (
            start(Stage(units.whole, {"image": "image", "value": "value"})) as loop,
            fb.open("value") as value,
        ):
            for count in range(1, 4):
                stream.write(np.full(4, count))
                value.read_next(timeout_s=60)
            until(lambda: loop.record.loop_count == 3)
            timings = loop.record.timings()
            assert loop.record.trigger == "image"
            assert loop.record.use == "support.units:whole"
            assert loop.record.thread_id in map(int, os.listdir("/proc/self/task"))
        assert timings["loop"].tolist() == timings["trigger_count"].tolist() == [1, 2, 3]
        assert (timings["trigger_ns"] <= timings["start_ns"]).all()
        assert (timings["start_ns"] <= timings["end_ns"]).all()

    def test_placement(self) -> None:
        image()
        stage = Stage(units.whole, {"image": "image", "value": "value"})
        cpu = min(os.sched_getaffinity(0))
        with start(stage, LoopOptions(cpu=cpu, priority=1)) as loop:
            assert loop.record.cpu == cpu
            assert loop.record.priority == 1
            assert os.sched_getaffinity(loop.record.thread_id) == {cpu}
            if os.sched_getscheduler(loop.record.thread_id) == os.SCHED_FIFO:
                assert loop.refusals == []
            else:
                assert loop.refusals == ["priority 1: Operation not permitted"]
        assert loop.refusals in ([], ["priority 1: Operation not permitted"])


class TestEnd:
    def test_stop_gives_everything_back(self, shm_dir: Path) -> None:
        stream = image()
        loop = start(Stage(units.scale, {"image": "image", "result": "result"}))
        assert loop.running
        stream.close()
        loop.stop()
        loop.stop()
        assert not loop.running
        assert str(shm_dir) not in Path("/proc/self/maps").read_text().replace("scale.params.fb", "")
        assert sorted(path.name for path in shm_dir.iterdir()) == [
            "image.im.shm",
            "result.im.shm",
            "scale.params.fb",
        ]

    def test_wait_times_out_and_the_loop_goes_on(self) -> None:
        image()
        with start(Stage(units.scale, {"image": "image", "result": "result"})) as loop:
            with pytest.raises(WaitTimeout, match=r"loop 'scale' still runs after 0\.01 s"):
                loop.wait(0.01)
            with pytest.raises(WaitTimeout):
                loop.wait(0)
            assert loop.running

    def test_wait_in_one_thread_and_stop_in_another(self) -> None:
        image()
        loop = start(Stage(units.scale, {"image": "image", "result": "result"}))
        waiting = [threading.Thread(target=loop.wait) for _ in range(2)]
        for thread in waiting:
            thread.start()
        stopping = [threading.Thread(target=loop.stop) for _ in range(2)]
        for thread in stopping:
            thread.start()
        for thread in (*waiting, *stopping):
            thread.join(60)
            assert not thread.is_alive()
        assert not loop.running

    def test_it_runs_without_being_kept(self) -> None:
        stream = image()
        start(Stage(units.scale, {"image": "image", "result": "result"}))
        with fb.open("result") as result, ProcessRecord.open("scale") as record:
            stream.write(np.ones(4))
            assert result.read_next(timeout_s=60).count == 1
            record.stop()
            until(lambda: record.state is State.OFF)
        from framebus.unit import loop as loops

        loops._stop_all()  # as at the end of the process

    def test_ctrl_c_while_waiting(self, spawn: Spawner) -> None:
        process = spawn(
            """
            import framebus as fb
            from framebus.process import ProcessRecord
            from framebus.unit import Stage, start
            from support.units import scale
            fb.create("image", shape=(4,))
            with start(Stage(scale, {"image": "image", "result": "result"})) as loop:
                try:
                    print("waiting")
                    loop.wait()
                except KeyboardInterrupt:
                    print("interrupted", loop.running)
            print("ended", loop.running)
            """,
        )
        process.expect("waiting")
        process.signal(signal.SIGINT)
        assert process.expect("interrupted") == "interrupted True"
        assert process.expect("ended") == "ended False"
        assert process.wait() == 0

    @pytest.mark.parametrize("how", ["falls off the end", "raises", "sys.exit", "Ctrl-C"])
    @pytest.mark.parametrize("made", ["scale", "plain_scale"])
    def test_of_the_process_while_loops_run(self, spawn: Spawner, shm_dir: Path, how: str, made: str) -> None:
        process = spawn(
            """
            import sys
            import numpy as np
            import framebus as fb
            from framebus.unit import LoopOptions, Stage, start
            from support import units
            stream = fb.create("image", shape=(4,))
            stream.write(np.ones(4))
            made, how = getattr(units, sys.argv[1]), sys.argv[2]
            options = LoopOptions(trigger="free")
            start(Stage(made, {"image": "image", "result": "first"}, name="first"), options)
            loop = start(Stage(made, {"image": "image", "result": "second"}, name="second"), options)
            with fb.open("first") as first, fb.open("second") as second:
                first.wait_newer(1)
                second.wait_newer(1)
            print("running")
            if how == "raises":
                raise ValueError("unhandled")
            if how == "sys.exit":
                sys.exit(5)
            if how == "Ctrl-C":
                loop.wait()
            """,
            *(made, how),
        )
        process.expect("running")
        if how == "Ctrl-C":
            process.signal(signal.SIGINT)
        assert process.wait() == {"raises": 1, "sys.exit": 5, "Ctrl-C": -signal.SIGINT}.get(how, 0)
        assert "Fatal" not in process.errors
        assert "terminate" not in process.errors
        assert not list(shm_dir.glob("*.proc.fb")), "the records went with the loops"

    def test_a_forked_child_has_no_part_in_it(self, spawn: Spawner) -> None:
        process = spawn(
            """
            import os, sys
            import numpy as np
            import framebus as fb
            from framebus.process import ProcessRecord, State
            from framebus.unit import Stage, Unit, In, Out, start
            from support.units import scale

            class Device(Unit):
                def step(self, image: In, result: Out) -> None:
                    result[:] = image
                def teardown(self) -> None:
                    print("torn down in the", "child" if child else "parent")

            child = False
            stream = fb.create("image", shape=(4,))
            loops = [
                start(Stage(scale, {"image": "image", "result": "result"})),
                start(Stage(Device, {"image": "image", "result": "other"})),
            ]
            pid = os.fork()
            if pid == 0:
                child = True
                for loop in loops:
                    assert not loop.running
                    loop.wait()
                    loop.stop()
                again = start(Stage(scale, {"image": "image", "result": "mine"}, name="child"))
                again.stop()
                sys.exit(3)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
            with fb.open("result") as result:
                stream.write(np.ones(4))
                assert result.read_next(timeout_s=60).data[0] == 2
            print("goes on", all(loop.running for loop in loops))
            """,
        )
        assert process.expect("goes on") == "goes on True", process.errors
        assert process.expect("torn down") == "torn down in the parent"
        assert process.wait() == 0
