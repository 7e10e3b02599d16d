"""``framebus stats`` and ``framebus rate``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from framebus.cli import text
from framebus.cli.complete import stream_names
from framebus.cli.output import columns, show, show_json
from framebus.cli.progress import measuring
from framebus.cli.signals import signals_end_it
from framebus.cli.streamtools.arguments import as_json_option, named, timeout_option
from framebus.cli.waiting import waiting
from framebus.errors import UsageError, WaitTimeout

if TYPE_CHECKING:
    from framebus.ops import FrameStatistics

_FIGURES = ("mean", "std", "minimum", "maximum", "noise")
_ARRAYS = ("mean_frame", "std_frame")


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=stream_names)
@click.option(
    "--frames",
    "n",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    metavar="N",
    help="0: the newest as it is.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write each element's mean and standard deviation, as a cube of two, into a .fits or .npy file.",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@timeout_option
@as_json_option
def stats(
    names: tuple[str, ...], n: int, output: Path | None, overwrite: bool, timeout_s: float, as_json: bool
) -> int:
    """Tell mean, standard deviation, least and largest value of the next N frames of every NAME, one after the other.

    NAMEs may be patterns and slices. 'noise' is how much an element varies in time: the rms over the elements of
    their standard deviation over the frames. Values that are not finite are left out, and counted. Of a stream whose
    frames do not come the reason is told, and the exit code is 1.

    Example: framebus stats wfs slopes --frames 500
    """
    from framebus import ops

    streams = named(names)
    if output is not None and len(streams) != 1:
        raise UsageError(f"--output takes the frames of one stream; these are {len(streams)}")
    if output is not None:
        from framebus.ops.files import check_writable

        check_writable(output, "float64", overwrite)  # as figures of any stream are
    found: list[FrameStatistics | WaitTimeout] = []
    for name in streams:
        with measuring(f"frames of {name}") as progress:
            try:
                found.append(ops.statistics(name, n, timeout_s=timeout_s, progress=progress))
            except WaitTimeout as error:
                if len(streams) == 1:
                    raise
                found.append(error)
    if output is not None and isinstance(found[0], ops.FrameStatistics):
        _write(output, found[0], overwrite)
    if as_json:
        show_json([_plain(name, one) for name, one in zip(streams, found, strict=True)])
    else:
        _show_statistics(streams, found)
        show(*([f"wrote {text.safe(str(output))}"] if output is not None else []))
    return 1 if any(isinstance(one, WaitTimeout) for one in found) else 0


def _plain(name: str, found: FrameStatistics | WaitTimeout) -> dict[str, Any]:
    """As JSON has it; with the reason in place of the figures where there are none."""
    if isinstance(found, WaitTimeout):
        none = dict.fromkeys(("missed", "first", "last", *_FIGURES, "not_finite"))
        return {"name": name, "frames": 0, **none, "reason": str(found)}
    return {key: value for key, value in asdict(found).items() if key not in _ARRAYS} | {"reason": ""}


def _show_statistics(streams: Sequence[str], found: Sequence[FrameStatistics | WaitTimeout]) -> None:
    headers = ("frames", "missed", "mean", "std", "min", "max", "noise")
    table = columns(
        "name", *headers, right=headers, drop=("noise", "frames", "min", "max", "missed", "std", "mean")
    )
    below = []
    for name, one in zip(streams, found, strict=True):
        if isinstance(one, WaitTimeout):
            table.add_row(text.safe(name), "0", *["-"] * (len(headers) - 1))
            below.append(text.safe(str(one)))
            continue
        figures = [text.figure(getattr(one, key)) for key in _FIGURES]
        table.add_row(text.safe(one.name), str(one.frames), str(one.missed), *figures)
        if one.not_finite:
            below.append(f"{text.safe(one.name)}: {text.not_finite(one.not_finite)}")
    show(table, *below)


def _write(output: Path, found: FrameStatistics, overwrite: bool) -> None:
    import numpy as np

    from framebus.ops.files import write_frames

    cards: dict[str, tuple[int | float | str, str]] = {
        "FBSTREAM": (found.name, "stream"),
        "FBFRAMES": (found.frames, "frames"),
        "FBCOUNT": (found.first, "count of the first frame"),
        "FBMISSED": (found.missed, "frames lost between the first and the last"),
        "PLANE1": ("mean", "of each element over the frames"),
        "PLANE2": ("std", "likewise, over n - 1"),
    }
    write_frames(output, np.stack([found.mean_frame, found.std_frame]), cards, overwrite=overwrite)


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=stream_names)
@click.option(
    "--time",
    "duration_s",
    type=click.FloatRange(0.0, min_open=True),
    default=1.0,
    show_default=True,
    metavar="S",
    help="How long to look.",
)
@as_json_option
def rate(names: tuple[str, ...], duration_s: float, as_json: bool) -> None:
    """Measure how often frames of every NAME (or pattern) come, and how evenly; all at the same time.

    The intervals are those between the times of publication that the frames tell: their median, 99th percentile,
    maximum, and standard deviation ('jitter'). 'missed' are frames that this command could not see, by no fault of
    the writer; they count for the rate.

    Example: framebus rate wfs dm --time 10
    """
    from framebus import ops

    streams = named(names)
    what = text.safe(streams[0]) if len(streams) == 1 else f"{len(streams)} streams"
    with signals_end_it(), waiting(f"frames of {what}", duration_s):
        found = ops.rates(streams, duration_s)
    if as_json:
        show_json([asdict(one) for one in found])
        return
    headers = ("rate", "frames", "p50", "p99", "max", "jitter", "missed")
    table = columns(
        "name", *headers, right=headers, drop=("jitter", "p50", "p99", "frames", "max", "missed", "rate")
    )
    for one in found:
        times = [
            "-" if time is None else text.duration(time)
            for time in (one.p50_s, one.p99_s, one.longest_s, one.jitter_s)
        ]
        table.add_row(text.safe(one.name), text.rate(one.rate_hz), str(one.frames), *times, str(one.missed))
    show(table, *[text.safe(f"{one.name}: {one.reason}") for one in found if one.reason])
