"""``framebus ao modes``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from framebus.cli.ao.files import FILE, output_options, read_places, tell
from framebus.errors import UsageError

KINDS = ("kl", "zernike", "fourier", "zonal", "influence")


@click.command()
@click.option("--kind", type=click.Choice(KINDS), default="kl", show_default=True, help="Which modes.")
@click.option(
    "--positions", type=FILE, help="Places of the actuators: FITS (n, 2), or text ending in x and y."
)
@click.option(
    "--influence", type=FILE, help="FITS (n, height, width): surfaces of the actuators, for 'influence'."
)
@click.option("--number", type=click.IntRange(min=1), help="How many [default: all].")
@click.option(
    "--diameter",
    "diameter_m",
    type=float,
    help="Metres: of the pupil, to which places are scaled, or of the picture of surfaces.",
)
@click.option(
    "--r0", "r0_m", type=float, default=0.15, show_default=True, help="Metres, for Karhunen-Loève modes."
)
@click.option(
    "--outer-scale",
    "outer_scale_m",
    type=float,
    default=25.0,
    show_default=True,
    help="Metres, for the same.",
)
@output_options
def modes(
    kind: str,
    positions: Path | None,
    influence: Path | None,
    number: int | None,
    diameter_m: float | None,
    r0_m: float,
    outer_scale_m: float,
    output: Path | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Make a modal basis of a mirror, one command per mode, without piston.

    From the places of the actuators (kl, zernike, fourier, zonal) or from their surfaces (influence, which are
    turned into the mirror's own Karhunen-Loève modes if --diameter tells how large the picture is).

    Example: framebus ao modes --positions actuators.txt --diameter 8.2 --number 100 -o kl.fits
    """
    from framebus.ao.fits_files import read_image
    from framebus.ao.modal_basis import influence_basis, placed_basis, save_basis

    places = None if positions is None else read_places(positions)
    if places is not None:
        places = places - 0.5 * (places.max(axis=0) + places.min(axis=0))
        if diameter_m is not None:
            places = places * (0.5 * diameter_m / np.hypot(*places.T).max())
    if kind == "influence":
        if influence is None:
            raise UsageError("--kind influence needs --influence FILE, the surfaces of the actuators")
        surfaces = read_image(influence, ndim=3)
        pixel_m = None if diameter_m is None else diameter_m / max(surfaces.shape[1:])
        scale: dict[str, Any] = {"r0_m": r0_m, "outer_scale_m": outer_scale_m}
        basis = influence_basis(surfaces, None, number, pixel_m=pixel_m, **scale)
    else:
        if places is None:
            raise UsageError(f"--kind {kind} needs --positions FILE, the places of the actuators")
        basis = placed_basis(kind, places, number, r0_m=r0_m, outer_scale_m=outer_scale_m)  # type: ignore[arg-type]
    if output is not None:
        save_basis(basis, output)
    if picture is not None:
        from framebus.ao.pictures import draw_basis

        draw_basis(basis, picture, places)
    found: dict[str, Any] = {"kind": basis.kind, "actuators": basis.n_actuators, "modes": basis.n_modes}
    found |= dict(basis.parameters)
    if basis.variances is not None:
        found["variances_rad2"] = basis.variances.tolist()
    tell(found, (output, picture), as_json)
