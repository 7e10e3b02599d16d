"""The commands of ``framebus ao``."""

from __future__ import annotations

import click

from framebus.cli.lazy import Entry, LazyGroup

COMMANDS = {
    "modes": Entry("framebus.cli.ao.modes:modes", "Make a modal basis of a mirror."),
    "control-matrix": Entry("framebus.cli.ao.control_matrix:control_matrix", "Invert an interaction matrix."),
    "gains": Entry("framebus.cli.ao.gains:gains", "Find each mode's best gain from telemetry."),
    "rejection": Entry("framebus.cli.ao.rejection:rejection", "Measure what a closed loop rejects."),
    "seeing": Entry("framebus.cli.ao.seeing:seeing", "Tell r0, wind and coherence time from telemetry."),
    "zernike": Entry("framebus.cli.ao.zernike:zernike", "Tell an aberration's Zernike modes from frames."),
}
"""Every command, in the order in which the help lists them."""


@click.group(cls=LazyGroup, table=COMMANDS)
def ao() -> None:
    """Calibrate an adaptive-optics loop and tell how well it does.

    Example: framebus ao control-matrix respM.fits --condition 30 -o control.fits
    """
