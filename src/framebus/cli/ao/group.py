"""The group of commands ``framebus ao``."""

from __future__ import annotations

import click

from framebus.cli.lazy import Entry, LazyGroup

COMMANDS = {
    "dark": Entry("framebus.cli.ao.camera:dark", "Measure a camera's dark, its noise and bad pixels."),
    "flat": Entry("framebus.cli.ao.camera:flat", "Measure a camera's flat field."),
    "reference": Entry("framebus.cli.ao.camera:reference", "Measure reference slopes, or a reference frame."),
    "find": Entry("framebus.cli.ao.find:find", "Find sub-apertures or pyramid pupils in a frame."),
    "delay": Entry("framebus.cli.ao.mirror:delay", "Measure the frames from a command to its measurement."),
    "response": Entry("framebus.cli.ao.mirror:response", "Measure the interaction matrix."),
    "register": Entry("framebus.cli.ao.register:register", "Find how actuators lie on the sub-apertures."),
}
"""Every command, in the order in which a loop is calibrated."""


@click.group(cls=LazyGroup, table=COMMANDS, invoke_without_command=True)
@click.pass_context
def ao(ctx: click.Context) -> None:
    """Calibrate an adaptive-optics loop through its streams.

    Example: framebus ao dark wfs --frames 500 --output dark.fits
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
