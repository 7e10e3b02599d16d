"""``framebus ao gains``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from framebus.cli.ao.files import FILE, loop_options, open_loop_of, output_options, tell


@click.command()
@click.argument("telemetry", type=FILE)
@loop_options
@click.option("--leak", type=float, default=1.0, show_default=True, help="Of the integrator.")
@click.option("--gain-margin", type=float, default=2.0, show_default=True, help="1 is the edge of stability.")
@click.option("--phase-margin", type=float, default=45.0, show_default=True, help="In degrees.")
@output_options
def gains(
    telemetry: Path,
    rate_hz: float,
    commands: Path | None,
    delay_frames: float,
    leak: float,
    gain_margin: float,
    phase_margin: float,
    output: Path | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Find the gain of each mode that leaves least of it, from TELEMETRY: FITS (frames, modes).

    Bounded by the margins that keep the loop stable (Gendron and Lena 1994).

    Example: framebus ao gains modes.fits --commands commands.fits --rate 1000 --delay 2 -o gains.fits
    """
    from framebus.ao.fits_files import write_fits
    from framebus.ao.modal_gains import optimise_gains

    found = optimise_gains(
        open_loop_of(telemetry, commands, delay_frames),
        rate_hz,
        delay_frames=delay_frames,
        leak=leak,
        gain_margin=gain_margin,
        phase_margin_deg=phase_margin,
    )
    if output is not None:
        header: dict[str, tuple[Any, str]] = {
            "FBTYPE": ("GAINS", "what this file is"),
            "RATE": (rate_hz, "frames per second"),
            "DELAY": (delay_frames, "of the loop, frames"),
            "LEAK": (leak, "of the integrator"),
            "LIMIT": (found.limit, "largest gain that the margins allow"),
        }
        extensions = {
            "RESIDUAL": found.residual_variance,
            "OPENLOOP": found.open_loop_variance,
            "NOISE": found.noise_variance,
        }
        write_fits(output, found.gains, header, extensions)
    if picture is not None:
        from framebus.ao.pictures import draw_gains

        draw_gains(found, picture)
    told = {
        "modes": len(found.gains),
        "limit": found.limit,
        "at_limit": int(found.at_limit.sum()),
        "gains": found.gains.tolist(),
        "open_loop_variance": float(found.open_loop_variance.sum()),
        "noise_variance": float(found.noise_variance.sum()),
        "predicted_residual_variance": float(found.residual_variance.sum()),
    }
    tell(told, (output, picture), as_json)
