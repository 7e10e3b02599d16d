"""``framebus query``."""

from __future__ import annotations

import click

from framebus.cli.complete import filter_names


@click.command()
@click.argument("filters", metavar="[FILTER]...", nargs=-1, shell_complete=filter_names)
@click.option("--json", "as_json", is_flag=True, help="JSON, which it always prints.")
def query(filters: tuple[str, ...], as_json: bool) -> None:
    """Print one snapshot of streams, parameters, units and pipelines, as JSON.

    A FILTER is streams, params, units or pipelines; or a pattern of names (* ? [a-z], in quotes) for the kind before
    it, or for all that are chosen; or both in one, as in unit:slopes. Nothing matching is an empty list.

    Example: framebus query streams 'wfs*' unit:slopes
    """
    del as_json
    from framebus.cli.output import show_json
    from framebus.events import query as look

    show_json(look(*filters))
