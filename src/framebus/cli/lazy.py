"""A group of commands that loads a command when it is called, and not to list it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from framebus.cli.failures import Settings, guarded

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class Entry(NamedTuple):
    """Where a command lives (``"package.module:attribute"``; a group of commands may be one) and its line of help."""

    target: str
    help: str


def _set_debug(ctx: click.Context, option: click.Parameter, value: bool) -> None:
    del option
    if value:
        ctx.ensure_object(Settings).debug = True


def _debug_option() -> click.Option:
    return click.Option(
        ["--debug"],
        is_flag=True,
        expose_value=False,
        is_eager=True,
        callback=_set_debug,
        help="Show an error's traceback.",
    )


class LazyGroup(click.Group):
    """Commands out of a table.

    Every command takes ``--debug``, as the group does. Without a command the help is printed. ``main`` turns errors
    into one line and an exit code.

    Args:
        table: the commands by name, in the order of the help.
        sections: instead of ``table``: tables by their headings.
        examples: a command line for each heading, which stands beside it.
    """

    def __init__(
        self,
        *args: Any,
        table: Mapping[str, Entry] | None = None,
        sections: Mapping[str, Mapping[str, Entry]] | None = None,
        examples: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        kwargs["invoke_without_command"] = True
        super().__init__(*args, **kwargs)
        self._sections = {"Commands": table or {}} if sections is None else sections
        self._examples = examples or {}
        self._table = {name: entry for part in self._sections.values() for name, entry in part.items()}
        self.params.append(_debug_option())

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, in the order of the table."""
        del ctx
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is none of that name."""
        del ctx
        if cmd_name not in self._table:
            return None
        module, _, attribute = self._table[cmd_name].target.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        if not any("--debug" in parameter.opts for parameter in command.params):
            command.params.append(_debug_option())
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; without one, print what there is."""
        result = super().invoke(ctx)
        if ctx.invoked_subcommand is None:
            click.echo(ctx.get_help())
        return result

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """The commands that begin so, with their help, from the tables alone; then the group's own options."""
        from click.shell_completion import CompletionItem

        found = [(name, entry.help) for name, entry in self._table.items() if name.startswith(incomplete)]
        items = [CompletionItem(name, help=told) for name, told in found]
        return items + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the lists of commands into the help, from the tables alone."""
        del ctx
        width = max(map(len, self._table), default=0)  # so that all sections have their columns in one place
        for heading, part in self._sections.items():
            example = f" ({self._examples[heading]})" if heading in self._examples else ""
            with formatter.section(heading + example):
                formatter.write_dl([(name.ljust(width), entry.help) for name, entry in part.items()])

    def main(  # type: ignore[override]
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> int:
        """Run a command line; returns its exit code, or leaves the interpreter with it if ``standalone_mode``."""
        settings = Settings()
        run = partial(
            super().main, args, prog_name, complete_var, standalone_mode=False, obj=settings, **extra
        )
        code = guarded(run, settings)
        if standalone_mode:
            raise SystemExit(code)
        return code
