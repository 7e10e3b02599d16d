"""pyMilk's orientation codes and cube orders, against NumPy models that are written out index by index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.compat.pymilk import SHM, Which3DState
from framebus.compat.pymilk.img_shapes import (
    decode,
    encode,
    full_cube_decode,
    full_cube_encode,
    image_decode,
    image_encode,
)
from framebus.errors import UsageError
from framebus.stream import open as open_stream

SYMCODES = st.integers(0, 7)
ORDERS = st.sampled_from(list(Which3DState))
SIZES = st.integers(2, 5)  # 1 would be squeezed away

# What the user sees of framebus' image (rows, columns), by symcode: NumPy's whole operations, where the code has bits.
SEEN: dict[int, Callable[[npt.NDArray[Any]], npt.NDArray[Any]]] = {
    0: np.transpose,
    1: lambda a: np.flipud(np.transpose(a)),
    2: lambda a: np.fliplr(np.transpose(a)),
    3: lambda a: np.rot90(np.transpose(a), 2),
    4: lambda a: a,
    5: np.fliplr,
    6: np.flipud,
    7: lambda a: np.rot90(a, 2),
}


def numbered(*shape: int) -> npt.NDArray[np.int32]:
    """Every element different, so that only the right order is equal."""
    return np.arange(1, 1 + np.prod(shape), dtype=np.int32).reshape(shape)


def c_image(user: npt.NDArray[Any], symcode: int) -> npt.NDArray[Any]:
    """C's image of the user's, element by element."""
    turned = np.empty(user.shape[::-1] if symcode >= 4 else user.shape, user.dtype)
    width, height = turned.shape
    for x in range(width):
        for y in range(height):
            u = width - 1 - x if symcode & 1 else x
            v = height - 1 - y if symcode & 2 else y
            turned[x, y] = user[v, u] if symcode >= 4 else user[u, v]
    return turned


def c_cube(user: npt.NDArray[Any], symcode: int, order: int) -> npt.NDArray[Any]:
    """C's cube of the user's: each image turned, the images stacked where the order says."""
    user_first = order in (Which3DState.FRONT2FRONT, Which3DState.FRONT2LAST)
    c_first = order in (Which3DState.LAST2FRONT, Which3DState.FRONT2FRONT)
    images = list(user) if user_first else [user[:, :, k] for k in range(user.shape[2])]
    return np.stack([c_image(image, symcode) for image in images], axis=0 if c_first else 2)


@given(SYMCODES, SIZES, SIZES)
def test_images_turn_as_the_model_says(symcode: int, rows: int, columns: int) -> None:
    user = numbered(rows, columns)
    np.testing.assert_array_equal(image_encode(user, symcode), c_image(user, symcode))
    np.testing.assert_array_equal(image_decode(c_image(user, symcode), symcode), user)


@given(SYMCODES, ORDERS, SIZES, SIZES, SIZES)
def test_cubes_turn_as_the_model_says(symcode: int, order: int, n0: int, n1: int, n2: int) -> None:
    user = numbered(n0, n1, n2)
    np.testing.assert_array_equal(full_cube_encode(user, symcode, order), c_cube(user, symcode, order))
    np.testing.assert_array_equal(full_cube_decode(c_cube(user, symcode, order), symcode, order), user)


@given(SYMCODES, ORDERS, st.lists(SIZES, min_size=0, max_size=3))
def test_turning_and_back_changes_nothing(symcode: int, order: int, shape: list[int]) -> None:
    user = numbered(*shape)
    turned = encode(user, symcode, order)
    np.testing.assert_array_equal(decode(turned, symcode, order), user)
    assert np.shares_memory(turned, user), "a view"
    if len(shape) < 2:
        np.testing.assert_array_equal(turned, user)


@pytest.mark.parametrize("symcode", range(8))
def test_only_five_and_six_are_not_their_own_inverses(symcode: int) -> None:
    inverse = {5: 6, 6: 5}.get(symcode, symcode)
    user = numbered(3, 4)
    np.testing.assert_array_equal(image_encode(image_encode(user, symcode), inverse), user)


@given(SYMCODES, SIZES, SIZES)
def test_an_image_in_shared_memory_is_seen_as_documented(symcode: int, rows: int, columns: int) -> None:
    image = numbered(rows, columns)
    with SHM("turned", (SEEN[symcode](image).shape, np.int32), symcode=symcode) as shm:
        shm.set_data(SEEN[symcode](image))
        with open_stream("turned") as stream:
            assert stream.shape == image.shape
            np.testing.assert_array_equal(stream.read(), image)
        with SHM("turned", symcode=symcode) as reader:
            assert (reader.shape, reader.shape_c) == (shm.shape, (columns, rows)) == (shm.shape, shm.shape_c)
            np.testing.assert_array_equal(reader.get_data(), SEEN[symcode](image))
            np.testing.assert_array_equal(reader.get_data(copy=False), SEEN[symcode](image))


@given(SYMCODES, ORDERS, st.tuples(SIZES, SIZES, SIZES))
def test_a_cube_in_shared_memory_is_seen_as_documented(
    symcode: int, order: int, shape: tuple[int, int, int]
) -> None:
    user = numbered(*shape)
    with SHM("cube", user, symcode=symcode, triDim=order) as shm, open_stream("cube") as stream:
        on_c_side = c_cube(user, symcode, order)
        assert shm.shape_c == on_c_side.shape
        np.testing.assert_array_equal(stream.read(), on_c_side.T)
        with SHM("cube", symcode=symcode, triDim=order) as reader:
            assert reader.shape == shape
            np.testing.assert_array_equal(reader.get_data(), user)
            reader.set_data(user[::-1])
        np.testing.assert_array_equal(shm.get_data(), user[::-1])


def test_what_the_page_says_of_cubes_with_the_default_code() -> None:
    cube = numbered(2, 3, 4)  # two images of three rows
    with SHM("cube", np.moveaxis(cube, 0, 2)), open_stream("cube") as stream:
        np.testing.assert_array_equal(stream.read(), cube)
        with SHM("cube", triDim=Which3DState.FRONT2LAST) as shm:
            np.testing.assert_array_equal(shm.get_data(), cube)


@pytest.mark.parametrize("symcode", [-1, 8, None, "4"])
def test_codes_that_there_are_not(symcode: Any) -> None:
    with pytest.raises(UsageError, match=r"symcode is .*, expected 0 to 7"):
        image_encode(numbered(2, 2), symcode)
    with pytest.raises(UsageError, match=r"symcode is .*, expected 0 to 7"):
        image_decode(numbered(2, 2), symcode)
    with pytest.raises(UsageError, match="symcode is"):
        SHM("x", numbered(2, 2), symcode=symcode)


@pytest.mark.parametrize("order", [-1, 4, None])
def test_orders_that_there_are_not(order: Any) -> None:
    with pytest.raises(UsageError, match=r"triDim is .*, expected 0 to 3"):
        full_cube_encode(numbered(2, 2, 2), 0, order)
    with pytest.raises(UsageError, match="triDim is"):
        SHM("x", numbered(2, 2, 2), triDim=order)
