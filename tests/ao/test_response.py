from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from framebus.ao.response import measure_response
from framebus.errors import DataError, UsageError
from framebus.stream.frame import Frame
from support.linear_mirror import LinearMirror


def measured(mirror: LinearMirror, **options: Any) -> Any:
    return measure_response(mirror.poke, mirror.measure, 0.1, n_actuators=len(mirror.response), **options)


@pytest.mark.parametrize("method", ["zonal", "hadamard"])
def test_the_response_is_recovered_and_the_mirror_is_left_at_its_flat(method: Any) -> None:
    mirror = LinearMirror(delay=2.0)
    flat = np.linspace(0, 1, 6)
    done: list[tuple[int, int]] = []
    found = measured(mirror, method=method, rest=flat, progress=lambda *at: done.append(at))
    np.testing.assert_allclose(found.matrix, mirror.response, atol=1e-5)
    np.testing.assert_allclose(mirror.sent[-1], flat, atol=1e-6)
    assert found.matrix.dtype == np.float32
    assert done[-1] == ((6, 6) if method == "zonal" else (8, 8))
    assert (found.repeated, found.span.missed, found.span.stream) == (0, 0, "function")
    assert (found.signal_to_noise > 1e3).all()


def test_actuators_by_patterns_of_ones_own() -> None:
    mirror = LinearMirror()
    active = np.array([1, 1, 0, 1, 1, 1], bool)
    found = measured(mirror, method="patterns", patterns=np.tril(np.ones((5, 5))), active=active)
    np.testing.assert_allclose(found.matrix, mirror.response * active[:, None], atol=1e-5)
    assert not any(command[2] for command in mirror.sent)


def test_push_and_pull_cancel_what_is_not_linear() -> None:
    mirror = LinearMirror()

    def bent() -> Any:
        plain = mirror.measure() - 3.0
        return 3.0 + plain + 0.5 * plain**2

    found = measure_response(mirror.poke, bent, 0.1, n_actuators=6)
    np.testing.assert_allclose(found.matrix, mirror.response, atol=1e-5)


def test_frames_on_their_way_are_passed_over() -> None:
    late = measured(LinearMirror(delay=3.0), settle_frames=2)
    np.testing.assert_allclose(late.matrix, LinearMirror().response, atol=1e-5)
    hasty = measured(LinearMirror(delay=3.0), settle_frames=0)
    assert np.abs(hasty.matrix - LinearMirror().response).max() > 0.1


def test_modes_of_any_basis() -> None:
    mirror = LinearMirror()
    modes = np.random.default_rng(5).normal(size=(4, 2, 3))
    found = measured(mirror, method="modal", modes=modes)
    np.testing.assert_allclose(found.matrix, modes.reshape(4, 6) @ mirror.response, atol=1e-5)
    assert found.matrix.shape == (4, 10)
    np.testing.assert_array_equal(found.modes, modes.reshape(4, 6))


@pytest.mark.parametrize(("method", "gain"), [("zonal", 1.0), ("hadamard", np.sqrt(24.0))])
def test_noise_and_signal_to_noise_are_those_of_theory(method: Any, gain: float) -> None:
    """Push-pull has σ / (a √(2 k)); all actuators at once, in N patterns, √N less."""
    sigma, averages = 0.02, 3
    errors, noises, ratios = [], [], []
    for seed in range(10):
        mirror = LinearMirror(n_actuators=24, n_measurements=12, noise=sigma, seed=seed)
        found = measured(mirror, method=method, averages=averages)
        errors.append(found.matrix - mirror.response)
        noises.append(found.noise)
        rms = np.sqrt(np.mean(np.square(found.matrix, dtype=np.float64), axis=1))
        ratios.append(found.signal_to_noise / rms)
    theory = sigma / (0.1 * np.sqrt(2 * averages)) / gain
    assert np.std(errors) == pytest.approx(theory, rel=0.06)
    assert np.mean(noises) == pytest.approx(sigma, rel=0.06)
    assert np.mean(ratios) == pytest.approx(1 / theory, rel=0.06)


def test_actuators_that_do_nothing_are_named() -> None:
    mirror = LinearMirror(n_actuators=12, noise=0.01)
    mirror.response[[3, 7]] = 0.0
    active = np.ones(12, bool)
    active[0] = False
    found = measured(mirror, active=active, averages=4)
    assert found.weak().tolist() == [3, 7]
    assert not found.matrix[0].any()
    assert all(command[0] == 0.0 for command in mirror.sent)


def test_disturbed_pokes_are_done_again() -> None:
    mirror = LinearMirror(n_actuators=20, noise=0.005)
    calls = 0

    def bumped() -> Any:
        nonlocal calls
        calls += 1
        bump = 2.0 if 40 <= calls < 44 else 0.0
        return mirror.measure() + bump

    found = measure_response(mirror.poke, bumped, 0.1, n_actuators=20)
    assert found.repeated in (1, 2)
    assert np.abs(found.matrix - mirror.response).max() < 6 * 0.005 / 0.1 / np.sqrt(2)


def test_what_stays_disturbed_is_told() -> None:
    mirror = LinearMirror(n_actuators=20, noise=0.005)

    def bumped() -> Any:
        return mirror.measure() + (2.0 if mirror.sent[-1][5] != 0 else 0.0)

    with pytest.raises(DataError, match=r"1 pokes stay disturbed after 4 tries \(numbers 5\)"):
        measure_response(mirror.poke, bumped, 0.1, n_actuators=20)
    assert not mirror.sent[-1].any()


class Losing:
    """A stream that loses one frame before each of the reads listed."""

    name, shape, position, reads = "losing", (10,), 0, 0

    def __init__(self, mirror: LinearMirror, lost: Any) -> None:
        self.mirror, self.lost = mirror, lost

    @property
    def count(self) -> int:
        return self.position

    def skip_to_newest(self) -> None:
        pass

    def read_next(self, **_: Any) -> Frame:
        self.reads += 1
        missed = int(self.reads in self.lost)
        self.position += 1 + missed
        return Frame(self.mirror.measure(), self.position, 0, 0, missed)


def test_pokes_with_missed_frames_are_done_again_and_counted() -> None:
    mirror = LinearMirror()
    stream: Any = Losing(mirror, {4, 5, 31})
    found = measure_response(mirror.poke, stream, 0.1, n_actuators=6, averages=4)
    np.testing.assert_allclose(found.matrix, mirror.response, atol=1e-5)
    assert found.span.missed == 3
    assert found.repeated >= 1
    assert (found.span.first_count, found.span.last_count) == (1, stream.position)
    never: Any = Losing(mirror, range(10**6))
    with pytest.raises(
        DataError, match="'losing' were missed in each of 4 tries of poke 0; give the stream a longer"
    ):
        measure_response(mirror.poke, never, 0.1, n_actuators=6, averages=4)
    assert not mirror.sent[-1].any()


def test_an_interrupted_run_goes_on_from_its_file(tmp_path: Path) -> None:
    partial = tmp_path / "response.part"
    mirror = LinearMirror(n_actuators=10)

    def interrupted() -> Any:
        if mirror.n_frames == 41:
            raise KeyboardInterrupt
        return mirror.measure()

    flat = np.full(10, 0.5)
    with pytest.raises(KeyboardInterrupt):
        measure_response(mirror.poke, interrupted, 0.1, n_actuators=10, rest=flat, partial=partial)
    np.testing.assert_array_equal(mirror.sent[-1], flat)
    again = LinearMirror(n_actuators=10)
    found = measured(again, partial=partial)
    np.testing.assert_allclose(found.matrix, mirror.response, atol=1e-5)
    # 3 frames for each of push and pull: 6 of 10 actuators were done. The flat is that of the first try.
    assert again.n_frames == 4 * 6
    np.testing.assert_array_equal(again.sent[-1], flat)
    assert list(tmp_path.iterdir()) == []


def test_a_partial_file_must_fit(tmp_path: Path) -> None:
    partial = tmp_path / "response.part"
    mirror = LinearMirror()
    with pytest.raises(DataError, match="10 values that are not finite"):
        measure_response(mirror.poke, lambda: np.full(10, np.nan), 0.1, n_actuators=6, partial=partial)
    with pytest.raises(UsageError, match=r"averages 1 there, 2 here.*remove it to start anew"):
        measured(mirror, averages=2, partial=partial)
    partial.write_bytes(b"no such file")
    with pytest.raises(DataError, match=r"no partial measurement.*remove it"):
        measured(mirror, partial=partial)


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_no_response_is_told(noise: float) -> None:
    mirror = LinearMirror(n_measurements=200, noise=noise)
    mirror.response = np.zeros_like(mirror.response)
    with pytest.raises(
        DataError, match="no poke moved the measurement" if noise == 0 else "no response: the strong"
    ):
        measured(mirror)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"amplitude": np.nan}, "amplitude is nan"),
        ({"averages": 0}, "averages is 0"),
        ({"settle_frames": -1}, "settle_frames is -1"),
        ({"tries": 0}, "tries is 0"),
        ({"method": "walsh"}, "'walsh'; expected 'zonal', 'hadamard', 'modal' or 'patterns'"),
        ({"method": "modal"}, "give the modes"),
        ({"method": "modal", "modes": np.eye(6), "active": np.ones(6)}, "exclude each other"),
        ({"modes": np.eye(6)}, "modes are for the method 'modal'"),
        ({"active": np.zeros(6)}, "6 elements, 0 of them true"),
        ({"active": np.ones(5)}, "5 elements"),
        ({"patterns": np.eye(6)}, "patterns are for the method 'patterns'"),
        ({"method": "patterns"}, r"shape is \(0,\), expected \(n_patterns, 6\)"),
        ({"method": "patterns", "patterns": np.eye(5)}, r"\(5, 5\), expected \(n_patterns, 6\)"),
        ({"method": "patterns", "patterns": np.ones((6, 6))}, "rank must be 6"),
        ({"n_actuators": None}, "give n_actuators"),
        ({"n_actuators": 0}, "n_actuators is 0"),
    ],
)
def test_arguments_are_checked(options: dict[str, Any], message: str) -> None:
    mirror = LinearMirror()
    chosen = {"amplitude": 0.1, "n_actuators": 6} | options
    with pytest.raises(UsageError, match=message):
        measure_response(mirror.poke, mirror.measure, **chosen)
    assert mirror.sent == []
