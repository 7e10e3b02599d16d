"""Frames as small pictures of characters: half blocks for images, bars for vectors."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from framebus.ops.graphics import BARS, chart, shaded
from framebus.ops.picture import as_image, colormap, fitted_size, levels_of, resized, robust_limits

__all__ = ["Figures", "bars", "characters", "figures", "half_blocks", "sparkline"]

Span = tuple[str, str]
"""A text and how it looks, as Rich writes it: ``"#aabbcc on #ddeeff"``."""

_LEVELS = 32
"""Shades: few enough that neighbours are often the same, and are sent to the terminal as one."""


class Figures(NamedTuple):
    """Of a frame's finite values (of complex ones' magnitudes): all of them, or of every few of a large frame's."""

    low: float
    mean: float
    high: float
    std: float
    not_finite: int
    thinned: bool


def _real(data: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.abs(data).astype(np.float64) if data.dtype.kind == "c" else data.astype(np.float64)


def figures(data: npt.NDArray[Any], whole_size: int) -> Figures | None:
    """Minimum, mean, maximum and standard deviation; None where no value is finite.

    Args:
        data: of the frame, or of some of its pixels, any numeric dtype.
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


def half_blocks(image: npt.NDArray[Any], columns: int, lines: int, palette: str = "grey") -> list[list[Span]]:
    """An image of two pixels for each character, one above the other, as large as fits.

    Args:
        image: two axes, any numeric dtype.
        columns, lines: the room there is.
        palette: one of ``framebus.ops.picture.COLORMAPS``.

    Returns:
        Lines of texts and their styles. Of an odd number of rows the last line has its upper half alone.
    """
    values = as_image(image)
    rows, wide = fitted_size((values.shape[0], values.shape[1]), columns, 2 * lines)
    shades = levels_of(resized(values, rows, wide), robust_limits(values), _LEVELS).tolist()
    colours = _colours(palette)
    drawn = []
    for i in range(0, rows, 2):
        if i + 1 < rows:
            pairs = zip(shades[i], shades[i + 1], strict=True)
            drawn.append(_joined([f"{colours[upper]} on {colours[lower]}" for upper, lower in pairs]))
        else:
            drawn.append(_joined([colours[upper] for upper in shades[i]]))
    return drawn


def characters(image: npt.NDArray[Any], columns: int, lines: int) -> list[list[Span]]:
    """An image where there are no colours: a character for each pixel, the denser the brighter.

    Args:
        image: two axes, any numeric dtype.
        columns, lines: the room there is.
    """
    values = as_image(image)
    rows, wide = fitted_size((values.shape[0], values.shape[1]), columns, 2 * lines)
    small = resized(values, max(1, rows // 2), wide)  # a character is about twice as high as wide
    return [[(line, "")] for line in shaded(levels_of(small, robust_limits(values), _LEVELS), _LEVELS)]


def _joined(styles: Sequence[str]) -> list[Span]:
    return [("▀" * len(list(same)), style) for style, same in groupby(styles)]


@lru_cache(maxsize=4)
def _colours(palette: str) -> tuple[str, ...]:
    """The shades, darkest first; the last is that of what is not finite, and so has the index -1."""
    return tuple(
        f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in colormap(palette, _LEVELS).tolist()
    )


def bars(vector: npt.NDArray[Any], columns: int, lines: int, style: str) -> list[list[Span]]:
    """A vector as bars between its robust limits; where it has fewer elements than columns all are equally wide."""
    values = _real(vector)
    wide = columns // values.size * values.size if values.size < columns else columns
    low, high = robust_limits(values)
    return [[(line, style)] for line in chart(values, wide, high, rows=lines, bottom=low)]


def sparkline(values: Sequence[float], width: int, top: float | None = None) -> str:
    """The last ``width`` values as bars from zero to ``top``, by default twice their median; blanks where none is."""
    shown = [value if value == value else 0.0 for value in values[-width:]]
    if top is None:
        ordered = sorted(value for value in shown if value > 0)
        top = 2.0 * ordered[len(ordered) // 2] if ordered else 1.0
    marks = [BARS[max(1, min(8, round(8 * value / top)))] if value > 0 else " " for value in shown]
    return "".join(marks).rjust(width)
