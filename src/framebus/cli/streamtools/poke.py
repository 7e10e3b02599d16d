"""``framebus poke``."""

from __future__ import annotations

from dataclasses import asdict

import click

from framebus.cli import text
from framebus.cli.complete import stream_names
from framebus.cli.output import show, show_json
from framebus.cli.streamtools.arguments import NEGATIVE_NUMBERS, as_json_option, parse_number
from framebus.errors import UsageError


@click.command(context_settings=NEGATIVE_NUMBERS)
@click.argument("name", shell_complete=stream_names)
@click.argument("index", metavar="INDEX...", nargs=-1, required=True)
@click.argument("value")
@click.option("--add", is_flag=True, help="Add VALUE to what the pixel holds.")
@as_json_option
def poke(name: str, index: tuple[str, ...], value: str, add: bool, as_json: bool) -> None:
    """Publish a frame of the stream NAME with one pixel changed: the newest one's, or zeros where there is none.

    INDEX is one number for each axis, x first, as in a slice: 'framebus info "dm[3,4]"' shows what 'framebus poke
    dm 3 4 0.1' sets. Negative ones count from the end. For streams that nobody else writes at that moment.

    Example: framebus poke dm 3 4 -0.1 --add
    """
    from framebus import ops

    try:
        place = [int(word) for word in reversed(index)]
    except ValueError:
        raise UsageError(f"index {' '.join(index)}: expected whole numbers, x first") from None
    poked = ops.poke(name, place, parse_number(value), add=add)
    if as_json:
        plain = asdict(poked)
        for key in ("before", "after"):
            if isinstance(plain[key], complex):
                plain[key] = [plain[key].real, plain[key].imag]
        show_json(plain | {"index": list(reversed(place))})
        return
    show(
        f"{text.safe(poked.name)}[{','.join(map(str, reversed(place)))}]: {_told(poked.before)} -> "
        f"{_told(poked.after)}, frame {poked.count}"
    )


def _told(value: complex) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"
