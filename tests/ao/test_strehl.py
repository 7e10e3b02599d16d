from __future__ import annotations

import numpy as np
import pytest

from framebus.ao import residual_rms, strehl_ratio
from framebus.errors import DataError, UsageError


def test_rms_is_taken_about_the_mean() -> None:
    assert residual_rms([[3.0, 5.0], [3.0, 5.0]]) == pytest.approx(1.0)
    assert residual_rms(np.full((4, 4), 7.0)) == 0.0


def test_a_mask_says_what_counts() -> None:
    phase = np.array([1.0, 2.0, np.nan])
    assert residual_rms(phase, [1, 1, 0]) == pytest.approx(0.5)
    with pytest.raises(DataError, match="not finite"):
        residual_rms(phase)
    with pytest.raises(UsageError, match=r"\(2,\), expected \(3,\)"):
        residual_rms(phase, [True, True])
    with pytest.raises(UsageError, match="at least one"):
        residual_rms(phase, [False, False, False])


def test_strehl_of_a_small_wavefront_is_that_of_its_image() -> None:
    # The ratio of on-axis intensities is |<exp(i phase)>|^2.
    phase = np.random.default_rng(5).normal(0.0, 0.4, 200_000)
    exact = abs(np.exp(1j * phase).mean()) ** 2
    assert strehl_ratio(residual_rms(phase)) == pytest.approx(exact, abs=0.005)


def test_strehl_takes_numbers_and_arrays() -> None:
    assert strehl_ratio(0.0) == 1.0
    assert isinstance(strehl_ratio(1.0), float)
    np.testing.assert_allclose(strehl_ratio([0.0, 1.0]), [1.0, np.exp(-1.0)])


@pytest.mark.parametrize("rms", [-0.1, np.nan])
def test_strehl_refuses_what_is_no_rms(rms: float) -> None:
    with pytest.raises(UsageError, match="0 or more"):
        strehl_ratio(rms)
