"""Tables, verdicts and files of a run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from contest import PERCENTILES, Case


def table(case: Case) -> str:
    """One line per contestant: p50, p99, p99.9, max, each with the spread over rounds, and the ratio."""
    width = max([len(x) for x in (*case.times, *case.skipped, *case.failed)] + [12]) + 2
    lines = [
        f"{case.name} ({case.unit}; [lowest..highest round])",
        f"  {'':<{width}}" + "".join(f"{p:>24}" for p in PERCENTILES) + f"{'p50 ratio to reference':>34}",
    ]
    for label in case.times:
        merged = case.summary(label)
        cells = ""
        for p in PERCENTILES:
            rounds = case.per_round(label, p) * case.scale
            spread = f"[{short(rounds.min())}..{short(rounds.max())}]"
            cells += f"{short(merged[p] * case.scale):>8} {spread:<15}"
        lines.append(f"  {label:<{width}}{cells}  {_ratio(case, label)}")
    lines += [f"  {label:<{width}}skipped: {why}" for label, why in case.skipped.items()]
    lines += [f"  {label:<{width}}FAILED: {why}" for label, why in case.failed.items()]
    lines += [f"  {note}" for note in case.notes]
    return "\n".join(lines)


def short(value: float) -> str:
    """Three or four digits, never an exponent: 3.07, 42.1, 980, 12345; ``-`` for what is not known."""
    if math.isnan(value):
        return "-"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"


def _ratio(case: Case, label: str) -> str:
    reference = case.references.get(label)
    if reference is None or reference not in case.times:
        return ""
    r = case.ratios(label, reference)
    return f"{np.median(r):>6.3g} [{r.min():.3g}..{r.max():.3g}] x {reference}"


def verdict_lines(case: Case) -> list[str]:
    """One line per target: met or not, the value, its spread, the limit."""
    return [_verdict_line(case, v) for v in case.verdicts()]


def _verdict_line(case: Case, v: dict[str, Any]) -> str:
    limit, against = v["limit"], v["against"]
    scale = case.scale if v["kind"] in ("excess", "absolute") else 1.0
    what = f"{case.name}: {v['label']} {v['statistic']}"
    wanted = {
        "ratio": f"<= {limit:.3g} x {against}",
        "excess": f"<= {against} + {limit * scale:.4g} {case.unit}",
        "share": f">= {limit:.3g} x the speed of {against}",
        "absolute": f"<= {limit * scale:.4g} {case.unit}",
    }[v["kind"]]
    if v["met"] is None:
        return f"  not run    {what} {wanted}: {v['why']}"
    unit = {"excess": f" {case.unit} above", "absolute": f" {case.unit}"}.get(v["kind"], "")
    value, low, high = (short(v[key] * scale) for key in ("value", "low", "high"))
    value += f"{unit} [{low}..{high}]"
    line = f"  {'met    ' if v['met'] else 'NOT MET'}    {what} {wanted}: {value}"
    return line + (f"\n             {v['why']}" if v["why"] else "")


def write(path: Path, cases: list[Case], machine: dict[str, Any], options: dict[str, Any]) -> None:
    """Everything that was measured, as JSON."""
    document = {
        "benchmark": path.stem,
        "machine": machine,
        "options": options,
        "cases": [c.to_json() for c in cases],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")
