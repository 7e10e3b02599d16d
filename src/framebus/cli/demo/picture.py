"""The demonstration as one picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from framebus.cli.demo.monitor import percentiles
from framebus.cli.demo.rig import PREFIX
from framebus.cli.demo.run import Demonstration
from framebus.ops.picture import as_image

OPEN, CLOSED = "#c44e52", "#2a8a5b"


def draw(demo: Demonstration, path: Path) -> None:
    """Write the picture of a finished run: residual and Strehl ratio over time, frames, latencies.

    Raises:
        OSError: the file cannot be written.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(11, 7.2), layout="constrained")
        figure.suptitle(f"{demo.result.rig}\n{demo.placement}, {demo.result.rate_hz:g} Hz", fontsize=11)
        top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.15, 1.0])[:, 0]
        _draw_time(demo, top)
        left, right = bottom.subfigures(1, 2, width_ratios=[1.35, 1.0])
        _draw_frames(demo, left)
        _draw_latencies(demo, right)
        figure.savefig(path, dpi=130)


def _smooth(
    values: np.ndarray[Any, np.dtype[np.float64]], rate_hz: float
) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Mean over 20 ms."""
    n = max(1, round(0.02 * rate_hz))
    return np.convolve(values, np.full(n, 1 / n), mode="valid")


def _draw_time(demo: Demonstration, place: Any) -> None:
    assert demo.residual is not None
    values = demo.residual.since(0)
    times = (np.array(demo.residual.times_ns) - demo.residual.times_ns[0]) / 1e9
    split = demo.closed_at or len(values)
    rate = demo.result.rate_hz
    rms, strehl = place.subplots(2, 1, sharex=True, height_ratios=[1.6, 1.0])
    for part, colour, label in (
        (slice(0, split), OPEN, "open loop"),
        (slice(split, None), CLOSED, "closed loop"),
    ):
        smooth = _smooth(values[part, 0], rate)
        rms.plot(times[part][: len(smooth)], smooth, color=colour, lw=1.0, label=label)
        smooth = _smooth(values[part, 1], rate)
        strehl.plot(times[part][: len(smooth)], 100 * smooth, color=colour, lw=1.0)
    smooth = _smooth(values[:, 2], rate)
    rms.plot(times[: len(smooth)], smooth, color="0.7", lw=0.8, zorder=0, label="turbulence alone")
    rms.set_yscale("log")
    rms.set_ylabel("wavefront rms [nm]")
    result = demo.result
    rms.set_title(
        f"open loop {result.open_nm:.0f} nm; closed loop {result.closed_nm:.0f} nm, "
        f"{result.ratio:.1f} times below the turbulence",
        loc="left",
    )
    rms.legend(loc="upper right", frameon=False, ncols=3)
    strehl.set_ylim(0, 100)
    strehl.set_ylabel(f"Strehl ratio [%]\nat {result.science_um:g} µm")
    strehl.set_xlabel("time [s]")
    for axes in (rms, strehl):
        axes.grid(alpha=0.25)
        axes.margins(x=0.01)


def _draw_frames(demo: Demonstration, place: Any) -> None:
    rows = [
        ("wavefront", "wavefront [µm]", "RdBu_r"),
        ("wfs", "sensor frame", "inferno"),
        ("dm", "mirror", "RdBu_r"),
    ]
    shown = [row for row in rows if f"{row[0]} open" in demo.pictures][:2]
    grid = place.subplots(len(shown), 2, squeeze=False)
    for row, (name, title, colours) in enumerate(shown):
        frames = [as_image(demo.pictures[f"{name} {when}"]) for when in ("open", "closed")]
        if colours == "RdBu_r":
            high = max(float(np.nanmax(np.abs(frame))) for frame in frames) or 1.0
            low = -high
        else:
            low, high = (float(np.percentile(np.stack(frames), q)) for q in (1.0, 99.8))
        drawn = []
        for column, frame in enumerate(frames):
            axes = grid[row, column]
            drawn.append(axes.imshow(frame, cmap=colours, vmin=low, vmax=high, origin="lower"))
            axes.set_xticks([])
            axes.set_yticks([])
            if row == 0:
                axes.set_title(("open loop", "closed loop")[column], color=(OPEN, CLOSED)[column])
            if column == 0:
                axes.set_ylabel(title)
        place.colorbar(drawn[0], ax=list(grid[row]), shrink=0.8)


def _draw_latencies(demo: Demonstration, place: Any) -> None:
    axes = place.subplots()
    series = [
        (
            "frame → command",
            np.array(demo.end_to_end.latencies_ns, np.int64) if demo.end_to_end else np.zeros(0, np.int64),
        )
    ]
    for name, monitor in demo.stages.items():
        timings = monitor.all()
        series.append((name.removeprefix(PREFIX), timings["end_ns"] - timings["start_ns"]))
    for row, (_name, times) in enumerate(series):
        if len(times) == 0:
            continue
        p50, p99, top = percentiles(times)
        colour = "#1f4e79" if row == 0 else "0.45"
        axes.plot([p50, top], [row, row], color=colour, lw=1, alpha=0.5)
        axes.plot([p50], [row], "o", color=colour)
        axes.plot([p99], [row], "|", color=colour, ms=11, mew=2)
        axes.plot([top], [row], "x", color=colour, ms=5)
        axes.annotate(
            f"{p50:.1f} µs" if p50 < 10 else f"{p50:.0f} µs",
            (p50, row),
            xytext=(0, 6),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            color=colour,
        )
    axes.set_yticks(range(len(series)), [name for name, _ in series])
    axes.set_ylim(len(series) - 0.5, -0.7)
    axes.set_xscale("log")
    axes.set_xlabel("latency of the loop, compute time of each unit [µs]\n● p50   | p99   × max")
    axes.grid(axis="x", alpha=0.25)
