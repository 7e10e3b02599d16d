"""``framebus keyword get``, ``set`` and ``rm``."""

from __future__ import annotations

import click

from framebus.cli import text
from framebus.cli.complete import keyword_names, stream_names
from framebus.cli.lazy import Entry, LazyGroup
from framebus.cli.output import columns, show, show_json
from framebus.cli.streamtools.arguments import NEGATIVE_NUMBERS, as_json_option, parse_keywords
from framebus.errors import NotFoundError, UsageError
from framebus.stream import Stream

_HERE = "framebus.cli.streamtools.keyword"
COMMANDS = {
    "get": Entry(f"{_HERE}:get_keyword", "Show a stream's keywords."),
    "set": Entry(f"{_HERE}:set_keyword", "Write a keyword."),
    "rm": Entry(f"{_HERE}:rm_keyword", "Remove a keyword."),
}


@click.group(cls=LazyGroup, table=COMMANDS)
def keyword() -> None:
    """Read, write and remove keywords of streams, which all their users share.

    Example: framebus keyword set wfs EXPTIME 0.002 --comment '[s] exposure'
    """


@click.command("get")
@click.argument("name", shell_complete=stream_names)
@click.argument("key", required=False, shell_complete=keyword_names)
@as_json_option
def get_keyword(name: str, key: str | None, as_json: bool) -> None:
    """Show the value of KEY of the stream NAME, or all of its keywords with their comments.

    Example: framebus keyword get wfs FRATE
    """
    from framebus.ops.targets import open_existing

    with open_existing(name) as stream:
        if key is not None:
            _require(stream, key)
            value = stream.keywords[key]
            if as_json:
                show_json({"key": key, "value": value, "comment": stream.keywords.comment(key)})
            else:
                show(text.safe(str(value)))
            return
        found = [(key, value, stream.keywords.comment(key)) for key, value in stream.keywords.items()]
    if as_json:
        show_json([{"key": key, "value": value, "comment": comment} for key, value, comment in found])
    elif found:
        table = columns("key", "value", "comment", right=("value",), wrapped=("comment",))
        for key, value, comment in found:
            table.add_row(text.safe(key), text.safe(str(value)), text.safe(comment))
        show(table)
    else:
        show(f"{text.safe(name)} has no keywords")


@click.command("set", context_settings=NEGATIVE_NUMBERS)
@click.argument("name", shell_complete=stream_names)
@click.argument(
    "given", metavar="KEY VALUE | KEY=VALUE...", nargs=-1, required=True, shell_complete=keyword_names
)
@click.option("--comment", help="What it means (default: the comment that is there).")
@click.option("--text", "as_text", is_flag=True, help="VALUE is a text, even if it looks like a number.")
def set_keyword(name: str, given: tuple[str, ...], comment: str | None, as_text: bool) -> None:
    """Write the keyword KEY of the stream NAME: a whole number, a number, or a text of up to 16 bytes.

    Or several, each as KEY=VALUE: all are looked at before the first is written.

    Example: framebus keyword set wfs EXPTIME 0.002 --comment '[s] exposure'
    """
    from framebus.ops.targets import open_existing
    from framebus.stream.keywords import encode_all

    if "=" in given[0]:
        values = parse_keywords(given, as_text=as_text)
    elif len(given) == 2:
        values = parse_keywords([f"{given[0]}={given[1]}"], as_text=as_text)
    else:
        raise UsageError(f"'{' '.join(given)}': expected KEY VALUE, or KEY=VALUE as often as wanted")
    if comment is not None and len(values) > 1:
        raise UsageError(f"--comment is for one keyword; these are {len(values)}: {', '.join(values)}")
    encode_all(values)
    with open_existing(name) as stream:
        for key, value in values.items():
            stream.keywords.set(key, value, comment)
            show(text.safe(f"{stream.name} {key} = {stream.keywords[key]}"))


@click.command("rm")
@click.argument("name", shell_complete=stream_names)
@click.argument("key", shell_complete=keyword_names)
def rm_keyword(name: str, key: str) -> None:
    """Remove the keyword KEY of the stream NAME.

    Example: framebus keyword rm wfs EXPTIME
    """
    from framebus.ops.targets import open_existing

    with open_existing(name) as stream:
        _require(stream, key)
        del stream.keywords[key]
        show(text.safe(f"removed {key} of {stream.name}"))


def _require(stream: Stream, key: str) -> None:
    if key not in stream.keywords:
        there = ", ".join(stream.keywords) or "none"
        raise NotFoundError(f"stream '{stream.name}' has no keyword '{key}'; it has: {there}")
