from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from framebus.ao.averages import Average, average_frames
from framebus.ao.flat import make_flat
from framebus.errors import DataError, UsageError

SHAPE = (40, 50)
RNG = np.random.default_rng(3)
SENSITIVITY = 1.0 + 0.03 * RNG.normal(size=SHAPE)


def lamp(
    light: Any = 1000.0, sensitivity: Any = SENSITIVITY, n: int = 60, seed: int = 1, **options: Any
) -> Average:
    """Frames of even light over a dark of 400, with photon noise."""
    rng = np.random.default_rng(seed)
    return average_frames(lambda: 400.0 + rng.poisson(np.maximum(light * sensitivity, 0.0)), n, **options)


DARK = np.full(SHAPE, 400.0)


def test_the_response_is_that_of_the_camera() -> None:
    flat = make_flat(lamp(), DARK)
    error = flat.response - SENSITIVITY / np.median(SENSITIVITY)
    # Photon noise of 60 frames of 1000 photons.
    assert error.std() == pytest.approx(1 / np.sqrt(60 * 1000), rel=0.1)
    assert flat.signal == pytest.approx(1000.0, rel=0.01)
    assert not flat.bad.any()
    assert flat.lit.all()
    np.testing.assert_allclose(flat.gain * flat.response, 1.0, rtol=1e-5)


def test_bad_and_unlit_pixels_have_no_gain() -> None:
    sensitivity = SENSITIVITY.copy()
    sensitivity[5, 6], sensitivity[7, 8], sensitivity[9, 10] = 0.0, 0.3, 2.0
    sensitivity[:, 40:] = 0.0
    known = np.zeros(SHAPE, bool)
    known[1, 1] = True
    flat = make_flat(lamp(sensitivity=sensitivity), DARK, bad=known)
    assert np.argwhere(flat.bad[:, :38]).tolist() == [[1, 1], [5, 6], [7, 8], [9, 10]]
    assert not flat.lit[:, 42:].any()
    assert not flat.gain[:, 42:].any()
    assert not flat.gain[flat.bad].any()
    assert flat.lit[5, 6]


def test_uneven_light_is_divided_out() -> None:
    y, x = np.indices(SHAPE)
    uneven = 1000.0 * (1.0 + 0.3 * np.sin(x / 15.0) * np.cos(y / 15.0))
    inner = (slice(8, -8), slice(8, -8))
    truth = SENSITIVITY / np.median(SENSITIVITY)
    flat = make_flat(lamp(uneven), DARK, smooth_px=3.0)
    assert np.std((flat.response - truth)[inner]) < 0.015
    assert np.std((make_flat(lamp(uneven), DARK).response - truth)[inner]) > 0.05


def test_no_light_and_bad_light_are_refused() -> None:
    with pytest.raises(DataError, match="no light: the bright pixels"):
        make_flat(lamp(0.0), DARK)
    with pytest.raises(DataError, match="no light"):
        make_flat(lamp(100.0), DARK + 300.0)
    with pytest.raises(DataError, match="are saturated"):
        make_flat(lamp(saturation=1400.0), DARK)
    lights = iter(np.linspace(500, 1500, 60))
    with pytest.raises(DataError, match="light varies"):
        make_flat(average_frames(lambda: np.full(SHAPE, next(lights)), 60), DARK)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dark": np.zeros((2, 2))}, "dark's shape"),
        ({"bad": np.zeros((2, 2))}, "shape of 'bad'"),
        ({"limits": (1.1, 2.0)}, "limits are"),
        ({"lit_share": 1.0}, "lit_share 1.0"),
        ({"average": average_frames(lambda: np.arange(5.0), 2)}, r"\(5,\); expected \(height, width\)"),
    ],
)
def test_arguments_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_flat(**({"average": lamp(n=4)} | options))
