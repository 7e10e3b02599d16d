"""Frames as small pictures of characters: half blocks for images, bars for vectors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Figures", "Palette", "bars", "figures", "half_blocks", "sparkline", "thinned"]

Span = tuple[str, str]
"""A text and how it looks, as Rich writes it: ``"#aabbcc on #ddeeff"``."""
Palette = Literal["grey", "viridis"]

_LEVELS = 32
"""Shades: few enough that neighbours are often the same, and are sent to the terminal as one."""
_MOST_SAMPLES = 65536
_EIGHTHS = " ▁▂▃▄▅▆▇█"
_NOT_FINITE = "#5f0000"
_VIRIDIS = (
    *((68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142)),
    *((31, 158, 137), (53, 183, 121), (110, 206, 88), (181, 222, 43), (253, 231, 37)),
)
"""Ten of viridis' 256 colours (S. van der Walt, N. Smith; CC0); what lies between is interpolated."""


class Figures(NamedTuple):
    """Of a frame's finite values (of complex ones' magnitudes): all of them, or of every few of a large frame's."""

    low: float
    mean: float
    high: float
    std: float
    not_finite: int
    thinned: bool


def thinned(data: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Every few pixels of a large frame, as a view; an array of three or more axes gives its first plane.

    Returns:
        One or two axes, at most some 65 000 elements.
    """
    while data.ndim > 2:
        data = data[0]
    if data.ndim == 0:
        data = data.reshape(1)
    excess = data.size / _MOST_SAMPLES
    if excess <= 1:
        return data
    step = int(np.ceil(excess if data.ndim == 1 else np.sqrt(excess)))
    return data[::step] if data.ndim == 1 else data[::step, ::step]


def _real(data: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.abs(data).astype(np.float64) if data.dtype.kind == "c" else data.astype(np.float64)


def figures(data: npt.NDArray[Any], whole_size: int) -> Figures | None:
    """Minimum, mean, maximum and standard deviation; None where no value is finite.

    Args:
        data: what ``thinned`` gave, any numeric dtype.
        whole_size: elements of the whole frame.
    """
    values = _real(data)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return None
    with np.errstate(all="ignore"):  # the square of a large value may overflow: then its figure is infinite
        return Figures(
            float(finite.min()),
            float(finite.mean()),
            float(finite.max()),
            float(finite.std()),
            values.size - finite.size,
            data.size < whole_size,
        )


def _limits(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """What is shown darkest and brightest: the 1st and 99th percentile, so that a hot pixel hides nothing."""
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return 0.0, 1.0
    ordered = np.sort(finite, axis=None)
    low, high = float(ordered[ordered.size // 100]), float(ordered[-1 - ordered.size // 100])
    if high <= low:
        low, high = float(ordered[0]), float(ordered[-1])
    return low, high


def _resized(values: npt.NDArray[np.float64], rows: int, columns: int) -> npt.NDArray[np.float64]:
    """The means of blocks where it shrinks, the nearest pixel where it grows."""
    for axis, wanted in enumerate((rows, columns)):
        have = values.shape[axis]
        if wanted >= have:
            values = np.take(values, np.arange(wanted) * have // wanted, axis)
            continue
        edges = np.arange(wanted + 1) * have // wanted
        sums = np.add.reduceat(values, edges[:-1], axis)
        sizes = np.diff(edges).reshape((-1, 1) if axis == 0 else (1, -1))
        values = sums / sizes
    return values


def picture_size(shape: tuple[int, int], columns: int, lines: int) -> tuple[int, int]:
    """Columns and lines of the picture of an image so that its pixels are square and it fits; at least 1 by 1."""
    height, width = max(1, shape[0]), max(1, shape[1])
    scale = min(columns / width, 2 * lines / height)
    if scale >= 1 and int(scale) * width >= columns // 2:
        scale = int(scale)  # all pixels of one size, where that costs little
    return max(1, min(columns, round(width * scale))), max(1, min(lines, -(-round(height * scale) // 2)))


def half_blocks(
    image: npt.NDArray[Any], columns: int, lines: int, palette: Palette = "grey"
) -> list[list[Span]]:
    """An image of two pixels for each character, one above the other.

    Args:
        image: two axes, any numeric dtype; values that are not finite are dark red.
        columns, lines: the room there is.
        palette: grey, or viridis, whose brightness rises evenly, too.

    Returns:
        Lines of texts and their styles.
    """
    values = _real(image)
    wide, high = picture_size((values.shape[0], values.shape[1]), columns, lines)
    low, top = _limits(values)
    with np.errstate(all="ignore"):  # values may be so large that their sums and differences are infinite
        small = _resized(values, 2 * high, wide)
        levels = np.clip((small - low) / ((top - low) or 1.0) * (_LEVELS - 1) + 0.5, 0, _LEVELS - 1)
    shades = np.where(np.isfinite(small) & np.isfinite(levels), levels, -1.0).astype(int).tolist()
    colours = _colours(palette)
    return [
        _joined(
            [
                (colours[upper], colours[lower])
                for upper, lower in zip(shades[2 * i], shades[2 * i + 1], strict=True)
            ]
        )
        for i in range(high)
    ]


def _joined(pairs: Sequence[tuple[str, str]]) -> list[Span]:
    spans: list[Span] = []
    start = 0
    for i in range(1, len(pairs) + 1):
        if i == len(pairs) or pairs[i] != pairs[start]:
            upper, lower = pairs[start]
            spans.append(("▀" * (i - start), f"{upper} on {lower}"))
            start = i
    return spans


@lru_cache(maxsize=4)
def _colours(palette: Palette) -> tuple[str, ...]:
    """The shades, darkest first; the last is that of what is not finite, and so has the index -1."""
    steps = np.linspace(0.0, 1.0, _LEVELS)
    if palette == "grey":
        channels = np.repeat(np.round(steps[:, None] * 255), 3, axis=1)
    else:
        at = np.linspace(0.0, 1.0, len(_VIRIDIS))
        channels = np.stack(
            [np.interp(steps, at, channel) for channel in zip(*_VIRIDIS, strict=True)], axis=1
        )
    shades = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in np.round(channels).astype(int)]
    return (*shades, _NOT_FINITE)


def bars(vector: npt.NDArray[Any], columns: int, lines: int, style: str) -> list[list[Span]]:
    """A vector as bars that grow from its least value, or from zero where it has both signs.

    Elements that share a column are averaged; robust limits as for images.
    """
    values = _real(vector)
    low, top = _limits(values)
    wide = min(columns, values.size) if values.size < columns // 2 else columns
    wide = (columns // values.size) * values.size if values.size < columns else wide
    with np.errstate(all="ignore"):  # as in ``half_blocks``
        small = _resized(values.reshape(1, -1), 1, wide)[0]
        heights = np.clip((small - low) / ((top - low) or 1.0), 0.0, 1.0) * (lines * 8 - 1) + 1
    eighths = np.where(np.isfinite(small) & np.isfinite(heights), heights, 0.0).astype(int).tolist()
    return [
        [("".join(_EIGHTHS[min(8, max(0, each - 8 * line))] for each in eighths), style)]
        for line in range(lines - 1, -1, -1)
    ]


def sparkline(values: Sequence[float], width: int, top: float | None = None) -> str:
    """The last ``width`` values as bars from zero to ``top``, by default twice their median; blanks where none is."""
    shown = [value if value == value else 0.0 for value in values[-width:]]
    if top is None:
        ordered = sorted(value for value in shown if value > 0)
        top = 2.0 * ordered[len(ordered) // 2] if ordered else 1.0
    marks = [_EIGHTHS[max(1, min(8, round(8 * value / top)))] if value > 0 else " " for value in shown]
    return "".join(marks).rjust(width)
