from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from framebus.errors import UsageError
from framebus.sim import Atmosphere
from framebus.sim.turbulence import structure_function

ONE = [(1.0, 10.0, 0.0)]


def made(**change: Any) -> Atmosphere:
    arguments: dict[str, Any] = {
        "n_px": 32,
        "pixel_m": 0.1,
        "r0_m": 0.2,
        "outer_scale_m": 25.0,
        "layers": ONE,
    }
    return Atmosphere(**{**arguments, **change})


@pytest.mark.parametrize(("angle", "axis", "sign"), [(0, 1, 1), (180, 1, -1), (90, 0, 1), (270, 0, -1)])
def test_the_flow_is_frozen(angle: float, axis: int, sign: int) -> None:
    # 1 pixel per frame: what is seen is what was seen, further on, but for the line that is new.
    air = made(layers=[(1.0, 10.0, float(angle))])
    before = air.step(0.0).copy()
    for frame in range(1, 8):
        moved = np.roll(before, sign * frame, axis=axis)
        now = air.step(0.01)
        keep = slice(frame, None) if sign > 0 else slice(None, -frame)
        inside = (slice(None), keep) if axis == 1 else (keep, slice(None))
        np.testing.assert_allclose(now[inside], moved[inside], atol=2e-5)


def test_a_point_sees_in_time_what_lies_upwind_in_space() -> None:
    # A third of a pixel per frame; every third frame is on the pixels, and what is between them is interpolated.
    air = made(n_px=64, layers=[(1.0, 10.0, 0.0)])
    first = air.step(0.0).copy()
    series = [first[32, 40]] + [air.step(1 / 300.0)[32, 40] for _ in range(60)]
    np.testing.assert_allclose(series[::3], first[32, 40:19:-1], atol=2e-5)
    # Between pixels the error is that of the interpolation, far below the step from pixel to pixel.
    step = np.sqrt(structure_function(0.1, 0.2, 25.0)) * 0.5 / (2 * np.pi)
    line = first[32].astype(float)
    wanted = np.interp(40 - np.arange(61) / 3, np.arange(64), line)
    assert np.abs(np.array(series) - wanted).std() < 0.4 * step


def test_oblique_wind_moves_along_both_axes() -> None:
    air = made(layers=[(1.0, 10.0 * np.sqrt(2), 45.0)])
    before = air.step(0.0).copy()
    now = air.step(0.03)
    np.testing.assert_allclose(now[3:, 3:], before[:-3, :-3], atol=2e-5)


def test_layers_share_the_turbulence_and_add() -> None:
    both = made(layers=[(3.0, 0.0, 0.0), (1.0, 0.0, 0.0)]).step(0.0)
    total = np.zeros_like(both, dtype=float)
    for layer, share in enumerate((0.75, 0.25)):
        gains = made(layers=[(3.0, 0.0, 0.0), (1.0, 0.0, 0.0)])
        gains._r0_gain[1 - layer] = 0.0
        assert gains._r0_gain[layer] == pytest.approx(
            np.sqrt(share) * 0.2 ** (-5 / 6) * 0.5 / (2 * np.pi), rel=1e-6
        )
        total += gains.step(0.0)
    np.testing.assert_allclose(both, total, atol=1e-5)


def test_the_same_seed_makes_the_same_bits() -> None:
    one, same, other = made(seed=5), made(seed=5), made(seed=6)
    for _ in range(20):
        frame = one.step(0.013)
        np.testing.assert_array_equal(frame, same.step(0.013))
        assert (frame != other.step(0.013)).any()


def test_strength_scales_while_the_wind_goes_on() -> None:
    straight, dimmed = made(), made()
    dimmed.strength = 0.0
    straight.step(0.05)
    assert not dimmed.step(0.05).any()
    dimmed.strength = 0.5
    np.testing.assert_allclose(dimmed.step(0.01), 0.5 * straight.step(0.01), rtol=1e-4, atol=1e-6)


@pytest.mark.stress
def test_screens_have_the_structure_function_of_von_karman(stress: bool) -> None:
    # By sampling, through everything: growth along both axes and interpolation.
    n_px, pixel_m, looks = 64, 0.05, 400 if stress else 24
    separations = np.array([2, 3, 4, 8, 16, 32])
    found = np.zeros((2, len(separations)))
    count = 0
    for seed in range(64 if stress else 4):
        air = made(n_px=n_px, pixel_m=pixel_m, outer_scale_m=2.0, layers=[(1.0, 10.0, 31.0)], seed=seed)
        for _ in range(looks):
            rad = air.step(0.31).astype(float) * 2 * np.pi / 0.5
            for k, s in enumerate(separations):
                found[0, k] += np.mean((rad[s:] - rad[:-s]) ** 2)
                found[1, k] += np.mean((rad[:, s:] - rad[:, :-s]) ** 2)
            count += 1
    theory = structure_function(separations * pixel_m, 0.2, 2.0)
    np.testing.assert_allclose(found / count, [theory, theory], rtol=0.05 if stress else 0.25)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"layers": []}, "layers"),
        ({"layers": [(0.0, 1.0, 1.0)]}, "fractions"),
        ({"layers": [(1.0, np.nan, 1.0)]}, "layers"),
        ({"r0_m": 0.0}, "r0_m"),
        ({"pixel_m": -1.0}, "pixel_m"),
    ],
)
def test_bad_atmospheres_are_refused(change: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        made(**change)
