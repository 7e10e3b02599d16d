from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import framebus as fb
import framebus.stream as streams
from framebus.ao import average_frames, control_matrix, measure_response
from framebus.errors import DataError, UsageError, WaitTimeout

Array = NDArray[Any]
RNG = np.random.default_rng(7)
TRUTH = RNG.normal(size=(6, 10))


# ---- through streams ----


@pytest.fixture
def hardware() -> Iterator[Callable[..., tuple[streams.Stream, streams.Stream]]]:
    """Start a sensor that runs freely in a thread of its own; gives the streams of the mirror and the slopes."""
    stop = threading.Event()
    opened: list[streams.Stream] = []
    threads: list[threading.Thread] = []

    def start(lag: int = 0, stamp: Callable[[int], int] = int) -> tuple[streams.Stream, streams.Stream]:
        made = (
            streams.create("dm", shape=(2, 3), dtype="float32"),
            streams.create("slopes", shape=(10,), dtype="float32", history=256),
        )
        made[0].write(np.zeros((2, 3), "float32"))
        theirs = streams.open("dm"), streams.open("slopes")
        opened.extend(made + theirs)
        threads.append(threading.Thread(target=run, args=(*theirs, lag, stamp)))
        threads[-1].start()
        return made

    def run(dm: streams.Stream, slopes: streams.Stream, lag: int, stamp: Callable[[int], int]) -> None:
        pipe: deque[tuple[int, Array]] = deque()
        while not stop.wait(2e-4):  # an exposure
            exposed = time.time_ns()
            pipe.append((exposed, 3.0 + dm.read().ravel() @ TRUTH))
            if len(pipe) > lag:
                began, values = pipe.popleft()
                slopes.write(values.astype("float32"), acquisition_ns=stamp(began))

    yield start
    stop.set()
    for thread in threads:
        thread.join()
    for stream in opened:
        stream.close()
    for name in ("dm", "slopes"):
        streams.open(name).remove()


@pytest.mark.parametrize("method", ["zonal", "hadamard"])
def test_through_streams_as_on_the_sky(hardware: Any, method: Any) -> None:
    dm, slopes = hardware()
    found = measure_response(dm, slopes, 0.1, averages=2, method=method)
    np.testing.assert_allclose(found.matrix, TRUTH, atol=2e-5)
    assert not dm.read().any()


def test_a_calibration_from_start_to_end(hardware: Any) -> None:
    hardware()
    # -- calibration
    dm, slopes = fb.open("dm"), fb.open("slopes")

    flat_slopes = average_frames(slopes, n=20, allow_missed=True).mean
    response = measure_response(dm, slopes, amplitude=0.05, method="hadamard", averages=4)
    inverse = control_matrix(response.matrix, condition=50.0)

    with fb.create("control_matrix", shape=inverse.matrix.shape, dtype="float32") as stream:
        stream.write(inverse.matrix)
    # -- end of calibration
    np.testing.assert_allclose(flat_slopes, 3.0, atol=1e-6)
    np.testing.assert_allclose(inverse.matrix @ TRUTH.T, np.eye(6), atol=1e-3)
    for stream in (dm, slopes):
        stream.close()
    fb.open("control_matrix").remove()


def test_frames_exposed_before_the_poke_do_not_count_however_late_they_come(hardware: Any) -> None:
    dm, slopes = hardware(lag=7)
    found = measure_response(dm, slopes, 0.1, settle_frames=0)
    np.testing.assert_allclose(found.matrix, TRUTH, atol=2e-5)


def test_a_camera_whose_clock_is_behind_is_told(hardware: Any) -> None:
    dm, slopes = hardware(stamp=lambda now: now - 3600 * 10**9)
    with pytest.raises(WaitTimeout, match=r"'slopes' come.*exposed \d+\.\d+ s before the command"):
        measure_response(dm, slopes, 0.1, timeout_s=0.05)
    assert not dm.read().any()


def test_the_mirror_must_have_as_many_actuators(hardware: Any) -> None:
    dm, slopes = hardware()
    with pytest.raises(UsageError, match=r"'dm' has shape \(2, 3\), 6 actuators; expected 7"):
        measure_response(dm, slopes, 0.1, n_actuators=7)


def test_a_sensor_that_is_silent_is_told() -> None:
    with streams.create("silent", shape=(4,), dtype="float32") as silent:
        with pytest.raises(WaitTimeout):
            average_frames(silent, 3, timeout_s=0.01)
        silent.remove()


# ---- inverse ----


@given(st.integers(1, 8), st.integers(8, 20), st.integers(0, 1000))
def test_the_inverse_closes(n_actuators: int, n_measurements: int, seed: int) -> None:
    response = np.random.default_rng(seed).normal(size=(n_actuators, n_measurements))
    found = control_matrix(response, condition=1e6)
    assert found.n_kept == n_actuators
    assert found.matrix.dtype == np.float32
    strength = found.condition_number
    np.testing.assert_allclose(found.matrix @ response.T, np.eye(n_actuators), atol=1e-5 * strength)
    np.testing.assert_allclose(
        found.modes_to_actuators @ found.slopes_to_modes, found.matrix, atol=1e-5 * strength
    )


def test_weak_modes_are_left_out() -> None:
    # Three actuators, the third nearly blind.
    response = np.diag([1.0, 0.5, 0.001])
    found = control_matrix(response, condition=100)
    np.testing.assert_allclose(found.singular_values, [1.0, 0.5, 0.001])
    assert found.n_kept == 2
    assert found.condition_number == pytest.approx(2.0)
    np.testing.assert_allclose(found.matrix, np.diag([1.0, 2.0, 0.0]), atol=1e-6)
    assert control_matrix(response, condition=1e4).n_kept == 3
    assert control_matrix(response, condition=1e4, n_modes=1).n_kept == 1
    assert control_matrix(response, condition=1.0).condition_number == 1.0


def test_actuators_that_do_nothing_are_not_moved() -> None:
    response = RNG.normal(size=(5, 12))
    response[2] = 0.0
    found = control_matrix(response)
    assert np.abs(found.matrix[2]).max() < 1e-6


@pytest.mark.parametrize(
    ("response", "options", "error", "message"),
    [
        (np.ones(5), {}, UsageError, r"\(5,\); expected \(n_actuators, n_measurements\)"),
        (np.ones((0, 5)), {}, UsageError, r"\(0, 5\)"),
        (np.eye(3), {"condition": 0.5}, UsageError, "condition is 0.5"),
        (np.eye(3), {"n_modes": 0}, UsageError, "n_modes is 0; expected 1 to 3"),
        (np.eye(3), {"n_modes": 4}, UsageError, "n_modes is 4"),
        (np.diag([1.0, np.nan, np.inf]), {}, DataError, "rows of 2 actuators"),
        (np.zeros((3, 4)), {}, DataError, "no actuator moved"),
    ],
)
def test_a_matrix_that_has_no_inverse_is_refused(
    response: Array, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        control_matrix(response, **options)
