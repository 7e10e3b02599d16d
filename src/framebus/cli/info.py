"""``framebus info``."""

from __future__ import annotations

import click

from framebus.cli.complete import stream_names


@click.command()
@click.argument("name", shell_complete=stream_names)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def info(name: str, as_json: bool) -> None:
    """Tell everything about the stream NAME: a name, a slice of it, or the path of a stream's file.

    Header, times, semaphores and who waits on them, history, keywords, the frame's ancestry, and min, mean, max of the
    newest frame. The values themselves are shown of small frames and of slices.

    Example: framebus info 'wfs[0:9,3]'
    """
    from framebus.cli.info_view import print_info
    from framebus.cli.inspection import inspect
    from framebus.cli.output import show_json

    found, values = inspect(name)
    if as_json:
        show_json(found)
    else:
        print_info(found, values)
