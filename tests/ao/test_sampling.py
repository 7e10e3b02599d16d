from __future__ import annotations

import numpy as np
import pytest

import framebus as fb
from framebus.ao.sampling import Sampler, resting, sender
from framebus.errors import DataError, UsageError, WaitTimeout


def test_frames_from_before_the_start_are_passed_over_and_a_clock_that_is_behind_is_told() -> None:
    with fb.create("slopes", shape=(3,), dtype="float32", history=8) as writer, fb.open("slopes") as reader:
        sampler = Sampler(reader, timeout_s=0.05)
        writer.write(np.zeros(3))
        sampler.start()
        writer.write(np.ones(3), acquisition_ns=1000)
        writer.write(np.full(3, 2.0), acquisition_ns=sampler.since_ns + 1)
        sample = sampler.next()
        assert (sample.values[0], sample.count, sample.missed) == (2.0, 3, 0)
        sampler.start()
        writer.write(np.ones(3), acquisition_ns=sampler.since_ns - 10**9)
        with pytest.raises(WaitTimeout):
            sampler.next()
        assert (sampler.span.first_count, sampler.span.last_count, sampler.span.n_read) == (3, 3, 1)
        writer.remove()


def test_missed_frames_are_counted() -> None:
    with fb.create("slopes", shape=(3,), dtype="float32", history=2) as writer, fb.open("slopes") as reader:
        sampler = Sampler(reader, timeout_s=5.0)
        sampler.start()
        for k in range(6):
            writer.write(np.full(3, k))
        assert sampler.next().missed == sampler.span.missed > 0
        writer.remove()


def test_measurements_are_checked() -> None:
    frames = iter([np.zeros(3), np.zeros(4)])
    sampler = Sampler(lambda: next(frames), 1.0)
    sampler.next()
    with pytest.raises(DataError, match=r"shape \(4,\), those before it \(3,\)"):
        sampler.next()
    with pytest.raises(DataError, match="2 values that are not finite"):
        Sampler(lambda: np.array([0.0, np.nan, np.inf]), 1.0).next()


def test_commands_go_out_in_the_mirrors_own_shape() -> None:
    with fb.create("dm", shape=(2, 3), dtype="float32") as dm:
        np.testing.assert_array_equal(resting(dm, None, 6), np.zeros(6))
        sender(dm, 6)(np.arange(6.0))
        np.testing.assert_array_equal(dm.read(), np.arange(6).reshape(2, 3))
        np.testing.assert_array_equal(resting(dm, None, 6), np.arange(6.0))
        np.testing.assert_array_equal(resting(dm, 0.5, 6), np.full(6, 0.5))
        with pytest.raises(UsageError, match=r"'dm' has shape \(2, 3\), 6 actuators; expected 7"):
            sender(dm, 7)
        dm.remove()
