"""``framebus get``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from framebus.cli import text
from framebus.cli.complete import param_or_set_names

if TYPE_CHECKING:
    from framebus.params import Value


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=param_or_set_names)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def get(names: tuple[str, ...], as_json: bool) -> None:
    """Print the values of parameters.

    NAME is a full name (SET.ENTRY), a set, or a pattern (* ? [a-z], in quotes). The value of a single full name is
    printed bare, for scripts.

    Example: framebus get loop.gain
    """
    from framebus.params import find
    from framebus.params.listing import is_pattern

    found = find(*names)
    if as_json:
        from framebus.cli.output import show_json

        show_json({name: info.value for name, info in found.items()})
    elif not found:
        click.echo(f"no parameter matches {text.safe(' '.join(names))}")
    elif len(names) == 1 and not is_pattern(names[0]) and list(found) == list(names):
        ((name, info),) = found.items()
        click.echo(shown(info.value))
    else:
        for name, info in found.items():
            click.echo(f"{text.safe(name)} = {shown(info.value)}")


def shown(value: Value) -> str:
    """A value as ``framebus set`` reads it back, with what a terminal would obey written as escapes."""
    from framebus.params.text import to_text

    return text.safe(to_text(value))
