from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from framebus.errors import DataError, NotFoundError, UsageError
from framebus.sim import Actuation, Mirror
from framebus.sim.deformable_mirror import influence_functions
from framebus.sim.mirror import NEGLIGIBLE, grid_profiles, read_influence, resampled


def shape_of(mirror: Mirror, commands: npt.ArrayLike) -> npt.NDArray[np.float32]:
    wavefront = np.zeros((mirror.n_px, mirror.n_px), np.float32)
    mirror.add(commands, wavefront)
    return wavefront


def test_a_gaussian_mirror_is_the_sum_of_its_influence_functions() -> None:
    commands = np.random.default_rng(0).standard_normal((5, 5))
    mirror = Mirror(32, profiles=grid_profiles("gaussian", 5, 32, 0.25))
    expected = np.tensordot(commands.ravel(), influence_functions(5, 32, 0.25), 1)
    np.testing.assert_allclose(shape_of(mirror, commands), expected, atol=2e-5)


@pytest.mark.parametrize("kind", ["bilinear", "cubic"])
def test_an_interpolating_mirror_passes_through_its_commands_and_makes_straight_lines(kind: Any) -> None:
    # 8 pixels per pitch, so actuators stand half-way between pixels: a ramp of commands must be a ramp there.
    profiles = grid_profiles(kind, 9, 64)
    ramp = 0.5 * np.arange(9)
    x = (np.arange(64) + 0.5) / 8 * 0.5
    inner = slice(8, 56)  # the cubic wants a neighbour beyond
    np.testing.assert_allclose((ramp @ profiles)[inner], x[inner], atol=1e-5)
    np.testing.assert_allclose(profiles.sum(axis=0)[inner], 1.0, atol=1e-6)
    # At the actuators themselves: 1, and 0 at all others. They stand half-way between two pixels.
    odd = grid_profiles(kind, 5, 36)
    at = 0.5 * (odd[:, [8, 17, 26]] + odd[:, [9, 18, 27]])
    np.testing.assert_allclose(at, np.eye(5)[:, 1:4], atol=0.06)


def test_functions_from_a_file_are_the_mirror(shared_data: Path) -> None:
    functions = read_influence(shared_data / "ao3k" / "influence.fits")
    assert functions.shape == (188, 50, 50)
    mirror = Mirror(50, functions=functions)
    assert mirror.shape == (188,)
    for actuator in (0, 93, 187):
        commands = np.zeros(188)
        commands[actuator] = 0.5
        peak = np.abs(functions[actuator]).max()
        np.testing.assert_allclose(
            shape_of(mirror, commands), 0.5 * functions[actuator], atol=0.5 * NEGLIGIBLE * peak + 1e-9
        )


def test_functions_on_another_grid_keep_their_shape() -> None:
    y, x = np.mgrid[:50, :50] / 50 + 0.01
    fine_y, fine_x = np.mgrid[:80, :80] / 80 + 1 / 160
    bumps = [np.exp(-((x - a) ** 2 + (y - b) ** 2) / 0.02) for a, b in ((0.3, 0.5), (0.6, 0.7))]
    wanted = [np.exp(-((fine_x - a) ** 2 + (fine_y - b) ** 2) / 0.02) for a, b in ((0.3, 0.5), (0.6, 0.7))]
    found = resampled(np.array(bumps), 80)
    assert found.shape == (2, 80, 80)
    np.testing.assert_allclose(found[:, 4:-4, 4:-4], np.array(wanted)[:, 4:-4, 4:-4], atol=2e-3)
    same = np.array(bumps, np.float32)
    np.testing.assert_array_equal(resampled(same, 50), same)


def test_numpy_files_are_read(tmp_path: Path) -> None:
    functions = np.random.default_rng(0).random((3, 4, 4))
    np.save(tmp_path / "f.npy", functions)
    np.testing.assert_allclose(read_influence(tmp_path / "f.npy"), functions, rtol=1e-6)


def test_bad_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no file"):
        read_influence(tmp_path / "none.fits")
    (tmp_path / "bad.fits").write_text("no FITS")
    with pytest.raises(DataError, match="cannot be read"):
        read_influence(tmp_path / "bad.fits")
    for name, values in (("flat", np.zeros((3, 4))), ("nan", np.full((1, 2, 2), np.nan))):
        np.save(tmp_path / f"{name}.npy", values)
        with pytest.raises(DataError, match="axes actuator, y, x"):
            read_influence(tmp_path / f"{name}.npy")


def mirror_of(actuation: Actuation) -> Mirror:
    return Mirror(16, profiles=grid_profiles("gaussian", 3, 16), actuation=actuation)


def test_dead_actuators_stay() -> None:
    mirror = mirror_of(Actuation(dead=(4, 8)))
    position = mirror.move(np.ones((3, 3))).copy()
    np.testing.assert_array_equal(position.ravel() == 0.0, np.isin(np.arange(9), (4, 8)))


def test_the_stroke_limits_and_nan_counts_as_nothing() -> None:
    mirror = mirror_of(Actuation(stroke_um=2.0))
    asked = [np.nan, np.inf, -np.inf, 1e30, -3.0, 1.5, 0.0, -1.0, 2.0]
    np.testing.assert_array_equal(mirror.move(asked).ravel(), [0, 2, -2, 2, -2, 1.5, 0, -1, 2])


def test_hysteresis_is_a_loop_of_its_width() -> None:
    mirror = mirror_of(Actuation(hysteresis_um=0.1))
    up = [float(mirror.move(np.full(9, c))[1, 1]) for c in (0.0, 0.05, 0.5, 1.0)]
    down = [float(mirror.move(np.full(9, c))[1, 1]) for c in (0.85, 0.5, 0.0)]
    np.testing.assert_allclose(up, [0.0, 0.0, 0.4, 0.9], atol=1e-6)
    np.testing.assert_allclose(down, [0.9, 0.6, 0.1], atol=1e-6)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=30), st.floats(0.0, 1.0))
def test_hysteresis_never_lags_more_than_its_half_width(commands: list[float], half: float) -> None:
    mirror = mirror_of(Actuation(hysteresis_um=half))
    for command in commands:
        assert abs(float(mirror.move(np.full(9, command))[0, 0]) - np.float32(command)) <= half + 1e-6


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Actuation(stroke_um=0.0), "stroke_um"),
        (lambda: Actuation(hysteresis_um=-1.0), "hysteresis_um"),
        (lambda: mirror_of(Actuation(dead=(9,))), "dead actuator 9"),
        (lambda: Mirror(16), "profiles on a grid or"),
        (lambda: Mirror(16, functions=np.zeros((2, 8, 8), np.float32)), "expected"),
        (lambda: mirror_of(Actuation()).move(np.zeros(8)), "8 commands for a mirror of 9"),
        (lambda: grid_profiles("square", 3, 8), "kind 'square'"),  # type: ignore[arg-type]
        (lambda: grid_profiles("cubic", 1, 8), "2 actuators"),
    ],
)
def test_bad_mirrors_are_refused(make: Any, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        make()
