from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from framebus.errors import BindingError
from framebus.sim import Bench, shack_hartmann_camera
from framebus.sim.shack_hartmann import SPOT_SIGMA
from framebus.sim.turbulence import total_phase

SMALL = Bench(n_sub=4, obscuration=0.0)
QUIET: dict[str, Any] = {"read_noise": 0.0, "turbulence": 0.0, "bias": 0.0}


@pytest.fixture
def camera(frames: Any) -> Any:
    def make(bench: Bench = SMALL, *, compiled: bool = True, **params: Any) -> Any:
        inputs = {"dm": np.zeros(bench.dm_shape, np.float32), **bench.streams()}
        return frames(shack_hartmann_camera, inputs, compiled=compiled, **params)

    return make


def centroids(frame: Any, n_sub: int, bias: float = 0.0) -> Any:
    """Centres of gravity from the middle of each sub-aperture, pixels: (2, n_sub, n_sub), x then y."""
    width = len(frame) // n_sub
    boxes = (frame.astype(float) - bias).reshape(n_sub, width, n_sub, width).transpose(0, 2, 1, 3)
    axis = np.arange(width) - 0.5 * (width - 1)
    with np.errstate(invalid="ignore"):
        return np.array([(boxes * axis).sum((2, 3)), (boxes * axis[:, None]).sum((2, 3))]) / boxes.sum((2, 3))


def screens_of(camera: Any, wavefront: np.ndarray) -> None:
    """Put a wavefront before the first frame's pupil, in the first layer alone."""
    camera["screens"][:] = 0.0
    camera["screens"][0, : len(wavefront), : len(wavefront)] = wavefront
    camera["wind"][:] = 0.0
    camera["position"][:] = 0.0


def test_a_flat_wavefront_is_centred_and_perfect(camera: Any) -> None:
    cam = camera(photons=1e5, **QUIET).step()
    assert np.nanmax(np.abs(centroids(cam["wfs"], 4))) < 0.02
    np.testing.assert_array_equal(cam["residual"], [0.0, 1.0, 0.0])
    assert not cam["wavefront"].any()


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("rise", [-0.4, 0.05, 0.3])
def test_a_tilt_moves_every_spot_as_geometry_says(camera: Any, axis: int, rise: float) -> None:
    # ``rise`` micrometres across each sub-aperture of 8 pixels.
    cam = camera(photons=1e5, wavelength_um=0.75, spot_px=2.0, **QUIET)
    ramp = np.arange(SMALL.n_px) * (rise / 8)
    screens_of(cam, np.broadcast_to(ramp if axis == 0 else ramp[:, None], SMALL.wfs_shape))
    cam.step(turbulence=1.0)
    # Averaged over 16 sub-apertures photon noise is far below the tolerance.
    found = centroids(cam["wfs"], 4)[:, 1:3, 1:3].mean(axis=(1, 2))
    expected = np.zeros(2)
    expected[axis] = 2.0 * rise / 0.75
    np.testing.assert_allclose(found, expected, atol=0.006)


def test_the_truth_is_the_rms_over_the_pupil(camera: Any) -> None:
    cam = camera(**QUIET, science_um=1.0)
    shape = 0.1 * np.random.default_rng(0).standard_normal(SMALL.wfs_shape)
    screens_of(cam, shape)
    cam.step(turbulence=1.0)
    rms_um = shape[SMALL.pupil > 0].std()
    assert cam["residual"][0] == pytest.approx(1000 * rms_um, rel=1e-4)
    assert cam["residual"][1] == pytest.approx(np.exp(-((2 * np.pi * rms_um) ** 2)), rel=1e-3)
    assert cam["residual"][2] == pytest.approx(cam["residual"][0], rel=1e-5)
    assert not cam["wavefront"][SMALL.pupil == 0].any()


def test_the_mirror_takes_out_what_it_makes(camera: Any) -> None:
    cam = camera(**QUIET)
    commands = 0.1 * np.random.default_rng(0).standard_normal(SMALL.dm_shape).astype(np.float32)
    cam["dm"][:] = commands
    shape = cam.step()["wavefront"].copy()
    screens_of(cam, shape)
    cam["dm"][:] = -commands
    cam.step(turbulence=1.0)
    assert cam["residual"][0] < 0.01
    assert cam["residual"][2] == pytest.approx(1000 * shape[SMALL.pupil > 0].std(), rel=1e-3)


def test_light_is_what_was_asked_for(camera: Any) -> None:
    cam = camera(photons=10_000.0, **QUIET)
    total = np.zeros((4, 4))
    for _ in range(50):
        total += cam.step()["wfs"].reshape(4, 8, 4, 8).sum(axis=(1, 3)) / 50
    np.testing.assert_allclose(total, 10_000 * SMALL.flux, rtol=0.01)


@pytest.mark.parametrize(("photons", "read_noise"), [(500.0, 0.0), (200.0, 4.0)])
def test_the_noise_of_light_and_centroids_follows_theory(
    camera: Any, photons: float, read_noise: float
) -> None:
    cam = camera(Bench(n_sub=6, obscuration=0.0), **QUIET)
    cam.set(photons=photons, read_noise=read_noise, bias=100.0, spot_px=2.0)
    lit = cam["flux"] == 1.0
    light, x = [], []
    for _ in range(800):
        boxes = cam.step()["wfs"].astype(float).reshape(6, 8, 6, 8).transpose(0, 2, 1, 3)[lit] - 100.0
        light.append(boxes.sum(axis=(1, 2)))
        x.append((boxes * (np.arange(8) - 3.5)).sum(axis=(1, 2)) / photons)
    # Per pixel: read noise squared, and 1/12 as the sum is rounded to whole counts; photons are whole anyway.
    pixel = read_noise**2 + 1 / 12 if read_noise else 0.0
    assert np.var(light, axis=0).mean() == pytest.approx(photons + 64 * pixel, rel=0.05)
    # Centre of gravity: spot's variance over the photons; read noise by each pixel's lever.
    spot = (SPOT_SIGMA * 2.0) ** 2 + 1 / 12
    levers = 8 * ((np.arange(8) - 3.5) ** 2).sum()
    assert np.var(x, axis=0).mean() == pytest.approx(spot / photons + pixel * levers / photons**2, rel=0.05)


def test_the_same_seed_makes_the_same_frames(camera: Any) -> None:
    one, same, other = camera(), camera(), camera(seed=2)
    for _ in range(5):
        np.testing.assert_array_equal(one.step()["wfs"], same.step()["wfs"])
        other.step()
        np.testing.assert_array_equal(one["wavefront"], other["wavefront"])
        assert (one["wfs"] != other["wfs"]).any()


def test_each_layer_moves_with_its_wind(camera: Any) -> None:
    bench = SMALL
    cam = camera(bench, rate_hz=100.0)
    um = bench.phase_screens[0].wavelength_m * 1e6 / (2 * np.pi)
    for frame in range(4):
        seen = um * total_phase(bench.phase_screens, frame / 100.0)
        seen = (seen - seen[bench.pupil > 0].mean()) * bench.pupil
        np.testing.assert_allclose(cam.step()["wavefront"], seen, atol=1e-4)


def test_turbulence_goes_on_while_it_is_off(camera: Any) -> None:
    straight, dimmed = camera(), camera()
    straight.step(5)
    dimmed.step(4, turbulence=0.0)
    assert not dimmed["wavefront"].any()
    np.testing.assert_array_equal(dimmed.step(turbulence=1.0)["wavefront"], straight["wavefront"])


def test_wind_can_stand_still_and_turbulence_grow(camera: Any) -> None:
    cam = camera(wind_factor=0.0)
    first = cam.step()["wavefront"].copy()
    np.testing.assert_array_equal(cam.step()["wavefront"], first)
    np.testing.assert_allclose(cam.step(turbulence=2.0)["wavefront"], 2 * first, atol=1e-5)


def test_interpreted_and_compiled_frames_agree(camera: Any) -> None:
    bench = Bench(n_sub=2, pixels=4, obscuration=0.0)
    one, other = camera(bench), camera(bench, compiled=False)
    for frames in (one, other):
        frames["dm"][:] = np.array([[0.1, -0.2, 0.0], [0.0, 0.3, 0.0], [0.0, 0.0, -0.1]])
        frames.step(2)
    np.testing.assert_allclose(one["wavefront"], other["wavefront"], atol=1e-5)
    np.testing.assert_allclose(one["residual"], other["residual"], rtol=1e-4)
    # The sums differ in their last digit, which may push a pixel to the next count.
    assert np.abs(one["wfs"].astype(int) - other["wfs"].astype(int)).max() <= 1


def test_no_command_harms_the_camera(camera: Any) -> None:
    cam = camera()

    @settings(max_examples=50)
    @given(hnp.arrays(np.float32, SMALL.dm_shape, elements=st.floats(width=32)))
    def check(commands: np.ndarray) -> None:
        cam["dm"][:] = commands
        cam.step()
        assert np.isfinite(cam["residual"]).all()
        assert np.isfinite(cam["wavefront"]).all()

    check()


def test_inputs_of_nonsense_are_safe(camera: Any) -> None:
    cam = camera()
    for name in ("screens", "wind", "profiles", "optics", "flux"):
        for value in (np.nan, np.inf, -1e30):
            kept = cam[name].copy()
            cam[name][:] = value
            cam.step(3)
            cam[name][:] = kept
    cam.step()
    assert np.isfinite(cam["residual"]).all()


def test_pixels_beyond_the_last_whole_sub_aperture_are_dark(frames: Any) -> None:
    inputs = {"dm": np.zeros(SMALL.dm_shape, np.float32), **SMALL.streams()}
    inputs["flux"] = np.ones((3, 3), np.float32)
    frame = frames(shack_hartmann_camera, inputs, **QUIET, photons=1e4).step()["wfs"]
    assert frame[:30, :30].any()
    assert not frame[30:].any()
    assert not frame[:, 30:].any()


def test_inputs_that_do_not_fit_are_named(frames: Any) -> None:
    inputs = {"dm": np.zeros((6, 6), np.float32), **SMALL.streams()}
    with pytest.raises(BindingError, match=r"'profiles'.*n_act = 6"):
        frames(shack_hartmann_camera, inputs)
