"""Pixels changed by hand."""

from __future__ import annotations

import numpy as np
import pytest

import framebus as fb
from framebus.errors import StreamNotFound, UsageError
from framebus.ops import poke


@pytest.mark.parametrize("dialect", ["isio", "dao"])
def test_one_pixel_changes(dialect: str, dao_name: str) -> None:
    with fb.create(f"{dao_name}dm", shape=(2, 3), dialect=dialect) as dm:
        poked = poke(f"{dao_name}dm", (1, 2), 0.5)
        assert (poked.count, poked.before, poked.after) == (1, 0.0, 0.5)
        poked = poke(f"{dao_name}dm", (-1, -1), 0.25, add=True)
        assert (poked.count, poked.before, poked.after) == (2, 0.5, 0.75)
        assert dm.read().tolist() == [[0, 0, 0], [0, 0, 0.75]]
        dm.remove()


@pytest.mark.parametrize(
    ("dtype", "value"), [("uint8", 255), ("int64", -(2**63)), ("complex64", 1 + 2j), ("float64", 3)]
)
def test_values_of_every_kind(dtype: str, value: complex) -> None:
    with fb.create("a", shape=(1, 2, 3), dtype=dtype) as a:
        poke("a", (0, 1, 2), value)
        assert a.read()[0, 1, 2] == value


def test_a_slice_is_poked_within() -> None:
    with fb.create("a", shape=(3, 3)) as a:
        a.write(np.zeros((3, 3)))
        poke("a[1:2,1:2]", (0, 1), 4.0)
        assert a.read().tolist() == [[0, 0, 0], [0, 0, 4], [0, 0, 0]]


def test_what_cannot_be() -> None:
    with pytest.raises(StreamNotFound):
        poke("nothing", (0,), 1)
    with fb.create("a", shape=(2, 3), dtype="uint8") as a:
        for index, said in [
            ((0,), r"takes 2 numbers \(got 1\)"),
            ((0, 3), "x = 3 is outside of stream 'a': x from 0 to 2, y from 0 to 1"),
            ((-3, 0), "y = -3 is outside"),
        ]:
            with pytest.raises(UsageError, match=said):
                poke("a", index, 1)
        for value in (256, 0.5, 2**70, 1j):
            with pytest.raises(
                UsageError, match=rf"cannot hold {value}; expected a whole number from 0 to 255"
            ):
                poke("a", (0, 0), value)
        a.write(np.full((2, 3), 200))
        with pytest.raises(UsageError, match="cannot hold 300"):
            poke("a", (0, 0), 100, add=True)
        assert a.count == 1, "nothing was published"
    with fb.create("b", shape=2) as b:
        for number in (1j, 1e39, 10**400):
            with pytest.raises(UsageError, match=r"expected a real number up to 3.4e\+38"):
                poke("b", (0,), number)
        assert poke("b", (0,), 2**70).after == 2.0**70
        assert poke("b", (1,), np.inf).count == b.count
    with fb.create("c", shape=2), pytest.raises(UsageError, match="takes 1 number "):
        poke("c", (0, 0), 1)
