"""Pixels in another order or number: descrambling, extraction by mask, bad pixels, binning.

Tables say which pixels go where; ``detector`` has the functions that prepare them.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from framebus.ao.pixels import PIXEL_DTYPES, unsigned
from framebus.errors import BindingError
from framebus.unit import Array, ArraySpec, In, Out, unit

MOST_PIXELS = 0x7FFFFFFF
"""A table can name so many pixels."""


@unit
def remap(
    frame: Annotated[In, Array(..., dtype=PIXEL_DTYPES), "pixels in the order in which they come, any shape"],
    table: Annotated[
        In, Array(..., dtype="int32"), "flat (C order) index in ``frame`` of every pixel of the result"
    ],
    pixels: Annotated[Out, Array(..., dtype=PIXEL_DTYPES), "in the table's shape and the frame's dtype"],
) -> None:
    """Pixels[i] = frame[table[i]]: descrambles a readout, or extracts what a mask chooses.

    The table of a detector that is read through several amplifiers comes from its maker or from
    ``descrambling_table``, that of a mask from ``mask_table``. An index outside the frame reads 0.
    """
    source = frame.reshape(-1)
    places = table.reshape(-1)
    target = pixels.reshape(-1)
    size = np.uint32(min(source.size, MOST_PIXELS))
    nothing = source.dtype.type(0)
    for i in range(target.size):
        index = unsigned(places[i])
        target[i] = source[index] if index < size else nothing


@remap.shapes
def _remap_shapes(frame: ArraySpec, table: ArraySpec) -> dict[str, Any]:
    return {"pixels": (table.shape, frame.dtype)}


@unit
def replace_bad_pixels(
    frame: Annotated[In, Array(..., dtype=PIXEL_DTYPES), "calibrated or raw frame, any shape"],
    table: Annotated[
        In,
        Array(("n_bad", None), dtype="int32"),
        "a row per bad pixel: its flat index, then those of good neighbours",
    ],
    pixels: Annotated[Out, Array(..., dtype="float32"), "the frame without them"],
) -> None:
    """A bad pixel = mean of its good neighbours; all others = frame.

    ``neighbour_table`` makes the table from a map of bad pixels. Indices outside the frame stand for nothing. A
    pixel that is not finite though the map does not name it is 0, and no neighbour; a bad one without any
    neighbour left is 0, too.
    """
    source = frame.reshape(-1)
    target = pixels.reshape(-1)
    size = np.uint32(min(source.size, MOST_PIXELS))
    zero = np.float32(0.0)
    for i in range(target.size):
        value = np.float32(source[i])
        target[i] = value if np.isfinite(value) else zero
    for k in range(table.shape[0]):
        bad = unsigned(table[k, 0])
        if not bad < size:
            continue
        total, found = zero, zero
        for j in range(1, table.shape[1]):
            index = unsigned(table[k, j])
            value = np.float32(source[index]) if index < size else np.float32(np.nan)
            if np.isfinite(value):
                total += value
                found += np.float32(1.0)
        mean = total / found if found > zero else zero
        target[bad] = mean if np.isfinite(mean) else zero


@replace_bad_pixels.shapes
def _replace_shapes(frame: ArraySpec, table: ArraySpec) -> dict[str, Any]:
    if table.shape[1] < 2:
        raise BindingError(
            f"unit 'replace_bad_pixels', argument 'table': its shape is {table.shape}; expected a bad pixel and at "
            "least one neighbour in every row, as neighbour_table makes them"
        )
    return {"pixels": (frame.shape, "float32")}


@unit
def bin_pixels(
    frame: Annotated[In, Array(("height", "width"), dtype=PIXEL_DTYPES), "calibrated or raw frame"],
    binned: Annotated[
        Out,
        Array(("rows", "columns"), dtype="float32"),
        "a stream that is there already: its shape tells the factors",
    ],
    *,
    mean: Annotated[bool, "mean of the pixels in place of their sum"] = False,
) -> None:
    """Binned = sum of the by x bx pixels that fall together, by = height // rows, bx = width // columns.

    Make the output stream first, or name its shape in the pipeline. Rows and columns that are left over at the end
    are not used; a sum that is not finite is 0.
    """
    rows, columns = binned.shape
    by, bx = frame.shape[0] // rows, frame.shape[1] // columns
    if by < 1 or bx < 1:
        raise ValueError("the output is larger than the frame; expected at most as many rows and columns")
    scale = np.float32(1.0 / (by * bx)) if mean else np.float32(1.0)
    for i in range(rows):
        line = binned[i]
        for j in range(columns):
            line[j] = np.float32(0.0)
        for y in range(by * i, by * i + by):
            row = frame[y]
            # Steps that the compiler knows become shuffles of vectors.
            if bx == 2:
                for j in range(columns):
                    line[j] += np.float32(row[2 * j]) + np.float32(row[2 * j + 1])
            elif bx == 4:
                for j in range(columns):
                    line[j] += (np.float32(row[4 * j]) + np.float32(row[4 * j + 1])) + (
                        np.float32(row[4 * j + 2]) + np.float32(row[4 * j + 3])
                    )
            else:
                for j in range(columns):
                    total = np.float32(0.0)
                    for x in range(bx):
                        total += np.float32(row[bx * j + x])
                    line[j] += total
        for j in range(columns):
            value = line[j] * scale
            line[j] = value if np.isfinite(value) else np.float32(0.0)
