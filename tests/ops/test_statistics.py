"""Statistics of frames, against NumPy's of all frames at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import framebus as fb
from framebus.errors import StreamNotFound, UsageError, WaitTimeout
from framebus.ops import RunningStatistics, statistics


def of(frames: np.ndarray) -> object:
    running = RunningStatistics()
    for frame in frames:
        running.add(frame)
    return running.result("x", 1, len(frames), 0)


@given(arrays(np.float64, (5, 2, 3), elements=st.floats(-1e6, 1e6)), st.sampled_from([0.0, 1e9]))
def test_figures_are_those_of_all_frames_together(frames: np.ndarray, offset: float) -> None:
    frames = frames + offset
    found = of(frames)
    close = {"rel": 1e-9, "abs": 1e-3}
    assert found.mean == pytest.approx(frames.mean(), **close)
    assert found.std == pytest.approx(frames.std(), **close)
    assert (found.minimum, found.maximum) == (frames.min(), frames.max())
    assert found.noise == pytest.approx(np.sqrt(frames.var(axis=0, ddof=1).mean()), **close)
    np.testing.assert_allclose(found.mean_frame, frames.mean(axis=0), rtol=1e-9, atol=1e-3)
    np.testing.assert_allclose(found.std_frame, frames.std(axis=0, ddof=1), rtol=1e-9, atol=1e-3)


def test_what_is_not_finite_is_left_out_and_counted() -> None:
    frames = np.array([[1.0, np.nan, np.nan], [3.0, 5.0, np.inf]])
    found = of(frames)
    assert (found.not_finite, found.mean, found.minimum, found.maximum) == (3, 3.0, 1.0, 5.0)
    assert found.mean_frame.tolist()[:2] == [2.0, 5.0]
    assert np.isnan(found.mean_frame[2])
    nothing = of(np.full((2, 2), np.nan))
    assert np.isnan([nothing.mean, nothing.std, nothing.noise, nothing.minimum, nothing.maximum]).all()


@pytest.mark.parametrize("dialect", ["isio", "dao"])
def test_of_the_newest_frame(dialect: str, dao_name: str) -> None:
    with fb.create(f"{dao_name}a", shape=(2, 2), dtype="uint8", dialect=dialect) as a:
        a.write([[1, 2], [3, 250]])
        found = statistics(f"{dao_name}a", 0)
        assert (found.frames, found.first, found.mean, found.maximum, found.noise) == (1, 1, 64.0, 250.0, 0.0)
        assert statistics(f"{dao_name}a[1,*]", 0).mean == 126.0
        a.remove()


def test_of_complex_values_their_magnitudes() -> None:
    with fb.create("a", shape=2, dtype="complex64") as a:
        a.write([3 + 4j, 0])
        assert statistics("a", 0).mean == 2.5


def test_of_frames_to_come() -> None:
    with fb.create("a", shape=2, history=8) as a:
        a.write([9, 9])

        def more(done: int, _total: int) -> None:
            if done == 1:
                for value in (2, 3):
                    a.write([value, value])

        import threading

        from support.waiting import asleep_at, until

        thread = threading.Thread(target=lambda: (until(lambda: asleep_at(a.path)), a.write([1, 1])))
        thread.start()
        found = statistics("a", 3, timeout_s=60.0, progress=more)
        thread.join()
        assert (found.first, found.last, found.mean, found.missed, found.noise) == (2, 4, 2.0, 0, 1.0)


def test_what_cannot_be() -> None:
    with pytest.raises(StreamNotFound):
        statistics("nothing")
    with fb.create("a", shape=2):
        with pytest.raises(UsageError, match="-1 frames"):
            statistics("a", -1)
        with pytest.raises(WaitTimeout, match="no frame was ever published"):
            statistics("a", 1, timeout_s=0.0)
