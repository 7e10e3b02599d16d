"""What ``framebus watch`` shows of one look at a stream: pieces of text and of graphics, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from framebus.cli import text
from framebus.cli.inspection import listed
from framebus.cli.terminal import Size, TerminalKind
from framebus.cli.watch_look import Look
from framebus.ops import graphics, picture

__all__ = ["VIEWS", "Graphic", "Wanted", "compose", "histogram", "plain", "suitable"]

VIEWS = ("image", "histogram", "values")

_STYLES = {
    "live": "32",
    "still": "36",
    "left": "2",
    "unknown": "36",
    "empty": "33",
    "stale": "1;30;43",
    "dead": "1;97;41",
    "removed": "1;97;41",
    "bad": "1;97;41",
}
"""How each state is written, as the parameters of a terminal's SGR."""
_ALARMING = ("stale", "dead", "removed", "bad")
_GONE = ("dead", "removed", "bad")
_HISTOGRAM_ROWS = 6
_CHART_ROWS = 10
_FEW = 16
"""A vector of up to so many elements is told by its values unless something else is asked for."""
_BLOCK_LEVELS = 32
"""Shades of text: fewer, so that neighbours are alike and less is sent to the terminal."""
_MOST_PIXELS = 640
"""Of either side of a graphic, which an old terminal, or a slow line, can still bear."""


@dataclass(frozen=True, slots=True)
class Graphic:
    """Pixels for the terminal, as an escape sequence that draws them over so many lines."""

    escape: str
    rows: int


Piece = str | Graphic


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be shown.

    Attributes:
        views: out of ``VIEWS``; empty: what suits the stream.
        colormap: one of ``framebus.ops.picture.COLORMAPS``.
        limits: of the picture and the histogram; None: robust ones of each frame.
        kind: what the terminal draws with.
    """

    views: tuple[str, ...] = ()
    colormap: str = "viridis"
    limits: picture.Limits | None = None
    kind: TerminalKind = field(default_factory=TerminalKind)


def compose(look: Look, wanted: Wanted, room: Size, note: str = "") -> list[Piece]:
    """Everything about a look, in at most ``room.rows`` lines; ``note`` is a last, dim one."""
    pieces: list[Piece] = list(_head(look, wanted, room.columns))
    foot = [_styled(note[: room.columns], "2", wanted)] if note else []
    if look.frame is not None:
        pieces += _views(look, look.frame, wanted, Size(room.columns, room.rows - len(pieces) - len(foot)))
    return _clipped(pieces, room.rows - len(foot)) + foot


def _clipped(pieces: Sequence[Piece], rows: int) -> list[Piece]:
    """The pieces that there is room for, from the first on; those that tell how it stands always."""
    kept: list[Piece] = []
    used = 0
    for piece in pieces:
        used += 1 if isinstance(piece, str) else piece.rows
        if used > rows:
            break
        kept.append(piece)
    return kept


def _styled(shown: str, style: str, wanted: Wanted) -> str:
    return shown if wanted.kind.depth is None or not style else f"\x1b[{style}m{shown}\x1b[0m"


# ---- how it stands ---------------------------------------------------------------------------------------------------


def _head(look: Look, wanted: Wanted, columns: int) -> list[str]:
    name = text.safe(look.name)
    what = f"  {text.shape(look.shape)} {look.dtype}  "
    title = _styled(name, "1", wanted) + what + _styled(look.state, _STYLES[look.state], wanted)
    if len(name + what + look.state) > columns:
        title = f"{name}{what}{look.state}"[:columns]
    rate = "-" if look.rate_hz is None else text.rate(look.rate_hz)
    age = "-" if look.age_s is None else text.duration(look.age_s)
    writer = str(look.writer_pid) if look.writer_pid else "-"
    lines = [title, f"count {look.count}  rate {rate}  age {age}  writer {writer}"[:columns]]
    if look.figures is not None:
        lines.append(_figures(look.figures)[:columns])
    if look.state in _ALARMING:
        lines.append(_alarm(look, wanted, columns))
    elif look.why:
        lines.append(look.why[:columns])
    return lines


def _figures(found: dict[str, Any]) -> str:
    told = "  ".join(f"{key} {text.figure(found[key])}" for key in ("min", "mean", "max", "std"))
    bad = found["not_finite"]
    return f"{told}  {bad} not finite" if bad else told


def _alarm(look: Look, wanted: Wanted, columns: int) -> str:
    """A bar across the whole screen: what is shown below it is old."""
    since = f"; the last frame is {text.duration(look.age_s)} old" if look.age_s is not None else ""
    said = f" {look.state.upper()}: {text.safe(look.why)}{since} "
    if wanted.kind.depth is None:
        said = f"!!!{said}!!!"
    return _styled(said[:columns].ljust(columns), _STYLES[look.state], wanted)


# ---- what is in it ---------------------------------------------------------------------------------------------------


def _views(look: Look, frame: npt.NDArray[Any], wanted: Wanted, room: Size) -> list[Piece]:
    real = np.abs(frame) if frame.dtype.kind == "c" else frame
    views = wanted.views or suitable(frame)
    limits = _limits(real, wanted)
    colours = "grey" if look.state in _GONE else wanted.colormap
    left = max(1, room.rows)
    after: list[Piece] = []
    if "histogram" in views:
        rows = min(_HISTOGRAM_ROWS, left - 1) if len(views) > 1 else min(2 * _HISTOGRAM_ROWS, left - 1)
        after += _histogram(real, limits, room.columns, max(1, rows), wanted)
    if "values" in views:
        spare = max(1, (left - len(after)) // 2 if "image" in views else left - len(after))
        after = [*_values(frame, room.columns, spare), *after]
    if "image" not in views:
        return after
    space = Size(room.columns, max(2, left - len(after)))
    return [*_image(real, limits, colours, space, wanted), *after]


def _limits(real: npt.NDArray[Any], wanted: Wanted) -> picture.Limits:
    return wanted.limits or picture.robust_limits(picture.thinned(real))


def suitable(frame: npt.NDArray[Any]) -> tuple[str, ...]:
    """The views that a frame is shown by where none was asked for."""
    return ("values",) if frame.ndim < 2 and frame.size <= _FEW else ("image",)


def _image(
    real: npt.NDArray[Any], limits: picture.Limits, colours: str, room: Size, wanted: Wanted
) -> list[Piece]:
    """A vector as bars; all else as pixels. The last line is the scale."""
    if real.ndim < 2:
        rows = min(_CHART_ROWS, room.rows - 1)
        bars = graphics.chart(real.ravel(), room.columns, limits.high, rows=rows, bottom=limits.low)
        said = f"{text.figure(limits.low)} to {text.figure(limits.high)}, {real.size} elements"
        return [*bars, said[: room.columns]]
    image = picture.as_image(real)
    if wanted.kind.graphics != "blocks":
        return [
            _graphic(image, limits, colours, room, wanted.kind),
            _scale(limits, colours, room.columns, wanted),
        ]
    rows, columns = picture.fitted_size((image.shape[0], image.shape[1]), room.columns, 2 * (room.rows - 1))
    if wanted.kind.depth is None:
        rows = max(1, rows // 2)  # a character is about twice as high as wide
    small = picture.resized(image, rows, columns)
    if wanted.kind.depth is None:
        shown = graphics.shaded(picture.levels_of(small, limits, _BLOCK_LEVELS), _BLOCK_LEVELS)
    else:
        rgb = picture.coloured(small, limits, colours, _BLOCK_LEVELS)
        shown = graphics.half_blocks(rgb, wanted.kind.depth)
    return [*shown, _scale(limits, colours, room.columns, wanted)]


def _graphic(
    image: npt.NDArray[np.float64], limits: picture.Limits, colours: str, room: Size, kind: TerminalKind
) -> Graphic:
    height, width = kind.cell
    rows, columns = picture.fitted_size(
        (image.shape[0], image.shape[1]),
        min(_MOST_PIXELS, room.columns * width),
        min(_MOST_PIXELS, (room.rows - 1) * height),
    )
    rgb = picture.coloured(picture.resized(image, rows, columns), limits, colours)
    lines = -(-rows // height)
    if kind.graphics == "sixel":
        return Graphic(graphics.sixel(rgb), lines)
    return Graphic(graphics.kitty(rgb, max(1, round(columns / width)), lines), lines)


def _scale(limits: picture.Limits, colours: str, columns: int, wanted: Wanted) -> str:
    """From the low limit to the high one."""
    low, high = text.figure(limits.low), text.figure(limits.high)
    wide = min(32, columns - len(low) - len(high) - 2)
    if wide < 4:
        return f"{low} {high}"[:columns]
    if wanted.kind.depth is None:
        levels = np.arange(wide, dtype=np.int64).reshape(1, -1)
        return f"{low} {graphics.shaded(levels, wide)[0]} {high}"
    ramp = picture.coloured(np.linspace(0.0, 1.0, wide).reshape(1, -1), picture.Limits(0.0, 1.0), colours)
    return f"{low} {graphics.half_blocks(np.vstack([ramp, ramp]), wanted.kind.depth)[0]} {high}"


def histogram(
    real: npt.NDArray[Any], limits: picture.Limits, bins: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], int, int]:
    """How many finite values lie in each of equal steps from limit to limit.

    Integers get steps of whole numbers, each value in the middle of its own where there are few: else some bars would
    stand for one value more than others.

    Args:
        real: any shape.
        limits: where it begins and ends.
        bins: how many steps at most.

    Returns:
        Counts (n,), edges (n + 1,), and how many values lie below and above.
    """
    finite = np.asarray(real, np.float64)
    finite = finite[np.isfinite(finite)]
    low, high = limits
    if real.dtype.kind in "iub":
        low, high = np.floor(low), np.ceil(high)
        step = max(1.0, np.ceil((high - low + 1) / bins))
        bins = int(np.ceil((high - low + 1) / step))
        low, high = low - 0.5, low - 0.5 + bins * step
    elif not high > low:
        low, high = low - 0.5, low + 0.5
    counts, edges = np.histogram(finite, bins=bins, range=(low, high))
    return counts.astype(np.int64), edges, int((finite < low).sum()), int((finite > high).sum())


def _histogram(
    real: npt.NDArray[Any], limits: picture.Limits, columns: int, rows: int, wanted: Wanted
) -> list[Piece]:
    counts, edges, below, above = histogram(real, limits, columns)
    peak = int(counts.max())
    # On a logarithmic scale: beside an image's background the few bright pixels would have no bar at all.
    heights = np.where(counts, np.log10(counts + 1.0), np.nan)
    bars = graphics.chart(heights, columns, float(np.log10(peak + 1.0)), rows=rows)
    low, high = text.figure(float(edges[0])), text.figure(float(edges[-1]))
    outside = f", {below} below, {above} above" if below or above else ""
    middle = f"log scale, highest bar {peak}{outside}"
    axis = f"{low}{middle.center(columns - len(low) - len(high))}{high}"
    if len(axis) > columns:
        axis = f"{low}{' ' * max(1, columns - len(low) - len(high))}{high}"[:columns]
    return [*(_styled(bar, "36", wanted) for bar in bars), axis]


def _values(frame: npt.NDArray[Any], columns: int, rows: int) -> list[Piece]:
    """The values of as many elements as there is room for, from the first on; what is left out is told."""
    if frame.ndim < 2:
        return list(_vector(frame.reshape(-1), columns, rows))
    plane = frame
    while plane.ndim > 2:
        plane = plane[0]
    cells = [[_value(value) for value in row] for row in plane[:rows, :columns].tolist()]
    width = max((len(cell) for row in cells for cell in row), default=1) + 1
    gutter = len(str(min(rows, len(plane)))) + 1
    fit = max(1, (columns - gutter) // width)
    whole = len(plane) <= rows and plane.shape[1] <= fit and frame.ndim == 2
    shown = cells if whole else cells[: max(1, rows - 1)]
    lines = [
        f"{i:<{gutter}}" + "".join(f"{cell:>{width}}" for cell in row[:fit]) for i, row in enumerate(shown)
    ]
    if not whole:
        first = " of the first plane" if frame.ndim > 2 else ""
        across = f"{min(fit, plane.shape[1])} of {plane.shape[1]} columns"
        lines.append(f"... {len(shown)} of {len(plane)} rows, {across}{first}")
    return [line[:columns] for line in lines]


def _vector(vector: npt.NDArray[Any], columns: int, rows: int) -> Sequence[str]:
    cells = [_value(value) for value in vector[: rows * columns].tolist()]
    width = max(map(len, cells), default=1) + 1
    gutter = len(str(vector.size)) + 1
    fit = max(1, (columns - gutter) // width)
    starts = range(0, len(cells), fit)
    lines = [
        f"{start:<{gutter}}" + "".join(f"{cell:>{width}}" for cell in cells[start : start + fit])
        for start in starts
    ]
    if len(lines) > rows:
        kept = max(1, rows - 1)
        lines = [*lines[:kept], f"... {min(vector.size, kept * fit)} of {vector.size} elements"]
    return [line[:columns] for line in lines]


def _value(value: Any) -> str:
    if isinstance(value, complex):
        return f"{value:.4g}"
    return str(value) if isinstance(value, int) else f"{value:.5g}"


# ---- for programs ----------------------------------------------------------------------------------------------------


def plain(look: Look, wanted: Wanted) -> dict[str, Any]:
    """A look as JSON has it; with ``values`` and ``histogram`` where those are asked for."""
    told: dict[str, Any] = {
        "name": look.name,
        "state": look.state,
        "why": look.why,
        "shape": list(look.shape),
        "dtype": look.dtype,
        "count": look.count,
        "rate_hz": look.rate_hz,
        "age_s": look.age_s,
        "writer_pid": look.writer_pid or None,
        "frame": look.figures,
    }
    if look.frame is None:
        return told
    real = np.abs(look.frame) if look.frame.dtype.kind == "c" else look.frame
    if "histogram" in wanted.views:
        counts, edges, below, above = histogram(real, _limits(real, wanted), 64)
        told["histogram"] = {
            "counts": counts.tolist(),
            "edges": edges.tolist(),
            "below": below,
            "above": above,
        }
    if "values" in wanted.views:
        told["values"] = listed(look.frame)
    return told
