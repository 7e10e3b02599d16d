from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest

from framebus.sim import noise
from framebus.sim.detector import expose
from framebus.unit.helpers import dispatcher

compiled_expose = dispatcher(cast(Any, expose), False)


def exposed(light: np.ndarray, read_noise: float, bias: float) -> np.ndarray:
    random = np.zeros(noise.RANDOM_WORDS, np.uint64)
    frame = np.empty(light.shape, np.uint16)
    compiled_expose(light.astype(np.float32), frame, noise.started(random, 1), read_noise, bias)
    return frame


def test_a_dark_frame_is_the_bias_with_read_noise() -> None:
    frame = exposed(np.zeros((300, 300)), 3.0, 100.0)
    assert frame.mean() == pytest.approx(100.0, abs=0.05)
    # Rounding to whole counts adds 1/12.
    assert frame.var() == pytest.approx(9.0 + 1 / 12, rel=0.03)


def test_photon_noise_is_the_square_root_of_the_light() -> None:
    frame = exposed(np.full((300, 300), 400.0), 0.0, 0.0)
    assert frame.mean() == pytest.approx(400.0, abs=0.4)
    assert frame.var() == pytest.approx(400.0, rel=0.03)


def test_counts_stop_at_the_ends_of_the_scale() -> None:
    assert (exposed(np.full((4, 4), 1e9), 0.0, 100.0) == 65535).all()
    assert (exposed(np.full((4, 4), np.inf), 0.0, 100.0) >= 0).all()
    assert (exposed(np.zeros((50, 50)), 30.0, 0.0) < 300).all()


def test_light_that_is_no_number_counts_as_none() -> None:
    assert (exposed(np.array([[np.nan, -10.0]]), 0.0, 100.0) == 100).all()
