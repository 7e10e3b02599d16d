from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from framebus.errors import UsageError
from framebus.sim import ScienceCamera, make_pupil
from framebus.sim.science import Rms

AMPLITUDE = np.sqrt(make_pupil(48, 0.2, oversampling=4))
WEIGHTS = np.square(AMPLITUDE, dtype=np.float64) / np.square(AMPLITUDE, dtype=np.float64).sum()


def camera(wavefront: Any, **change: Any) -> ScienceCamera:
    made = ScienceCamera(
        wavefront, AMPLITUDE, **{"wavelength_um": 1.0, "pixels": 33, "spot_px": 3.0, **change}
    )
    made.look()
    return made


def test_a_perfect_pupil_is_perfect() -> None:
    made = camera(np.full((48, 48), 5.3, np.float32))
    assert made.strehl == pytest.approx(1.0, abs=1e-5)
    assert made.rms_um == pytest.approx(0.0, abs=1e-6)
    image = made.image()
    assert image.max() == pytest.approx(1.0, abs=1e-5)
    assert image.argmax() == 16 * 33 + 16


@pytest.mark.parametrize("rms_um", [0.02, 0.05, 0.1])
def test_the_strehl_ratio_of_a_phase_error_is_exp_of_minus_its_variance(rms_um: float) -> None:
    phase = np.random.default_rng(0).standard_normal((48, 48))
    phase -= (WEIGHTS * phase).sum()
    phase *= rms_um / np.sqrt((WEIGHTS * phase**2).sum())
    made = camera(phase.astype(np.float32))
    assert made.rms_um == pytest.approx(rms_um, rel=1e-4)
    # White noise of 1500 points: <exp(iφ)> is known within 1 / sqrt(1500) of its scatter.
    assert made.strehl == pytest.approx(np.exp(-((2 * np.pi * rms_um) ** 2)), rel=0.03)
    assert made.image()[16, 16] == pytest.approx(made.strehl, rel=1e-4)
    assert rms_of(phase) == pytest.approx(rms_um, rel=1e-4)


def rms_of(phase: Any) -> float:
    seen = Rms((phase + 3.0).astype(np.float32), AMPLITUDE)
    seen.look()
    return seen.rms_um


def test_the_image_is_that_of_a_padded_fft() -> None:
    rng = np.random.default_rng(1)
    phase = (0.1 * rng.standard_normal((48, 48))).astype(np.float32)
    image = camera(phase, pixels=32).image()
    field = AMPLITUDE * np.exp(2j * np.pi * phase)
    focus = np.fft.fftshift(np.fft.fft2(field, (144, 144)))[56:88, 56:88]
    np.testing.assert_allclose(image, np.abs(focus / AMPLITUDE.sum()) ** 2, atol=1e-5)


def test_a_tilt_of_one_wave_moves_the_star_by_spot_px() -> None:
    ramp = np.tile(np.arange(48, dtype=np.float32) / 48, (48, 1))
    image = camera(2.0 * ramp).image()
    assert image.argmax() == 16 * 33 + 16 + 6
    assert image.max() == pytest.approx(1.0, abs=1e-4)


def test_the_phase_has_no_piston_and_ends_with_the_pupil() -> None:
    wavefront = np.random.default_rng(2).standard_normal((48, 48)).astype(np.float32) + 4
    phase = camera(wavefront).phase
    assert (WEIGHTS * phase).sum() == pytest.approx(0.0, abs=1e-5)
    assert not phase[AMPLITUDE == 0].any()


@pytest.mark.parametrize(
    ("change", "word"),
    [({"pixels": 0}, "pixels"), ({"wavelength_um": 0.0}, "wavelength_um"), ({"pixels": 145}, "fewer pixels")],
)
def test_bad_cameras_are_refused(change: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        camera(np.zeros((48, 48), np.float32), **change)
