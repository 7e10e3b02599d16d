"""Operators that run: their targets, and what comes out of them compiled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.errors import NameFormatError, StreamNotFound, UsageError, WaitTimeout
from framebus.ops import operators
from framebus.unit import LoopOptions, Stage, start
from support.waiting import once_asleep

ONCE = LoopOptions(trigger="once")


def run_once(stage: Stage) -> np.ndarray:
    with start(stage, ONCE) as loop:
        loop.wait(60.0)
    [output] = stage.declaration.outputs()
    with fb.open(stage.streams[output.name]) as target:
        return target.read()


def image(*shape: int, dtype: str = "float32") -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


@pytest.mark.parametrize("dialect", ["isio", "dao"])
def test_crop_carries_counts_and_keywords(dialect: str, dao_name: str) -> None:
    source, target = f"{dao_name}a", f"{dao_name}b"
    with fb.create(source, shape=(4, 6), dtype="uint16", dialect=dialect, history=8, keywords={"N": 1}) as a:
        a.write(image(4, 6, dtype="uint16"))
        stage = operators.crop(f"{source}[1:5:2,-*]", target)
        with start(stage, LoopOptions(every_frame=True)), fb.open(target) as b:
            assert (b.shape, b.dtype, b.dialect.name, b.history_length) == ((4, 3), a.dtype, dialect, 8)
            for k in range(3):
                frame = image(4, 6, dtype="uint16") + k
                a.write(frame, acquisition_ns=1000 + k)
                got = b.read_next(timeout_s=60.0)
                assert got.data.tolist() == frame[::-1, 1:6:2].tolist()
                assert got.count == a.count
            assert dict(b.keywords) == {"N": 1}
        a.remove()
        fb.open(target).remove()


def test_a_target_is_gone_on_with_and_never_replaced_unasked(shm_dir: Path) -> None:
    with fb.create("a", shape=(4, 4)) as a:
        a.write(image(4, 4))
        assert run_once(operators.crop("a[0:1,0:1]", "b")).tolist() == [[0, 1], [4, 5]]
        inode = (shm_dir / "b.im.shm").stat().st_ino
        a.write(image(4, 4) + 1)
        assert run_once(operators.crop("a[0:1,0:1]", "b")).tolist() == [[1, 2], [5, 6]]
        assert (shm_dir / "b.im.shm").stat().st_ino == inode
        with pytest.raises(UsageError, match=r"2x2 float32.*expected 3x4 float32.*overwrite"):
            operators.crop("a[*,0:2]", "b")
        assert run_once(operators.crop("a[*,0:2]", "b", overwrite=True)).shape == (3, 4)
        a.write(image(4, 4), count=10)
        run_once(operators.crop("a[*,0:2]", "b"))
        with fb.create("a", shape=(4, 4)) as anew:
            anew.write(image(4, 4))
            with pytest.raises(UsageError, match="'b' is at frame 10, beyond 'a' at 1"):
                operators.crop("a[*,0:2]", "b")
            run_once(operators.crop("a[*,0:2]", "b", overwrite=True))
            with fb.open("b") as b:
                assert b.count == 1


@pytest.mark.parametrize("dialect", ["isio", "dao"])
def test_what_replaces_a_target_is_like_the_source(dialect: str, dao_name: str) -> None:
    source, target = f"{dao_name}a", f"{dao_name}b"
    with fb.create(source, shape=(4, 4), dialect=dialect, history=6) as a:
        for history in (None, 9):
            fb.create(target, shape=5).close()
            operators.crop(f"{source}[0:1,0:1]", target, overwrite=True, history=history)
            with fb.open(target) as b:
                assert (b.shape, b.history_length, b.dialect.name) == ((2, 2), history or 6, dialect)
        operators.average(source, target, 2, overwrite=True, dialect="isio")
        with fb.open(target) as b:
            assert (b.shape, b.history_length, b.dialect.name) == ((4, 4), 6, "isio")
            b.remove()
        a.remove()


def test_the_target_of_a_dead_process_keeps_its_shape(spawn: Callable[..., object]) -> None:
    """Its shape cannot be worked out from the source's."""
    writer = spawn("import framebus as fb\nfb.create('b', shape=(2, 2)).write([[1, 2], [3, 4]])")
    assert writer.wait() == 0  # type: ignore[attr-defined]
    with fb.create("a", shape=(4, 4)) as a:
        a.write(image(4, 4))
        assert run_once(operators.crop("a[2:3,0:1]", "b")).tolist() == [[2, 3], [6, 7]]


def test_bin_of_whole_numbers() -> None:
    with fb.create("a", shape=(4, 6), dtype="uint16") as a:
        a.write(np.full((4, 6), 65535))
        assert run_once(operators.bin("a", "mean", 2)).tolist() == [[65535.0] * 3] * 2
        summed = run_once(operators.bin("a", "sum", (4, 6), total=True))
        assert (summed.tolist(), summed.dtype.name) == ([[65535.0 * 24]], "float32")


def test_average_of_blocks() -> None:
    with fb.create("a", shape=3, dtype="int32", history=8) as a:
        stage = operators.average("a", "mean", 2)
        with start(stage, LoopOptions(every_frame=True)), fb.open("mean") as mean:
            for pair in ((1, 3), (10, 20)):
                for value in pair:
                    a.write(np.full(3, value))
                frame = mean.read_next(timeout_s=60.0)
                assert (frame.data.tolist(), frame.data.dtype.name) == ([sum(pair) / 2] * 3, "float64")


def test_combine_with_live_weights() -> None:
    with fb.create("a", shape=(2, 2), history=4) as a, fb.create("b", shape=(2, 2), dtype="uint16") as b:
        a.write(np.ones((2, 2)))
        b.write(np.full((2, 2), 10))
        stage = operators.combine({"a": 2.0, "b": 0.5}, "c", name="mix")
        with start(stage, LoopOptions(every_frame=True)) as loop, fb.open("c") as c:
            a.write(np.ones((2, 2)))
            assert c.read_next(timeout_s=60.0).data.tolist() == [[7.0] * 2] * 2
            loop.params["weight_2"] = -1.0
            b.write(np.full((2, 2), 3))
            a.write(np.ones((2, 2)))
            assert c.read_next(timeout_s=60.0).data.tolist() == [[-1.0] * 2] * 2


def test_concatenate() -> None:
    with (
        fb.create("a", shape=(2, 3)) as a,
        fb.create("b", shape=(2, 1)) as b,
        fb.create("c", shape=(2, 3)) as c,
    ):
        a.write(image(2, 3))
        b.write([[10], [20]])
        c.write(image(2, 3) + 100)
        assert run_once(operators.concatenate(["a", "b"], "ab", axis=1)).tolist() == [
            [0, 1, 2, 10],
            [3, 4, 5, 20],
        ]
        assert run_once(operators.concatenate(["a", "b"], "ab", axis=-1)).shape == (2, 4)
        assert run_once(operators.concatenate(["a", "c"], "ac")).shape == (4, 3)
        stacked = run_once(operators.concatenate(["a", "c"], "stack", axis=None))
        assert stacked.tolist() == [image(2, 3).tolist(), (image(2, 3) + 100).tolist()]


@pytest.mark.parametrize("dialect", ["isio", "dao"])
def test_a_clock_ticks(dialect: str, dao_name: str) -> None:
    stage = operators.clock(f"{dao_name}tick", history=16, dialect=dialect)
    with (
        fb.open(f"{dao_name}tick") as tick,
        start(stage, LoopOptions(trigger="delay", period_s=0.002)),
    ):
        frames = [tick.read_next(timeout_s=60.0) for _ in range(5)]
        assert all(frame.data.tolist() == [frame.count] for frame in frames)
        assert tick.dialect.name == dialect
    fb.open(f"{dao_name}tick").remove()


def test_noise_compiled_is_noise_interpreted() -> None:
    from framebus.ops.sources import noise, whole_noise

    for unit, dtype, given in ((noise, "float64", (0.0, 1.0)), (whole_noise, "uint8", (100.0, 10.0))):
        drawn = run_once(operators.random(f"r_{dtype}", shape=(3, 5), dtype=dtype, seed=7, name=f"r-{dtype}"))
        wanted = np.zeros((3, 5), dtype)
        unit(wanted, np.zeros(2, np.uint64), mean=given[0], sigma=given[1], uniform=False, seed=7)
        np.testing.assert_allclose(drawn, wanted, rtol=1e-12)


def test_average_once_is_what_average_gives() -> None:
    frames = [[1e8, 1, 2, np.inf], [1, 2, np.nan, 1], [-1e8, 3, 4, -np.inf]]
    with fb.create("a", shape=4, history=8) as a:
        a.write([0, 0, 0, 0])
        thread = once_asleep(
            a.path, lambda: [a.write(frame, acquisition_ns=1000 + k) for k, frame in enumerate(frames)]
        )
        done = operators.average_once("a", "once", 3, timeout_s=60.0)
        thread.join()
        assert done == operators.Averaged(count=1, frames=3, missed=0)
        stage = operators.average("a", "always", 3)
        with start(stage, LoopOptions(every_frame=True)), fb.open("always") as always:
            for frame in frames:
                a.write(frame, acquisition_ns=1002)
            wanted = always.read_next(timeout_s=60.0)
        with fb.open("once") as once:
            [got] = once.history(1)
            np.testing.assert_array_equal(got.data, wanted.data)
            np.testing.assert_array_equal(got.data, np.array([1 / 3, 2, np.nan, np.nan], np.float32))
            assert (got.acquisition_ns, once.history_length) == (wanted.acquisition_ns, 8)


def test_average_once_counts_frames_that_it_missed() -> None:
    with fb.create("a", shape=2, dtype="uint8", history=8) as a:
        a.write([0, 0])
        thread = once_asleep(a.path, lambda: a.write([1, 1]))
        seen: list[tuple[int, int]] = []

        def tell(k: int, total: int) -> None:
            if not seen:
                thread.join()
                a.write([3, 3], count=12)
            seen.append((k, total))

        done = operators.average_once("a", "b", 2, timeout_s=60.0, progress=tell)
        assert (done, seen) == (operators.Averaged(1, 2, missed=9), [(1, 2), (2, 2)])


def test_an_average_of_frames_that_never_came_makes_and_replaces_nothing(shm_dir: Path) -> None:
    with fb.create("a", shape=2) as a, fb.create("there", shape=3) as there:
        for target in ("new", "there"):
            with pytest.raises(WaitTimeout):
                operators.average_once("a", target, 1, timeout_s=0, overwrite=True)
        assert {path.name for path in shm_dir.iterdir()} == {"a.im.shm", "there.im.shm"}
        there.write([1, 2, 3])
        with pytest.raises(UsageError, match=r"'there' is there.*add --overwrite"):
            operators.average_once("a", "there", 1, timeout_s=0)
        with pytest.raises(UsageError, match="'a' is read and would be written"):
            operators.average_once("a", "a", 1, timeout_s=0)
        with pytest.raises(UsageError, match="an average of 0 frames"):
            operators.average_once("a", "new", 0, timeout_s=0)
        assert a.count == 0


def test_what_cannot_be() -> None:
    with pytest.raises(StreamNotFound):
        operators.crop("nothing[0]", "b")
    with (
        fb.create("a", shape=(4, 6)),
        fb.create("small", shape=(2, 2)),
        fb.create("whole", shape=(4, 6), dtype="int8"),
        fb.create("c", shape=(4, 6)),
        fb.create("z", shape=2, dtype="complex64"),
        fb.create("h", shape=2, dtype="float16"),
        fb.create("cube", shape=(2, 4, 6)),
    ):
        cases: list[tuple[Callable[[], object], str]] = [
            (lambda: operators.crop("a", "b"), "says no window"),
            (lambda: operators.crop("a[::2b]", "b"), "has no bins"),
            (lambda: operators.crop("a[0:1,*]", "a"), "'a' is read and would be written"),
            (lambda: operators.crop("h[0]", "b"), "dtype float16, which compiled units cannot read"),
            (lambda: operators.combine({"a": 1.0, "c": 1.0}, "c"), "'c' is read and would be written"),
            (lambda: operators.bin("a", "b", 5), "do not fit 'a'"),
            (lambda: operators.bin("a", "b", 0), "do not fit 'a'"),
            (lambda: operators.bin("a", "b", (2, 2, 2)), "3 factors for the 2 axes"),
            (lambda: operators.bin("z", "b", 2), "has dtype complex64; expected one of"),
            (lambda: operators.average("z", "b", 2), "has dtype complex64"),
            (lambda: operators.average("a", "b", 0), "an average of 0 frames"),
            (lambda: operators.average("a", "a", 2), "would be written"),
            (lambda: operators.combine({"a": 1.0}, "b"), "1 streams cannot be put together"),
            (lambda: operators.combine({"a": 1.0, "small": 1.0}, "b"), "different shapes cannot be added"),
            (
                lambda: operators.combine({"a": 1.0, "whole": 1.0}, "whole"),
                "'whole' is read and would be written",
            ),
            (lambda: operators.combine({"z": 1.0, "h": 1.0}, "b"), "dtype float16, which compiled"),
            (lambda: operators.concatenate(["a", "whole"], "b"), "different dtypes"),
            (lambda: operators.concatenate(["a", "small"], "b"), "cannot be joined along axis 0"),
            (lambda: operators.concatenate(["a", "cube"], "b"), "cannot be joined"),
            (lambda: operators.concatenate(["a", "a"], "b", axis=2), "axis 2 of frames of shape"),
            (lambda: operators.concatenate(["a", "small"], "b", axis=None), "cannot be stacked"),
            (lambda: operators.concatenate(["cube", "cube"], "b", axis=None), "at most 3 axes"),
            (lambda: operators.clock("a"), "'a' is there and is 4x6 float32"),
            (lambda: operators.random("b", shape=(2,), dtype="int64"), "no noise is made in int64"),
            (lambda: operators.random("b", shape=(2,), dtype="float16"), "no noise is made in float16"),
        ]
        for call, said in cases:
            with pytest.raises(UsageError, match=said):
                call()
        with pytest.raises(NameFormatError, match="slice"):
            operators.bin("a", "b[0]", 2)
        assert "b" not in [info.name for info in fb.streams()], "nothing was made"
