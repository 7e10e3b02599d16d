"""``framebus cube``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from framebus.cli import text
from framebus.cli.complete import stream_names
from framebus.cli.output import show, show_json
from framebus.cli.progress import measuring
from framebus.cli.streamtools.arguments import as_json_option, frames, left_out, timeout_option


@click.command()
@click.argument("name", shell_complete=stream_names)
@click.argument("n", type=click.IntRange(1))
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A .fits or .npy file (default: NAME_TIME.fits, here).",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@click.option("--complete", is_flag=True, help="Give up as soon as a frame is lost.")
@timeout_option
@as_json_option
def cube(
    name: str,
    n: int,
    output: Path | None,
    overwrite: bool,
    complete: bool,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Take the next N frames of the stream NAME, one after the other, into one file.

    Lost frames are told and counted. A FITS file has a table FRAMES behind the cube: each frame's count, its times of
    acquisition and publication (ns since the epoch), and how many frames were lost before it.

    Example: framebus cube wfs 1000 --output wfs.fits
    """
    from framebus.ops import take_cube
    from framebus.ops.files import check_writable
    from framebus.ops.targets import open_existing

    with open_existing(name) as stream:
        plain, dtype = stream.name, stream.dtype
    file = output or Path(f"{plain}_{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}.fits")
    check_writable(file, dtype, overwrite)
    with measuring(f"frames of {plain}") as progress:
        taken = take_cube(name, n, timeout_s=timeout_s, complete=complete, progress=progress)
    missing = taken.save(file, overwrite=overwrite)
    if as_json:
        show_json(
            {
                "name": taken.name,
                "path": str(file),
                "shape": list(taken.data.shape),
                "dtype": taken.data.dtype.name,
                "first": int(taken.counts[0]),
                "last": int(taken.counts[-1]),
                "missed": taken.missed,
                "gaps": taken.gaps,
                "rate_hz": taken.rate_hz,
                "left_out": missing,
            }
        )
        return
    lost = f"{frames(taken.missed)} lost at {taken.gaps} places" if taken.missed else "none lost"
    show(
        f"{text.safe(taken.name)} -> {text.safe(str(file))}: {text.shape(taken.data.shape)} {taken.data.dtype.name}",
        f"frames {taken.counts[0]} to {taken.counts[-1]}, {lost}, {text.rate(taken.rate_hz)}",
        *left_out(missing, "the file"),
    )
