"""Expected values are von Kármán's: the growth is followed by its covariances, in which there is no chance."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from framebus.errors import UsageError
from framebus.sim.infinite_screen import (
    MARGIN,
    TAPS,
    Growth,
    Position,
    covariance,
    first_screens,
    started_words,
    stencil,
    tap_weights,
)
from framebus.sim.turbulence import structure_function

Doubles = npt.NDArray[np.float64]


def test_the_covariance_is_that_of_the_structure_function() -> None:
    r = np.array([0.01, 0.1, 1.0, 20.0])
    found = 2 * (covariance(0.0, 25.0) - covariance(r, 25.0))
    np.testing.assert_allclose(found, structure_function(r, 1.0, 25.0), rtol=1e-6)


def test_a_stencil_has_the_nearest_lines_whole_and_reaches_over_the_screen() -> None:
    for size in (6, 7, 33, 165):
        points = stencil(size)
        for line in (1, 2):
            assert sorted(points[points[:, 0] == line, 1]) == list(range(size))
        assert points.min() == 0
        assert points[:, 1].max() == size - 1
        assert size // 2 <= points[:, 0].max() <= size - 1
        assert len(np.unique(points, axis=0)) == len(points)


def grown_covariance(size: int, growth: Growth, pixel: float, outer_scale: float, lines: int) -> Doubles:
    """Covariance (y, x, y, x) of a screen that was exact once and has since grown, by turns, along both axes."""
    y, x = np.divmod(np.arange(size * size), size)
    known = covariance(np.hypot(y[:, None] - y, x[:, None] - x) * pixel, outer_scale)
    slot = np.arange(size * size).reshape(size, size)
    predict, spread = growth.predict.astype(float), growth.spread.astype(float)
    at, along, every = growth.points[:, 0], growth.points[:, 1], np.arange(size)
    top = left = 0
    for turn in range(lines):
        if turn % 2:
            top -= 1
            new = slot[top % size, (left + every) % size]
            points = slot[(top + at) % size, (left + along) % size]
        else:
            left -= 1
            new = slot[(top + every) % size, left % size]
            points = slot[(top + along) % size, (left + at) % size]
        among = known[np.ix_(points, points)]
        known[np.ix_(points, points)] = 0.5 * (among + among.T)  # rounding must not grow
        cross = predict @ known[points]
        own = predict @ known[np.ix_(points, points)] @ predict.T + spread @ spread.T
        known[new], known[:, new] = cross, cross.T
        known[np.ix_(new, new)] = own
    order = slot[np.ix_((top + every) % size, (left + every) % size)].ravel()
    return np.asarray(known[np.ix_(order, order)].reshape(size, size, size, size))


def structures(known: Doubles, separation: int) -> tuple[float, float]:
    """Mean structure function along y and along x."""
    size = len(known)
    i = np.arange(size)
    variance = known[i[:, None], i, i[:, None], i]
    k, s = np.arange(size - separation), separation
    along_y = variance[k] + variance[k + s] - 2 * known[k[:, None], i, k[:, None] + s, i]
    along_x = variance[:, k] + variance[:, k + s] - 2 * known[i[:, None], k, i[:, None], k + s]
    return float(along_y.mean()), float(along_x.mean())


@pytest.mark.parametrize(("pixel", "outer_scale"), [(0.1, 100.0), (0.5, 25.0)])
def test_a_screen_that_has_grown_for_long_is_still_von_karman(pixel: float, outer_scale: float) -> None:
    size = 24
    growth = Growth.of(size, pixel, outer_scale)
    known = grown_covariance(size, growth, pixel, outer_scale, 6 * size)
    for separation in (1, 2, 3, 5, 8, 12, 18):
        theory = structure_function(separation * pixel, 1.0, outer_scale)
        np.testing.assert_allclose(structures(known, separation), theory, rtol=0.02)


@pytest.mark.parametrize(("pixel", "outer_scale"), [(0.025, 25.0), (0.1, 25.0), (0.01, 100.0), (0.2, 4.0)])
def test_growth_without_noise_dies_out(pixel: float, outer_scale: float) -> None:
    # Were it not so, rounding would grow without bounds.
    size = 85
    growth = Growth.of(size, pixel, outer_scale)
    screen = np.random.default_rng(0).standard_normal((size, size))
    at, along = growth.points.T
    first = np.abs(screen).max()
    for _ in range(20 * size):
        line = growth.predict.astype(float) @ screen[at - 1, along]
        screen = np.vstack([line[None, :], screen[:-1]])
    assert np.abs(screen).max() < first


def test_an_outer_scale_that_cannot_be_computed_is_refused() -> None:
    with pytest.raises(UsageError, match="outer_scale_m"):
        Growth.of(16, 1.0, 1e12)


def interpolated_structure(fractions: tuple[float, float], separation: int) -> float:
    """Structure function along x of a von Kármán screen seen between pixels, over that on them."""
    pixel, outer_scale = 0.025, 25.0
    wy, wx = tap_weights(fractions).astype(float)
    weights = np.outer(wy, wx).ravel()
    y, x = (place.ravel() for place in np.mgrid[:TAPS, :TAPS])
    dy, dx = y[:, None] - y, x[:, None] - x

    def seen(shift: int) -> float:
        distance = np.hypot(dy, dx + shift) * pixel
        return float(weights @ structure_function(distance, 1.0, outer_scale) @ weights)

    return (seen(separation) - seen(0)) / float(structure_function(separation * pixel, 1.0, outer_scale))


@pytest.mark.parametrize("fractions", [(0.0, 0.5), (0.5, 0.5), (0.25, 0.7), (0.1, 0.1), (0.9, 0.4)])
def test_looking_between_pixels_keeps_the_structure_function(fractions: tuple[float, float]) -> None:
    for separation in (2, 3, 4, 8, 20):
        assert interpolated_structure(fractions, separation) == pytest.approx(1.0, abs=0.025)


def test_taps_are_exact_for_straight_lines_and_on_pixels() -> None:
    fractions = np.linspace(0.0, 0.999, 50)
    weights = tap_weights(fractions).astype(float)
    assert weights.shape == (50, TAPS)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0, atol=1e-6)
    np.testing.assert_allclose(weights @ (np.arange(TAPS) - MARGIN), fractions, atol=1e-6)
    np.testing.assert_allclose(weights[0], np.arange(TAPS) == MARGIN, atol=1e-6)


def test_a_position_gives_whole_lines_and_keeps_the_rest() -> None:
    position = Position(np.zeros((1, 2)))
    total = np.zeros((1, 2), int)
    for _ in range(100):
        total += position.move(np.array([[0.37, -1.21]]))
        assert ((position.fraction >= 0.0) & (position.fraction < 1.0)).all()
    np.testing.assert_allclose(total + position.fraction, [[37.0, -121.0]], atol=1e-9)


def test_seeds_make_screens_and_noise() -> None:
    one, same, other = (first_screens(16, 0.1, 20.0, [(seed, 0)]) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    words = started_words(3, 1)
    np.testing.assert_array_equal(words, started_words(3, 1))
    assert len({int(word) for word in words[:, 0]} | {int(word) for word in started_words(3, 2)[:, 0]}) == 6


def test_bad_lengths_are_refused() -> None:
    arguments: list[tuple[Any, ...]] = [(16, 0.0, 20.0), (16, 0.1, np.inf)]
    for size, pixel, outer_scale in arguments:
        with pytest.raises(UsageError, match="must be positive and finite"):
            first_screens(size, pixel, outer_scale, [(1,)])
