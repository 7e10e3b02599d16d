from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framebus.ao.modulation import hold_filter, measure_modulated
from framebus.errors import DataError, UsageError
from support.linear_mirror import LinearMirror

MODES = np.linalg.qr(np.random.default_rng(3).normal(size=(6, 6)))[0]


def modulated(mirror: LinearMirror, modes: Any = MODES, **options: Any) -> Any:
    return measure_modulated(mirror.poke, mirror.measure, modes, 0.1, n_actuators=6, **options)


@given(st.floats(1.0, 5.0))
@settings(max_examples=15)
def test_responses_of_modes_that_move_together_are_told_apart_whatever_the_delay(delay: float) -> None:
    mirror = LinearMirror(delay=delay)
    truth = MODES @ mirror.response
    np.testing.assert_allclose(modulated(mirror, delay_frames=delay).matrix, truth, atol=1e-5)
    found = modulated(LinearMirror(delay=delay), n_frames=128)
    assert found.delay_frames == pytest.approx(delay, abs=0.01)
    np.testing.assert_allclose(found.matrix, truth, atol=0.03)
    assert len(set(found.cycles)) == 6


def test_the_noise_is_that_of_theory() -> None:
    sigma, errors, ratios = 0.02, [], []
    for seed in range(12):
        mirror = LinearMirror(delay=2.0, noise=sigma, seed=seed)
        found = modulated(mirror, delay_frames=2.0, n_frames=200)
        errors.append(found.matrix - MODES @ mirror.response)
        assert found.noise == pytest.approx(sigma, rel=0.3)
        ratios.append(found.signal_to_noise / np.sqrt(np.mean((MODES @ mirror.response) ** 2, axis=1)))
    theory = sigma * np.sqrt(2 / 200) / 0.1
    assert np.std(errors) == pytest.approx(theory, rel=0.1)
    assert np.mean(ratios) == pytest.approx(1 / theory, rel=0.1)


def test_more_modes_than_frequencies_go_in_groups_and_an_interruption_costs_one_group(tmp_path: Path) -> None:
    partial = tmp_path / "modes.part"
    mirror = LinearMirror(delay=1.0)
    reports: list[tuple[int, int]] = []

    def interrupted() -> Any:
        if mirror.n_frames == 200:
            raise KeyboardInterrupt
        return mirror.measure()

    options: dict[str, Any] = {"at_once": 2, "n_frames": 64, "delay_frames": 1.0, "partial": partial}
    with pytest.raises(KeyboardInterrupt):
        measure_modulated(mirror.poke, interrupted, MODES, 0.1, n_actuators=6, **options)
    assert not mirror.sent[-1].any()
    assert partial.exists()
    again = LinearMirror(delay=1.0)
    found = modulated(again, **options, progress=lambda *at: reports.append(at))
    np.testing.assert_allclose(found.matrix, MODES @ mirror.response, atol=1e-5)
    assert found.n_groups == 3
    assert again.n_frames < 100  # one group of the three
    assert reports[-1][0] == reports[-1][1]
    assert not partial.exists()


def test_a_partial_file_of_another_measurement_is_refused(tmp_path: Path) -> None:
    partial = tmp_path / "modes.part"
    mirror = LinearMirror()
    with pytest.raises(DataError):
        measure_modulated(
            mirror.poke, lambda: np.full(10, np.nan), MODES, 0.1, n_actuators=6, partial=partial
        )
    with pytest.raises(UsageError, match=r"another measurement .n_frames 256 there, 128 here"):
        modulated(mirror, n_frames=128, partial=partial)


def test_a_mirror_that_does_nothing_is_told() -> None:
    mirror = LinearMirror(noise=0.1)
    mirror.response = np.zeros_like(mirror.response)
    with pytest.raises(DataError, match="no mode stands out of the noise"):
        modulated(mirror)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modes": np.eye(5)}, r"\(5, 5\); expected \(n_modes, ...\) with 6 actuators"),
        ({"modes": np.zeros((2, 6))}, "all zeros"),
        ({"at_once": 0}, "at_once is 0"),
        ({"at_once": 20, "n_frames": 64}, "room for 15 frequencies"),
        ({"n_frames": 16}, "n_frames is 16"),
        ({"at_once": 1}, "give delay_frames"),
    ],
)
def test_arguments_are_checked(options: dict[str, Any], message: str) -> None:
    mirror = LinearMirror()
    with pytest.raises(UsageError, match=message):
        modulated(mirror, **options)
    assert mirror.sent == []


def test_the_filter_of_a_held_command() -> None:
    omega = np.array([0.0, 0.5, 1.5])
    np.testing.assert_allclose(hold_filter(omega, 3.0), np.exp(-3j * omega))
    # Half a frame: the mean of two frames.
    np.testing.assert_allclose(np.abs(hold_filter(omega, 2.5)), np.cos(omega / 2))
