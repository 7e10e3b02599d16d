"""Contestants run alternately in rounds, so that drift of the machine meets all of them alike."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]
"""Nanoseconds, one entry per trip."""
Round = Times | dict[str, float]
"""The times of one round, or only their percentiles (us), where a peer's own tool says no more."""

PERCENTILES = {"p50": 50.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0}


class Skipped(Exception):
    """A contestant cannot run here; the message says why and how to get it."""


class WrongAnswer(Exception):
    """A contestant ran, and what it delivered was wrong."""


@dataclass(frozen=True)
class Contestant:
    """Something that can be timed.

    Attributes:
        label: its name in the table.
        run: ``run(trips)`` returns the times of that many trips; raises ``Skipped`` or ``WrongAnswer``.
        reference: label of the contestant that it is compared with, or ``None``.
        group: ``"reference"``, ``"framebus"``, ``"peer"`` or ``"context"`` (a helpful figure without a target).
        trips: a share of the trips of a full round, for slow contestants.
        rounds: it takes part in that many rounds only, when it is very slow; 0 means in all.
    """

    label: str
    run: Callable[[int], Round]
    reference: str | None = None
    group: str = "context"
    trips: float = 1.0
    rounds: int = 0


@dataclass(frozen=True)
class Target:
    """What a contestant must reach.

    ``statistic`` of ``label`` must be at most ``limit`` times that of ``against`` (``kind="ratio"``), at most
    ``limit`` microseconds above it (``kind="excess"``), at least ``limit`` times as fast (``kind="share"``), or at
    most ``limit`` microseconds whatever others take (``kind="absolute"``). ``why`` is printed when it is not met.
    """

    label: str
    against: str
    limit: float
    statistic: str = "p50"
    kind: str = "ratio"
    why: Callable[[Case], str] | None = field(default=None, compare=False)


@dataclass
class Case:
    """One table: contestants of the same task, their times per round, and the targets.

    All figures are in us; ``unit`` is what tables and pictures show them in.
    """

    name: str
    unit: Literal["us", "ms"] = "us"
    times: dict[str, list[Round]] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    references: dict[str, str | None] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    targets: list[Target] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def scale(self) -> float:
        """What a figure in us is multiplied by to be shown in ``unit``."""
        return {"us": 1.0, "ms": 1e-3}[self.unit]

    def summary(self, label: str) -> dict[str, float]:
        """p50, p99, p99.9 and max of all rounds together, in us, and the number of trips.

        Of rounds that are percentiles already: the median round, and the largest maximum.
        """
        whole = [r for r in self.times[label] if not isinstance(r, dict)]
        if whole:
            return summarize(np.concatenate(whole))
        found = {p: float(np.median(self.per_round(label, p))) for p in PERCENTILES}
        return found | {
            "max": float(self.per_round(label, "max").max()),
            "n": sum(map(_count, self.times[label])),
        }

    def per_round(self, label: str, statistic: str) -> npt.NDArray[np.float64]:
        """One statistic of each round in us; NaN where a round does not say."""
        return np.array([summarize(r).get(statistic, math.nan) for r in self.times[label]])

    def ratios(self, label: str, against: str, statistic: str = "p50") -> npt.NDArray[np.float64]:
        """Per round: the statistic of ``label`` divided by that of ``against`` in the same round."""
        mine, theirs = self.per_round(label, statistic), self.per_round(against, statistic)
        n = min(len(mine), len(theirs))
        return np.asarray(mine[:n] / theirs[:n], dtype=np.float64)

    def verdicts(self) -> list[dict[str, Any]]:
        """Each target with the measured value (median over rounds), its spread, and whether it is met."""
        return [self._verdict(target) for target in self.targets]

    def _verdict(self, t: Target) -> dict[str, Any]:
        found: dict[str, Any] = {
            "label": t.label,
            "against": t.against,
            "statistic": t.statistic,
            "kind": t.kind,
            "limit": t.limit,
        }
        needed = (t.label,) if t.kind == "absolute" else (t.label, t.against)
        missing = [x for x in needed if x not in self.times]
        if missing:
            reasons = (self.skipped.get(x) or self.failed.get(x) or "not run" for x in missing)
            return found | {"met": None, "why": "; ".join(reasons)}
        if t.kind == "absolute":
            values = self.per_round(t.label, t.statistic)
        elif t.kind == "excess":
            mine, theirs = self.per_round(t.label, t.statistic), self.per_round(t.against, t.statistic)
            n = min(len(mine), len(theirs))
            values = mine[:n] - theirs[:n]
        elif t.kind == "share":
            values = self.ratios(t.against, t.label, t.statistic)
        else:
            values = self.ratios(t.label, t.against, t.statistic)
        value = float(np.median(values))
        met = value >= t.limit if t.kind == "share" else value <= t.limit
        why = "" if met or t.why is None else t.why(self)
        return found | {
            "value": value,
            "low": float(values.min()),
            "high": float(values.max()),
            "met": bool(met),
            "why": why,
        }

    def derive(self, label: str, parts: Mapping[str, float]) -> None:
        """A row of its own: per round the sum of other contestants' p50, each so many times."""
        if all(part in self.times for part in parts):
            whole = np.array([self.per_round(part, "p50") * factor for part, factor in parts.items()]).sum(0)
            self.times[label] = [{"p50": float(p50)} for p50 in whole]
            self.groups[label], self.references[label] = "reference", None

    def to_json(self) -> dict[str, Any]:
        """All figures: merged, per round, ratios, verdicts (us)."""
        rows = {}
        for label, rounds in self.times.items():
            row: dict[str, Any] = {"group": self.groups[label], **self.summary(label)}
            row["rounds"] = [summarize(r) for r in rounds]
            reference = self.references.get(label)
            if reference in self.times and reference != label:
                row["reference"] = reference
                row["ratio"] = {
                    s: [float(v) for v in self.ratios(label, str(reference), s)] for s in ("p50", "p99")
                }
            rows[label] = row
        return {
            "case": self.name,
            "unit": "us",
            "contestants": rows,
            "skipped": self.skipped,
            "failed": self.failed,
            "targets": self.verdicts(),
            "notes": self.notes,
        }


def _count(r: Round) -> int:
    return int(r.get("n", 0)) if isinstance(r, dict) else int(r.size)


def summarize(times: Round) -> dict[str, float]:
    """p50, p99, p99.9, max (us) and n of times in ns."""
    if isinstance(times, dict):
        return times
    values = np.percentile(times, list(PERCENTILES.values())) / 1e3
    return {**dict(zip(PERCENTILES, map(float, values), strict=True)), "n": int(times.size)}


def alternate(case: Case, contestants: Sequence[Contestant], *, rounds: int, trips: int) -> Case:
    """Run each contestant once per round, starting each round with another one.

    A contestant that raises ``Skipped`` is left out of the remaining rounds; so is one that raises anything
    else, which makes the whole run fail at the end.
    """
    alive = list(contestants)
    for c in contestants:
        case.groups[c.label], case.references[c.label] = c.group, c.reference
    for r in range(rounds):
        started = time.perf_counter()
        shift = r % max(len(alive), 1)
        for c in alive[shift:] + alive[:shift]:
            if c.rounds and r >= c.rounds:
                continue
            try:
                result = c.run(max(2, int(trips * c.trips)))
            except Skipped as error:
                case.skipped[c.label] = str(error)
            except Exception as error:  # noqa: BLE001 - a contestant that fails must not end the others' run
                case.failed[c.label] = f"{type(error).__name__}: {error}"
            else:
                case.times.setdefault(c.label, []).append(result)
        alive = [c for c in alive if c.label not in case.skipped and c.label not in case.failed]
        say(f"  {case.name}: round {r + 1}/{rounds}, {time.perf_counter() - started:.1f} s")
    case.times = {c.label: case.times[c.label] for c in contestants if c.label in case.times}
    return case


def say(text: str) -> None:
    """Progress, on standard error so that ``--json`` leaves standard output clean."""
    print(text, file=sys.stderr, flush=True)
