"""``framebus link``."""

from __future__ import annotations

import click

from framebus.cli import text
from framebus.cli.complete import stream_names
from framebus.cli.output import show


@click.command()
@click.argument("source", shell_complete=stream_names)
@click.argument("target", shell_complete=stream_names)
@click.option("--overwrite", is_flag=True, help="Let a link that is there point to SOURCE.")
def link(source: str, target: str, overwrite: bool) -> None:
    """Give the stream SOURCE the further name TARGET: the same memory, no copy.

    Who opens TARGET finds SOURCE, also when that was made anew; 'framebus rm TARGET' removes the link alone. Streams
    of DAO's format cannot be linked, as their readers are woken by the file's own name: see 'framebus copy'.

    Example: framebus link wfs_cam2 wfs
    """
    from framebus import ops

    made = ops.link(source, target, overwrite=overwrite)
    show(text.safe(f"{made} -> {made.readlink()}"))
