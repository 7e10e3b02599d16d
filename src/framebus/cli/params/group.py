"""The group ``framebus params``: a table of sets, unless a command of the group is named."""

from __future__ import annotations

import click

from framebus.cli.lazy import Entry, LazyGroup

COMMANDS = {
    "list": Entry("framebus.cli.params.table:table", "Show parameter sets; what 'params SET...' does."),
    "save": Entry("framebus.cli.params.files:save", "Write values to a TOML file."),
    "load": Entry("framebus.cli.params.files:load", "Take over the values of a TOML file."),
    "diff": Entry("framebus.cli.params.files:diff", "Show what a file would change."),
    "rm": Entry("framebus.cli.params.rm:rm", "Remove parameter sets."),
}


class _SetsGroup(LazyGroup):
    """Takes ``params SET...`` and ``params --json`` for ``params list SET...``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = next((i for i, word in enumerate(args) if word != "--debug"), len(args))
        own = at < len(args) and args[at] in (*COMMANDS, "--help", "-h")
        return super().parse_args(ctx, args if own else [*args[:at], "list", *args[at:]])


@click.group(
    cls=_SetsGroup,
    table=COMMANDS,
    subcommand_metavar="[SET...] | COMMAND [ARGS]...",
    epilog="A set that is called as one of the commands: 'framebus params list save'.",
)
def params() -> None:
    """Show parameter sets: values, types, limits, and which process runs with them; or keep them in files.

    SET is a set's name, a parameter's full name (SET.ENTRY) or a pattern (* ? [a-z], in quotes).

    Example: framebus params loop
    """
