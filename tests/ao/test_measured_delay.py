from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framebus.ao.measured_delay import chirp, measure_delay, telegraph
from framebus.errors import DataError, UsageError
from framebus.stream.frame import Frame
from support.linear_mirror import LinearMirror


@given(st.floats(1.0, 6.0), st.sampled_from(["telegraph", "chirp"]), st.integers(0, 50))
@settings(max_examples=25)
def test_the_delay_put_in_is_found_to_a_tenth_of_a_frame(delay: float, signal: Any, seed: int) -> None:
    mirror = LinearMirror(delay=delay, noise=0.05, seed=seed)
    found = measure_delay(mirror.poke, mirror.measure, 0.1, n_actuators=6, signal=signal, n_frames=400)
    assert found.frames == pytest.approx(delay, abs=0.1)
    assert abs(found.frames - delay) < 5 * found.error_frames + 1e-9
    assert found.impulse.sum() == pytest.approx(1.0)
    assert not mirror.sent[-1].any()


def test_without_noise_the_delay_is_exact_and_its_fraction_is_in_the_impulse_response() -> None:
    mirror = LinearMirror(delay=2.25)
    found = measure_delay(mirror.poke, mirror.measure, 0.1, n_actuators=6)
    assert found.frames == pytest.approx(2.25, abs=1e-6)
    np.testing.assert_allclose(found.impulse[:4], [0.0, 0.75, 0.25, 0.0], atol=1e-6)
    assert found.correlation == pytest.approx(1.0)
    assert np.isnan(found.seconds)  # functions have no clock


def test_the_error_shrinks_as_the_root_of_the_frames() -> None:
    errors = []
    for n_frames in (200, 3200):
        mirror = LinearMirror(delay=1.5, noise=0.2)
        errors.append(
            measure_delay(mirror.poke, mirror.measure, 0.1, n_actuators=6, n_frames=n_frames).error_frames
        )
    assert errors[0] / errors[1] == pytest.approx(4.0, rel=0.3)


def test_one_actuator_may_be_the_pattern_and_the_mirror_ends_at_its_flat() -> None:
    mirror = LinearMirror(delay=3.0, noise=0.01)
    flat = np.linspace(-1, 1, 6)
    found = measure_delay(
        mirror.poke, mirror.measure, 0.1, n_actuators=6, pattern=np.eye(6)[2], rest=flat, n_frames=200
    )
    assert found.frames == pytest.approx(3.0, abs=0.1)
    sent = np.array(mirror.sent) - flat
    np.testing.assert_allclose(sent[-1], 0.0, atol=1e-6)
    np.testing.assert_allclose(np.delete(sent, 2, axis=1), 0.0, atol=1e-6)


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_mirror_that_does_nothing_is_told(noise: float) -> None:
    mirror = LinearMirror(delay=1.0, noise=noise)
    mirror.response = np.zeros_like(mirror.response)
    with pytest.raises(DataError, match="not found in the measurement"):
        measure_delay(mirror.poke, mirror.measure, 0.1, n_actuators=6)
    assert not mirror.sent[-1].any()


def test_frames_that_come_too_fast_are_told() -> None:
    mirror = LinearMirror()

    class Racing:
        """A stream whose writer is always two frames ahead."""

        name, shape = "racing", (10,)
        position = 0

        @property
        def count(self) -> int:
            return self.position + 2

        def skip_to_newest(self) -> None:
            self.position += 2

        def read_next(self, **_: Any) -> Any:
            self.position += 1
            return Frame(mirror.measure(), self.position, 0, 0, 0)

    with pytest.raises(DataError, match="0% of 500 commands went out before the next frame"):
        measure_delay(mirror.poke, Racing(), 0.1, n_actuators=6)  # type: ignore[arg-type]
    assert not mirror.sent[-1].any()


class Losing:
    """A stream of a mirror's sensor that loses the frames listed."""

    name, shape, position = "losing", (10,), 0

    def __init__(self, mirror: LinearMirror, lost: set[int]) -> None:
        self.mirror, self.lost = mirror, lost

    @property
    def count(self) -> int:
        return self.position

    def skip_to_newest(self) -> None:
        pass

    def read_next(self, **_: Any) -> Frame:
        missed = 0
        while (self.position + missed + 1) in self.lost:
            self.mirror.measure()
            missed += 1
        self.position += missed + 1
        return Frame(self.mirror.measure(), self.position, 0, 1000 * self.position, missed)


def test_missed_frames_do_no_harm() -> None:
    mirror = LinearMirror(delay=2.5)
    stream: Any = Losing(mirror, {40, 41, 97, 200, 350})
    found = measure_delay(mirror.poke, stream, 0.1, n_actuators=6)
    assert found.frames == pytest.approx(2.5, abs=1e-6)
    assert found.span.missed == 5
    assert found.n_used < 500 - 5 * 10
    assert found.period_s == pytest.approx(1e-6)
    assert found.seconds == pytest.approx(2.5e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"amplitude": 0.0}, "amplitude is 0"),
        ({"signal": "sine"}, "'sine'; expected 'telegraph' or 'chirp'"),
        ({"n_frames": 50}, "n_frames is 50; expected 100"),
        ({"max_delay": 0}, "max_delay is 0"),
        ({"pattern": np.zeros(6)}, "not all zero"),
        ({"pattern": np.ones(5)}, "5 elements; expected 6"),
        ({"n_actuators": None}, "give n_actuators"),
        ({"rest": np.ones(4)}, "flat has 4 elements"),
        ({"rest": np.full(6, np.nan)}, "flat has values that are not finite"),
    ],
)
def test_arguments_are_checked(options: dict[str, Any], message: str) -> None:
    mirror = LinearMirror()
    chosen = {"amplitude": 0.1, "n_actuators": 6} | options
    with pytest.raises(UsageError, match=message):
        measure_delay(mirror.poke, mirror.measure, **chosen)
    assert mirror.sent == []


def test_the_sequences() -> None:
    random = telegraph(10_000, 3)
    assert set(random) == {-1.0, 1.0}
    assert abs(random.mean()) < 0.05
    assert abs(np.mean(random[1:] * random[:-1])) < 0.05
    np.testing.assert_array_equal(random, telegraph(10_000, 3))
    sweep = chirp(512)
    assert np.abs(sweep).max() <= 1.0
    # White: all frequencies have about the same power.
    power = np.abs(np.fft.rfft(sweep)) ** 2
    quarters = [part.mean() for part in np.array_split(power[8:-8], 4)]
    assert max(quarters) < 2 * min(quarters)
