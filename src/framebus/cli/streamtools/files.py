"""``framebus load``, ``framebus save`` and ``framebus snapshot``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from framebus.cli import text
from framebus.cli.complete import stream_names, stream_or_set_names
from framebus.cli.output import show, show_json
from framebus.cli.progress import measuring
from framebus.cli.streamtools.arguments import (
    as_json_option,
    frames,
    left_out,
    named,
    target_options,
    timeout_option,
)
from framebus.errors import UsageError

if TYPE_CHECKING:
    from framebus.ops import Loaded, Saved

FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("file", type=FILE)
@click.argument("name", required=False, shell_complete=stream_names)
@click.option(
    "--rate",
    type=click.FloatRange(0.0, min_open=True),
    metavar="HZ",
    help="Play a cube frame by frame, so many a second.",
)
@click.option("--loop", is_flag=True, help="Play it again and again, until Ctrl-C.")
@target_options
@as_json_option
def load(
    file: Path,
    name: str | None,
    rate: float | None,
    loop: bool,
    history: int | None,
    dialect: str | None,
    overwrite: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Publish what is in FILE (.fits, also compressed, or .npy) to the stream NAME, or that of the file's name.

    All of it is one frame; with --rate it is a cube, and what lies along its first axis are the frames. The stream is
    made if it is not there, with the header's keywords. A .toml file has parameter sets, as 'framebus save' wrote them.

    Example: framebus load cube.fits wfs --rate 500 --loop
    """
    if file.suffix == ".toml":
        _load_parameters(file, name, as_json)
        return
    if loop and rate is None:
        raise UsageError("--loop plays a cube again and again; say how fast with --rate HZ")
    from framebus import ops

    options: dict[str, Any] = {"history": history, "dialect": dialect, "overwrite": overwrite, "force": force}
    if rate is None:
        loaded = ops.load_frames(file, name, **options)
    else:
        loaded = _play(file, name, rate, loop, options)
    if as_json:
        show_json(asdict(loaded))
        return
    late = f", {loaded.late} late by more than a period" if loaded.late else ""
    show(
        f"{text.safe(str(file))} -> {text.safe(loaded.name)} ({loaded.dialect}), {text.shape(loaded.shape)} "
        f"{loaded.dtype}: {frames(loaded.frames)}, the last has count {loaded.count}{late}",
        *left_out(loaded.left_out, "the stream"),
    )


def _play(file: Path, name: str | None, rate: float, loop: bool, options: dict[str, Any]) -> Loaded:
    """Play a cube; Ctrl-C ends a loop."""
    from framebus.ops import play, stream_for_file

    stream, cube, loaded = stream_for_file(file, name, cube=True, **options)
    if cube.ndim == 2:
        rows, columns = cube.shape
        click.echo(
            f"framebus: warning: {text.safe(str(file))} is one image, {rows}x{columns}: with --rate its {rows} rows "
            f"are played as frames of {columns} values; to give the whole image as one frame, leave --rate out",
            err=True,
        )
    with stream, measuring(f"{loaded.name} at {text.rate(rate)}") as progress:
        try:
            for played in play(stream, cube, rate, passes=None if loop else 1):
                loaded = replace(
                    loaded, frames=played.number, count=played.count, late=loaded.late + played.late
                )
                progress((played.number - 1) % len(cube) + 1, len(cube))
        except KeyboardInterrupt:
            if not loop:
                raise
    return loaded


def _load_parameters(file: Path, name: str | None, as_json: bool) -> None:
    if name is not None:
        raise UsageError(f"{file} names its parameter sets itself; leave '{name}' out")
    from framebus.ops import load_parameters

    loaded = load_parameters(file)
    if as_json:
        show_json(loaded)
    else:
        show(f"{text.safe(str(file))} -> parameters of {text.safe(', '.join(loaded) or 'nothing')}")


@click.command()
@click.argument("name", shell_complete=stream_or_set_names)
@click.argument("file", type=FILE)
@click.option(
    "--frames",
    "n",
    type=click.IntRange(1),
    metavar="N",
    help="The next N frames, as a cube (default: the newest one).",
)
@click.option("--overwrite", is_flag=True, help="Replace a file that is there.")
@timeout_option
@as_json_option
def save(name: str, file: Path, n: int | None, overwrite: bool, timeout_s: float, as_json: bool) -> None:
    """Write the newest whole frame of the stream NAME, or of a slice of it, into FILE.

    A .fits (.fits.gz) file has the stream's keywords in its header; a .npy file the data alone. Into a .toml file go
    the values of the parameter set NAME.

    Example: framebus save 'wfs[0:63,*]' wfs.fits
    """
    from framebus import ops

    if file.suffix == ".toml":
        if n is not None:
            raise UsageError("a .toml file holds parameters; --frames is for streams")
        ops.save_parameters(name, file, overwrite=overwrite)
        if as_json:
            show_json({"name": name, "path": str(file)})
        else:
            show(f"parameters of {text.safe(name)} -> {text.safe(str(file))}")
        return
    if n is None:
        saved = ops.save_stream(name, file, overwrite=overwrite, timeout_s=timeout_s)
    else:
        with measuring(f"frames of {name}") as progress:
            saved = ops.save_stream(
                name, file, frames=n, overwrite=overwrite, timeout_s=timeout_s, progress=progress
            )
    _tell_saved([saved], as_json=as_json, single=True)


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=stream_names)
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    metavar="DIR",
    help="Where the files go (default: here).",
)
@click.option("--npy", is_flag=True, help="Write .npy instead of .fits.")
@timeout_option
@as_json_option
def snapshot(names: tuple[str, ...], directory: Path, npy: bool, timeout_s: float, as_json: bool) -> None:
    """Write the newest whole frame of every NAME (or pattern) into a file NAME_TIME.fits of its own.

    The time is that of the call, the same for all files: UTC, to the µs.

    Example: framebus snapshot wfs dm 'slopes*' --directory night1
    """
    from framebus import ops

    saved = ops.snapshot(named(names), directory, ending=".npy" if npy else ".fits", timeout_s=timeout_s)
    _tell_saved(saved, as_json=as_json, single=False)


def _tell_saved(saved: Sequence[Saved], *, as_json: bool, single: bool) -> None:
    if as_json:
        plain = [asdict(one) | {"path": str(one.path)} for one in saved]
        show_json(plain[0] if single else plain)
        return
    for one in saved:
        lost = f", {frames(one.missed)} lost between them" if one.missed else ""
        show(
            f"{text.safe(one.name)} -> {text.safe(str(one.path))}: {text.shape(one.shape)} {one.dtype}, "
            f"{'last ' if one.frames > 1 else ''}frame {one.count}{lost}",
            *left_out(one.left_out, "the file"),
        )
