"""Which unit is late, and why: what its loops' times and the kernel's counts say together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from framebus.latency.threads import ThreadCounts
from framebus.process.timing import Timings

__all__ = ["Verdict", "judge", "late_loops", "triggered"]

Kind = Literal["in time", "rarely late", "late", "silent", "untimed", "gone"]

_RARELY = 0.002
"""Of the frames: up to this share of late and missed ones a unit is late rarely."""

_FULL = 0.9
"""Of the time between frames: a median computation that takes more has no room for anything."""

_QUEUE_SHARE = 0.2
"""Of the time lost: what was spent in the queue for a CPU is a cause from this share on."""

_MOVED_SHARE = 0.2
"""Of the late loops: moves to other CPUs are a cause from this share on."""

_MANY_FAULTS = 0.1
"""Minor faults a loop, from which on they are worth a word."""

_OWN_CPU = "cpu = [...]"

Times = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to think of a unit.

    Attributes:
        kind: ``in time``; ``rarely late``: up to 0.2 % of the frames were late or missed; ``late``; ``silent``: no
            frame came; ``untimed``: nothing triggers it, so that nothing is late; ``gone``: its process has ended.
        text: what was found.
        causes: why, the weightiest first.
        remedies: what helps, in the same order, each once.
    """

    kind: Kind
    text: str
    causes: tuple[str, ...] = ()
    remedies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Lost:
    """What late loops lost in all, ns: by waking late, and by computing long (the loop before them included)."""

    waking: int
    computing: int


def triggered(timings: Timings) -> Timings:
    """The loops that something triggered."""
    found: Timings = timings[timings["trigger_ns"] != 0]
    return found


def late_loops(timings: Timings) -> tuple[npt.NDArray[np.bool_], float]:
    """Which loops ended when the next frame was due already.

    Args:
        timings: triggered loops, oldest first.

    Returns:
        (n,) bool; and the median time from frame to frame, ns (NaN for fewer than two loops).
    """
    if len(timings) < 2:
        return np.zeros(len(timings), np.bool_), float("nan")
    between = np.diff(timings["trigger_ns"]) / (1 + timings["missed"][1:].astype(np.int64))
    period = float(np.median(between))
    return timings["end_ns"] - timings["trigger_ns"] > period, period


def judge(timings: Timings, counts: ThreadCounts, *, alive: bool, state: str) -> Verdict:
    """Judge a unit.

    Args:
        timings: its loops, oldest first; of ticks, ``trigger_ns`` is the moment that was due.
        counts: what the kernel counted of its thread meanwhile.
        alive: whether its process lives.
        state: its state: ``running``, ``paused`` ...
    """
    if not alive:
        return Verdict("gone", "its process has ended", (), ("framebus logs UNIT",))
    if not len(timings):
        if state != "running":
            return Verdict(
                "silent", f"it is {state}", (), ("framebus resume UNIT",) * (state in ("idle", "paused"))
            )
        return Verdict("silent", "no frame came", ("what triggers it stands still",), ("framebus ls --rate",))
    loops = triggered(timings)
    if not len(loops):
        return Verdict("untimed", "nothing triggers it: it runs as fast as it can")
    late, period = late_loops(loops)
    missed = int(loops["missed"].sum())
    n_late = int(late.sum())
    if not n_late and not missed:
        return _in_time(loops, period, counts)
    if n_late:
        said = f"{n_late} of {len(loops)} frames late, {missed} missed"
    else:
        said = f"{missed} frame{'' if missed == 1 else 's'} missed, none of {len(loops)} late"
    causes, remedies = _why(loops, late | (loops["missed"] > 0), period, counts)
    rarely = n_late + missed <= _RARELY * (len(loops) + missed)
    return Verdict("rarely late" if rarely else "late", said, causes, remedies)


def _in_time(loops: Timings, period: float, counts: ThreadCounts) -> Verdict:
    latency = loops["end_ns"] - loops["trigger_ns"]
    said = "its only frame was done"
    if len(loops) > 1:
        said = (
            f"99.9 % of frames took at most {100 * np.percentile(latency, 99.9) / period:.0f} % of the period"
        )
    causes, remedies = (
        (("pages came from disk",), ("lock_memory = true",)) if counts.major_faults else ((), ())
    )
    return Verdict("in time", said, causes, remedies)


def _why(
    loops: Timings, late: npt.NDArray[np.bool_], period: float, counts: ThreadCounts
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    computing = float(np.median(loops["end_ns"] - loops["start_ns"]))
    if computing > _FULL * period:
        cause = f"computing takes {_time(computing)}, and a frame comes every {_time(period)}"
        return (cause,), ("make it faster, split it in two, or let frames come more slowly",)
    lost = _lost(loops, late, period)
    found = (
        _late_wakeups(lost, int(late.sum()), counts)
        if lost.waking > lost.computing
        else _long_computing(loops, lost, counts)
    )
    return tuple(cause for cause, _ in found), tuple(dict.fromkeys(remedy for _, remedy in found if remedy))


def _lost(loops: Timings, late: npt.NDArray[np.bool_], period: float) -> _Lost:
    """By how much late loops exceeded the medians. One that had to await the end of the loop before did not wake late.

    A loop that missed frames was due when the first of them came, which is not known but of a clock: a period each.
    """
    due: Any = loops["trigger_ns"] - (loops["missed"] * period).astype(np.int64)
    ended = np.zeros(len(loops), np.int64)
    follows = np.diff(loops["loop"]) == 1
    ended[1:][follows] = loops["end_ns"][:-1][follows]
    blocked = np.maximum(0, ended - due)
    waking = loops["start_ns"] - np.maximum(due, ended)
    computing = loops["end_ns"] - loops["start_ns"]
    return _Lost(_excess(waking, late), _excess(computing, late) + int(blocked[late].sum()))


def _excess(times: Times, late: npt.NDArray[np.bool_]) -> int:
    return int(np.maximum(0, times[late] - np.median(times)).sum())


def _late_wakeups(lost: _Lost, n_late: int, counts: ThreadCounts) -> list[tuple[str, str]]:
    waited = _queue(lost.waking, counts)
    if waited is None:
        cause = f"these began {_time(lost.waking)} late in all, though no other thread had the CPU: "
        cause += "it slept deeply, a hypervisor had it, or frames came in bursts"
        waited = cause, "dma_latency_us = 0, or spin_us = inf; 'framebus doctor --measure'"
    found = [waited]
    if counts.migrations and counts.migrations >= _MOVED_SHARE * n_late:
        moves = "a move" if counts.migrations == 1 else f"{counts.migrations} moves"
        found.append((f"{moves} to another CPU", "" if _OWN_CPU in waited[1] else _OWN_CPU))
    return found


def _long_computing(loops: Timings, lost: _Lost, counts: ThreadCounts) -> list[tuple[str, str]]:
    found = []
    if counts.major_faults:
        found.append((f"{counts.major_faults} pages came from disk", "lock_memory = true"))
    if (waited := _queue(lost.computing, counts)) is not None:
        found.append(waited)
    if counts.minor_faults and counts.minor_faults > _MANY_FAULTS * len(loops):
        cause = f"{counts.minor_faults} pages were new to it (minor faults)"
        found.append((cause, "use the same arrays for every frame; lock_memory = true"))
    times = loops["end_ns"] - loops["start_ns"]
    if not found:
        cause = (
            f"computing takes {_time(float(np.median(times)))} as a rule, and up to {_time(int(times.max()))}"
        )
        found.append((cause, "look what its code does at times; nothing of the kernel's kept it waiting"))
    return found


def _queue(lost_ns: int, counts: ThreadCounts) -> tuple[str, str] | None:
    """Time in the queue for a CPU, if that is a part of what was lost; by switches where the time is not told."""
    told = counts.queue_ns is not None
    if (told and (counts.queue_ns or 0) < _QUEUE_SHARE * lost_ns) or not (told or counts.involuntary):
        return None
    waited = _time(counts.queue_ns or 0) if told else f"some time ({counts.involuntary} involuntary switches)"
    remedy = f"an isolated CPU of its own ({_OWN_CPU})"
    if counts.policy not in ("fifo", "rr"):
        remedy = f"priority = 80, and {remedy}"
    return f"other threads had its CPU for {waited}", remedy


def _time(ns: float) -> str:
    for unit, size in (("µs", 1e3), ("ms", 1e6)):
        if ns < 999.5 * size:
            return f"{ns / size:.3g} {unit}"
    return f"{ns / 1e9:.3g} s"
