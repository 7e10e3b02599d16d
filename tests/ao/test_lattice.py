from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from framebus.ao import find_subapertures
from framebus.ao.lattice import find_lattice
from framebus.errors import DataError, UsageError

STEPS = {
    "square": np.array([[1.0, 0.0], [0.0, 1.0]]),
    "hexagonal": np.array([[np.sqrt(0.75), 0.5], [0.0, 1.0]]),
}


def points(kind: str, pitch: float, turn_deg: float, n: int = 7) -> NDArray[Any]:
    """A disc of a grid."""
    index = np.argwhere(np.ones((2 * n + 1, 2 * n + 1))) - n
    flat = index @ STEPS[kind]
    flat = flat[np.hypot(*flat.T) < 0.8 * n]
    t = np.radians(turn_deg)
    return np.asarray(100.0 + pitch * flat @ np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]))


@given(
    st.sampled_from(["square", "hexagonal"]), st.floats(5.0, 50.0), st.floats(-29.0, 29.0), st.integers(0, 99)
)
@settings(max_examples=30)
def test_the_grid_that_was_put_in_is_found(kind: str, pitch: float, turn: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    centres = rng.permutation(points(kind, pitch, turn))
    found = find_lattice(centres + rng.normal(0, 0.02 * pitch, centres.shape))
    assert found.kind == kind
    assert found.pitch == pytest.approx(pitch, rel=0.01)
    assert found.rotation_deg == pytest.approx(turn, abs=0.5)
    assert found.rms == pytest.approx(0.02 * pitch * np.sqrt(2), rel=0.3)
    assert len(set(map(tuple, found.index.tolist()))) == len(centres)
    assert found.doubtful == ()
    assert len(found.missing) == 0


def test_what_is_missing_or_wrong_is_named() -> None:
    centres = points("square", 10.0, 5.0)
    middle = int(np.argmin(np.hypot(*(centres - 100.0).T)))
    hole = centres[middle + 2].copy()
    centres = np.delete(centres, middle + 2, axis=0)
    off = 20
    centres[off] += 4.0
    found = find_lattice(centres)
    np.testing.assert_allclose(found.missing, hole[None], atol=0.2)
    assert [doubt.index for doubt in found.doubtful] == [off]
    assert "off the grid" in found.doubtful[0].reason


def test_a_distorted_grid_keeps_its_neighbours() -> None:
    centres = points("hexagonal", 10.0, 0.0)
    away = (centres - 100.0) / 60.0
    found = find_lattice(centres + 4.0 * away * np.sum(away**2, axis=1, keepdims=True))
    assert len(set(map(tuple, found.index.tolist()))) == len(centres)


@pytest.mark.parametrize("turn", [0.0, 12.0])
def test_a_frame_of_a_square_sensor(turn: float) -> None:
    centres = points("square", 12.0, turn, 6)
    y, x = np.indices((200, 200))
    frame = sum(np.exp(-((y - a) ** 2 + (x - b) ** 2) / 4.5) for a, b in centres)
    spots = find_subapertures(1000 * np.asarray(frame) + np.random.default_rng(0).normal(5, 3, (200, 200)))
    found = find_lattice(spots.centres)
    assert (len(spots), found.kind, found.doubtful) == (len(centres), "square", ())
    assert found.pitch == pytest.approx(12.0, rel=0.005)
    assert found.rotation_deg == pytest.approx(turn, abs=0.2)


def test_the_real_sensor_is_hexagonal(shared_data: Path) -> None:
    frame, dark = (
        np.asarray(fits.getdata(shared_data / "shwfs" / f"{name}.fits")) for name in ("reference", "dark")
    )
    found = find_lattice(find_subapertures(frame, dark).centres)
    assert (found.kind, len(found.index), len(found.missing), found.doubtful) == ("hexagonal", 127, 0, ())
    assert found.pitch == pytest.approx(300 / 7.4, rel=0.01)
    assert abs(found.rotation_deg) < 1.0


@pytest.mark.parametrize(
    ("centres", "error", "message"),
    [
        (np.random.default_rng(0).uniform(0, 100, (60, 2)), DataError, "the points are on no grid"),
        (np.stack([np.zeros(9), np.arange(9.0)], axis=1), DataError, "in one line"),
        (np.zeros((3, 2)), UsageError, r"\(3, 2\); expected 4 or more"),
        (np.zeros((9, 3)), UsageError, r"\(9, 3\)"),
        (np.full((9, 2), np.nan), UsageError, "finite"),
    ],
)
def test_what_is_no_grid_is_refused(centres: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        find_lattice(centres)
