"""Who is late, and why, out of times and counts that are made up."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framebus.latency.threads import ThreadCounts, thread_counts
from framebus.latency.verdict import Verdict, judge
from framebus.process.timing import TIMING_DTYPE, Timings

MS = 1_000_000
QUIET = ThreadCounts(0, "other", 0, 0, 0, 10, 0, 0, 0, 0)


def loops(n: int = 100, *, wake_us: float = 10.0, compute_us: float = 100.0) -> Timings:
    """Of a unit that gets a frame every millisecond."""
    made = np.zeros(n, TIMING_DTYPE)
    made["loop"] = np.arange(1, n + 1)
    made["trigger_count"] = made["loop"]
    made["trigger_ns"] = made["loop"].astype(np.int64) * MS
    made["start_ns"] = made["trigger_ns"] + round(wake_us * 1e3)
    made["end_ns"] = made["start_ns"] + round(compute_us * 1e3)
    return made


def late_at(made: Timings, where: slice, *, wake_ms: float = 0.0, compute_ms: float = 0.0) -> Timings:
    made["start_ns"][where] += round(wake_ms * MS)
    made["end_ns"][where] += round((wake_ms + compute_ms) * MS)
    return made


def verdict(made: Timings, state: str = "running", alive: bool = True, **counted: Any) -> Verdict:
    known = {field.name: getattr(QUIET, field.name) for field in fields(QUIET)}
    return judge(made, ThreadCounts(**{**known, **counted}), alive=alive, state=state)


def test_a_unit_that_is_in_time() -> None:
    told = verdict(loops())
    assert (told.kind, told.causes) == ("in time", ())
    assert told.text == "99.9 % of frames took at most 11 % of the period"
    assert verdict(loops(1)).kind == "in time"
    assert verdict(loops(), major_faults=3).remedies == ("lock_memory = true",)


@pytest.mark.parametrize(
    ("made", "state", "alive", "kind", "said"),
    [
        (loops(), "running", False, "gone", "has ended"),
        (loops(0), "running", True, "silent", "no frame came"),
        (loops(0), "idle", True, "silent", "it is idle"),
        (loops(0), "error", True, "silent", "it is error"),
    ],
)
def test_a_unit_without_frames(made: Timings, state: str, alive: bool, kind: str, said: str) -> None:
    told = verdict(made, state, alive)
    assert told.kind == kind
    assert said in told.text


def test_a_unit_that_nothing_triggers_is_never_late() -> None:
    made = loops()
    made["trigger_ns"] = 0
    assert verdict(made).kind == "untimed"


def test_a_computation_that_is_too_long_for_the_rate() -> None:
    told = verdict(loops(compute_us=1500.0), queue_ns=10**9)
    assert told.kind == "late"
    assert told.causes == ("computing takes 1.5 ms, and a frame comes every 1 ms",)


def test_a_unit_whose_cpu_others_had() -> None:
    made = late_at(loops(), slice(50, 59, 3), wake_ms=2.0)
    told = verdict(made, queue_ns=6 * MS, involuntary=4)
    assert told.text == "3 of 100 frames late, 0 missed"
    assert told.causes == ("other threads had its CPU for 6 ms",)
    assert told.remedies[0].startswith("priority = 80")
    assert not verdict(made, queue_ns=6 * MS, policy="fifo").remedies[0].startswith("priority")


def test_a_unit_that_is_rarely_late() -> None:
    made = late_at(loops(1300), slice(700, 701), wake_ms=2.0)
    told = verdict(made, queue_ns=2 * MS)
    assert (told.kind, told.text) == ("rarely late", "1 of 1300 frames late, 0 missed")
    assert told.causes == ("other threads had its CPU for 2 ms",)
    made["missed"][1000] = 1
    assert verdict(made).kind == "rarely late"
    made["missed"][1100] = 1
    assert verdict(made).kind == "late"


def test_a_unit_that_was_moved_about() -> None:
    told = verdict(late_at(loops(), slice(50, 59, 3), wake_ms=2.0), queue_ns=6 * MS, migrations=9)
    assert told.causes[1] == "9 moves to another CPU"
    assert len(told.remedies) == 1, "a CPU of its own is in the first"
    told = verdict(late_at(loops(), slice(50, 59, 3), wake_ms=2.0), migrations=1)
    assert told.causes[1] == "a move to another CPU"
    assert told.remedies[1] == "cpu = [...]"
    many = verdict(late_at(loops(), slice(50, 59), wake_ms=2.0), queue_ns=9 * MS, migrations=1)
    assert many.causes == ("other threads had its CPU for 9 ms",), "it was moved too rarely to matter"


def test_a_unit_whose_cpu_slept() -> None:
    told = verdict(late_at(loops(), slice(50, 59, 3), wake_ms=2.0))
    assert "6 ms late in all, though no other thread had the CPU" in told.causes[0]
    assert "dma_latency_us = 0" in told.remedies[0]


@pytest.mark.parametrize(
    ("counted", "cause"),
    [
        ({"major_faults": 5}, "5 pages came from disk"),
        ({"minor_faults": 500}, "500 pages were new to it (minor faults)"),
        ({"queue_ns": 5 * MS}, "other threads had its CPU for 5 ms"),
        ({}, "computing takes 100 µs as a rule, and up to 2.1 ms"),
    ],
)
def test_a_computation_that_is_long_at_times(counted: dict[str, Any], cause: str) -> None:
    told = verdict(late_at(loops(), slice(50, 59, 3), compute_ms=2.0), **counted)
    assert told.causes == (cause,)
    assert len(told.remedies) == 1


def test_a_loop_that_awaits_the_one_before_does_not_wake_late() -> None:
    """One computation of 5 ms makes those after it begin late; it is to blame, and not the kernel."""
    made = loops()
    made["end_ns"][10] = made["start_ns"][10] + 5 * MS
    for i in range(11, 16):
        made["start_ns"][i] = made["end_ns"][i - 1]
        made["end_ns"][i] = made["start_ns"][i] + MS // 10
    assert verdict(made).causes[0].startswith("computing takes")


def test_frames_that_were_missed_are_late_ones() -> None:
    made = loops()
    made["missed"][60] = 4
    made["trigger_ns"][60:] += 4 * MS
    made["start_ns"][60:] += 4 * MS
    made["end_ns"][60:] += 4 * MS
    told = verdict(made)
    assert told.text == "4 frames missed, none of 100 late"
    assert "4 ms late in all" in told.causes[0]
    assert "bursts" in told.causes[0]


def test_without_the_kernels_times_its_switches_say_who_had_the_cpu() -> None:
    made = late_at(loops(), slice(50, 59, 3), wake_ms=2.0)
    unknown = ThreadCounts(0, "other", 0, 0, 0, 10, 7, None, None, None)
    told = judge(made, unknown, alive=True, state="running")
    assert told.causes == ("other threads had its CPU for some time (7 involuntary switches)",)
    nothing = judge(made, ThreadCounts(), alive=True, state="running")
    assert "slept deeply" in nothing.causes[0]


# ---- the kernel's counts ---------------------------------------------------------------------------------------------

STAT = "7 (a ) b) S 1 1 1 0 -1 0 5 0 6 " + " ".join(["0"] * 26) + " 3 80 1 0 0 0"


def thread(root: Path, **files: str) -> Path:
    folder = root / "proc/7/task/8"
    folder.mkdir(parents=True, exist_ok=True)
    for name, said in files.items():
        (folder / name).write_text(said)
    return root


def test_a_thread_of_which_all_is_told(tmp_path: Path) -> None:
    thread(
        tmp_path,
        stat=STAT,
        status="voluntary_ctxt_switches:\t11\nnonvoluntary_ctxt_switches:\t12\n",
        sched="a (7, #threads: 1)\n----\nse.nr_migrations   :   13\n",
        schedstat="14 15 16\n",
    )
    assert thread_counts(7, 8, tmp_path) == ThreadCounts(3, "fifo", 80, 5, 6, 11, 12, 13, 14, 15)


def test_a_thread_of_which_little_is_told(tmp_path: Path) -> None:
    assert thread_counts(7, 8, tmp_path) is None
    thread(tmp_path, stat="7 (a) S 1 1", schedstat="nonsense")
    assert thread_counts(7, 8, tmp_path) == ThreadCounts()


def test_counts_between_two_looks() -> None:
    now = ThreadCounts(1, "fifo", 80, 5, 6, 11, None, 13, 14, 15)
    then = ThreadCounts(0, "other", 0, 3, 6, 1, 2, None, 4, 5)
    assert now.since(then) == ThreadCounts(1, "fifo", 80, 2, 0, 10, None, None, 10, 10)
