"""``framebus ao register``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import numpy as np

from framebus.cli.ao.common import answer, check_output, image_of, results
from framebus.errors import DataError, UsageError


@click.command()
@click.argument("response", type=click.Path(path_type=Path))
@click.argument("geometry", type=click.Path(path_type=Path))
@click.option("--mask", metavar="FILE.fits", help="Mask of the mirror's actuators (default: a full mirror).")
@results
def register(
    response: Path,
    geometry: Path,
    mask: str | None,
    output: Path | None,
    overwrite: bool,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Find how actuators lie on sub-apertures: shift, rotation, magnification and parity.

    RESPONSE is a file of 'framebus ao response', GEOMETRY one of 'framebus ao find', of sub-apertures or pupils.
    Lengths are in pixels.

    Example: framebus ao register response.fits boxes.fits --picture register.png
    """
    from framebus.ao.calibration_files import load_calibration, save_calibration
    from framebus.ao.calibration_pictures import draw_registration
    from framebus.ao.registration import find_registration

    check_output(output, overwrite)
    file = load_calibration(response, "response")
    matrix = file.array("matrix")
    shape = file.array("rest").shape if mask is None else image_of(mask).shape
    chosen = np.ones(shape, bool) if mask is None else image_of(mask) > 0
    if chosen.ndim != 2:
        raise UsageError(
            f"the mirror's shape is {shape}; give a mask of its actuators with two axes: --mask FILE.fits"
        )
    if "modes" in file.arrays:
        modes = file.array("modes").reshape(len(matrix), -1)
        if np.linalg.matrix_rank(modes) < modes.shape[1]:
            raise DataError(
                f"{response}: its {len(modes)} modes do not tell single actuators apart; measure zonally"
            )
        matrix = np.linalg.lstsq(modes, matrix.astype(np.float64), rcond=None)[0]
    if len(matrix) == chosen.size:
        matrix = matrix[chosen.ravel()]
    spots = _spots(geometry)
    found = find_registration(matrix, np.argwhere(chosen), spots)
    doubts = [f"actuator {doubt.index}: {doubt.reason}" for doubt in found.doubtful]
    if output is not None:
        cards: dict[str, Any] = {
            "RESPONSE": (str(response), "response that was used"),
            "GEOMETRY": (str(geometry), "sub-apertures or pupils"),
            "SHIFT_Y": (float(found.shift[0]), "pixels"),
            "SHIFT_X": (float(found.shift[1]), "pixels"),
            "ROTATION": (found.rotation_deg, "degrees, from +x towards +y"),
            "MAGN_Y": (float(found.magnification[0]), "pixels per actuator, down"),
            "MAGN_X": (float(found.magnification[1]), "pixels per actuator, across"),
            "PARITY": (found.parity, "-1: the mirror is seen flipped"),
            "RMS": (found.rms, "pixels, of the actuators about the map"),
        }
        arrays = {
            "matrix": found.matrix,
            "centre": found.centre,
            "places": found.places,
            "residual": found.residual,
        }
        save_calibration(output, "registration", arrays, cards, doubts=doubts, overwrite=overwrite)
    if picture is not None:
        draw_registration(picture, found, spots, f"actuators of {response.name} on {geometry.name}")
    facts = {
        "shift_px": [float(v) for v in found.shift],
        "rotation_deg": found.rotation_deg,
        "magnification_px": [float(v) for v in found.magnification],
        "skew_deg": found.skew_deg,
        "parity": found.parity,
        "rms_px": found.rms,
        "actuators_found": int(np.isfinite(found.places).all(axis=1).sum()),
    }
    answer(facts, doubts, [output, picture], as_json=as_json)


def _spots(geometry: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    from framebus.ao.calibration_files import load_calibration

    file = load_calibration(geometry)
    if file.kind == "pupils":
        return np.argwhere(file.array("mask")[0] > 0).astype(np.float64)
    if file.kind != "subapertures":
        raise DataError(
            f"{geometry}: it is a {file.kind or 'foreign'} file; expected sub-apertures or pupils of 'framebus ao find'"
        )
    return file.array("centres").astype(np.float64)
