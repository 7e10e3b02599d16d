"""How pyMilk turns an image: the eight orientation codes (symcode) and the four orders of a cube's axes (triDim).

The side of C is an array ``c`` whose *first* index is the file's fast axis, ``c[x, y]`` or ``c[x, y, z]``: framebus'
array with its axes reversed, ``stream.read().T``. From the user's side to C's is to encode, back is to decode.

A symcode is three bits. To encode: 4 swaps the two axes of the image, then 1 flips the first and 2 flips the second.
So the codes 0 to 4 and 7 are their own inverses, and 5 and 6 are each other's. For framebus' image
``a = stream.read()`` (rows, columns) it follows that the user sees

======= ================== ======= ==================
symcode user's side        symcode user's side
======= ================== ======= ==================
0       ``a.T``            4       ``a``
1       ``a[:, ::-1].T``   5       ``a[:, ::-1]``
2       ``a[::-1].T``      6       ``a[::-1]``
3       ``a[::-1,::-1].T`` 7       ``a[::-1, ::-1]``
======= ================== ======= ==================

A triDim says where the axis that counts images stands, on the user's side and on C's: ``LAST2FRONT`` is last for the
user and first in C. Each image of the cube is turned as the symcode says. With symcode 4 a framebus cube
``a`` (images, rows, columns) is seen by the user as ``np.moveaxis(a, 0, 2)`` with ``LAST2LAST``, the default, and as
itself with ``FRONT2LAST``.

The meaning of the codes is that of pyMilk's ``pyMilk/util/img_shapes.py``.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError

__all__ = [
    "Which3DState",
    "decode",
    "encode",
    "full_cube_decode",
    "full_cube_encode",
    "image_decode",
    "image_encode",
]

_FIRST, _SECOND, _SWAP = 1, 2, 4


class Which3DState(IntEnum):
    """Where a cube's axis of images stands: on the user's side, then on C's."""

    LAST2LAST = 0
    LAST2FRONT = 1
    FRONT2FRONT = 2
    FRONT2LAST = 3


def image_encode(im: npt.NDArray[Any], s: int) -> npt.NDArray[Any]:
    """The user's image (2-D) as C has it: a view."""
    return _turn(im, s, 0)


def image_decode(x: npt.NDArray[Any], s: int) -> npt.NDArray[Any]:
    """C's image (2-D) as the user sees it: a view."""
    return _turn_back(x, s, 0)


def full_cube_encode(cube: npt.NDArray[Any], s: int, tri_dim: int) -> npt.NDArray[Any]:
    """The user's cube (3-D) as C has it: a view."""
    user_axis, c_axis = _image_axes(tri_dim)
    return np.moveaxis(_turn(cube, s, 1 if user_axis == 0 else 0), user_axis, c_axis)


def full_cube_decode(cube: npt.NDArray[Any], s: int, tri_dim: int) -> npt.NDArray[Any]:
    """C's cube (3-D) as the user sees it: a view."""
    user_axis, c_axis = _image_axes(tri_dim)
    return _turn_back(np.moveaxis(cube, c_axis, user_axis), s, 1 if user_axis == 0 else 0)


def encode(array: npt.NDArray[Any], s: int, tri_dim: int) -> npt.NDArray[Any]:
    """The user's array of any rank up to 3 as C has it; below two axes nothing is turned."""
    if array.ndim == 2:
        return image_encode(array, s)
    return full_cube_encode(array, s, tri_dim) if array.ndim == 3 else array


def decode(array: npt.NDArray[Any], s: int, tri_dim: int) -> npt.NDArray[Any]:
    """C's array of any rank up to 3 as the user sees it."""
    if array.ndim == 2:
        return image_decode(array, s)
    return full_cube_decode(array, s, tri_dim) if array.ndim == 3 else array


def check_codes(s: int, tri_dim: int) -> None:
    """Refuse codes that there are not.

    Raises:
        UsageError: symcode is not 0 to 7, or triDim not 0 to 3.
    """
    if s not in range(8):
        raise UsageError(f"symcode is {s!r}, expected 0 to 7")
    if tri_dim not in range(4):
        raise UsageError(f"triDim is {tri_dim!r}, expected 0 to 3 (see Which3DState)")


def _image_axes(tri_dim: int) -> tuple[int, int]:
    """Which axis counts images, on the user's side and on C's."""
    check_codes(0, tri_dim)
    states = Which3DState
    user_first = tri_dim in (states.FRONT2FRONT, states.FRONT2LAST)
    c_first = tri_dim in (states.LAST2FRONT, states.FRONT2FRONT)
    return (0 if user_first else 2), (0 if c_first else 2)


def _flips(s: int, ndim: int, axis: int) -> tuple[slice, ...]:
    steps = [slice(None)] * ndim
    for bit, which in ((_FIRST, axis), (_SECOND, axis + 1)):
        if s & bit:
            steps[which] = slice(None, None, -1)
    return tuple(steps)


def _turn(array: npt.NDArray[Any], s: int, axis: int) -> npt.NDArray[Any]:
    """Encode the image that the axes ``axis`` and ``axis + 1`` make."""
    check_codes(s, 0)
    swapped = np.swapaxes(array, axis, axis + 1) if s & _SWAP else array
    return swapped[_flips(s, array.ndim, axis)]


def _turn_back(array: npt.NDArray[Any], s: int, axis: int) -> npt.NDArray[Any]:
    check_codes(s, 0)
    flipped = array[_flips(s, array.ndim, axis)]
    return np.swapaxes(flipped, axis, axis + 1) if s & _SWAP else flipped
