"""Units between DAO's streams: triggered by DAO programs, writing for DAO's readers, in the native loop."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.errors import UnitError
from framebus.process import ProcessRecord
from framebus.unit import FunctionUnit, In, Loop, LoopOptions, Out, Stage, start, unit
from support import units
from support.dao_writer import SEMAPHORES, DaoStream
from support.native import native
from support.processes import Spawner
from support.waiting import until

SMALL, LARGE = (16,), (128, 128)
"""Below and above 16 kB: copied, and read in place where that is safe."""


@pytest.fixture
def place(shm_dir: Path, dao_name: str) -> Callable[[str], Path]:
    """Where the DAO stream of that name lies."""

    def path(name: str) -> Path:
        return shm_dir / f"{dao_name}{name}.im.shm"

    return path


def record_of(loop: Loop) -> ProcessRecord:
    return ProcessRecord.open(loop.record.path)


@pytest.mark.parametrize("spin_us", [0, math.inf])
@pytest.mark.parametrize("depth", [1, 3])
def test_from_a_dao_program_to_a_dao_reader(depth: int, spin_us: float, place: Callable[[str], Path]) -> None:
    """One frame at a time: each wakes the unit, each result wakes a reader of DAO's on the semaphore of its number."""
    with (
        DaoStream.create(place("image"), (4,), "float32", depth=depth) as image,
        DaoStream.create(place("result"), (4,), "float32", depth=depth) as result,
    ):
        wiring = {"image": str(place("image")), "result": str(place("result"))}
        with start(Stage(units.scale, wiring), LoopOptions(spin_us=spin_us)) as loop:
            for n in range(1, 101):
                image.write(np.full(4, n))
                assert result.wait(n % SEMAPHORES, 60)
                while result.count < n:  # a post of an earlier frame
                    assert result.wait(n % SEMAPHORES, 60)
                assert result.next_segment()[1].tolist() == [2.0 * n] * 4
                assert not result.overwritten()
                for number in range(SEMAPHORES):
                    result.drain(number)
            until(lambda: loop.record.loop_count == 100)
            assert loop.record.missed == 0
            assert loop.loops == 100


@pytest.mark.parametrize("made", [units.counting, units.plain_scale], ids=lambda made: made.name)
def test_outputs_are_made_in_daos_format_where_the_stream_is(
    made: FunctionUnit, place: Callable[[str], Path]
) -> None:
    """A stream that is there keeps its format; the unit goes on in it."""
    output = "value" if made is units.counting else "result"
    fb.create(place("image"), shape=4, dialect="dao", history=2).close()
    shape, dtype = ((2,), "float64") if made is units.counting else ((4,), "float32")
    fb.create(place("out"), shape=shape, dtype=dtype, dialect="dao", history=4).close()
    with (
        start(Stage(made, {"image": str(place("image")), output: str(place("out"))})),
        fb.open(place("image")) as image,
        fb.open(place("out")) as out,
        DaoStream(place("out")) as dao,
    ):
        assert out.dialect.name == "dao"
        for n in range(1, 7):
            image.write(np.full(4, n), acquisition_ns=1000 + n)
            frame = out.read_next(timeout_s=60)
            assert (frame.count, frame.missed, frame.acquisition_ns) == (n, 0, 1000 + n)
            assert frame.data.tolist() == dao.pixels().tolist()
            assert frame.data.tolist() == ([n, n] if made is units.counting else [2 * n] * 4)
        assert [f.count for f in out.history()] == [3, 4, 5, 6]


@pytest.mark.parametrize("shape", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("depth", [1, 2, 8])
def test_every_frame_of_a_flood_is_whole_and_computed_or_counted(
    depth: int, shape: tuple[int, ...], place: Callable[[str], Path], spawn: Spawner
) -> None:
    """The unit fails if two pixels of a frame differ; its State and its Out must agree on how often it ran."""
    frames = 4_000 if shape == SMALL else 1_000
    fb.create(place("image"), shape=shape, dialect="dao", history=depth).close()
    writer = spawn(
        """
        import sys
        import numpy as np
        import framebus as fb
        with fb.open(sys.argv[1]) as image:
            pixels = np.empty(image.shape, "float32")
            print("ready")
            input()
            for count in range(1, int(sys.argv[2]) + 1):
                pixels.fill(count)
                image.write(pixels)
        """,
        *(str(place("image")), str(frames)),
    )
    writer.expect("ready")
    wiring = {"image": str(place("image")), "value": "value"}
    with start(Stage(units.counting, wiring)) as loop, fb.open("value") as value:
        writer.send()
        assert writer.wait() == 0, writer.errors
        until(lambda: (value.count > 0 and value.read()[0] == frames) or not loop.running)
        record = record_of(loop)
        loop.stop()
        assert record.loop_count + record.missed == frames
        assert value.read().tolist() == [frames, record.loop_count]
        record.close()


@pytest.mark.parametrize("depth", [1, 2, 8])
def test_flood_of_a_dao_program(depth: int, place: Callable[[str], Path], spawn: Spawner) -> None:
    frames = 1_000
    DaoStream.create(place("image"), LARGE, "float32", depth=depth).close()
    writer = spawn(
        """
        import sys
        import numpy as np
        from support.dao_writer import DaoStream
        with DaoStream(sys.argv[1]) as image:
            print("ready")
            input()
            for count in range(1, int(sys.argv[2]) + 1):
                image.write(np.full(image.shape, count, "float32"))
        """,
        *(str(place("image")), str(frames)),
    )
    writer.expect("ready")
    wiring = {"image": str(place("image")), "value": "value"}
    with start(Stage(units.counting, wiring)) as loop, fb.open("value") as value:
        writer.send()
        assert writer.wait() == 0, writer.errors
        until(lambda: (value.count > 0 and value.read()[0] == frames) or not loop.running)
        record = record_of(loop)
        loop.stop()
        assert record.loop_count + record.missed == frames
        assert value.read().tolist() == [frames, record.loop_count]
        record.close()


@pytest.mark.parametrize("writer", ["framebus", "dao"])
def test_in_order_through_the_fifo(writer: str, place: Callable[[str], Path]) -> None:
    """With ``every_frame`` none is passed over that the FIFO still holds."""
    seen: list[float] = []

    @unit(compiled=False)
    def note(image: In, result: Out) -> None:
        seen.append(float(image[0]))
        result[...] = image

    DaoStream.create(place("image"), (4,), "float32", depth=64).close()
    wiring = {"image": str(place("image")), "result": "result"}
    with (
        start(Stage(note, wiring), LoopOptions(every_frame=True)) as loop,
        fb.open(place("image")) as image,
        DaoStream(place("image")) as dao,
    ):
        for n in range(1, 121):
            until(lambda: loop.record.loop_count > n - 60)  # noqa: B023
            (image.write if writer == "framebus" else dao.write)(np.full(4, n))
        until(lambda: loop.record.loop_count == 120)
        assert loop.record.missed == 0
    assert seen == list(range(1, 121))


def test_steps_of_a_native_loop(place: Callable[[str], Path]) -> None:
    with DaoStream.create(place("image"), (4,), "float32", depth=2) as image:
        fb.create(place("result"), shape=4, dialect="dao", history=2).close()
        wiring = {"image": str(place("image")), "result": str(place("result"))}
        with native(units.scale, wiring) as loop, fb.open(place("result")) as result:
            loop.loop.start()
            for n in range(1, 6):
                image.write(np.full(4, n))
                frame = result.read_next(timeout_s=60)
                assert (frame.count, frame.data.tolist()) == (n, [2 * n] * 4)


def test_a_second_input_is_read_as_it_stands(place: Callable[[str], Path]) -> None:
    """Also in the middle of a frame of its writer: then the last whole one in a FIFO."""
    with DaoStream.create(place("offset"), (4,), "float32", depth=2) as offset:
        offset.write(np.full(4, 100))
        image = fb.create("image", shape=4)
        wiring = {"image": "image", "offset": str(place("offset")), "result": "result"}
        with start(Stage(units.add, wiring)), fb.open("result") as result:
            for n in range(1, 5):
                offset.begin()
                offset.store(np.full(4, -1), part=0.5)
                image.write(np.full(4, n))
                assert result.read_next(timeout_s=60).data.tolist() == [100 * n + n] * 4
                offset.write(np.full(4, 100 * (n + 1)))


def test_trigger_that_dao_makes_anew_in_place_is_followed(place: Callable[[str], Path]) -> None:
    DaoStream.create(place("image"), (4,), "float32", depth=2).close()
    wiring = {"image": str(place("image")), "value": "value"}
    with start(Stage(units.whole, wiring)), fb.open("value") as value:
        for made in range(1, 11):
            with DaoStream.create(place("image"), (4,), "float32", depth=1 + made % 3) as image:
                for n in range(3):
                    image.write(np.full(4, 10 * made + n))
                    assert value.read_next(timeout_s=60).data[0] == 10 * made + n


def test_trigger_that_dao_makes_anew_with_another_shape_ends_the_unit(place: Callable[[str], Path]) -> None:
    DaoStream.create(place("image"), (4,), "float32", depth=2).close()
    loop = start(Stage(units.whole, {"image": str(place("image")), "value": "value"}))
    DaoStream.create(place("image"), (5,), "float32", depth=2).close()
    with pytest.raises(UnitError, match="was made anew with another shape or dtype"):
        loop.wait(60)


@pytest.mark.parametrize("shape", [SMALL, LARGE], ids=["small", "large"])
def test_output_that_dao_makes_anew_in_place_is_followed(
    shape: tuple[int, ...], place: Callable[[str], Path]
) -> None:
    image = fb.create("image", shape=shape)
    DaoStream.create(place("result"), shape, "float32", depth=3).close()
    with start(Stage(units.scale, {"image": "image", "result": str(place("result"))})) as loop:
        done = 0
        for made in range(1, 6):
            with DaoStream.create(place("result"), shape, "float32", depth=made) as result:
                while result.count == 0:
                    done += 1
                    image.write(np.full(shape, made))
                    until(lambda: loop.record.loop_count == done)  # noqa: B023
                assert set(result.pixels().flat) == {2.0 * made}


def test_process_local_streams_in_daos_format(dao_name: str) -> None:
    image = fb.create(f"@L:{dao_name}image", shape=4, dialect="dao", history=2)
    fb.create(f"@L:{dao_name}result", shape=4, dialect="dao", history=2)
    wiring = {"image": f"@L:{dao_name}image", "result": f"@L:{dao_name}result"}
    with start(Stage(units.scale, wiring)), fb.open(wiring["result"]) as result:
        for n in range(1, 11):
            image.write(np.full(4, n))
            assert result.read_next(timeout_s=60).data.tolist() == [2 * n] * 4
    for name in wiring.values():
        fb.open(name).remove()


def test_two_fused_units(place: Callable[[str], Path]) -> None:
    """The stream between them is DAO's; others read it as well."""
    with DaoStream.create(place("image"), (4,), "float32") as image:
        fb.create(place("between"), shape=4, dialect="dao", history=3).close()
        stages = [
            Stage(units.scale, {"image": str(place("image")), "result": str(place("between"))}, name="first"),
            Stage(units.scale, {"image": str(place("between")), "result": "result"}, name="second"),
        ]
        with start(stages), fb.open("result") as result, fb.open(place("between")) as between:
            for n in range(1, 11):
                image.write(np.full(4, n))
                assert result.read_next(timeout_s=60).data.tolist() == [4 * n] * 4
                assert between.read_next(timeout_s=60).data.tolist() == [2 * n] * 4
