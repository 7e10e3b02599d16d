from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import framebus as fb
from framebus.ao.averages import average_frames, check_light, saturated_elements
from framebus.errors import DataError, UsageError, WaitTimeout
from framebus.stream.frame import Frame


def camera(
    level: float = 100.0, noise: float = 2.0, shape: tuple[int, ...] = (20, 30), seed: int = 1
) -> Callable[[], Any]:
    rng = np.random.default_rng(seed)
    return lambda: level + noise * rng.normal(size=shape)


class Counted:
    """A stream whose reads say what was missed before them."""

    name, dtype = "camera", np.dtype("float32")

    def __init__(self, frames: Callable[[], Any], missed: dict[int, int]) -> None:
        self.frames, self.missed, self.position, self.reads = frames, missed, 10, 0

    def skip_to_newest(self) -> None:
        pass

    def read_next(self, **_: Any) -> Frame:
        self.reads += 1
        lost = self.missed.get(self.reads, 0)
        self.position += 1 + lost
        return Frame(self.frames(), self.position, 0, self.position * 1000, lost)


@given(st.integers(2, 60), st.integers(0, 100))
def test_without_outliers_it_is_the_mean_and_the_standard_deviation(n: int, seed: int) -> None:
    stack = np.random.default_rng(seed).normal(50.0, 3.0, (n, 4, 5))
    frames = iter(stack)
    found = average_frames(lambda: next(frames), n, reject_sigma=np.inf)
    np.testing.assert_allclose(found.mean, stack.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(found.noise, stack.std(axis=0, ddof=1), rtol=1e-8)
    np.testing.assert_allclose(found.levels, stack.mean(axis=(1, 2)))
    assert found.n == n
    assert not found.rejected.any()


def test_cosmic_rays_leave_no_trace() -> None:
    steady = camera()
    calls = 0

    def struck() -> Any:
        nonlocal calls
        calls += 1
        frame = steady()
        if calls in (3, 40):
            frame[calls % 20, 5:9] += 3000.0
        return frame

    found = average_frames(struck, 60)
    assert np.abs(found.mean - 100.0).max() < 5 * 2.0 / np.sqrt(60)
    assert np.argwhere(found.rejected).tolist() == [
        *([0, column] for column in range(5, 9)),
        *([3, column] for column in range(5, 9)),
    ]
    assert np.median(found.noise) == pytest.approx(2.0, rel=0.05)


def test_missed_frames_are_an_error_unless_allowed() -> None:
    with pytest.raises(
        DataError, match="2 frames of 'camera' were missed before frame 17; give the stream a longer"
    ):
        average_frames(Counted(camera(), {5: 2}), 20)  # type: ignore[arg-type]
    found = average_frames(Counted(camera(), {5: 2}), 20, allow_missed=True)  # type: ignore[arg-type]
    span = found.span
    assert (span.stream, span.first_count, span.last_count, span.missed, span.n_read) == (
        "camera",
        11,
        32,
        2,
        20,
    )
    assert (span.first_ns, span.last_ns) == (11_000, 32_000)


@pytest.mark.parametrize("stop", [7, 30])
def test_an_interrupted_average_goes_on_from_its_file(tmp_path: Path, stop: int) -> None:
    stack = np.random.default_rng(2).normal(50.0, 3.0, (50, 4, 5))
    position = 0

    def frames() -> Any:
        nonlocal position
        if position == stop and not (tmp_path / "part").exists():
            raise KeyboardInterrupt
        position += 1
        return stack[position - 1]

    with pytest.raises(KeyboardInterrupt):
        average_frames(frames, 50, partial=tmp_path / "part")
    with pytest.raises(UsageError, match="n 50 there, 60 here"):
        average_frames(frames, 60, partial=tmp_path / "part")
    done: list[int] = []
    found = average_frames(frames, 50, partial=tmp_path / "part", progress=lambda k, _: done.append(k))
    np.testing.assert_allclose(found.mean, stack.mean(axis=0), rtol=1e-10)
    np.testing.assert_allclose(found.noise, stack.std(axis=0, ddof=1), rtol=1e-8)
    assert done == list(range(stop + 1, 51))
    assert found.span.n_read == 50
    assert list(tmp_path.iterdir()) == []


def test_a_silent_stream_is_told_with_the_reason() -> None:
    with fb.create("quiet", shape=(4,), dtype="float32") as quiet:
        with pytest.raises(WaitTimeout, match="quiet"):
            average_frames(quiet, 3, timeout_s=0.01)
        quiet.remove()


def test_the_frames_of_a_stream() -> None:
    with fb.create("camera", shape=(4, 5), dtype="uint16", history=64) as writer, fb.open("camera") as reader:

        class Written:
            """Reads as a stream does; every wait for a frame makes the writer write one."""

            name, dtype = reader.name, reader.dtype

            def skip_to_newest(self) -> None:
                reader.skip_to_newest()

            def read_next(self, **options: Any) -> Frame:
                writer.write(np.full((4, 5), writer.count % 4 + 10), acquisition_ns=0)
                return reader.read_next(**options)

        found = average_frames(Written(), 40)  # type: ignore[arg-type]
        np.testing.assert_allclose(found.mean, 11.5)
        assert (found.span.first_count, found.span.last_count, found.span.missed) == (1, 40, 0)
        writer.remove()


def test_what_is_saturated() -> None:
    frame = np.full((10, 10), 100.0)
    frame[2:5, 2:5] = 4095.0
    clipped = frame == 4095.0
    word = np.dtype("uint16")
    np.testing.assert_array_equal(saturated_elements(frame, None, word), clipped)
    assert not saturated_elements(frame, None, np.dtype("float32")).any()
    assert not saturated_elements(frame - 1, None, word).any()
    np.testing.assert_array_equal(saturated_elements(frame, 4000.0, np.dtype("float32")), clipped)
    frame[0, 0] = 65535.0
    assert np.argwhere(saturated_elements(frame, None, word)).tolist() == [[0, 0]]
    assert not saturated_elements(np.full((10, 10), 255.0), None, word).any()


def test_light_that_is_saturated_or_unsteady_is_refused() -> None:
    steady = average_frames(camera(), 20, saturation=103.0)
    with pytest.raises(DataError, match="are saturated; lower the light"):
        check_light(steady, max_variation=0.05)
    levels = iter(np.linspace(80.0, 120.0, 20))
    drifting = average_frames(lambda: np.full((5, 6), next(levels)), 20)
    with pytest.raises(DataError, match=r"varies by 12.* rms .*allowed are 5.0%"):
        check_light(drifting, max_variation=0.05)
    check_light(drifting, max_variation=0.2)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n": 1}, UsageError, "n is 1"),
        ({"reject_sigma": 0.0}, UsageError, "reject_sigma is 0.0"),
        ({"measure": lambda: np.full(3, np.inf)}, DataError, "3 values that are not finite"),
    ],
)
def test_arguments_are_checked(options: dict[str, Any], error: type[Exception], message: str) -> None:
    arguments: dict[str, Any] = {"measure": camera(), "n": 5} | options
    with pytest.raises(error, match=message):
        average_frames(**arguments)
