"""``framebus stats`` and ``framebus rate``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from framebus.cli import text
from framebus.cli.complete import stream_names
from framebus.cli.output import columns, show, show_json
from framebus.cli.progress import measuring
from framebus.cli.streamtools.arguments import as_json_option, named, timeout_option
from framebus.cli.waiting import waiting
from framebus.errors import UsageError

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
) -> None:
    """Tell mean, standard deviation, least and largest value of the next N frames of every NAME, one after the other.

    NAMEs may be patterns and slices. 'noise' is how much an element varies in time: the rms over the elements of
    their standard deviation over the frames. Values that are not finite are left out, and counted.

    Example: framebus stats wfs slopes --frames 500
    """
    from framebus import ops

    streams = named(names)
    if output is not None and len(streams) != 1:
        raise UsageError(f"--output takes the frames of one stream; these are {len(streams)}")
    if output is not None:
        from framebus.ops.files import check_writable

        check_writable(output, "float64", overwrite)  # as figures of any stream are
    found = []
    for name in streams:
        with measuring(f"frames of {name}") as progress:
            found.append(ops.statistics(name, n, timeout_s=timeout_s, progress=progress))
    if output is not None:
        _write(output, found[0], overwrite)
    if as_json:
        show_json([{key: value for key, value in asdict(one).items() if key not in _ARRAYS} for one in found])
        return
    table = columns(
        *("name", "frames", "missed", "mean", "std", "min", "max", "noise"),
        right=("frames", "missed", "mean", "std", "min", "max", "noise"),
        wrapped=("name",),
    )
    for one in found:
        figures = [text.figure(getattr(one, key)) for key in _FIGURES]
        table.add_row(text.safe(one.name), str(one.frames), str(one.missed), *figures)
    bad = [
        f"{text.safe(one.name)}: {one.not_finite} values are not finite" for one in found if one.not_finite
    ]
    show(table, *bad, *([f"wrote {text.safe(str(output))}"] if output is not None else []))


def _write(output: Path, found: object, overwrite: bool) -> None:
    import numpy as np

    from framebus.ops import FrameStatistics
    from framebus.ops.files import write_frames

    assert isinstance(found, FrameStatistics)
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
    with waiting(
        f"frames of {text.safe(streams[0]) if len(streams) == 1 else f'{len(streams)} streams'}", duration_s
    ):
        found = ops.rates(streams, duration_s)
    if as_json:
        show_json([asdict(one) for one in found])
        return
    headers = ("rate", "frames", "p50", "p99", "max", "jitter", "missed")
    table = columns("name", *headers, right=headers, wrapped=("name",))
    for one in found:
        times = [
            "-" if time is None else text.duration(time)
            for time in (one.p50_s, one.p99_s, one.longest_s, one.jitter_s)
        ]
        table.add_row(text.safe(one.name), text.rate(one.rate_hz), str(one.frames), *times, str(one.missed))
    show(table, *[text.safe(f"{one.name}: {one.reason}") for one in found if one.reason])
