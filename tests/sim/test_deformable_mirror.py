from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from framebus.errors import UsageError
from framebus.sim.deformable_mirror import actuator_profiles, add_mirror, influence_functions
from framebus.unit.helpers import dispatcher

compiled_add_mirror = dispatcher(cast(Any, add_mirror), frozenset({"reassoc", "contract", "nsz"}))


def shape_of(commands: np.ndarray, n_px: int, stroke_um: float = 100.0, coupling: float = 0.3) -> np.ndarray:
    profiles = actuator_profiles(len(commands), n_px, coupling)
    wavefront = np.zeros((n_px, n_px), np.float32)
    compiled_add_mirror(commands.astype(np.float32), profiles, stroke_um, np.empty_like(profiles), wavefront)
    return wavefront


def test_an_actuator_has_the_coupling_at_its_neighbours() -> None:
    # 9 pixels per pitch put actuators on pixels, but for the half pixel of the edge.
    profiles = actuator_profiles(5, 36, coupling=0.25)
    assert profiles.shape == (5, 36)
    middle = 0.5 * (profiles[:, 8] + profiles[:, 9])
    np.testing.assert_allclose(middle[[1, 0, 2]], [1.0, 0.25, 0.25], rtol=0.02)
    assert middle[3] == pytest.approx(0.25**4, rel=0.1)


def test_profiles_are_symmetric_and_stand_from_edge_to_edge() -> None:
    profiles = actuator_profiles(11, 80)
    np.testing.assert_allclose(profiles[::-1, ::-1], profiles, rtol=1e-4, atol=1e-12)
    assert np.argmax(profiles[0]) == 0
    assert np.argmax(profiles[-1]) == 79


def test_the_mirror_is_the_sum_of_its_influence_functions() -> None:
    commands = np.random.default_rng(0).standard_normal((7, 7)).astype(np.float32)
    expected = np.tensordot(commands.ravel(), influence_functions(7, 42), 1)
    np.testing.assert_allclose(shape_of(commands, 42), expected, atol=2e-5)


def test_it_adds_to_what_is_there() -> None:
    profiles = actuator_profiles(3, 8)
    wavefront = np.ones((8, 8), np.float32)
    compiled_add_mirror(np.zeros((3, 3), np.float32), profiles, 1.0, np.empty_like(profiles), wavefront)
    assert (wavefront == 1).all()


def test_interpreted_and_compiled_agree() -> None:
    commands = np.random.default_rng(1).standard_normal((3, 3)).astype(np.float32)
    profiles = actuator_profiles(3, 8)
    wavefront = np.zeros((8, 8), np.float32)
    add_mirror(commands, profiles, 100.0, np.empty_like(profiles), wavefront)
    np.testing.assert_allclose(wavefront, shape_of(commands, 8), atol=1e-6)


def test_commands_are_clipped_to_the_stroke() -> None:
    huge, limit = np.full((4, 4), 1e30), np.full((4, 4), 2.0)
    np.testing.assert_array_equal(shape_of(huge, 12, stroke_um=2.0), shape_of(limit, 12, stroke_um=2.0))
    np.testing.assert_array_equal(shape_of(-huge, 12, stroke_um=2.0), shape_of(-limit, 12, stroke_um=2.0))


@given(hnp.arrays(np.float32, (4, 4), elements=st.floats(width=32)))
def test_no_command_makes_the_wavefront_infinite(commands: np.ndarray) -> None:
    found = shape_of(commands, 12, stroke_um=5.0)
    cleaned = np.clip(np.nan_to_num(commands, nan=0.0), -5.0, 5.0)
    np.testing.assert_allclose(found, shape_of(cleaned, 12), atol=1e-4)


@pytest.mark.parametrize(
    ("n_act", "n_px", "coupling", "word"),
    [(1, 8, 0.3, "2 actuators"), (3, 0, 0.3, "1 pixel"), (3, 8, 1.0, "coupling")],
)
def test_bad_geometry_is_refused(n_act: int, n_px: int, coupling: float, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        actuator_profiles(n_act, n_px, coupling)
