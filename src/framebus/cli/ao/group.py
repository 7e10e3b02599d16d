"""The group ``framebus ao``: which commands there are, and where each lives."""

from __future__ import annotations

import click

from framebus.cli.lazy import Entry, LazyGroup

COMMANDS = {
    "sim": Entry("framebus.cli.ao.sim:sim", "Run a simulated telescope on streams."),
    "dark": Entry("framebus.cli.ao.camera:dark", "Measure a camera's dark, its noise and bad pixels."),
    "flat": Entry("framebus.cli.ao.camera:flat", "Measure a camera's flat field."),
    "reference": Entry("framebus.cli.ao.camera:reference", "Measure reference slopes, or a reference frame."),
    "find": Entry("framebus.cli.ao.find:find", "Find sub-apertures or pyramid pupils in a frame."),
    "delay": Entry("framebus.cli.ao.mirror:delay", "Measure the frames from a command to its measurement."),
    "response": Entry("framebus.cli.ao.mirror:response", "Measure the interaction matrix."),
    "register": Entry("framebus.cli.ao.register:register", "Find how actuators lie on the sub-apertures."),
    "modes": Entry("framebus.cli.ao.modes:modes", "Make a modal basis of a mirror."),
    "control-matrix": Entry("framebus.cli.ao.control_matrix:control_matrix", "Invert an interaction matrix."),
    "gains": Entry("framebus.cli.ao.gains:gains", "Find each mode's best gain from telemetry."),
    "rejection": Entry("framebus.cli.ao.rejection:rejection", "Measure what a closed loop rejects."),
    "seeing": Entry("framebus.cli.ao.seeing:seeing", "Tell r0, wind and coherence time from telemetry."),
    "zernike": Entry("framebus.cli.ao.zernike:zernike", "Tell an aberration's Zernike modes from frames."),
}
"""Every command of the group, in the order in which a loop is simulated, calibrated and looked at."""


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    epilog="'framebus ao COMMAND --help' tells more about a command.",
)
def ao() -> None:
    """Adaptive optics: simulate a telescope, calibrate a loop through its streams, judge what it does.

    Example: framebus ao dark wfs --frames 500 --output dark.fits
    """
