from __future__ import annotations

from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from framebus.sim import noise
from framebus.unit.helpers import dispatcher


def _draw(kind: int, count: int, mean: float, read_noise: float, random: Any) -> Any:
    """Many numbers of a kind: 0 normal, 1 Poisson, 2 photo-electrons, 3 uniform, 4 gamma, 5 counts."""
    out = np.empty(count)
    word = random[0]
    for i in range(count):
        if kind == 0:
            out[i], word = noise.normal(word)
        elif kind == 2:
            out[i], word = noise.photo_electrons(word, mean, read_noise)
        elif kind == 4:
            out[i], word = noise.gamma(word, mean)
        elif kind == 5:
            out[i], word = noise.poisson(word, mean)
        else:
            word = noise.advanced(word)
            out[i] = noise.poisson_small(noise.uniform(word), mean) if kind == 1 else noise.uniform(word)
    random[0] = word
    return out


compiled_draw = dispatcher(cast(Any, _draw), False)
NORMAL, POISSON, ELECTRONS, UNIFORM, GAMMA, COUNTS = range(6)


def started(seed: int) -> npt.NDArray[np.uint64]:
    random = np.zeros(noise.RANDOM_WORDS, np.uint64)
    noise.started(random, seed)
    return random


def draw(kind: int, count: int, mean: float = 0.0, read_noise: float = 0.0, seed: int = 1) -> Any:
    return compiled_draw(kind, count, float(mean), float(read_noise), started(seed))


@pytest.mark.parametrize("kind", [NORMAL, POISSON, ELECTRONS, UNIFORM, GAMMA, COUNTS])
def test_compiled_and_interpreted_draw_the_same_numbers(kind: int) -> None:
    np.testing.assert_array_equal(_draw(kind, 3000, 7.0, 2.0, started(5)), draw(kind, 3000, 7.0, 2.0, seed=5))


def test_a_seed_is_a_sequence() -> None:
    np.testing.assert_array_equal(draw(NORMAL, 100, seed=3), draw(NORMAL, 100, seed=3))
    assert np.abs(np.corrcoef([draw(NORMAL, 20_000, seed=k) for k in range(6)]) - np.eye(6)).max() < 0.03


def test_a_new_seed_starts_anew_and_the_same_one_goes_on() -> None:
    random = started(3)
    first = int(random[0])
    random[0] = noise.advanced(random[0])
    moved = int(random[0])
    assert int(noise.started(random, 3)) == moved
    assert int(noise.started(random, 4)) != moved
    assert int(noise.started(random, 3)) == first


def test_uniform_numbers_are_uniform_and_never_0_or_1() -> None:
    numbers = draw(UNIFORM, 200_000)
    assert numbers.min() > 0.0
    assert numbers.max() < 1.0
    assert stats.kstest(numbers, "uniform").pvalue > 0.001
    low, high = np.zeros(1, np.uint64), np.full(1, 2**32 - 1, np.uint64)
    assert 0.0 < noise.uniform(low[0]) < noise.uniform(high[0]) < 1.0


def test_normal_numbers_are_normal_into_the_tail() -> None:
    numbers = draw(NORMAL, 2_000_000)
    assert stats.kstest(numbers[:200_000], "norm").pvalue > 0.001
    assert abs(numbers.mean()) < 5 / np.sqrt(numbers.size)
    assert abs(numbers.var() - 1) < 5 * np.sqrt(2 / numbers.size)
    # Beyond 3.654 numbers come from code of their own.
    for limit in (3.0, 3.8, 4.2):
        expected = numbers.size * stats.norm.sf(limit)
        for count in ((numbers > limit).sum(), (numbers < -limit).sum()):
            assert abs(count - expected) < 5 * np.sqrt(expected)


def test_normal_numbers_do_not_know_one_another() -> None:
    numbers = draw(NORMAL, 500_000)
    for lag in (1, 2, 3, 64):
        assert abs(np.corrcoef(numbers[lag:], numbers[:-lag])[0, 1]) < 5 / np.sqrt(numbers.size)


@pytest.mark.parametrize("mean", [0.05, 1.0, 6.0, 19.9])
def test_small_poisson_counts_have_the_poisson_distribution(mean: float) -> None:
    counts = draw(POISSON, 400_000, mean).astype(int)
    values = np.arange(counts.max() + 1)
    expected = stats.poisson.pmf(values, mean) * counts.size
    enough = expected > 20
    deviation = (np.bincount(counts, minlength=values.size) - expected)[enough] / np.sqrt(expected[enough])
    assert stats.chi2.sf((deviation**2).sum(), enough.sum()) > 0.001


@pytest.mark.parametrize("mean", [0.3, 5.0, 19.0, 21.0, 1000.0])
@pytest.mark.parametrize("read_noise", [0.0, 2.5])
def test_electrons_have_the_variance_of_photons_and_reading(mean: float, read_noise: float) -> None:
    electrons = draw(ELECTRONS, 400_000, mean, read_noise)
    variance = mean + read_noise**2
    assert abs(electrons.mean() - mean) < 5 * np.sqrt(variance / electrons.size)
    assert electrons.var() == pytest.approx(variance, rel=0.02)


@pytest.mark.parametrize("mean", [0.0, -5.0, np.nan])
def test_no_light_is_no_electrons(mean: float) -> None:
    assert not draw(POISSON, 1000, mean).any()


@pytest.mark.parametrize("shape", [1.0, 2.0, 17.5, 400.0])
def test_gamma_follows_its_distribution(shape: float) -> None:
    assert stats.kstest(draw(GAMMA, 20_000, shape), stats.gamma(shape).cdf).pvalue > 1e-3


@pytest.mark.parametrize("mean", [0.0, 0.3, 8.0, 19.9, 25.0, 900.0])
def test_counts_are_whole_and_have_the_variance_of_poisson(mean: float) -> None:
    counts = draw(COUNTS, 50_000, mean)
    assert (counts == np.floor(counts)).all()
    assert (counts >= 0.0).all()
    assert counts.mean() == pytest.approx(mean, abs=5 * np.sqrt(mean / 50_000) + 1e-12)
    assert counts.var() == pytest.approx(mean + (1 / 12 if mean > noise.SMALL_MEAN else 0.0), rel=0.04)
