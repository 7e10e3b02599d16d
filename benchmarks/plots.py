"""Pictures of a run: one panel per case, one line per contestant from p50 to max."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from contest import Case
from report import short

COLOURS = {"reference": "#3b3b3b", "framebus": "#c8371e", "peer": "#4a78a8", "context": "#8a8a8a"}
LIMIT = "#e9b44c"


def draw(name: str, cases: list[Case], path: Path) -> Path | str:
    """Write the PNG; returns its path, or why there is none."""
    shown = [c for c in cases if c.times]
    if not shown:
        return "no picture (nothing ran)"
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError as error:
        return f"no picture ({error}; pip install matplotlib)"
    heights = [1.1 + 0.34 * len(c.times) for c in shown]
    figure, axes = plt.subplots(
        len(shown),
        1,
        figsize=(9.5, sum(heights) + 0.6),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    for axis, case in zip(axes[:, 0], shown, strict=True):
        _panel(axis, case)
    figure.suptitle(f"framebus benchmark: {name}", x=0.01, ha="left", fontsize=14, fontweight="bold")
    _legend(figure)
    figure.savefig(path, dpi=130)
    plt.close(figure)
    return path


def _panel(axis: Any, case: Case) -> None:
    labels = list(case.times)
    for row, label in enumerate(labels):
        colour, figures = (
            COLOURS[case.groups[label]],
            {k: v * case.scale for k, v in case.summary(label).items()},
        )
        axis.plot(
            [figures["p50"], figures["p99"]], [row, row], color=colour, lw=3, solid_capstyle="round", zorder=3
        )
        axis.plot([figures["p99"], figures["p99.9"]], [row, row], color=colour, lw=1.2, zorder=2)
        axis.plot(figures["p99.9"], row, "|", color=colour, ms=9, zorder=2)
        axis.plot(figures["max"], row, ".", color=colour, ms=4, alpha=0.5, zorder=2)
        axis.plot(figures["p50"], row, "o", color=colour, ms=7, zorder=4)
        axis.annotate(
            short(figures["p50"]),
            (figures["p50"], row),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=7.5,
            color=colour,
        )
    for target in case.targets:
        drawn = target.kind == "ratio" and target.statistic == "p50"
        if drawn and target.label in case.times and target.against in case.times:
            limit = target.limit * case.summary(target.against)[target.statistic] * case.scale
            row = labels.index(target.label)
            axis.plot([limit, limit], [row - 0.38, row + 0.38], color=LIMIT, lw=2, zorder=1)
    axis.set_xscale("log")
    for which in (axis.xaxis.set_major_formatter, axis.xaxis.set_minor_formatter):
        which(_plain)
    axis.set_yticks(range(len(labels)), labels, fontsize=9)
    axis.set_ylim(len(labels) - 0.4, -0.7)
    axis.set_xlabel({"us": "microseconds", "ms": "milliseconds"}[case.unit], fontsize=8)
    axis.tick_params(axis="x", which="both", labelsize=8)
    axis.tick_params(axis="y", length=0)
    axis.set_title(case.name, loc="left", fontsize=10)
    axis.grid(axis="x", which="major", color="#dddddd", lw=0.8)
    axis.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)


def _plain(value: float, _position: int | None = None) -> str:
    """Tick labels without exponents, at 1, 2 and 5 of each decade."""
    digit = float(f"{value:e}".split("e")[0])
    return f"{value:g}" if min(abs(digit - d) for d in (1, 2, 5)) < 1e-6 else ""


def _legend(figure: Any) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], marker="o", lw=3, color=c, label=g) for g, c in COLOURS.items()]
    handles.append(Line2D([], [], lw=2, color=LIMIT, label="target"))
    handles.append(Line2D([], [], marker="|", lw=1.2, color="#8a8a8a", label="p50 – p99 – p99.9, dot: max"))
    figure.legend(handles=handles, loc="outside lower center", ncols=6, fontsize=8, frameon=False)
