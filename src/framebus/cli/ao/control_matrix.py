"""``framebus ao control-matrix``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from numpy.typing import NDArray

from framebus.cli.ao.files import FILE, output_options, read_places, tell
from framebus.errors import UsageError

if TYPE_CHECKING:
    from framebus.ao.inversion import Inverse

METHODS = ("tsvd", "tikhonov", "mmse", "modal")


@click.command("control-matrix")
@click.argument("response", type=click.Path(path_type=Path))
@click.option(
    "--method", type=click.Choice(METHODS), default="tsvd", show_default=True, help="How to invert."
)
@click.option(
    "--condition",
    type=float,
    help="Largest condition number, for tsvd [default: 100] and modal [default: 1000].",
)
@click.option("--number", type=click.IntRange(min=1), help="At most so many modes, for tsvd and modal.")
@click.option(
    "--regularisation", type=float, default=0.1, show_default=True, help="Of the largest mode, for tikhonov."
)
@click.option("--noise", type=float, default=1.0, show_default=True, help="Variance of a measurement.")
@click.option("--modes", type=FILE, help="Modal basis, for modal; with variances, the prior of mmse.")
@click.option("--gains", type=FILE, help="FITS (modes,): a gain each, for modal.")
@click.option("--positions", type=FILE, help="Places of the actuators, for the picture.")
@output_options
def control_matrix(
    response: Path,
    method: str,
    condition: float | None,
    number: int | None,
    regularisation: float,
    noise: float,
    modes: Path | None,
    gains: Path | None,
    positions: Path | None,
    output: Path | None,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Invert the interaction matrix RESPONSE: FITS, actuators first, or the directory of an instrument.

    Of a directory only what its masks let the loop use is inverted; the other actuators and elements get zeros.

    Example: framebus ao control-matrix respM.fits --condition 30 -o control.fits --picture control.png
    """
    from framebus.ao.inversion import save_inverse, tikhonov_inverse, truncated_inverse

    matrix = _interaction_matrix(response)
    if method == "tsvd":
        inverse = truncated_inverse(matrix, condition=condition or 100.0, n_modes=number, noise=noise)
    elif method == "tikhonov":
        inverse = tikhonov_inverse(matrix, regularisation, noise=noise)
    else:
        inverse = _in_modes(method, matrix, modes, gains, condition, number, noise)
    if output is not None:
        save_inverse(inverse, output, str(response))
    if picture is not None:
        from framebus.ao.pictures import draw_inverse

        draw_inverse(inverse, picture, None if positions is None else read_places(positions))
    found = {
        "method": inverse.method,
        "actuators": int(inverse.matrix.shape[0]),
        "measurements": int(inverse.matrix.shape[1]),
        "modes_kept": inverse.n_kept,
        "why": inverse.reason,
        "condition_number": inverse.condition_number,
        "noise_of_all_actuators": inverse.total_noise,
        "dead_actuators": inverse.dead_actuators.tolist(),
        "singular_values": inverse.singular_values.tolist(),
        "noise_propagation": inverse.noise_propagation.tolist(),
    }
    tell(found, (output, picture), as_json)


def _interaction_matrix(path: Path) -> NDArray[np.float64]:
    from framebus.ao.fits_files import read_image
    from framebus.ao.instrument import load_instrument

    if path.is_dir():
        instrument = load_instrument(path)
        used = instrument.controlled[:, None] & instrument.wfs_mask.ravel()
        return np.where(used, instrument.response, 0.0).astype(np.float64)
    image = read_image(path)
    return image.reshape(len(image), -1) if image.ndim > 1 else image


def _in_modes(
    method: str,
    matrix: NDArray[np.float64],
    modes: Path | None,
    gains: Path | None,
    condition: float | None,
    number: int | None,
    noise: float,
) -> Inverse:
    from framebus.ao.fits_files import read_image
    from framebus.ao.inversion import mmse_inverse, modal_inverse
    from framebus.ao.modal_basis import load_basis

    if modes is None:
        raise UsageError(f"--method {method} needs --modes FILE, as 'framebus ao modes' writes it")
    basis = load_basis(modes)
    if method == "modal":
        each = 1.0 if gains is None else read_image(gains, ndim=1)[:number]
        return modal_inverse(
            matrix, basis.modes[:, :number], each, condition=condition or 1000.0, noise=noise
        )
    if basis.variances is None:
        raise UsageError(f"{modes} has no variances, which --method mmse needs; make it with --kind kl")
    return mmse_inverse(matrix, (basis.modes * np.maximum(basis.variances, 0.0)) @ basis.modes.T, noise)
