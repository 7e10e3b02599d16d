"""``framebus ao seeing``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from framebus.cli.ao.files import FILE, estimate, loop_options, open_loop_of, output_options, tell
from framebus.errors import UsageError


@click.command()
@click.argument("telemetry", type=FILE)
@loop_options
@click.option(
    "--kind",
    type=click.Choice(["slopes", "zernikes"]),
    default="slopes",
    show_default=True,
    help="What it has.",
)
@click.option(
    "--unit", type=float, default=1.0, show_default=True, help="Radians that a 1 means: of gradient or phase."
)
@click.option("--wavelength", "wavelength_m", type=float, default=500e-9, show_default=True, help="Metres.")
@click.option(
    "--subaperture", "subaperture_m", type=float, help="Side of a sub-aperture in the pupil, metres."
)
@click.option("--diameter", "diameter_m", type=float, help="Of the pupil, metres, for zernikes.")
@click.option("--outer-scale", "outer_scale_m", type=float, default=25.0, show_default=True, help="Metres.")
@output_options
def seeing(
    telemetry: Path,
    rate_hz: float,
    commands: Path | None,
    delay_frames: float,
    kind: str,
    unit: float,
    wavelength_m: float,
    subaperture_m: float | None,
    diameter_m: float | None,
    outer_scale_m: float,
    output: Path | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Tell r0, wind speed, coherence time and seeing from TELEMETRY: FITS (frames, slopes or modes).

    Slopes are all x, then all y. Zernike modes are Noll's from tip on; tip and tilt are not used.

    Example: framebus ao seeing slopes.fits --rate 1000 --subaperture 0.2 --unit 4.1e-6
    """
    from framebus.ao import seeing as atmosphere
    from framebus.ao.fits_files import write_fits
    from framebus.ao.turbulence_statistics import zernike_covariance

    series = unit * open_loop_of(telemetry, commands, delay_frames)
    if kind == "slopes":
        if subaperture_m is None:
            raise UsageError(
                "--kind slopes needs --subaperture, the side of a sub-aperture in the pupil in metres"
            )
        r0 = atmosphere.r0_from_slopes(series, subaperture_m, wavelength_m, outer_scale_m=outer_scale_m)
        wind = atmosphere.wind_from_slopes(series, rate_hz, subaperture_m, outer_scale_m=outer_scale_m)
    else:
        if diameter_m is None:
            raise UsageError("--kind zernikes needs --diameter, that of the pupil in metres")
        unit_variances = zernike_covariance(series.shape[1], outer_scale_m / diameter_m).diagonal()
        r0 = atmosphere.r0_from_modes(series[:, 2:], unit_variances[2:], diameter_m)
        wind = atmosphere.wind_from_zernikes(series, rate_hz, diameter_m, outer_scale_m=outer_scale_m)
    found = atmosphere.describe_seeing(r0, wind, wavelength_m, outer_scale_m)
    if output is not None:
        names = ("r0", "wind", "coherence_time", "fwhm")
        header: dict[str, tuple[Any, str]] = {
            "FBTYPE": ("SEEING", "r0 m, wind m/s, tau0 s, fwhm arcsec; their errors"),
            "LAMBDA": (wavelength_m, "m"),
            "L0": (outer_scale_m, "m"),
        }
        figures = [getattr(found, name) for name in names]
        write_fits(output, np.array([[figure.value, figure.sigma] for figure in figures]), header)
    if picture is not None:
        from framebus.ao.pictures import draw_spectrum

        draw_spectrum(series, rate_hz, picture)
    told: dict[str, Any] = {
        "r0_m": estimate(found.r0),
        "wind_m_s": estimate(found.wind),
        "coherence_time_s": estimate(found.coherence_time),
        "fwhm_arcsec": estimate(found.fwhm),
        "wavelength_m": wavelength_m,
        "outer_scale_m": outer_scale_m,
        "frames": len(series),
        "independent_frames": found.r0.n_independent,
    }
    tell(told, (output, picture), as_json)
