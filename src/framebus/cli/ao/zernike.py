"""``framebus ao zernike``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from framebus.cli.ao.files import FILE, output_options, tell


@click.command()
@click.argument("reference", type=FILE)
@click.argument("aberrated", type=FILE)
@click.option("--dark", type=FILE, help="Frame without light.")
@click.option("--pixel", "pixel_m", type=float, required=True, help="Size of a pixel, metres.")
@click.option("--focal-length", "focal_m", type=float, required=True, help="Of the lenslets, metres.")
@click.option(
    "--pitch", "pitch_m", type=float, help="Diameter of a lenslet, metres [default: distance of the spots]."
)
@click.option(
    "--number", type=click.IntRange(min=1), default=20, show_default=True, help="Modes, from tip on."
)
@click.option("--wavelength", "wavelength_m", type=float, help="Metres, to tell waves too.")
@output_options
def zernike(
    reference: Path,
    aberrated: Path,
    dark: Path | None,
    pixel_m: float,
    focal_m: float,
    pitch_m: float | None,
    number: int,
    wavelength_m: float | None,
    output: Path | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Tell the Zernike modes of the aberration between two frames of a Shack-Hartmann sensor.

    REFERENCE is a frame of a flat wavefront, ABERRATED the one to measure. Coefficients are nm rms, in Noll's order.

    Example: framebus ao zernike flat.fits frame.fits --dark dark.fits --pixel 7.4e-6 --focal-length 18e-3
    """
    from framebus.ao.aberration import measure_aberration
    from framebus.ao.fits_files import read_image, write_fits

    found = measure_aberration(
        read_image(reference, ndim=2),
        read_image(aberrated, ndim=2),
        pixel_m=pixel_m,
        focal_m=focal_m,
        dark=None if dark is None else read_image(dark, ndim=2),
        n_modes=number,
        pitch_m=pitch_m,
    )
    fit = found.fit
    if output is not None:
        header: dict[str, tuple[Any, str]] = {
            "FBTYPE": ("ZERNIKE", "coefficients of Noll's modes from 2 on, m rms"),
            "RADIUS": (found.radius_m, "of the pupil, m"),
            "LENSLETS": (len(found.used), "used"),
            "RMS": (fit.rms_m, "of the wavefront without tip and tilt, m"),
            "RESIDUAL": (fit.residual_rms, "of the slopes, pixels rms"),
        }
        extensions = {"SIGMA": fit.sigma_m, "SLOPES": found.slopes, "LEFT": fit.residual_slopes}
        write_fits(output, fit.coefficients_m, header, extensions)
    if picture is not None:
        from framebus.ao.pictures import draw_aberration

        draw_aberration(found, picture)
    told: dict[str, Any] = {
        "lenslets": len(found.used),
        "left_out": len(found.spots) - len(found.used),
        "radius_m": found.radius_m,
        "rms_nm": 1e9 * fit.rms_m,
        "slopes_rms_px": fit.slopes_rms,
        "residual_rms_px": fit.residual_rms,
        "explained": fit.explained,
        "coefficients_nm": np.round(1e9 * fit.coefficients_m, 3).tolist(),
        "sigma_nm": np.round(1e9 * fit.sigma_m, 3).tolist(),
    }
    if wavelength_m is not None:
        told["rms_waves"] = fit.rms_m / wavelength_m
    tell(told, (output, picture), as_json)
