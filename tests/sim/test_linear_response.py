from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from framebus.errors import BindingError
from framebus.sim.linear_response import linear_hardware

N_ACT, SENSOR, N_VECTORS = 7, (5, 9), 6


def inputs(dm_shape: tuple[int, ...] = (N_ACT,)) -> dict[str, Any]:
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> Any:
        return rng.standard_normal(shape).astype(np.float32)

    return {
        "dm": draw(*dm_shape),
        "response": draw(N_ACT, SENSOR[0] * SENSOR[1]),
        "reference": draw(*SENSOR),
        "disturbance": draw(N_VECTORS, N_ACT),
        "metric": np.eye(N_ACT, dtype=np.float32) / N_ACT,
    }


@pytest.fixture
def hardware(frames: Any) -> Any:
    def make(given_inputs: dict[str, Any] | None = None, **params: Any) -> Any:
        return frames(linear_hardware, inputs() if given_inputs is None else given_inputs, **params)

    return make


def expected_frame(hw: Any, vector: Any, turbulence: float = 1.0) -> Any:
    commands = hw["dm"].astype(float) + turbulence * vector
    return hw["reference"] + (commands @ hw["response"].astype(float)).reshape(SENSOR)


def test_the_sensor_answers_linearly(hardware: Any) -> None:
    hw = hardware().step()
    np.testing.assert_allclose(hw["wfs"], expected_frame(hw, hw["disturbance"][0]), atol=1e-5)
    hw.step(turbulence=0.0)
    np.testing.assert_allclose(hw["wfs"], expected_frame(hw, 0.0), atol=1e-5)


def test_the_disturbance_is_interpolated_and_goes_round(hardware: Any) -> None:
    hw = hardware(rate_hz=1000.0, vectors_per_s=400.0)
    vectors = hw["disturbance"].astype(float)
    for frame in range(40):
        at = 0.4 * frame % N_VECTORS
        first, fraction = int(at), at - int(at)
        vector = (1 - fraction) * vectors[first] + fraction * vectors[(first + 1) % N_VECTORS]
        np.testing.assert_allclose(hw.step()["wfs"], expected_frame(hw, vector), atol=1e-4)


def test_interpreted_and_compiled_frames_agree(frames: Any) -> None:
    one = frames(linear_hardware, inputs(), read_noise=0.5)
    other = frames(linear_hardware, inputs(), compiled=False, read_noise=0.5)
    for _ in range(3):
        np.testing.assert_allclose(one.step()["wfs"], other.step()["wfs"], atol=1e-5)
        np.testing.assert_allclose(one["residual"], other["residual"], rtol=1e-4)


def test_a_single_actuator_gives_its_row(hardware: Any) -> None:
    hw = hardware(turbulence=0.0)
    for actuator in range(N_ACT):
        hw["dm"][:] = 0.0
        hw["dm"][actuator] = 2.0
        row = hw["reference"] + 2 * hw["response"][actuator].reshape(SENSOR)
        np.testing.assert_allclose(hw.step()["wfs"], row, atol=1e-6)


def test_the_truth_follows_the_metric(hardware: Any) -> None:
    hw = hardware(nm_per_unit=100.0, science_um=1.0).step()
    disturbance = hw["disturbance"][0]
    assert hw["residual"][2] == pytest.approx(100 * np.sqrt(np.mean(disturbance**2)), rel=1e-4)
    rms = 100 * np.sqrt(np.mean((disturbance + hw["dm"]) ** 2))
    assert hw["residual"][0] == pytest.approx(rms, rel=1e-4)
    assert hw["residual"][1] == pytest.approx(np.exp(-((2 * np.pi * rms * 1e-3) ** 2)), rel=1e-3)
    hw["dm"][:] = -disturbance
    hw["position"][:] = 0.0
    assert hw.step()["residual"][0] == pytest.approx(0.0, abs=1e-3)
    assert hw["residual"][1] == pytest.approx(1.0)


def test_read_noise_has_its_rms_and_its_seed(hardware: Any) -> None:
    wide = inputs()
    wide["response"], wide["reference"] = (
        np.zeros((N_ACT, 40_000), np.float32),
        np.ones((200, 200), np.float32),
    )
    one, same, other = (
        hardware(wide, read_noise=0.3),
        hardware(wide, read_noise=0.3),
        hardware(wide, read_noise=0.3, seed=2),
    )
    noise = one.step()["wfs"] - 1
    assert noise.std() == pytest.approx(0.3, rel=0.02)
    assert abs(noise.mean()) < 0.01
    np.testing.assert_array_equal(same.step()["wfs"], one["wfs"])
    assert (other.step()["wfs"] != one["wfs"]).mean() > 0.99
    assert (same.step()["wfs"] != one["wfs"]).mean() > 0.99


@pytest.mark.parametrize("dm_shape", [(7, 1), (1, 7), (2, 2, 2), (3,), (4, 4)])
def test_commands_may_have_any_shape(hardware: Any, dm_shape: tuple[int, ...]) -> None:
    hw = hardware(inputs(dm_shape), turbulence=0.0).step()
    commands = np.zeros(N_ACT)
    sent = hw["dm"].ravel()[:N_ACT]
    commands[: sent.size] = sent
    expected = hw["reference"] + (commands @ hw["response"].astype(float)).reshape(SENSOR)
    np.testing.assert_allclose(hw["wfs"], expected, atol=1e-5)


def test_a_vector_of_slopes_is_a_sensor_too(hardware: Any) -> None:
    flat = inputs()
    flat["reference"] = flat["reference"].ravel()
    assert hardware(flat).step()["wfs"].shape == (45,)


def test_no_command_harms_the_hardware(hardware: Any) -> None:
    hw = hardware(stroke=3.0, turbulence=0.0)

    @settings(max_examples=50)
    @given(hnp.arrays(np.float32, N_ACT, elements=st.floats(width=32)))
    def check(commands: np.ndarray) -> None:
        hw["dm"][:] = commands
        hw.step()
        cleaned = np.clip(np.nan_to_num(commands, nan=0.0), -3.0, 3.0)
        expected = hw["reference"] + (cleaned @ hw["response"]).reshape(SENSOR)
        np.testing.assert_allclose(hw["wfs"], expected, atol=1e-4)
        assert np.isfinite(hw["residual"]).all()

    check()


def test_inputs_of_nonsense_are_safe(hardware: Any) -> None:
    hw = hardware(vectors_per_s=1e6, rate_hz=0.001)
    for name in ("response", "reference", "disturbance", "metric"):
        hw[name][:] = np.nan
        hw.step(3)
    assert 0.0 <= hw["position"][0] < N_VECTORS


@pytest.mark.parametrize(
    ("name", "shape", "word"),
    [
        ("reference", (5, 8), "'reference'.*40 measurements"),
        ("metric", (6, 6), "'metric'"),
        ("disturbance", (6, 8), "n_act"),
    ],
)
def test_inputs_that_do_not_fit_are_named(
    hardware: Any, name: str, shape: tuple[int, int], word: str
) -> None:
    with pytest.raises(BindingError, match=word):
        hardware({**inputs(), name: np.zeros(shape, np.float32)})
