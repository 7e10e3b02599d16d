"""The command ``framebus`` itself: which commands there are, and where each lives."""

from __future__ import annotations

import click

import framebus
from framebus.cli.lazy import Entry, LazyGroup

COMMANDS = {
    "demo": Entry("framebus.cli.demo.command:demo", "Close an adaptive-optics loop in front of your eyes."),
    "ls": Entry("framebus.cli.ls:ls", "List streams with their state."),
    "info": Entry("framebus.cli.info:info", "Tell everything about one stream."),
    "rm": Entry("framebus.cli.rm:rm", "Remove streams."),
    "bench": Entry("framebus.cli.bench:bench", "Measure what this machine reaches."),
}
"""Every command, in the order in which the help lists them."""


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="'framebus COMMAND --help' tells more about a command.",
)
@click.version_option(framebus.__version__, message="%(prog)s %(version)s")
@click.pass_context
def root(ctx: click.Context) -> None:
    """Real-time image streaming for adaptive optics and scientific imaging."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
