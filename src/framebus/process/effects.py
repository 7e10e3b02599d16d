"""What a machine's settings cost, measured: every figure is of this machine, now, with whatever else runs on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from framebus.errors import UsageError
from framebus.process import single_costs as costs
from framebus.process.findings import Finding
from framebus.process.histogram import Histogram
from framebus.process.kernel_files import cpu_times, ranges
from framebus.process.machine import Machine, machine
from framebus.process.surroundings import Surroundings, surroundings
from framebus.process.wakeups import LOOP_SLACK_NS, Wakeups, measure_wakeups

__all__ = ["LEAST_S", "Comparison", "Effects", "measure_effects", "with_effects"]

LEAST_S = 0.2
"""Below this the shorter of the measurements have no figures to speak of."""

_PRIORITY = 50
_DEFAULT_SLACK_NS = 50_000
_SHARE = 0.2
_NOISY = 10.0
"""A CPU whose 99.9th percentile is so many times the median has neighbours; below, it is the machine's own spread."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Wake-ups of one CPU with one thing changed.

    Attributes:
        subject: of the finding that it belongs to.
        changed: what is changed, in words.
        without, with_it: wake-ups as they are, and with the change.
    """

    subject: str
    changed: str
    without: Histogram
    with_it: Histogram


@dataclass(frozen=True)
class Effects:
    """Figures.

    Attributes:
        seconds: how long the wake-ups were measured.
        wakeups: of each CPU, with normal scheduling and the timer slack of loops (1 ns), all at the same time.
        cpu: on which the rest was measured.
        comparisons: what single settings change, of those that this user may ask for.
        first_touch_ns, touch_ns: of a page of new memory, and of one that is there, median, ns.
        ramp: time of work after 50 ms of rest, over that of the same work on a busy CPU.
        clock_ns: a look at the clock, ns.
        steal: share of the CPUs' time that a hypervisor gave to others meanwhile; None: not told.
        sibling: time of work while a CPU of the same core works, over its time alone; None: there is no such CPU.
    """

    seconds: float
    wakeups: tuple[Wakeups, ...]
    cpu: int
    comparisons: tuple[Comparison, ...]
    first_touch_ns: float
    touch_ns: float
    ramp: float
    clock_ns: float
    steal: float | None
    sibling: float | None


def measure_effects(
    seconds: float = 10.0,
    on: Machine | None = None,
    around: Surroundings | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Effects:
    """Measure wake-ups on every CPU that this process may use, then, on one, what single settings change.

    Nothing stays changed: what is asked for ends with the threads that asked. The whole takes about twice ``seconds``.

    Args:
        seconds: for the wake-ups of all CPUs; each comparison takes a fifth of it, at least 0.2 s.
        on, around: the machine; default: this one.
        progress: is told what is measured, and which share of it has been done.

    Raises:
        UsageError: ``seconds`` is too short.
        ModuleNotFoundError: numba is not installed.
    """
    if not LEAST_S <= seconds < 86_400:
        raise UsageError(f"cannot measure for {seconds:g} s; expected {LEAST_S:g} s to a day")
    on, around = on or machine(), around or surroundings()
    before = cpu_times(Path("/"))
    wakeups = measure_wakeups(on.allowed, seconds, progress=_tell(progress, "wake-ups of all CPUs"))
    cpu = max(set(on.isolated) & set(on.allowed) or on.allowed)
    comparisons = _comparisons(cpu, max(LEAST_S, seconds * _SHARE), on, progress)
    steal = _stolen(before, cpu_times(Path("/")))
    first, again = costs.page_touches_ns()
    pair = next((group for group in around.siblings if cpu in group and set(group) <= set(on.allowed)), None)
    sibling = None if pair is None else costs.sibling_slowdown(cpu, next(c for c in pair if c != cpu))
    return Effects(
        seconds,
        tuple(wakeups),
        cpu,
        comparisons,
        first,
        again,
        costs.ramp(cpu),
        costs.clock_ns(),
        steal,
        sibling,
    )


def with_effects(findings: Iterable[Finding], effects: Effects) -> list[Finding]:
    """The findings, each with what was measured of it in ``effect``; and one more about neighbours."""
    told = _told(effects)
    found = [
        replace(f, effect=told[f.subject]) if f.part == "machine" and f.subject in told else f
        for f in findings
    ]
    last = max((i for i, f in enumerate(found) if f.part == "machine"), default=-1)
    return [*found[: last + 1], _neighbours(effects), *found[last + 1 :]]


def _comparisons(
    cpu: int, seconds: float, on: Machine, progress: Callable[[str, float], None] | None
) -> tuple[Comparison, ...]:
    """Each change between two looks without it would be best; once without it for all is what time allows."""
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("timer slack", f"with {_DEFAULT_SLACK_NS // 1000} µs", {"slack_ns": _DEFAULT_SLACK_NS})
    ]
    if on.dma_latency == "writable":
        asked.append(("wake-up latency", "with CPUs kept awake", {"dma_latency_us": 0.0}))
    if on.may_nice or on.rtprio_limit >= _PRIORITY:
        asked.append(("SCHED_FIFO priority", f"with priority {_PRIORITY}", {"priority": _PRIORITY}))
    plain = measure_wakeups((cpu,), seconds, progress=_tell(progress, "wake-ups of one CPU"))
    found = []
    for subject, changed, change in asked:
        measured = measure_wakeups((cpu,), seconds, progress=_tell(progress, changed), **change)
        if plain and measured and not measured[0].refusals:
            found.append(Comparison(subject, changed, plain[0].late, measured[0].late))
    return tuple(found)


def _tell(progress: Callable[[str, float], None] | None, what: str) -> Callable[[float], None] | None:
    return None if progress is None else lambda share: progress(what, share)


def _told(e: Effects) -> dict[str, str]:
    """What to say, by the subject of a finding."""
    told = {
        c.subject: f"wake-up {_three(c.without)}, {c.changed} {_three(c.with_it)} µs (median/99 %/max)"
        for c in e.comparisons
    }
    told["locked memory"] = (
        f"touching a page takes {e.first_touch_ns:.0f} ns the first time, "
        f"{f'{e.touch_ns:.0f}' if e.touch_ns >= 1 else 'less than 1'} ns from then on"
    )
    told["clock"] = f"a look at it takes {e.clock_ns:.0f} ns"
    told["frequency governor"] = (
        f"after {1e3 * costs.REST_S:.0f} ms of rest work takes {e.ramp:.2f} times as long as on a busy CPU"
    )
    if e.steal is not None:
        told["hypervisor"] = f"it took {100 * e.steal:.2g} % of the CPUs' time meanwhile"
    if e.sibling is not None:
        told["SMT"] = f"work takes {e.sibling:.2f} times as long while the core's other CPU works"
    return told


def _neighbours(e: Effects) -> Finding:
    """Which CPUs others keep busy, by the tails of their wake-ups."""
    subject, slack = "noisy neighbours", f"timer slack {LOOP_SLACK_NS} ns, normal scheduling"
    noisy = [w for w in e.wakeups if w.late.p999 > _NOISY * w.late.p50]
    if not e.wakeups:
        return Finding("machine", subject, "unknown", "no CPU could be measured")
    worst = max(e.wakeups, key=lambda w: w.late.max)
    effect = f"worst wake-up {worst.late.max:.0f} µs late, on CPU {worst.cpu} ({slack}, {e.seconds:g} s)"
    if not noisy:
        return Finding("machine", subject, "ok", "none that a sleeping loop feels", effect=effect)
    cpus = f"CPU{'s' * (len(noisy) > 1)} {ranges(w.cpu for w in noisy)}"
    text = f"on {cpus} one wake-up of a thousand is {_NOISY:g} times as late as the median, or more"
    remedy = "give loops a priority and isolated CPUs; 'top -1' tells who else runs"
    return Finding("machine", subject, "warn", text, remedy, effect)


def _three(histogram: Histogram) -> str:
    return "/".join(_short(value) for value in (histogram.p50, histogram.p99, histogram.max))


def _short(value: float) -> str:
    return f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def _stolen(before: list[int], after: list[int]) -> float | None:
    if not before or not after or sum(after) <= sum(before):
        return None
    return (after[7] - before[7]) / (sum(after) - sum(before))
