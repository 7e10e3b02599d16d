"""Occurrences, one after another: the newest is given, and what was skipped is counted."""

from __future__ import annotations

import contextlib
import threading

import pytest

import framebus as fb
from framebus.errors import ParameterError, UsageError, WaitTimeout
from framebus.events import Occurrences, parse
from framebus.params import Params
from support.waiting import until


def test_frames_are_skipped_by_the_counter_and_none_is_lost() -> None:
    with fb.create("wfs", shape=(1,)) as wfs, Occurrences(parse("stream:wfs")) as occurrences:
        wfs.write([0.0])
        first = occurrences.next(60)
        assert (first.index, first.values, first.skipped) == (0, {"count": 1}, 0)
        for _ in range(10):
            wfs.write([0.0])
        seen, given = 1, 1
        while seen < 11:
            each = occurrences.next(60)
            assert (each.index, each.values["count"]) == (given, seen + each.skipped + 1)
            seen, given = each.values["count"], given + 1
        assert occurrences.skipped == 11 - given


def test_what_comes_too_soon_is_given_after_the_pause() -> None:
    with fb.create("wfs", shape=(1,)) as wfs, Occurrences("stream:wfs", every_s=0.2) as occurrences:
        wfs.write([0.0])
        first = occurrences.next(60)
        for _ in range(50):
            wfs.write([0.0])
        second = occurrences.next(60)
        assert second.values["count"] == 2 + second.skipped
        assert second.time_ns > first.time_ns
        while second.values["count"] < 51:
            second = occurrences.next(60)
        assert second.index < 50
        assert occurrences.skipped == 50 - second.index


def test_a_pause_is_no_silence() -> None:
    """The timeout is for events that do not come, and not for those that have to wait for their turn."""
    with fb.create("wfs", shape=(1,)) as wfs, Occurrences("stream:wfs", every_s=0.4) as occurrences:
        wfs.write([0.0])
        occurrences.next(60)
        wfs.write([0.0])
        until(lambda: occurrences.skipped == 1)  # it has been seen
        assert occurrences.next(0.05).values["count"] == 2
        with pytest.raises(WaitTimeout, match=r"did not occur within 0\.05 s"):
            occurrences.next(0.05)


def test_a_value_occurs_each_time_that_it_comes_true() -> None:
    with Params.create("loop", {"gain": 0.9}) as loop, Occurrences("param:loop.gain>=0.5") as occurrences:
        assert occurrences.next(60).values["value"] == 0.9  # true from the start
        loop.gain = 0.8  # holds on
        with pytest.raises(WaitTimeout, match=r"'param:loop\.gain>=0\.5' did not occur within 0\.2 s"):
            occurrences.next(0.2)
        with Occurrences("param:loop.gain<0.5") as low:
            for _ in range(100):  # what comes and goes between two looks is none
                loop.gain = 0.1
                low.next(60)
                loop.gain = 0.7
                with contextlib.suppress(WaitTimeout):
                    assert occurrences.next(0.5).values["value"] == 0.7
                    break
            else:
                pytest.fail("it never came true again")


def test_iteration_goes_on_until_it_is_left() -> None:
    with fb.create("wfs", shape=(1,)) as wfs, Occurrences("stream:wfs") as occurrences:
        counts = []
        wfs.write([0.0])
        for each in occurrences:
            counts.append(each.values["count"])
            if len(counts) == 3:
                break
            wfs.write([0.0])
        assert counts == [1, 2, 3]


def test_closing_wakes_who_waits() -> None:
    occurrences = Occurrences("stream:wfs")
    assert occurrences.absent == "there is no stream 'wfs'; there are none"
    said: list[str] = []

    def wait() -> None:
        try:
            occurrences.next()
        except UsageError as error:
            said.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    occurrences.close()
    occurrences.close()
    thread.join()
    assert said == ["'stream:wfs' is not watched any more; it was closed"]


def test_what_ends_the_watching_is_raised() -> None:
    with (
        Occurrences("param:loop.gain>=much") as occurrences,
        Params.create("loop", {"gain": 0.3}),
        pytest.raises(ParameterError, match="expected a number"),
    ):
        occurrences.next(60)
