from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.ao import hadamard_patterns, zonal_patterns
from framebus.errors import UsageError


@given(st.integers(1, 300))
def test_columns_of_hadamard_patterns_are_orthogonal(n: int) -> None:
    patterns = hadamard_patterns(n)
    assert patterns.shape[1] == n
    assert set(np.unique(patterns)) <= {-1.0, 1.0}
    np.testing.assert_array_equal(patterns.T @ patterns, len(patterns) * np.eye(n))


@pytest.mark.parametrize(("n", "order"), [(1, 1), (2, 2), (3, 4), (97, 104), (144, 144), (188, 192)])
def test_few_more_patterns_than_actuators_are_needed(n: int, order: int) -> None:
    assert hadamard_patterns(n).shape == (order, n)


def test_zonal_patterns_push_one_at_a_time() -> None:
    np.testing.assert_array_equal(zonal_patterns(3), np.eye(3))


@pytest.mark.parametrize("make", [zonal_patterns, hadamard_patterns])
def test_there_must_be_an_actuator(make: object) -> None:
    assert callable(make)
    with pytest.raises(UsageError, match="0 actuators"):
        make(0)
