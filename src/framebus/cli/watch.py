"""``framebus watch``."""

from __future__ import annotations

import dataclasses
import json
import os
import select
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from framebus.cli.complete import stream_names
from framebus.errors import UsageError

if TYPE_CHECKING:
    from framebus.cli.terminal import Size
    from framebus.cli.watch_look import Look, Watched
    from framebus.cli.watch_view import Piece, Wanted

_KEYS = "i image  h histogram  v values  c colours  space freeze  q quit"
_COLORMAPS = ("grey", "viridis", "inferno", "blue-red")
"""Those of ``framebus.ops.picture``, told here too: a Tab key should not have to wait for NumPy."""
_SETTLE_S = 0.5
"""Time between the two looks that --once measures the rate by; less if a shorter interval is asked for."""


@click.command()
@click.argument("name", shell_complete=stream_names)
@click.option("--image", is_flag=True, help="Show it as a picture; vectors as bars (default for most).")
@click.option("--histogram", is_flag=True, help="Show how often each value occurs.")
@click.option("--values", is_flag=True, help="Show the numbers (default for up to 16).")
@click.option(
    "--interval", "interval_s", type=click.FloatRange(0.02, 3600.0), default=0.25, show_default=True,
    metavar="S", help="Time between looks.",
)  # fmt: skip
@click.option("--once", is_flag=True, help="Look once, and end.")
@click.option(
    "--graphics", type=click.Choice(["auto", "kitty", "sixel", "blocks"]), default="auto", show_default=True,
    help="How pixels are drawn; auto asks the terminal.",
)  # fmt: skip
@click.option(
    "--colormap",
    type=click.Choice(_COLORMAPS),
    default="viridis",
    show_default=True,
    help="Colours from low to high.",
)
@click.option(
    "--limits", type=float, nargs=2, metavar="LOW HIGH",
    help="Values drawn darkest and brightest (default: all but half a percent at either end).",
)  # fmt: skip
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON: with --once an object, else one in a line for each look.",
)
def watch(
    name: str,
    image: bool,
    histogram: bool,
    values: bool,
    interval_s: float,
    once: bool,
    graphics: str,
    colormap: str,
    limits: tuple[float, float] | None,
    as_json: bool,
) -> None:
    """Show the stream NAME, live: its newest frame, count, rate, age, and the frame's figures, until Ctrl-C or q.

    NAME may be a slice, 'cube[0]', or the path of a stream's file. Pixels are drawn by kitty's graphics or sixels in
    terminals that have them, by half blocks elsewhere, by characters where there are no colours. A stream whose writer
    is gone, or writes nothing, is told by a bar across the screen; of a dead one the picture is grey.

    Example: framebus watch wfs --image --histogram
    """
    from framebus.cli.terminal import find_graphics
    from framebus.cli.watch_look import Watched
    from framebus.cli.watch_view import Wanted
    from framebus.ops.picture import Limits

    chosen = tuple(
        view for view, given in (("image", image), ("histogram", histogram), ("values", values)) if given
    )
    if limits is not None and not limits[0] < limits[1]:
        raise UsageError(f"--limits {limits[0]:g} {limits[1]:g}: expected the low one first")
    wanted = Wanted(chosen, colormap, None if limits is None else Limits(*limits))
    with Watched(name) as watched:
        if as_json:
            _print_json(watched, wanted, interval_s, once)
            return
        wanted = dataclasses.replace(wanted, kind=find_graphics(graphics))
        if once or not sys.stdout.isatty():
            _print(watched, wanted, interval_s, once)
        else:
            _Screen(watched, wanted, interval_s).run()


def _print_json(watched: Watched, wanted: Wanted, interval_s: float, once: bool) -> None:
    from framebus.cli.output import plain_values, show_json
    from framebus.cli.watch_view import plain

    look = _first(watched, interval_s)
    if once:
        show_json(plain(look, wanted))
        return
    while True:
        click.echo(json.dumps(plain_values(plain(look, wanted)), allow_nan=False))
        sys.stdout.flush()
        time.sleep(interval_s)
        look = watched.look()


def _print(watched: Watched, wanted: Wanted, interval_s: float, once: bool) -> None:
    """Below what is there already, in the terminal or in a file."""
    from framebus.cli.terminal import Size, size
    from framebus.cli.watch_view import Graphic, compose

    look = _first(watched, interval_s)
    while True:
        whole = size()
        for piece in compose(look, wanted, Size(whole.columns, whole.rows - 1)):  # the prompt has a line, too
            if not isinstance(piece, Graphic):
                click.echo(piece.rstrip() if wanted.kind.depth is None else piece, color=True)
            else:  # kitty leaves the cursor where it is, sixels leave it in their last line
                below = piece.rows if wanted.kind.graphics == "kitty" else 1
                click.echo(piece.escape + "\n" * below, nl=False, color=True)
        sys.stdout.flush()
        if once:
            return
        click.echo()
        time.sleep(interval_s)
        look = watched.look()


def _first(watched: Watched, interval_s: float) -> Look:
    """The first look that knows a rate: a second one, shortly after the first."""
    if watched.look().count:
        time.sleep(min(_SETTLE_S, interval_s))
    return watched.look()


class _Screen:
    """The whole terminal, drawn anew where it changes."""

    def __init__(self, watched: Watched, wanted: Wanted, interval_s: float) -> None:
        self._watched, self._wanted, self._interval_s = watched, wanted, interval_s
        self._frozen = self._chosen = self._renewed = False
        self._drawn: list[Piece] = []
        self._size: Size | None = None

    def run(self) -> None:
        """Until Ctrl-C or ``q``."""
        from framebus.cli.terminal import screen
        from framebus.ops.graphics import KITTY_CLEAR

        farewell = KITTY_CLEAR if self._wanted.kind.graphics == "kitty" else ""
        keyboard = sys.stdin.fileno() if sys.stdin.isatty() else None
        with screen(farewell, self._renew):
            look = self._watched.look()
            while True:
                self._draw(look)
                if self._pressed(keyboard) == "q":
                    return
                if not self._frozen:
                    look = self._watched.look()

    def _renew(self) -> None:
        self._renewed = True

    def _pressed(self, keyboard: int | None) -> str:
        """Wait for the next look or a key; obey it."""
        if keyboard is None:
            time.sleep(self._interval_s)
            return ""
        if not select.select([keyboard], [], [], self._interval_s)[0]:
            return ""
        key = os.read(keyboard, 64).decode(errors="ignore")[:1]
        views = {"i": "image", "h": "histogram", "v": "values"}
        if key in views:
            self._toggle(views[key])
        elif key == "c":
            following = _COLORMAPS[(_COLORMAPS.index(self._wanted.colormap) + 1) % len(_COLORMAPS)]
            self._wanted = dataclasses.replace(self._wanted, colormap=following)
        elif key == " ":
            self._frozen = not self._frozen
        return "q" if key in ("", "\x04") else key  # nobody is there to press a key any more

    def _toggle(self, view: str) -> None:
        shown, self._chosen = self._wanted.views, True
        now = tuple(v for v in shown if v != view) if view in shown else (*shown, view)
        self._wanted = dataclasses.replace(self._wanted, views=now)

    def _draw(self, look: Look) -> None:
        from framebus.cli.terminal import size
        from framebus.cli.watch_view import compose, suitable

        room = size()
        if not self._wanted.views and look.frame is not None and not self._chosen:
            self._wanted = dataclasses.replace(self._wanted, views=suitable(look.frame))
        note = "FROZEN, space goes on" if self._frozen else _KEYS
        pieces = compose(look, self._wanted, room, note)
        renewed, self._renewed = self._renewed, False
        clear = renewed or self._layout(pieces) != self._layout(self._drawn) or room != self._size
        sys.stdout.write(_changes([] if clear else self._drawn, pieces, clear))
        sys.stdout.flush()
        self._drawn, self._size = pieces, room

    @staticmethod
    def _layout(pieces: Sequence[Piece]) -> list[int]:
        """Where graphics lie: when that changes the screen is cleared, as text does not hide all of them."""
        return [0 if isinstance(piece, str) else piece.rows for piece in pieces]


def _changes(before: Sequence[Piece], after: Sequence[Piece], clear: bool) -> str:
    """What to write so that the screen shows ``after`` where it showed ``before``; all at once, where it can that."""
    parts = ["\x1b[?2026h", "\x1b[2J" if clear else ""]
    row = 1
    for i, piece in enumerate(after):
        if i >= len(before) or before[i] != piece:
            parts.append(f"\x1b[{row};1H")
            # Erased before, not after: xterm leaves the cursor on the last character of a line that fills the screen.
            parts.append(f"\x1b[K{piece}" if isinstance(piece, str) else piece.escape)
        row += 1 if isinstance(piece, str) else piece.rows
    return "".join([*parts, "\x1b[?2026l"])
