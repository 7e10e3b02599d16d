"""What shapes functions of several units say."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from framebus.errors import BindingError
from framebus.unit import ArraySpec


def same_number(unit: str, first: str, spec: ArraySpec, others: Mapping[str, ArraySpec]) -> None:
    """Whether all have as many elements as the first, whatever their shapes.

    Raises:
        BindingError: one has not; the message names it.
    """
    for name, other in others.items():
        if prod(other.shape) != prod(spec.shape):
            raise BindingError(
                f"unit {unit!r}, argument {name!r}: its shape is {other.shape}, {prod(other.shape)} elements, but "
                f"{first!r} has {prod(spec.shape)} ({spec.shape}); expected the same number"
            )
