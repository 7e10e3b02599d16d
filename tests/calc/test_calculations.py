"""Expressions over live streams."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import framebus as fb
from framebus.calc import Calculation, ExpressionError, Limits, Target, calc
from framebus.errors import StreamNotFound, UsageError, WaitTimeout
from support.processes import Spawner

SHAPE = (3, 4)


@pytest.fixture
def im() -> Iterator[fb.Stream]:
    with fb.create("im", shape=SHAPE, dtype="uint16", history=8) as stream:
        stream.write(np.full(SHAPE, 7), acquisition_ns=70)
        yield stream


@pytest.fixture
def dark() -> Iterator[fb.Stream]:
    with fb.create("dark", shape=SHAPE, dtype="float32") as stream:
        stream.write(np.full(SHAPE, 2))
        yield stream


def test_a_value(im: fb.Stream, dark: fb.Stream) -> None:
    assert calc("mean(im - dark) * 2") == 10.0
    np.testing.assert_array_equal(calc("im - dark"), np.full(SHAPE, 5, np.float32))


def test_an_assignment_makes_the_stream(im: fb.Stream, dark: fb.Stream) -> None:
    im.write(np.full(SHAPE, 9), acquisition_ns=90)
    calc("clean = where(im > 8, 8, im) - dark")
    with fb.open("clean") as clean:
        assert (clean.shape, clean.dtype.name) == (SHAPE, "float32")
        frame = clean.history(1)[0]
        assert (frame.count, frame.acquisition_ns, frame.data[0, 0]) == (2, 90, 6)
        # The same frame again: it cannot have the same count.
        calc("clean = im - dark")
        frame = clean.history(1)[0]
        assert (frame.count, frame.acquisition_ns, frame.data[0, 0]) == (3, 90, 7)


@pytest.mark.parametrize(
    ("text", "shape", "dtype", "first"),
    [
        ("out = max(im)", (1,), "int64", 7),
        ("out = im > 3", SHAPE, "uint8", 1),
        ("out = im[1]", (4,), "uint16", 7),
        ("out = u16(im * 3)", SHAPE, "uint16", 21),
        ("out = fft2(im)", SHAPE, "complex128", 84),
        ("out = transpose(im)", (4, 3), "uint16", 7),
        ("out = ones(2, 3, 4)", (2, 3, 4), "float64", 1),
    ],
)
def test_what_streams_are_made(
    im: fb.Stream, text: str, shape: tuple[int, ...], dtype: str, first: float
) -> None:
    calc(text)
    with fb.open("out") as out:
        assert (out.shape, out.dtype.name) == (shape, dtype)
        assert out.read().flat[0] == first


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("out = im[3:]", "at least one element"),
        ("out = im[None, None]", "1 to 3 axes"),
        ("out = ones(2)[None, None, None]", "axes"),
    ],
)
def test_what_no_stream_can_be(im: fb.Stream, text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        calc(text)
    with pytest.raises(StreamNotFound):
        fb.open("out")


def test_a_target_of_another_shape(im: fb.Stream) -> None:
    with fb.create("out", shape=(2, 2), dtype="uint16", history=4) as out:
        with pytest.raises(UsageError, match=r"'out' is there and is 2x2 uint16, .*; expected 3x4 uint16: "):
            calc("out = +im")
        assert out.count == 0
        calc("out = +im", overwrite=True)
    with fb.open("out") as out:
        assert (out.shape, out.history_length) == (SHAPE, 4)
    with pytest.raises(UsageError, match=r"3x4 uint16, .*; expected 3x4 int64"):
        calc("out = im + 1")


def test_a_target_that_is_no_stream(im: fb.Stream, shm_dir: Path) -> None:
    (shm_dir / "out.im.shm").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="--overwrite"):
        calc("out = +im")
    calc("out = +im", overwrite=True)
    with fb.open("out") as out:
        assert out.read()[0, 0] == 7


def test_a_target_that_somebody_else_writes(im: fb.Stream, spawn: Spawner) -> None:
    other = spawn(
        """
        import framebus as fb
        with fb.create("out", shape=(3, 4), dtype="uint16") as out:
            out.write([[1] * 4] * 3)
            print("written")
            input()
        """
    )
    other.expect("written")
    with pytest.raises(UsageError, match=rf"written by process {other.pid}, which is alive.*--force"):
        calc("out = +im")
    calc("out = +im", force=True)
    other.send()
    assert other.wait() == 0
    with fb.open("out") as out:
        assert out.read()[0, 0] == 7


def test_a_path_as_target(im: fb.Stream, tmp_path: Path) -> None:
    path = tmp_path / "out.im.shm"
    calc(f"{{{path}}} = {{im[0:1,2]}} + 1")
    with fb.open(path) as out:
        assert out.read().tolist() == [[8, 8]]
        out.remove()


def test_the_target_in_its_own_expression(im: fb.Stream) -> None:
    calc("total = zeros(im)")
    for _ in range(3):
        calc("total = total + im")
    assert calc("max(total)") == 21
    with Calculation("total = total + im") as calculation:
        assert calculation.trigger == "im"


# ---- following -------------------------------------------------------------------------------------------------------


def test_each_new_frame(im: fb.Stream, dark: fb.Stream) -> None:
    with Calculation("clean = im - dark") as calculation:
        results = calculation.follow(timeout_s=60)
        for count in (2, 3, 4):
            im.write(np.full(SHAPE, 10 * count), acquisition_ns=count)
            if count == 4:
                dark.write(np.full(SHAPE, 40))
            result = next(results)
            assert (result.count, result.acquisition_ns, result.missed, result.written) == (
                count,
                count,
                0,
                count,
            )
            assert result.value[0, 0] == 10 * count - (40 if count == 4 else 2)
        results.close()
        assert calculation.target is not None
        assert calculation.target.count == 4


def test_frames_that_are_missed_are_counted(im: fb.Stream) -> None:
    with Calculation("mean(im)") as calculation:
        results = calculation.follow(timeout_s=60)
        im.write(np.full(SHAPE, 1))
        assert next(results).value == 1
        for value in range(2, 30):
            im.write(np.full(SHAPE, value))
        found = [next(results) for _ in range(3)]
        assert found[0].missed > 0
        assert [result.missed for result in found[1:]] == [0, 0]
        assert found[0].count == 2 + found[0].missed + 1
        results.close()
    with Calculation("mean(im)") as calculation:
        for value in range(3):
            im.write(np.full(SHAPE, value))
        [result] = calculation.follow(1, newest=True, timeout_s=60)
        assert (result.value, result.missed) == (2, 2)


def test_another_stream_triggers(im: fb.Stream, dark: fb.Stream) -> None:
    with Calculation("mean(im)", on="dark") as calculation:
        assert calculation.trigger == "dark"
        results = calculation.follow(1, timeout_s=60)
        im.write(np.full(SHAPE, 3))
        dark.write(np.full(SHAPE, 0))
        [result] = results
        assert (result.value, result.count) == (3, 2)


def test_a_stream_that_is_made_anew_is_read_anew(im: fb.Stream, dark: fb.Stream) -> None:
    """The count is the same, the frame is another."""
    with Calculation("mean(im - dark)") as calculation:
        assert calculation.once().value == 5
        with fb.create("dark", shape=SHAPE, dtype="float32") as again:
            again.write(np.full(SHAPE, 6))
            assert calculation.once().value == 1


def test_no_frame_comes(im: fb.Stream) -> None:
    with Calculation("mean(im)") as calculation, pytest.raises(WaitTimeout):
        next(calculation.follow(timeout_s=0.01))


def test_nothing_triggers(im: fb.Stream) -> None:
    with Calculation("out = random(3, 4)") as calculation:
        assert calculation.once().written == 1
        with pytest.raises(UsageError, match="no stream whose frames could trigger"):
            next(calculation.follow())
    calc("out = random(3, 4)")
    with Calculation("out = out + 1") as calculation, pytest.raises(UsageError, match="--on"):
        next(calculation.follow())
    with pytest.raises(UsageError, match="cannot trigger"):
        Calculation("out = out + im", on="out")


def test_what_is_not_finite_is_counted(im: fb.Stream) -> None:
    with Calculation("out = log(im - 7)") as calculation:
        assert calculation.once().not_finite == 12
    with Calculation("nan") as calculation:
        assert calculation.once().not_finite == 1


# ---- errors ----------------------------------------------------------------------------------------------------------


def test_a_stream_that_is_not_there(im: fb.Stream, dark: fb.Stream) -> None:
    with pytest.raises(
        StreamNotFound, match=r"column 6 of 'im - darc': no stream 'darc'; did you mean 'dark'"
    ):
        calc("im - darc")
    with pytest.raises(StreamNotFound, match="no stream 'gone'"):
        Calculation("im", on="gone")


def test_a_stream_without_a_frame() -> None:
    with fb.create("never", shape=(2,)), pytest.raises(StreamNotFound, match="'never' has no frame yet"):
        calc("never + 1")


def test_a_stream_with_the_name_of_a_constant() -> None:
    with fb.create("e", shape=(2,)) as stream:
        stream.write([1, 2])
        with pytest.raises(ExpressionError, match=r"column 10 of .*'e' is a constant, and there is a stream"):
            calc("{e} + pi*e + e")
        with pytest.raises(ExpressionError, match=r"column 1 of .*'e' is a constant, and there is a stream"):
            calc("e + 1")
        assert calc("sum({e})") == 3


def test_what_is_too_large(im: fb.Stream) -> None:
    with pytest.raises(ExpressionError, match="are allowed"):
        calc("im * 2.5", limits=Limits(memory_bytes=100))


def test_names_that_are_no_target(im: fb.Stream) -> None:
    with pytest.raises(UsageError, match="slice"):
        calc("{out[0:1]} = im")
    with pytest.raises(UsageError, match="@L:"):
        Target("@L:out")


def test_a_target_follows_its_results() -> None:
    with Target("out", overwrite=True) as target:
        assert target.write(3) == 1
        assert target.write(4, count=9) == 9
        assert target.write([1.5, 2.5]) == 1
        assert target.stream is not None
        assert target.stream.shape == (2,)
    with Target("out") as target:
        target.write([1.0, 2.0])
        with pytest.raises(UsageError, match="expected 3 float64"):
            target.write([1.0, 2.0, 3.0])
