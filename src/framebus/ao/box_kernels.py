"""What the Shack-Hartmann units share: boxes cut to the frame, and slopes that are always numbers.

Helpers of compiled units. Indices are unsigned where they can be: they need no check for Python's negative
ones, which would keep loops from vectorising.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from framebus.errors import BindingError
from framebus.unit import ArraySpec


def clamp(value: Any, low: Any, high: Any) -> Any:
    """``value``, but not below ``low`` nor above ``high``."""
    return low if value < low else high if value > high else value


def slope(moment: Any, flux: Any, least: Any, zero: Any) -> Any:
    """Centre of gravity less the reference; 0 without enough light, or if that is not finite."""
    nothing = np.float32(0.0)
    if not (flux > least and flux < np.float32(np.inf)):
        return nothing
    value = moment * (np.float32(1.0) / flux) - zero
    return finite(value)


def finite(value: Any) -> Any:
    """``value``, or 0 if it is not finite. Not ``isfinite``: see ``intensities``."""
    nothing = np.float32(0.0)
    return value if value * nothing == nothing else nothing


def inside(boxes: Any, k: Any, height: Any, width: Any) -> Any:
    """The part of box ``k`` that lies in the frame: first row, last row + 1, first column, last column + 1.

    All are between 0 and the frame's size, whatever the box holds; a part may be empty.
    """
    top, left = np.int64(boxes[k, 0]), np.int64(boxes[k, 1])
    first_row, first_column = clamp(top, 0, height), clamp(left, 0, width)
    last_row = clamp(top + np.int64(boxes[k, 2]), first_row, height)
    last_column = clamp(left + np.int64(boxes[k, 3]), first_column, width)
    return first_row, last_row, first_column, last_column


def from_middle(boxes: Any, k: Any, first_row: Any, first_column: Any) -> Any:
    """How far y and x of that pixel are from the middle of box ``k``, pixels."""
    y = np.float32(first_row - np.int64(boxes[k, 0])) - np.float32(0.5) * np.float32(
        np.int64(boxes[k, 2]) - 1
    )
    x = np.float32(first_column - np.int64(boxes[k, 1])) - np.float32(0.5) * np.float32(
        np.int64(boxes[k, 3]) - 1
    )
    return y, x


def slopes_spec(unit: str, boxes: ArraySpec, reference: ArraySpec) -> tuple[tuple[int], str]:
    """Shape and dtype of the slopes of so many boxes.

    Raises:
        BindingError: the reference has not two slopes per box.
    """
    expected = (2 * boxes.shape[0],)
    if reference.shape != expected:
        raise BindingError(
            f"unit {unit!r}, argument 'reference': its shape is {reference.shape}, expected {expected}: "
            f"all x and then all y slopes of the {boxes.shape[0]} boxes"
        )
    return expected, "float32"


def check_one_or_each(unit: str, argument: str, spec: ArraySpec, boxes: ArraySpec) -> None:
    """Patterns come once for all boxes, or once for each.

    Raises:
        BindingError: they are of another number.
    """
    if spec.shape[0] not in (1, boxes.shape[0]):
        raise BindingError(
            f"unit {unit!r}, argument {argument!r}: its shape is {spec.shape}, {spec.shape[0]} patterns; expected "
            f"1 for all boxes, or {boxes.shape[0]}, one for each"
        )
