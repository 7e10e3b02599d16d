"""``Image``: what arithmetic over live streams gives, an array that a prompt publishes when it is given a name."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["Image"]


class Image(np.ndarray[Any, np.dtype[Any]]):
    """An array that was computed from streams, or is a copy of a frame.

    All that NumPy does with arrays it does with images, and what comes out is an image again, unless it is a single
    number. ``np.asarray(image)`` is a plain array, which a prompt leaves alone.
    """

    def __new__(cls, values: Any) -> Image:
        """An image of these values, without a copy where there need be none."""
        return np.asarray(values).view(cls)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """NumPy's functions, several of which would give plain arrays."""
        return as_images(super().__array_function__(func, types, args, kwargs))

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = True) -> Any:
        """What NumPy calls with its results; those without axes are numbers."""
        del context, return_scalar
        return array[()] if array.ndim == 0 else array.view(Image)


def as_images(result: Any) -> Any:
    """Plain arrays of a result as images; numbers and all else as they are."""
    if type(result) is np.ndarray:
        return result[()] if result.ndim == 0 else result.view(Image)
    if type(result) in (tuple, list):
        return type(result)(as_images(entry) for entry in result)
    return result
