"""``framebus top``."""

from __future__ import annotations

import sys

import click

from framebus.errors import UsageError

_TABS = ("streams", "units", "parameters", "graph", "sequences", "messages")


@click.command()
@click.option(
    "--tab", type=click.Choice(_TABS), default="streams", show_default=True, help="What to show first."
)
@click.option(
    "--rate",
    "rate_hz",
    metavar="HZ",
    type=click.FloatRange(0.1, 30.0),
    default=5.0,
    show_default=True,
    help="Looks per second.",
)
def top(tab: str, rate_hz: float) -> None:
    """Watch and steer what runs on this machine: streams, units, parameters, the graph, sequences, messages.

    '?' shows the keys, 'q' ends it. It only looks: streams and units do not notice it, until a key says otherwise.

    Example: framebus top --tab units
    """
    if not (sys.stdout.isatty() and sys.stdin.isatty()):
        raise UsageError(
            "the dashboard needs a terminal; 'framebus ls' and 'framebus ps' print what there is"
        )
    from framebus.tui.app import Dashboard

    Dashboard(rate_hz=rate_hz, tab=tab).run()
