"""RGB pixels as what terminals understand: half blocks of text, sixels, kitty's graphics; and charts of blocks."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

__all__ = ["BARS", "KITTY_CLEAR", "Depth", "chart", "half_blocks", "kitty", "shaded", "sixel"]

Depth = Literal["true", "256"]
"""How a terminal is told colours: 24 bits each, or as one of xterm's 256."""

BARS = " ▁▂▃▄▅▆▇█"
"""Bars of nought to eight eighths of a line."""

_SHADES = " .:-=+*#%@"
"""Characters from dark to bright, where there are no colours."""
_NO_SHADE = "?"
_RESET = "\x1b[0m"
_CHUNK = 4096
"""Bytes of an escape sequence of kitty's."""
_IMAGE = 71
"""The number that our image has in the terminal: a new one takes the place of the old."""

KITTY_CLEAR = f"\x1b_Ga=d,d=I,i={_IMAGE},q=2\x1b\\"
"""Removes the image that ``kitty`` drew."""


# ---- text ------------------------------------------------------------------------------------------------------------


def half_blocks(rgb: npt.NDArray[np.uint8], depth: Depth = "true") -> list[str]:
    """Two rows of pixels for each line of text, one above the other.

    Args:
        rgb: uint8 (height, width, 3). Of an odd height the last line has its upper half alone.
        depth: how colours are written.

    Returns:
        A text for each line, ``width`` characters with the escape sequences of their colours between them.
    """
    lines = []
    for top in range(0, len(rgb), 2):
        upper = rgb[top].tolist()
        lower = rgb[top + 1].tolist() if top + 1 < len(rgb) else [None] * len(upper)
        parts, before = [], None
        for pair in zip(upper, lower, strict=True):
            if pair != before:
                above, below = pair
                parts.append(f"\x1b[{_colour(38, above, depth)};{_background(below, depth)}m")
                before = pair
            parts.append("▀")
        lines.append("".join(parts) + _RESET)
    return lines


def _background(colour: list[int] | None, depth: Depth) -> str:
    return "49" if colour is None else _colour(48, colour, depth)


def _colour(what: int, colour: list[int], depth: Depth) -> str:
    if depth == "true":
        return f"{what};2;{colour[0]};{colour[1]};{colour[2]}"
    return f"{what};5;{_xterm(*colour)}"


def _xterm(red: int, green: int, blue: int) -> int:
    """The nearest of xterm's 256 colours: a cube of six levels for each channel, and a ramp of 24 greys."""
    if max(red, green, blue) - min(red, green, blue) < 10:
        level = (red + green + blue) // 3
        if level < 4:
            return 16
        return 231 if level > 246 else 232 + min(23, max(0, (level - 3) // 10))
    at = [
        0 if channel < 48 else 1 if channel < 115 else (channel - 35) // 40 for channel in (red, green, blue)
    ]
    return 16 + 36 * at[0] + 6 * at[1] + at[2]


def shaded(levels: npt.NDArray[np.int64], n_levels: int) -> list[str]:
    """A character for each pixel, for outputs without colours: the denser the brighter.

    Args:
        levels: (height, width), from 0 to ``n_levels - 1``; -1 (not finite) becomes ``?``.
        n_levels: how many there are.
    """
    marks = np.array([*_SHADES, _NO_SHADE])
    at = np.where(levels < 0, len(_SHADES), levels * len(_SHADES) // n_levels)
    return ["".join(row) for row in marks[at].tolist()]


def chart(
    values: npt.NDArray[Any], width: int, top: float, *, rows: int = 6, bottom: float = 0.0
) -> list[str]:
    """A series as bars from ``bottom`` to ``top``, the upper row first.

    Args:
        values: (n,), real; those that share a column are averaged; a column without a finite one is empty.
        width: columns; where there are fewer values, each has several.
        top: the value that fills the height.
        rows: lines of text.
        bottom: the value that has the smallest bar.
    """
    full = 8 * rows
    span = top - bottom
    heights = []
    for mean in _column_means(np.asarray(values, np.float64), width):
        if not np.isfinite(mean):
            heights.append(0)
        else:
            share = (mean - bottom) / span if 0 < span < np.inf else 0.0
            heights.append(max(1, round(full * min(1.0, max(0.0, share)))))
    return [
        "".join(BARS[min(8, max(0, height - 8 * row))] for height in heights)
        for row in range(rows - 1, -1, -1)
    ]


def _column_means(values: npt.NDArray[np.float64], width: int) -> list[float]:
    if values.size == 0:
        return [np.nan] * width
    if values.size <= width:
        return [float(values[i * values.size // width]) for i in range(width)]
    edges = np.linspace(0, values.size, width + 1).astype(int)
    parts = [values[a:b] for a, b in pairwise(edges)]
    with np.errstate(over="ignore"):  # a sum of large values may be infinite
        return [
            float(part[np.isfinite(part)].mean()) if np.isfinite(part).any() else np.nan for part in parts
        ]


# ---- graphics --------------------------------------------------------------------------------------------------------


def sixel(rgb: npt.NDArray[np.uint8]) -> str:
    """Pixels as DEC's sixels: six rows at a time, each colour of them in its turn.

    Args:
        rgb: uint8 (height, width, 3). Of more than 256 colours the low bits of the channels are left out. Channels are
            written in percent, as the format wants them, and so lose up to 1.3 of 255.

    Returns:
        The escape sequence, which leaves the cursor below the picture.
    """
    height, width = rgb.shape[:2]
    palette, index = _palette(rgb)
    parts = [f'\x1bP0;1;0q"1;1;{width};{height}']
    percent = np.rint(palette.astype(np.float64) * (100 / 255)).astype(int).tolist()
    parts += [f"#{i};2;{red};{green};{blue}" for i, (red, green, blue) in enumerate(percent)]
    for top in range(0, height, 6):
        band = index[top : top + 6]
        weights = (1 << np.arange(len(band)))[:, None]
        drawn = [f"#{i}{_runs((weights * (band == i)).sum(axis=0))}" for i in np.unique(band).tolist()]
        parts.append("$".join(drawn))
        parts.append("-")
    parts[-1:] = ["\x1b\\"]
    return "".join(parts)


def _palette(rgb: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The colours, at most 256, and each pixel's number among them."""
    lost, colours, index = 0, *_colours(rgb)
    while len(colours) > 256:
        lost += 1
        colours, index = _colours((rgb >> lost << lost).astype(np.uint8))
    split = np.stack([colours >> 16, colours >> 8 & 255, colours & 255], axis=1)
    return split.astype(np.uint8), index.reshape(rgb.shape[:2])


def _colours(rgb: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Different colours, packed into one number each, and each pixel's index among them."""
    channels = rgb.astype(np.int64)
    packed = channels[..., 0] << 16 | channels[..., 1] << 8 | channels[..., 2]
    colours, index = np.unique(packed, return_inverse=True)
    return colours, index


def _runs(codes: npt.NDArray[np.int64]) -> str:
    """A row of sixels, equal ones counted; those at the end that are empty are left out."""
    used = np.flatnonzero(codes)
    if used.size == 0:
        return ""
    codes = codes[: used[-1] + 1]
    starts = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1, [len(codes)]])
    told = []
    for start, end in pairwise(starts.tolist()):
        mark, n = chr(63 + int(codes[start])), end - start
        told.append(mark * n if n <= 3 else f"!{n}{mark}")
    return "".join(told)


def kitty(rgb: npt.NDArray[np.uint8], columns: int, rows: int) -> str:
    """Pixels for terminals with kitty's graphics protocol, which scale them to the room themselves.

    Args:
        rgb: uint8 (height, width, 3).
        columns, rows: the room, in characters. The cursor stays where it is.

    Returns:
        Escape sequences; a picture that was drawn before is replaced.
    """
    height, width = rgb.shape[:2]
    data = base64.standard_b64encode(zlib.compress(np.ascontiguousarray(rgb).tobytes(), 1)).decode()
    keys = f"a=T,f=24,o=z,s={width},v={height},c={columns},r={rows},i={_IMAGE},p=1,C=1,q=2,"
    return "".join(_chunks(keys, data))


def _chunks(keys: str, data: str) -> Sequence[str]:
    pieces = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
    last = len(pieces) - 1
    return [
        f"\x1b_G{keys if i == 0 else ''}m={int(i < last)};{piece}\x1b\\" for i, piece in enumerate(pieces)
    ]
