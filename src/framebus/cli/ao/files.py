"""What the commands of ``framebus ao`` share: their output options, and files as arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
from numpy.typing import NDArray

from framebus.cli.output import columns, show, show_json
from framebus.cli.text import safe
from framebus.errors import DataError, NotFoundError

Command = TypeVar("Command", bound=Callable[..., Any])

FILE = click.Path(path_type=Path, dir_okay=False)


def output_options(command: Command) -> Command:
    """``--output``, ``--picture`` and ``--json``."""
    options = (
        click.option("-o", "--output", type=FILE, help="Write the result to this FITS file."),
        click.option("--picture", type=FILE, help="Draw it into this file (.png, .pdf, .svg)."),
        click.option("--json", "as_json", is_flag=True, help="Print a JSON object."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def loop_options(command: Command) -> Command:
    """The loop that made the telemetry: rate, and commands with their delay."""
    options = (
        click.option("--rate", "rate_hz", type=float, required=True, help="Frames per second."),
        click.option(
            "--commands",
            type=FILE,
            help="FITS (frames, channels): commands of the closed loop in the telemetry's units, from which "
            "open loop is worked out. Without it the telemetry is taken for open loop.",
        ),
        click.option(
            "--delay",
            "delay_frames",
            type=float,
            default=2.0,
            show_default=True,
            help="Of the loop, in frames.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def open_loop_of(telemetry: Path, commands: Path | None, delay_frames: float) -> NDArray[np.float64]:
    """The telemetry, or pseudo-open-loop telemetry where there are commands."""
    from framebus.ao.fits_files import read_image
    from framebus.ao.telemetry import open_loop_telemetry

    series = read_image(telemetry, ndim=2)
    return (
        series
        if commands is None
        else open_loop_telemetry(series, read_image(commands, ndim=2), delay_frames)
    )


def read_places(path: Path) -> NDArray[np.float64]:
    """Places of actuators, x and y: FITS (n, 2), or text with a line each, whose last two numbers they are.

    Raises:
        NotFoundError: no such file.
        DataError: it holds something else.
    """
    from framebus.ao.fits_files import read_image

    if path.suffix in (".fits", ".fz", ".gz"):
        places = read_image(path, ndim=2)
    else:
        if not path.is_file():
            raise NotFoundError(f"{path}: no such file; expected the actuators' places")
        try:
            places = np.loadtxt(path, ndmin=2)
        except (ValueError, UnicodeDecodeError) as error:
            raise DataError(f"{path}: it is no table of numbers: {error}") from error
    if places.ndim != 2 or places.shape[1] < 2 or not np.isfinite(places).all():
        raise DataError(
            f"{path}: its shape is {places.shape}; expected a line for each actuator, ending in x and y"
        )
    return np.asarray(places[:, -2:], dtype=np.float64)


def tell(found: dict[str, Any], written: tuple[Path | None, ...], as_json: bool) -> None:
    """Print a result: as JSON, or a line for each figure (lists only by their ends), and what was written."""
    names = [str(path) for path in written if path is not None]
    if as_json:
        show_json(found | {"written": names})
        return
    table = columns("what", "value", wrapped=("value",))
    for key, value in found.items():
        table.add_row(key.replace("_", " "), safe(_text(value)))
    show(table, *(f"wrote {safe(name)}" for name in names))


def estimate(figure: Any) -> dict[str, float]:
    """An ``Estimate`` for JSON."""
    return {"value": figure.value, "sigma": figure.sigma, "n_independent": figure.n_independent}


def _text(value: Any) -> str:
    if isinstance(value, dict) and "sigma" in value:
        return f"{value['value']:.4g} ± {value['sigma']:.2g}"
    if isinstance(value, list):
        shown = [_text(item) for item in value]
        return ", ".join(
            shown if len(shown) <= 12 else [*shown[:6], f"... {len(shown) - 9} more ...", *shown[-3:]]
        )
    return f"{value:.5g}" if isinstance(value, float) else str(value)
