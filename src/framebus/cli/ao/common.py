"""What the commands of ``framebus ao`` share: options, progress, files read, and how they end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
from numpy.typing import NDArray

from framebus.cli.output import show, show_json
from framebus.cli.text import figure, safe
from framebus.errors import UsageError

Command = TypeVar("Command", bound=Callable[..., Any])


def results(command: Command) -> Command:
    """Options that say where the results go."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print a JSON object."),
        click.option(
            "--picture", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw the results."
        ),
        click.option("--overwrite", is_flag=True, help="Replace files that are there."),
        click.option(
            "--output", type=click.Path(path_type=Path), metavar="FILE.fits", help="Write the results."
        ),
    ):
        command = option(command)
    return command


def resumable(command: Command) -> Command:
    """Options of what takes long."""
    for option in (
        click.option("--fresh", is_flag=True, help="Forget what an interrupted run has left."),
        click.option(
            "--timeout", default=5.0, show_default=True, metavar="S", help="How long to wait for a frame."
        ),
    ):
        command = option(command)
    return command


def check_output(output: Path | None, overwrite: bool) -> None:
    """Refuse before anything is measured.

    Raises:
        UsageError: the file exists, or its directory does not.
    """
    if output is None:
        return
    if output.exists() and not overwrite:
        raise UsageError(f"{output} exists; choose another name, or add --overwrite")
    if not output.parent.is_dir():
        raise UsageError(f"{output.parent} is no directory; make it first")


def partial_of(output: Path | None, fresh: bool) -> Path | None:
    """Where an interrupted run leaves what it has: beside its output."""
    if output is None:
        return None
    partial = output.with_name(f"{output.name}.part")
    if fresh:
        partial.unlink(missing_ok=True)
    return partial


def image_of(source: str, name: str | None = None) -> NDArray[Any]:
    """An array out of a FITS file (its array ``name``, else the first), or a stream's newest frame.

    Raises:
        NotFoundError, DataError, StreamNotFound: there is none.
    """
    from framebus.ao.calibration_files import load_calibration

    if source.endswith((".fits", ".fits.fz", ".fits.gz")):
        file = load_calibration(source)
        return file.arrays[name] if name in file.arrays else next(iter(file.arrays.values()))
    from framebus.stream import open as open_stream

    with open_stream(source) as stream:
        return np.asarray(stream.read())


def answer(
    facts: Mapping[str, Any], doubts: Sequence[str], written: Sequence[Path | None], *, as_json: bool
) -> None:
    """Print what was found, what is doubtful, and the files that were written."""
    files = [str(path) for path in written if path is not None]
    if as_json:
        show_json({**facts, "doubts": list(doubts), "written": files})
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        told = ", ".join(map(_told, value)) if isinstance(value, list | tuple) else _told(value)
        show(f"{name.replace('_', ' '):{width}}  {safe(told)}")
    show(*[f"doubtful: {safe(doubt)}" for doubt in doubts], *[f"wrote {safe(path)}" for path in files])


def _told(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return figure(value)
