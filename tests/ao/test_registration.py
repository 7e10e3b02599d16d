from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from framebus.ao.registration import find_registration
from framebus.errors import DataError, UsageError
from framebus.sim import Bench
from framebus.sim.deformable_mirror import influence_functions

Array = NDArray[Any]


def grid(n: int) -> Array:
    return np.argwhere(np.ones((n, n)))


def slopes(actuators: Array, spots: Array, width: float = 0.65) -> Array:
    """Mean slopes over sub-apertures of size 1: differences of a Gaussian bump's integrals along opposite edges."""
    from scipy.special import erf

    away = (spots[None] - actuators[:, None]).transpose(2, 0, 1)
    far, near = away + 0.5, away - 0.5
    root = np.sqrt(2.0) * width
    integral = width * np.sqrt(np.pi / 2) * (erf(far / root) - erf(near / root))
    step = np.exp(-0.5 * (far / width) ** 2) - np.exp(-0.5 * (near / width) ** 2)
    both: Array = np.hstack([step[1] * integral[0], step[0] * integral[1]])
    return both


def sensor(n: int = 10) -> Array:
    """Sub-apertures of an annular pupil."""
    spots = grid(n) + 0.5
    radius = np.hypot(*(spots - n / 2).T)
    return np.asarray(spots[(radius < n / 2) & (radius > 0.1 * n)])


@given(
    st.floats(-0.7, 0.7),
    st.floats(-0.7, 0.7),
    st.floats(-170, 170),
    st.floats(0.85, 1.15),
    st.floats(0.85, 1.15),
    st.sampled_from([1, -1]),
)
@settings(max_examples=6)
def test_what_was_put_in_is_found(
    shift_y: float, shift_x: float, turn: float, down: float, across: float, parity: int
) -> None:
    t = np.radians(turn)
    # One actuator across goes to (sin, cos) in (y, x); one down at a right angle, flipped for parity -1.
    matrix = np.array(
        [parity * down * np.array([np.cos(t), -np.sin(t)]), across * np.array([np.sin(t), np.cos(t)])]
    )
    actuators = grid(8)
    centre = np.array([5.0 + shift_y, 5.0 + shift_x])
    places = centre + (actuators - 3.5) @ matrix
    spots = sensor()
    found = find_registration(slopes(places, spots), actuators, spots)
    np.testing.assert_allclose(found.shift, [shift_y, shift_x], atol=0.02)
    np.testing.assert_allclose(found.magnification, [down, across], atol=0.01)
    assert (found.rotation_deg - turn + 180) % 360 - 180 == pytest.approx(0.0, abs=0.5)
    assert found.parity == parity
    assert abs(found.skew_deg) < 0.7
    assert found.rms < 0.05


def test_noise_and_wrong_actuators_do_not_turn_it_and_are_named() -> None:
    actuators, spots = grid(9), sensor()
    places = np.array([5.0, 5.0]) + (actuators - 4.0) * 1.02
    places[40] += [1.5, 0.0]
    response = slopes(places, spots)
    response += np.random.default_rng(1).normal(0, 0.02 * np.abs(response).max(), response.shape)
    response[22] = 0.0
    found = find_registration(response, actuators, spots)
    reasons = {doubt.index: doubt.reason for doubt in found.doubtful}
    assert "hardly moves" in reasons[22]
    assert reasons[40].startswith(("it is 1.4", "it is 1.5"))
    np.testing.assert_allclose(found.shift, 0.0, atol=0.03)
    np.testing.assert_allclose(found.magnification, 1.02, atol=0.01)
    assert np.isnan(found.places[22]).all()


def test_a_few_pokes_are_enough() -> None:
    actuators, spots = grid(9)[[20, 24, 56, 60, 40]], sensor()
    places = np.array([5.2, 4.9]) + (actuators - 4.0)
    found = find_registration(slopes(places, spots), actuators, spots)
    np.testing.assert_allclose(found.shift, [0.2, -0.1], atol=0.02)


def test_the_simulated_telescope_is_in_fried_geometry() -> None:
    """Actuators at the corners of the sub-apertures, from the simulator's own influence functions."""
    bench = Bench(n_sub=8, pixels=8)
    functions = influence_functions(bench.n_act, bench.n_px).astype(np.float64)
    optics = bench.streams()["optics"][1:].astype(np.float64)
    across = np.einsum("ayx,syx->sayx", functions, optics)
    per_box = across.reshape(2, len(functions), 8, 8, 8, 8).sum(axis=(3, 5))[:, :, bench.valid]
    active = np.flatnonzero(bench.dm_mask)
    response = np.hstack([per_box[0], per_box[1]])[active]
    spots = np.argwhere(bench.valid) + 0.5
    found = find_registration(response, np.argwhere(bench.dm_mask), spots)
    np.testing.assert_allclose(found.shift, 0.0, atol=0.03)
    np.testing.assert_allclose(found.magnification, 1.0, atol=0.02)
    assert abs(found.rotation_deg) < 0.5
    assert (found.parity, found.rms < 0.12) == (1, True)


def test_a_real_instrument_lies_as_it_was_built(shared_data: Path) -> None:
    """KalAO: 12 x 12 actuators at the corners of 11 x 11 sub-apertures."""
    response = np.asarray(fits.getdata(shared_data / "kalao" / "respM.fits"), np.float64)
    mask = np.asarray(fits.getdata(shared_data / "kalao" / "WFSmask.fits"))[:, :11] > 0
    used = np.asarray(fits.getdata(shared_data / "kalao" / "DMmaskCTRL.fits")) > 0
    both = np.hstack([response[:, :, :11][:, mask], response[:, :, 11:][:, mask]])
    found = find_registration(both[used.ravel()], np.argwhere(used), np.argwhere(mask))
    np.testing.assert_allclose(found.magnification, 1.0, atol=0.06)
    assert np.abs(found.shift).max() < 0.5
    assert abs(found.skew_deg) < 3.0
    assert found.rms < 0.2


def test_pixels_of_a_pyramid() -> None:
    """Four blocks in which a poke lights up about its place."""
    spots = grid(20).astype(float)
    actuators = grid(6)
    places = np.array([9.0, 10.0]) + (actuators - 2.5) @ np.array([[3.0, 0.3], [-0.3, 3.0]])
    bump = np.exp(-0.5 * ((spots[None] - places[:, None]) ** 2).sum(axis=2) / 1.2**2)
    response = np.hstack([bump, -bump, 0.5 * bump, -0.5 * bump])
    found = find_registration(response, actuators, spots)
    np.testing.assert_allclose(found.centre, [9.0, 10.0], atol=0.02)
    np.testing.assert_allclose(found.magnification, np.hypot(3.0, 0.3), atol=0.02)
    assert found.rotation_deg == pytest.approx(-np.degrees(np.arctan2(0.3, 3.0)), abs=0.3)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"response": np.zeros((9, 10))}, DataError, "no actuator moves the sensor"),
        ({"response": np.full((9, 10), np.nan)}, DataError, "not finite"),
        ({"response": np.zeros((8, 10))}, UsageError, r"\(8, 10\); expected \(9, k x 5\)"),
        ({"response": np.zeros((9, 11))}, UsageError, r"\(9, 11\)"),
        ({"actuators": np.zeros((9, 3))}, UsageError, "shape of 'actuators'"),
        ({"subapertures": np.zeros((2, 2))}, UsageError, "shape of 'subapertures'"),
    ],
)
def test_arguments_are_checked(change: dict[str, Any], error: type[Exception], message: str) -> None:
    given = {"response": np.ones((9, 10)), "actuators": grid(3), "subapertures": grid(3)[:5]} | change
    with pytest.raises(error, match=message):
        find_registration(**given)


def test_one_actuator_or_one_line_is_not_enough() -> None:
    spots = sensor()
    actuators = np.array([[4, 3], [4, 4], [4, 5], [4, 6]])
    with pytest.raises(DataError, match="4 actuators were found on the sensor; a map needs three"):
        find_registration(slopes(actuators + 1.0, spots), actuators, spots)
