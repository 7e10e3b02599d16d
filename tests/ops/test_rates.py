"""Rates: by the times that frames tell, whatever the moment of the look."""

from __future__ import annotations

import numpy as np
import pytest

import framebus as fb
from framebus.errors import StreamNotFound, StreamRecreated, UsageError
from framebus.ops import rate, rates
from framebus.ops.rates import _rate
from support.processes import Spawner
from support.waiting import once_asleep


def seen(*pairs: tuple[int, int]) -> np.ndarray:
    return np.array(pairs, np.int64)


def test_figures() -> None:
    found = _rate("a", seen((5, 1_000), (6, 2_000), (7, 5_000), (8, 6_000)), 1.0, "")
    assert (found.frames, found.missed) == (3, 0)
    assert found.rate_hz == pytest.approx(3 / 5e-6)
    assert found.p50_s == pytest.approx(1e-6)
    assert found.longest_s == pytest.approx(3e-6)
    assert found.jitter_s == pytest.approx(np.std([1e-6, 3e-6, 1e-6]))


def test_gaps_count_for_the_rate_and_are_no_intervals() -> None:
    found = _rate("a", seen((5, 1_000), (6, 2_000), (10, 6_000)), 1.0, "")
    assert (found.frames, found.missed) == (5, 3)
    assert found.rate_hz == pytest.approx(5 / 5e-6)
    assert found.longest_s == pytest.approx(1e-6)
    assert _rate("a", seen((5, 1_000), (8, 4_000)), 1.0, "").p50_s is None


def test_the_first_frame_of_all_has_no_interval_before_it() -> None:
    found = _rate("a", seen((0, 0), (1, 5_000), (2, 6_000)), 1.0, "")
    assert (found.frames, found.missed) == (2, 0)
    assert found.longest_s == pytest.approx(1e-6)
    one = _rate("a", seen((0, 0), (1, 5_000)), 1.0, "why")
    assert (one.frames, one.rate_hz, one.p50_s, one.reason) == (1, 0.0, None, "")


@pytest.mark.parametrize("dialect", ["isio", "dao"])
@pytest.mark.parametrize("history", [0, 64])
def test_of_a_stream_that_somebody_writes(dialect: str, history: int, dao_name: str, spawn: Spawner) -> None:
    name = f"{dao_name}a"
    writer = spawn(None, name, dialect, str(history), module="support.steady_writer")
    writer.expect("writes")
    [found, idle] = rates([name, name], 0.3)
    for one in (found, idle):
        assert one.rate_hz is not None
        assert one.p50_s is not None
        assert one.p99_s is not None
        assert one.longest_s is not None
        assert one.rate_hz > 0
        assert one.frames - one.missed >= 1
        assert 0 < one.p50_s <= one.p99_s <= one.longest_s
    writer.send()
    assert writer.wait() == 0


def test_without_frames_the_reason_is_told() -> None:
    with fb.create("a", shape=2):
        found = rate("a", 0.01)
        assert (found.frames, found.rate_hz, found.p50_s) == (0, 0.0, None)
        assert "no frame was ever published" in found.reason


def test_what_ends_the_look_at_one_ends_it_at_all() -> None:
    with fb.create("a", shape=2) as a, fb.create("@L:b", shape=2) as b:
        a.write([1, 2])
        thread = once_asleep(a.path, b.remove)
        with pytest.raises(StreamRecreated, match="was removed"):
            rates(["a", "@L:b"], 90_000.0)
        thread.join()


def test_what_cannot_be() -> None:
    with pytest.raises(StreamNotFound):
        rates(["nothing"], 0.1)
    for duration in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="expected seconds above 0"):
            rate("a", duration)
    assert rates([]) == []
