from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from framebus.ao.aberration import measure_aberration
from framebus.ao.zernike import zernike_gradients
from framebus.errors import DataError, UsageError

Array = NDArray[Any]
PIXEL_M, FOCAL_M, PITCH = 10e-6, 20e-3, 16


def frames(truth: Array, noise: float = 0.0) -> tuple[Array, Array]:
    """Spots of 9 × 9 lenslets on 160 × 160 pixels, flat and moved by Zernike modes 2, 3, ... (metres rms)."""
    axis = 16.0 + PITCH * np.arange(9)
    y, x = (each.ravel() for each in np.meshgrid(axis, axis, indexing="ij"))
    radius = np.hypot(64, 64) + PITCH / 2
    gradients = zernike_gradients((x - 80) / radius, (y - 80) / radius, np.arange(2, len(truth) + 2))
    moved = np.tensordot(gradients, truth, (1, 0)) / (radius * PIXEL_M) * FOCAL_M / PIXEL_M
    rng = np.random.default_rng(1)
    return spots(x, y) + noise * rng.normal(size=(160, 160)), spots(
        x + moved[0], y + moved[1]
    ) + noise * rng.normal(size=(160, 160))


def spots(x: Array, y: Array) -> Array:
    axis = np.arange(160)
    rows = np.exp(-0.5 * ((axis - y[:, None]) / 1.6) ** 2)
    columns = np.exp(-0.5 * ((axis - x[:, None]) / 1.6) ** 2)
    return np.asarray(1000.0 * np.einsum("ky,kx->yx", rows, columns))


def test_modes_are_found_from_frames() -> None:
    truth = np.array([40.0, -30.0, 50.0, 20.0, -25.0, 10.0, 15.0]) * 1e-9
    reference, aberrated = frames(truth, noise=0.5)
    found = measure_aberration(
        reference, aberrated, pixel_m=PIXEL_M, focal_m=FOCAL_M, n_modes=7, max_residual=np.inf
    )
    # The truth is the gradient in the lenslets' middle, which is its mean but for the third order's curvature.
    np.testing.assert_allclose(found.fit.coefficients_m, truth, atol=1e-9)
    assert found.fit.explained > 0.99
    assert len(found.used) == 81


def test_a_lenslet_that_fits_nothing_is_left_out() -> None:
    truth = np.array([0.0, 0.0, 50.0]) * 1e-9
    reference, aberrated = frames(truth, noise=0.5)
    aberrated[73:88, 73:88] = np.roll(aberrated[73:88, 73:88], 4, axis=1)
    found = measure_aberration(reference, aberrated, pixel_m=PIXEL_M, focal_m=FOCAL_M, n_modes=3)
    assert 40 not in found.used
    np.testing.assert_allclose(found.fit.coefficients_m, truth, atol=1e-9)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_m": 0.0}, "pixel_m is 0.0"),
        ({"focal_m": np.nan}, "focal_m is nan"),
        ({"pitch_m": -1.0}, "pitch_m is -1.0"),
        ({"max_residual": 0.0}, "max_residual is 0.0"),
        ({"aberrated": np.zeros((3, 3))}, "expected the same"),
    ],
)
def test_arguments_are_checked(change: dict[str, Any], message: str) -> None:
    frame = frames(np.zeros(3))[0]
    arguments: dict[str, Any] = {"reference": frame, "aberrated": frame, "pixel_m": 1e-5, "focal_m": 1e-2}
    with pytest.raises(UsageError, match=message):
        measure_aberration(**(arguments | change))


def test_a_frame_without_spots_is_refused() -> None:
    with pytest.raises(DataError):
        measure_aberration(np.zeros((64, 64)), np.zeros((64, 64)), pixel_m=1e-5, focal_m=1e-2)


def test_a_laboratory_sensor_tells_a_plausible_aberration(shared_data: Path) -> None:
    """127 hexagonal lenslets: two halves of the modes agree, and more modes explain more."""
    reference, aberrated, dark = (
        fits.getdata(shared_data / "shwfs" / f"{name}.fits").astype(np.float64)
        for name in ("reference", "aberrated", "dark")
    )
    options: dict[str, Any] = {"pixel_m": 7.4e-6, "focal_m": 18e-3, "dark": dark}
    few = measure_aberration(reference, aberrated, n_modes=14, **options)
    many = measure_aberration(reference, aberrated, n_modes=27, **options)
    assert len(few.used) == 127
    # The spots' distance is the lenslets' pitch of 300 µm, and the hexagon has six rings about its middle.
    assert few.radius_m == pytest.approx(6.5 * 300e-6, rel=0.01)
    assert few.fit.explained > 0.9
    assert many.fit.residual_rms < few.fit.residual_rms < 0.35 * few.fit.slopes_rms
    together = np.hypot(few.fit.sigma_m, many.fit.sigma_m[:14])
    assert (np.abs(few.fit.coefficients_m - many.fit.coefficients_m[:14]) < 4 * together).all()
    same = measure_aberration(reference, reference, n_modes=14, **options)
    assert same.fit.rms_m < 1e-12
