"""The group ``framebus ao``: which commands there are, and where each lives."""

from __future__ import annotations

import click

from framebus.cli.lazy import Entry, LazyGroup

COMMANDS = {
    "sim": Entry("framebus.cli.ao.sim:sim", "Run a simulated telescope on streams."),
}
"""Every command of the group, in the order in which the help lists them."""


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    invoke_without_command=True,
    epilog="'framebus ao COMMAND --help' tells more about a command.",
)
@click.pass_context
def ao(ctx: click.Context) -> None:
    """Adaptive optics: telescopes that are simulated, and what operates a loop.

    Example: framebus ao sim telescope.toml
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
