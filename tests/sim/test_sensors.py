from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from framebus.errors import UsageError
from framebus.sim import GeometricShackHartmann, PyramidSensor, ShackHartmann, make_pupil
from support.hcipy_reference import shack_hartmann

UM = 0.75
"""Wavelength, µm."""


def centroids(light: npt.ArrayLike, n_sub: int) -> Any:
    """Centres of gravity from the middle of each box, pixels: (2, n_sub, n_sub), x then y."""
    frame = np.asarray(light, dtype=np.float64)
    width = len(frame) // n_sub
    boxes = frame.reshape(n_sub, width, n_sub, width).transpose(0, 2, 1, 3)
    axis = np.arange(width) - 0.5 * (width - 1)
    return np.array([(boxes * axis).sum((2, 3)), (boxes * axis[:, None]).sum((2, 3))]) / boxes.sum((2, 3))


def tilt(n_px: int, width: int, shift_px: float, spot_px: float, axis: int) -> Any:
    """A wavefront that moves all spots by ``shift_px``: a wave of rise across a lenslet by ``spot_px``."""
    ramp = np.arange(n_px) * (shift_px / spot_px * UM / width)
    return np.array(
        np.broadcast_to(ramp if axis == 0 else ramp[:, None], (n_px, n_px)), np.float32, order="C"
    )


@pytest.mark.parametrize("shift", [0.1, 0.25, 0.5, -0.5])
@pytest.mark.parametrize("axis", [0, 1])
def test_diffraction_agrees_with_hcipy(hcipy: Any, shift: float, axis: int) -> None:
    n_sub, width, spot_px = 3, 24, 3.0
    amplitude = np.ones((72, 72), np.float32)
    wavefront = tilt(72, width, shift, spot_px, axis)
    sensor = ShackHartmann(wavefront, amplitude, n_sub, pixels=width, spot_px=spot_px, wavelength_um=UM)
    sensor.look()
    reference = centroids(
        shack_hartmann(hcipy, amplitude.astype(float), wavefront / UM, n_sub, spot_px), n_sub
    )
    found = centroids(sensor.light, n_sub)
    # In the middle: at the edge HCIPy's lenslets lack the neighbour whose light comes over.
    np.testing.assert_allclose(found[axis, 1, 1], reference[axis, 1, 1], rtol=0.01)
    assert found[axis, 1, 1] == pytest.approx(shift, rel=0.01)


def test_diffraction_agrees_with_hcipy_on_a_curved_wavefront(hcipy: Any) -> None:
    n_sub, width, spot_px = 3, 24, 3.0
    y, x = (np.mgrid[:72, :72] - 35.5) / 36
    wavefront = (0.08 * (x**2 - y**2) + 0.1 * x * y + 0.05 * y).astype(np.float32)
    amplitude = np.ones((72, 72), np.float32)
    sensor = ShackHartmann(wavefront, amplitude, n_sub, pixels=width, spot_px=spot_px, wavelength_um=UM)
    sensor.look()
    for j, i in ((0, 1), (1, 0), (1, 1), (1, 2), (2, 1)):
        alone = np.zeros((72, 72))  # so that no light comes over from the neighbours
        alone[j * width : (j + 1) * width, i * width : (i + 1) * width] = 1.0
        reference = centroids(shack_hartmann(hcipy, alone, wavefront / UM, n_sub, spot_px), n_sub)[:, j, i]
        np.testing.assert_allclose(centroids(sensor.light, n_sub)[:, j, i], reference, atol=0.005)


@pytest.mark.parametrize("pixels", [6, 8])
@pytest.mark.parametrize("axis", [0, 1])
def test_mean_gradients_are_exact(pixels: int, axis: int) -> None:
    wavefront = tilt(32, 8, 0.7, 2.0, axis)
    sensor = GeometricShackHartmann(
        wavefront, np.ones((32, 32), np.float32), 4, pixels=pixels, spot_px=2.0, wavelength_um=UM
    )
    sensor.look()
    wanted = np.zeros((2, 4, 4))
    wanted[axis] = 0.7
    np.testing.assert_allclose(sensor.slopes, wanted, atol=1e-5)
    np.testing.assert_allclose(centroids(sensor.light, 4), wanted, atol=0.03)


def test_the_geometric_sensor_measures_what_the_other_does() -> None:
    # Weak aberrations within a lenslet: its spot moves by the mean gradient.
    y, x = (np.mgrid[:32, :32] - 15.5) / 16
    wavefront = (0.1 * (x**2 + y**2) - 0.05 * x).astype(np.float32)
    amplitude = np.ones((32, 32), np.float32)
    by_waves = ShackHartmann(wavefront, amplitude, 4, wavelength_um=UM)
    by_rays = GeometricShackHartmann(wavefront, amplitude, 4, wavelength_um=UM)
    by_waves.look()
    by_rays.look()
    np.testing.assert_allclose(centroids(by_waves.light, 4), by_rays.slopes, atol=0.02)


@pytest.mark.parametrize("make", [ShackHartmann, GeometricShackHartmann])
def test_light_is_shared_among_the_lenslets(make: Any) -> None:
    amplitude = np.sqrt(make_pupil(48, 0.3, oversampling=4))
    sensor = make(np.zeros((48, 48), np.float32), amplitude, 6, pixels=8, photons=1000.0)
    sensor.look()
    boxes = sensor.light.reshape(6, 8, 6, 8).sum(axis=(1, 3))
    shares = 1000.0 * np.square(amplitude).reshape(6, 8, 6, 8).sum(axis=(1, 3)) / np.square(amplitude).sum()
    assert (boxes <= shares * 1.0001).all()
    # A box of 4 wavelengths / lenslet holds 90 % of sinc²'s light along each axis, and more.
    assert boxes.sum() > 0.9**2 * 1000.0
    full = shares > 0.99 * shares.max()
    assert boxes[full].min() > 0.9**2 * shares.max()


def test_a_pyramid_gets_all_photons() -> None:
    amplitude = np.sqrt(make_pupil(32))
    sensor = PyramidSensor(np.zeros((32, 32), np.float32), amplitude, 16, separation=1.5, photons=500.0)
    sensor.look()
    assert sensor.light.sum() == pytest.approx(500.0, rel=0.01)


@pytest.mark.parametrize("make", [ShackHartmann, GeometricShackHartmann])
@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"n_sub": 5}, "cannot be cut"),
        ({"n_sub": 0}, "cannot be cut"),
        ({"pixels": 0}, "pixels"),
        ({"spot_px": 0.0}, "spot_px"),
        ({"wavelength_um": np.inf}, "wavelength_um"),
        ({"photons": -1.0}, "photons"),
    ],
)
def test_bad_sensors_are_refused(make: Any, change: dict[str, Any], word: str) -> None:
    arguments: dict[str, Any] = {"n_sub": 4, **change}
    with pytest.raises(UsageError, match=word):
        make(np.zeros((32, 32), np.float32), np.ones((32, 32), np.float32), **arguments)
