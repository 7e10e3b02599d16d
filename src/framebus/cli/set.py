"""``framebus set``."""

from __future__ import annotations

import click

from framebus.cli import text
from framebus.cli.complete import param_assignments
from framebus.cli.get import shown
from framebus.errors import UsageError


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument(
    "assignments", metavar="NAME=VALUE...", nargs=-1, required=True, shell_complete=param_assignments
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object: values before and now.")
def set_(assignments: tuple[str, ...], as_json: bool) -> None:
    """Change parameters: all that are named, or none if one of them is refused.

    NAME is a full name, SET.ENTRY. 'NAME VALUE' also sets a single one. Switches are on or off (or true, yes, 1);
    a timestamp is in ns since 1970, or a time as 2026-01-31T12:00:00Z. Units that run take the values at their next
    frame; those of one set together.

    Example: framebus set loop.gain=0.5 loop.leak=0.99
    """
    from framebus.params import find, set_values

    texts = _pairs(assignments)
    changed = set_values(texts, as_text=True)
    if as_json:
        from framebus.cli.output import show_json

        show_json({name: {"before": before, "now": now} for name, (before, now) in changed.items()})
        return
    late = {name for name, info in find(*changed).items() if info.spec.restart}
    for name, (before, now) in changed.items():
        was = f" (was {shown(before)})" if before != now else " (as before)"
        note = "; takes effect when its unit starts again" if name in late else ""
        click.echo(f"{text.safe(name)} = {shown(now)}{was}{note}")


def _pairs(assignments: tuple[str, ...]) -> dict[str, str]:
    """Texts by full names.

    Raises:
        UsageError: an argument is no assignment, or a parameter is given twice.
    """
    if len(assignments) == 2 and "=" not in assignments[0]:
        return {assignments[0]: assignments[1]}
    texts: dict[str, str] = {}
    for word in assignments:
        name, sign, value = word.partition("=")
        if not sign or not name:
            raise UsageError(f"'{word}': expected NAME=VALUE, as in loop.gain=0.5")
        if name in texts:
            raise UsageError(f"'{name}' is given twice")
        texts[name] = value
    return texts
