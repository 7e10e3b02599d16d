from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from framebus.errors import UsageError
from framebus.sim import Pyramid, make_pupil
from support.hcipy_reference import pyramid

N_PX, PIXELS = 32, 16
PUPIL = make_pupil(N_PX)
RAMP = np.broadcast_to((np.arange(N_PX) - 0.5 * (N_PX - 1)) / N_PX, (N_PX, N_PX))


def slopes(optics: Pyramid, frame: Any) -> Any:
    """Normalised differences of the images, x then y: (2, pixels in the pupil)."""
    images = optics.images(np.asarray(frame, dtype=np.float64))
    inside = make_pupil(PIXELS) > 0
    light = images.sum(axis=(0, 1))[inside].mean()
    along_x = (images[:, 1] - images[:, 0]).sum(axis=0)[inside]
    along_y = (images[1] - images[0]).sum(axis=0)[inside]
    return np.array([along_x, along_y]) / light


def test_a_flat_wavefront_makes_four_equal_images() -> None:
    optics = Pyramid(PUPIL, PIXELS, 3.0, separation=1.5)
    frame = optics.light(np.zeros((N_PX, N_PX)), 0.75)
    images = optics.images(frame)
    assert frame.shape == optics.shape
    assert images.shape == (2, 2, PIXELS, PIXELS)
    np.testing.assert_allclose(images, images[::-1, :, ::-1], atol=1e-4)
    np.testing.assert_allclose(images, images[:, ::-1, :, ::-1], atol=1e-4)
    assert frame.sum() == pytest.approx(PUPIL.sum(), rel=1e-3)
    # Most of it is in the images of the pupil.
    assert images[..., make_pupil(PIXELS) > 0].sum() > 0.7 * frame.sum()


@pytest.mark.parametrize("axis", [0, 1])
def test_a_tilt_sends_light_where_the_face_says(axis: int) -> None:
    optics = Pyramid(PUPIL, PIXELS, 3.0)
    found = slopes(optics, optics.light((RAMP if axis == 0 else RAMP.T) * 0.75, 0.75))
    assert found[axis].mean() > 0.1
    assert found[1 - axis].mean() == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("modulation", [2.0, 3.0])
def test_sensitivity_and_linear_range_are_those_of_hcipy(hcipy: Any, modulation: float) -> None:
    points = 24
    optics = Pyramid(PUPIL, PIXELS, modulation, points=points, separation=1.5)

    def both(waves: Any) -> Any:
        theirs = pyramid(hcipy, PUPIL.astype(float), waves, optics.quadrant, PIXELS, modulation, points)
        return np.array([slopes(optics, optics.light(waves, 1.0))[0], slopes(optics, theirs)[0]])

    flat = both(np.zeros((N_PX, N_PX)))
    # From a small tilt to one beyond the modulation, where the response is saturated.
    for waves in (0.1, 1.0, modulation, modulation + 1.0):
        ours, theirs = both(waves * RAMP) - flat
        assert ours.mean() == pytest.approx(theirs.mean(), rel=0.02)
        assert np.corrcoef(ours, theirs)[0, 1] > 0.99
    # And a wave, beyond the modulation: the pyramid then measures phase, not slope.
    ours, theirs = both(0.03 * np.cos(2 * np.pi * 5 * RAMP)) - flat
    assert ours @ theirs / (theirs @ theirs) == pytest.approx(1.0, abs=0.02)
    assert np.corrcoef(ours, theirs)[0, 1] > 0.99


def test_more_modulation_makes_it_less_sensitive() -> None:
    # By geometry: a tilt t within modulation m makes 2/π · asin(t / m), less what diffraction adds.
    signal = {}
    for modulation in (4.0, 8.0):
        optics = Pyramid(PUPIL, PIXELS, modulation)
        signal[modulation] = slopes(optics, optics.light(0.5 * RAMP, 1.0))[0].mean()
    assert signal[4.0] / signal[8.0] == pytest.approx(2.0, rel=0.1)


def test_without_modulation_there_is_one_point() -> None:
    assert Pyramid(PUPIL, PIXELS, 0.0).modulation.shape == (1, 2)
    assert len(Pyramid(PUPIL, PIXELS, 0.1).modulation) == 8
    np.testing.assert_allclose(np.hypot(*Pyramid(PUPIL, PIXELS, 5.0).modulation.T), 5.0)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"amplitude": np.ones((4, 5))}, "square"),
        ({"pixels": 5}, "even number"),
        ({"pixels": 12}, "even number"),
        ({"pixels": 0}, "even number"),
        ({"modulation": -1.0}, "modulation"),
        ({"points": -1}, "points"),
        ({"separation": 0.5}, "separation"),
    ],
)
def test_bad_pyramids_are_refused(change: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        Pyramid(**{"amplitude": PUPIL, "pixels": PIXELS, **change})
