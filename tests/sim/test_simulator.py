from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from framebus.errors import NotFoundError, UsageError
from framebus.sim import Description, Simulator, load

SMALL: dict[str, Any] = {
    "telescope": {"diameter_m": 0.8, "pixels": 32},
    "atmosphere": {"r0_m": 0.2},
    "mirror": {"actuators": 5},
    "wfs": {"subapertures": 4, "photons": 1e5},
    "science": {"interval": 2, "exposure": 3, "pixels": 16},
}


def described(**tables: Any) -> Description:
    content = {**SMALL, **tables}
    merged = {k: {**SMALL.get(k, {}), **v} if isinstance(v, dict) else v for k, v in content.items()}
    return msgspec.convert(merged, Description)


def made(**tables: Any) -> Simulator:
    return Simulator(described(**tables))


@pytest.mark.parametrize(
    ("wfs", "shape"),
    [
        ({"kind": "shack-hartmann"}, (32, 32)),
        ({"kind": "geometric", "pixels": 6}, (24, 24)),
        ({"kind": "pyramid", "pixels": 16, "separation": 1.5}, (48, 48)),
    ],
)
def test_every_sensor_makes_frames(wfs: dict[str, Any], shape: tuple[int, int]) -> None:
    telescope = made(wfs=wfs, detector={"bias": 10.0, "read_noise": 0.0})
    frame = telescope.step()
    assert frame is not None
    assert frame.shape == telescope.wfs_shape == shape
    assert frame.dtype == np.uint16
    # All photons come, but for the light that is diffracted out of the boxes.
    assert 0.6e5 < frame.astype(float).sum() - 10.0 * frame.size < 1.02e5


def test_the_same_seed_makes_the_same_bits() -> None:
    one, same, other = made(), made(), made(seed=2)
    for _ in range(6):
        frame = one.step()
        np.testing.assert_array_equal(frame, same.step())
        np.testing.assert_array_equal(one.phase, same.phase)
        assert (one.rms_nm, one.strehl) == (same.rms_nm, same.strehl)
        assert np.any(frame != other.step())
    np.testing.assert_array_equal(one.psf, same.psf)
    assert one.psf.any()


def test_the_mirror_takes_out_what_it_makes() -> None:
    telescope = made()
    telescope.atmosphere.strength = 0.0
    commands = 0.1 * np.random.default_rng(0).standard_normal((5, 5))
    telescope.step(commands)
    assert telescope.rms_nm > 10.0
    assert telescope.turbulence_nm == 0.0
    telescope.step(np.zeros((5, 5)))
    assert telescope.rms_nm == pytest.approx(0.0, abs=1e-3)
    assert telescope.strehl == pytest.approx(1.0, abs=1e-5)


def test_a_loop_closes() -> None:
    # Slopes by centres of gravity, a measured interaction matrix, an integrator.
    telescope = made(wfs={"photons": 1e6}, detector={"bias": 0.0, "read_noise": 0.0})
    axis = np.arange(8) - 3.5
    telescope.atmosphere.strength = 0.0

    def slopes(commands: Any) -> Any:
        frame = telescope.step(commands)
        assert frame is not None
        boxes = frame.astype(float).reshape(4, 8, 4, 8).transpose(0, 2, 1, 3)
        light = boxes.sum((2, 3)) + 1e-9
        return np.concatenate([((boxes * a).sum((2, 3)) / light).ravel() for a in (axis, axis[:, None])])

    flat = slopes(np.zeros(25))
    matrix = np.array([slopes(0.05 * row) - flat for row in np.eye(25)]).T / 0.05
    control = np.linalg.pinv(matrix, rcond=0.1)
    telescope.atmosphere.strength = 1.0
    commands, before, after = np.zeros(25), [], []
    for frame in range(300):
        commands = 0.99 * commands - 0.5 * control @ (slopes(commands) - flat)
        if frame >= 50:
            before.append(telescope.turbulence_nm)
            after.append(telescope.rms_nm)
    assert np.mean(before) > 3 * np.mean(after)


def test_time_images_and_lost_frames_are_counted() -> None:
    telescope = made(detector={"lose_every": 3}, rate_hz=200.0)
    frames = [telescope.step() for _ in range(12)]
    assert [frame is None for frame in frames] == [False, False, True] * 4
    assert telescope.detector.lost == 4
    assert telescope.frames == 12
    assert telescope.time_s == pytest.approx(11 / 200)
    # Every second frame is looked at, and three looks are an image.
    assert telescope.images == 2


def test_a_late_detector_shows_the_mirror_of_before() -> None:
    telescope = made(detector={"delay_frames": 1.0, "photon_noise": False, "read_noise": 0.0, "bias": 0.0})
    telescope.atmosphere.strength = 0.0
    tilt = np.broadcast_to(np.linspace(-0.3, 0.3, 5), (5, 5))
    frames = [np.array(telescope.step(c)) for c in (np.zeros((5, 5)), tilt, np.zeros((5, 5)))]
    assert not frames[0].any()
    assert (frames[1] != frames[2]).any()
    np.testing.assert_array_equal(frames[1], np.array(telescope.step()))


def test_a_file_describes_it_all(tmp_path: Path) -> None:
    functions = np.random.default_rng(0).random((7, 20, 20)).astype(np.float32)
    np.save(tmp_path / "dm.npy", functions)
    (tmp_path / "t.toml").write_text(
        "[telescope]\ndiameter_m = 0.8\npixels = 32\nspiders = [{ angle_deg = 45, width_m = 0.02 }]\n"
        "[mirror]\nkind = 'file'\nfile = 'dm.npy'\n[wfs]\nsubapertures = 4\n[science]\ninterval = 0\n"
    )
    telescope = load(tmp_path / "t.toml")
    assert telescope.dm_shape == (7,)
    assert ((telescope.pupil > 0) & (telescope.pupil < 1)).any()
    telescope.step(np.zeros(7))
    assert telescope.images == 0


@pytest.mark.parametrize(
    ("tables", "word"),
    [
        ({"wfs": {"subapertures": 5}}, "5 sub-apertures"),
        ({"wfs": {"pixels": 40}}, "more points of wavefront"),
        ({"wfs": {"kind": "pyramid", "pixels": 12}}, "even number"),
        ({"mirror": {"kind": "file"}}, "mirror.file is not given"),
        ({"mirror": {"file": "x.fits"}}, "mirror.kind is 'gaussian'"),
        ({"mirror": {"dead": [25]}}, "dead actuator 25"),
        ({"detector": {"lose_every": 1}}, "lose_every"),
        ({"science": {"pixels": 200}}, "fewer pixels"),
        ({"atmosphere": {"outer_scale_m": 1e12}}, "outer_scale_m"),
    ],
)
def test_numbers_that_do_not_fit_each_other_are_refused(tables: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        made(**tables)


def test_missing_influence_functions_are_told() -> None:
    with pytest.raises(NotFoundError, match="influence functions"):
        made(mirror={"kind": "file", "file": "/nowhere/x.fits"})


def test_a_wrong_number_of_commands_is_refused_before_anything_moves() -> None:
    telescope = made()
    with pytest.raises(UsageError, match="24 commands"):
        telescope.step(np.zeros(24))
    assert telescope.frames == 0
    np.testing.assert_array_equal(telescope.step(), made().step())
