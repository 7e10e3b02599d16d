"""``framebus ao rejection``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click
import numpy as np

from framebus.cli.ao.files import FILE, loop_options, output_options, tell
from framebus.errors import UsageError


@click.command()
@click.argument("closed", type=FILE)
@loop_options
@click.option(
    "--open", "open_path", type=FILE, help="FITS (frames, channels): another recording, of the open loop."
)
@click.option("--gain", type=float, help="Predict an integrator with this gain, to compare with.")
@click.option("--leak", type=float, default=1.0, show_default=True, help="Of that integrator.")
@click.option("--segment", type=int, help="Frames in a segment [default: an eighth of all].")
@click.option("--channel", type=int, default=0, show_default=True, help="Which to draw.")
@output_options
def rejection(
    closed: Path,
    rate_hz: float,
    commands: Path | None,
    delay_frames: float,
    open_path: Path | None,
    gain: float | None,
    leak: float,
    segment: int | None,
    channel: int,
    output: Path | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Measure what a loop rejects, from CLOSED: FITS (frames, channels), residuals of the closed loop.

    Either with the commands of the same frames (--commands), or with a recording of the open loop (--open).

    Example: framebus ao rejection closed.fits --commands commands.fits --rate 1000 --gain 0.4 --picture rejection.png
    """
    from framebus.ao import transfer
    from framebus.ao.fits_files import read_image, write_fits
    from framebus.ao.measured_rejection import rejection_from_loop, rejection_from_pair
    from framebus.ao.telemetry import open_loop_telemetry

    if (commands is None) == (open_path is None):
        raise UsageError("give either --commands (of the same frames) or --open (another recording)")
    residual = read_image(closed, ndim=2)
    expected = None
    if gain is not None:
        controller = transfer.integrator(gain, leak)
        expected = lambda frequency: transfer.rejection(frequency, rate_hz, delay_frames, controller)  # noqa: E731
    options: dict[str, Any] = {"predicted": expected, "segment": segment}
    if commands is not None:
        there = open_loop_telemetry(residual, read_image(commands, ndim=2), delay_frames)
        found = rejection_from_loop(residual[math.ceil(delay_frames) :], there, rate_hz, **options)
    else:
        assert open_path is not None
        found = rejection_from_pair(residual, read_image(open_path, ndim=2), rate_hz, **options)
    if output is not None:
        header: dict[str, tuple[Any, str]] = {
            "FBTYPE": ("REJECT", "what this file is: dB at frequencies"),
            "RATE": (rate_hz, "frames per second"),
            "CONFID": (found.confidence, "confidence of LOW to HIGH"),
        }
        extensions = {"FREQ": found.frequency_hz, "LOW": found.low_db, "HIGH": found.high_db}
        if found.predicted_db is not None:
            extensions["PREDICT"] = found.predicted_db
        write_fits(output, found.rejection_db, header, extensions)
    if picture is not None:
        from framebus.ao.pictures import draw_rejection

        draw_rejection(found, picture, channel)
    told: dict[str, Any] = {
        "channels": int(found.rejection_db.shape[1]),
        "frequencies": len(found.frequency_hz),
        "bandwidth_hz": found.bandwidth_hz.tolist(),
        "at_lowest_frequency_db": found.rejection_db[0].tolist(),
        "largest_amplification_db": found.rejection_db.max(axis=0).tolist(),
    }
    if found.rms_difference_db is not None and found.inside is not None:
        told["rms_difference_db"] = found.rms_difference_db.tolist()
        told["prediction_inside"] = found.inside.tolist()
    told["median_interval_db"] = float(np.median(found.high_db - found.low_db))
    tell(told, (output, picture), as_json)
