from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from framebus.ao import block_statistics, exponential_statistics, frame_rms
from framebus.unit import SKIP
from support.run_unit import Bench

SERIES = hnp.arrays(
    "float32",
    st.tuples(st.integers(1, 30), st.integers(1, 4)),
    elements=st.one_of(st.floats(-1e3, 1e3, width=32), st.sampled_from([np.nan, np.inf, -np.inf])),
)


def feed(
    unit: Any, series: NDArray[Any], *, compiled: bool = True, **parameters: Any
) -> tuple[Bench, list[int]]:
    bench = Bench(unit, {"values": series[0].copy()}, compiled=compiled, **parameters)
    return bench, [bench.step(values=np.ascontiguousarray(frame)) for frame in series]


@settings(max_examples=60)
@given(series=SERIES, frames=st.floats(1.0, 50.0), compiled=st.booleans())
def test_exponential_mean_and_variance_are_weighted_sums(
    series: NDArray[np.float32], frames: float, compiled: bool
) -> None:
    bench, _ = feed(exponential_statistics, series, compiled=compiled, frames=frames)
    for i in range(series.shape[1]):
        good = series[np.isfinite(series[:, i]), i].astype(float)
        weights = np.zeros(0)
        for n in range(len(good)):
            share = max(1.0 / frames, 1.0 / (n + 1))
            weights = np.append(weights * (1 - share), share)
        mean = weights @ good
        np.testing.assert_allclose(bench["mean"][i], mean, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(bench["variance"][i], weights @ (good - mean) ** 2, rtol=1e-4, atol=1e-3)


def test_a_small_variance_over_a_large_level_is_right() -> None:
    noise = np.random.default_rng(40).normal(0, 1.0, (2000, 3))
    for unit in (exponential_statistics, block_statistics):
        bench, _ = feed(unit, noise + 1e8, compiled=False, frames=2000)
        np.testing.assert_allclose(bench["variance"], noise.var(axis=0), rtol=1e-3)


def test_exponential_variance_is_that_of_white_noise() -> None:
    # v is the variance within the window, which lacks that of the mean itself: a / (2 - a) of it.
    noise = np.random.default_rng(41).normal(5.0, 2.0, (400, 2000)).astype("float32")
    bench, _ = feed(exponential_statistics, noise, frames=20.0)
    share = 1 / 20
    assert bench["variance"].mean() == pytest.approx(4.0 * (1 - share / (2 - share)), rel=0.05)
    assert bench["mean"].var() == pytest.approx(4.0 * share / (2 - share), rel=0.10)


@settings(max_examples=60)
@given(series=SERIES, frames=st.integers(1, 12), compiled=st.booleans())
def test_blocks_are_those_of_numpy(series: NDArray[np.float32], frames: int, compiled: bool) -> None:
    bench = Bench(block_statistics, {"values": series[0].copy()}, compiled=compiled, frames=frames)
    for n, frame in enumerate(series):
        code = bench.step(values=frame.copy())
        assert code == (0 if (n + 1) % frames == 0 else SKIP)
        if code != 0:
            continue
        block = series[n + 1 - frames : n + 1].astype(float)
        for i in range(series.shape[1]):
            good = block[np.isfinite(block[:, i]), i]
            mean = good.mean() if good.size else 0.0
            variance = good.var(ddof=1) if good.size > 1 else 0.0
            np.testing.assert_allclose(bench["mean"][i], mean, rtol=1e-5, atol=1e-4)
            np.testing.assert_allclose(bench["variance"][i], variance, rtol=1e-4, atol=1e-3)


def test_blocks_may_change_their_length() -> None:
    bench, codes = feed(block_statistics, np.ones((3, 2), "float32"), frames=10)
    assert codes == [SKIP] * 3
    bench.parameters["frames"] = 2
    assert bench.step() == 0
    assert [bench.step(), bench.step()] == [SKIP, 0]


@pytest.mark.parametrize("unit", [exponential_statistics, block_statistics])
def test_the_shape_of_the_values_is_kept(unit: Any) -> None:
    bench = Bench(unit, {"values": np.full((2, 3), 4.0, "float32")}, compiled=False, frames=1)
    bench.step()
    np.testing.assert_array_equal(bench["mean"], np.full((2, 3), 4.0))
    np.testing.assert_array_equal(bench["variance"], np.zeros((2, 3)))


def test_statistics_beyond_float32_are_zero() -> None:
    for unit in (exponential_statistics, block_statistics, frame_rms):
        options: dict[str, Any] = {} if unit is frame_rms else {"frames": 2}
        bench, _ = feed(unit, np.array([[1e300], [-1e300]]), compiled=False, **options)
        for argument in unit.outputs():
            assert np.isfinite(bench[argument.name]).all()


@settings(max_examples=60)
@given(series=SERIES, about_mean=st.booleans(), compiled=st.booleans())
def test_rms_of_a_frame(series: NDArray[np.float32], about_mean: bool, compiled: bool) -> None:
    values = series.ravel()
    bench, _ = feed(frame_rms, values[None], compiled=compiled, about_mean=about_mean)
    good = values[np.isfinite(values)].astype(float)
    expected = 0.0
    if good.size:
        expected = float(good.std() if about_mean else np.sqrt(np.square(good).mean()))
    np.testing.assert_allclose(bench["rms"], [expected], rtol=1e-5, atol=1e-5)
