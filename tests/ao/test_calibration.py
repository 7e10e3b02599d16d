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
from framebus.ao import control_matrix, measure_interaction_matrix, measure_reference
from framebus.errors import DataError, UsageError, WaitTimeout

Array = NDArray[Any]
RNG = np.random.default_rng(7)
TRUTH = RNG.normal(size=(6, 10))


class Bench:
    """A mirror and a sensor as functions: measurement = reference + response of the command ``lag`` calls ago."""

    def __init__(self, lag: int = 0, noise: float = 0.0, curvature: float = 0.0) -> None:
        self.sent: list[Array] = []
        self.pipe: deque[Array] = deque([np.zeros(6)] * (lag + 1), maxlen=lag + 1)
        self.noise = noise
        self.curvature = curvature
        self.rng = np.random.default_rng(8)

    def poke(self, command: Array) -> None:
        self.sent.append(command)

    def measure(self) -> Array:
        self.pipe.append(self.sent[-1])
        clean = 3.0 + self.pipe[0] @ TRUTH
        clean = clean + self.curvature * (self.pipe[0] @ TRUTH) ** 2
        return np.asarray(clean + self.noise * self.rng.normal(size=10))


def calibrated(bench: Bench, **options: Any) -> Array:
    return measure_interaction_matrix(bench.poke, bench.measure, 6, 0.1, **options)


@pytest.mark.parametrize(
    "patterns", ["zonal", "hadamard", np.tril(np.ones((6, 6)))], ids=["zonal", "hadamard", "own"]
)
def test_the_response_is_recovered(patterns: Any) -> None:
    bench = Bench()
    found = calibrated(bench, patterns=patterns)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, TRUTH, atol=1e-5)
    assert not bench.sent[-1].any()


def test_push_and_pull_cancel_what_is_not_linear() -> None:
    np.testing.assert_allclose(calibrated(Bench(curvature=0.5)), TRUTH, atol=1e-5)


def test_frames_on_their_way_are_passed_over() -> None:
    np.testing.assert_allclose(calibrated(Bench(lag=2), settle_frames=2), TRUTH, atol=1e-5)
    assert np.abs(calibrated(Bench(lag=2), settle_frames=0) - TRUTH).max() > 0.1


def test_averages_and_hadamard_patterns_lower_the_noise() -> None:
    zonal = (calibrated(Bench(noise=0.01), averages=1) - TRUTH).std()
    averaged = (calibrated(Bench(noise=0.01), averages=16) - TRUTH).std()
    hadamard = (calibrated(Bench(noise=0.01), averages=1, patterns="hadamard") - TRUTH).std()
    assert zonal == pytest.approx(0.01 / np.sqrt(2) / 0.1, rel=0.4)
    assert averaged == pytest.approx(zonal / 4, rel=0.5)
    assert hadamard == pytest.approx(zonal / np.sqrt(8), rel=0.5)


def test_actuators_can_be_left_alone_and_the_mirror_rests_at_its_offset() -> None:
    bench = Bench()
    offset = np.linspace(0.0, 1.0, 6, dtype="float32")
    active = np.array([[1, 0, 1], [1, 1, 0]])
    done: list[tuple[int, int]] = []
    found = calibrated(
        bench, active=active, offset=offset, patterns="hadamard", progress=lambda *at: done.append(at)
    )
    np.testing.assert_allclose(found, TRUTH * active.reshape(6, 1), atol=1e-5)
    np.testing.assert_array_equal(bench.sent[-1], offset)
    assert all((command[[1, 5]] == offset[[1, 5]]).all() for command in bench.sent)
    assert done == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_mirror_is_put_back_after_an_error() -> None:
    bench = Bench()

    def measure() -> Array:
        return np.full(10, np.nan) if len(bench.sent) > 3 else bench.measure()

    with pytest.raises(DataError, match="10 values that are not finite"):
        measure_interaction_matrix(bench.poke, measure, 6, 0.1)
    assert not bench.sent[-1].any()


def test_a_measurement_that_changes_shape_is_refused() -> None:
    shapes = iter([(10,), (10,), (9,)])
    with pytest.raises(DataError, match=r"shape \(9,\), those before it \(10,\)"):
        measure_interaction_matrix(lambda _: None, lambda: np.zeros(next(shapes)), 6, 0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_actuators": 0}, "n_actuators is 0"),
        ({"amplitude": 0.0}, "amplitude is 0.0"),
        ({"amplitude": np.nan}, "amplitude is nan"),
        ({"averages": 0}, "averages is 0"),
        ({"settle_frames": -1}, "settle_frames is -1"),
        ({"patterns": "walsh"}, "'walsh'; expected 'zonal', 'hadamard' or an array"),
        ({"patterns": np.eye(5)}, r"\(5, 5\), expected \(n_patterns, 6\)"),
        ({"patterns": np.ones((6, 6))}, "rank must be 6"),
        ({"active": np.zeros(6)}, "no actuator to poke"),
        ({"active": np.ones(5)}, "'active' has 5 elements"),
        ({"offset": np.ones(7)}, "'offset' has 7 elements"),
        ({"offset": np.full(6, np.inf)}, "'offset' has values that are not finite"),
    ],
)
def test_arguments_are_checked(options: dict[str, Any], message: str) -> None:
    bench = Bench()
    chosen = {"n_actuators": 6, "amplitude": 0.1} | options
    with pytest.raises(UsageError, match=message):
        measure_interaction_matrix(bench.poke, bench.measure, **chosen)
    assert bench.sent == []


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
            streams.create("slopes", shape=(10,), dtype="float32", history=8),
        )
        made[0].write(np.zeros((2, 3), "float32"))
        theirs = streams.open("dm"), streams.open("slopes")
        opened.extend(made + theirs)
        threads.append(threading.Thread(target=run, args=(*theirs, lag, stamp)))
        threads[-1].start()
        return made

    def run(dm: streams.Stream, slopes: streams.Stream, lag: int, stamp: Callable[[int], int]) -> None:
        pipe: deque[tuple[int, Array]] = deque()
        while not stop.is_set():
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


@pytest.mark.parametrize("patterns", ["zonal", "hadamard"])
def test_through_streams_as_on_the_sky(hardware: Any, patterns: Any) -> None:
    dm, slopes = hardware()
    found = measure_interaction_matrix(dm, slopes, 6, 0.1, averages=2, patterns=patterns)
    np.testing.assert_allclose(found, TRUTH, atol=2e-5)
    assert not dm.read().any()


def test_a_calibration_from_start_to_end(hardware: Any) -> None:
    hardware()
    # -- calibration
    dm, slopes = fb.open("dm"), fb.open("slopes")

    flat_slopes = measure_reference(slopes, n=20)
    interaction = measure_interaction_matrix(
        dm, slopes, n_actuators=6, amplitude=0.05, patterns="hadamard", averages=4
    )
    inverse = control_matrix(interaction, condition=50.0)

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
    found = measure_interaction_matrix(dm, slopes, 6, 0.1, settle_frames=0)
    np.testing.assert_allclose(found, TRUTH, atol=2e-5)


def test_a_camera_whose_clock_is_behind_is_told(hardware: Any) -> None:
    dm, slopes = hardware(stamp=lambda now: now - 3600 * 10**9)
    with pytest.raises(WaitTimeout, match=r"'slopes' come.*exposed \d+\.\d+ s before the poke"):
        measure_interaction_matrix(dm, slopes, 6, 0.1, timeout_s=0.05)
    assert not dm.read().any()


def test_the_reference_is_the_mean_of_a_stream(hardware: Any) -> None:
    _, slopes = hardware()
    reference = measure_reference(slopes, 20)
    assert reference.dtype == np.float32
    np.testing.assert_allclose(reference, 3.0, atol=1e-6)


def test_the_mirror_must_have_as_many_actuators(hardware: Any) -> None:
    dm, slopes = hardware()
    with pytest.raises(UsageError, match=r"'dm' has shape \(2, 3\), 6 actuators; expected 7"):
        measure_interaction_matrix(dm, slopes, 7, 0.1)


def test_a_sensor_that_is_silent_is_told() -> None:
    with streams.create("silent", shape=(4,), dtype="float32") as silent:
        with pytest.raises(WaitTimeout):
            measure_reference(silent, 3, timeout_s=0.01)
        silent.remove()


def test_the_reference_may_come_from_a_function() -> None:
    frames = iter([np.zeros((2, 3)), np.ones((2, 3))])
    np.testing.assert_array_equal(measure_reference(lambda: next(frames), 2), np.full((2, 3), 0.5))
    with pytest.raises(UsageError, match="n is 0"):
        measure_reference(lambda: 0.0, 0)


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
