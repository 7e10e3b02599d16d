from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from framebus.ao.shack_hartmann import centroids
from framebus.errors import UsageError
from framebus.sim import Bench, Layer, shack_hartmann_camera
from framebus.sim.telescope import gradient_weights
from framebus.unit.arrays import ArraySpec


def test_everything_fits_the_camera() -> None:
    for bench in (Bench(), Bench(n_sub=3, pixels=5), Bench(n_sub=1)):
        arrays = {"dm": np.zeros(bench.dm_shape, np.float32), **bench.streams()}
        specs = {name: ArraySpec(array.shape, array.dtype) for name, array in arrays.items()}
        found = shack_hartmann_camera.resolve(specs)
        assert found["wfs"] == ArraySpec(bench.wfs_shape, np.dtype("uint16"))
        assert all(array.flags.c_contiguous and np.isfinite(array).all() for array in arrays.values())


def test_the_default_is_ten_sub_apertures_and_eleven_actuators() -> None:
    bench = Bench()
    assert (bench.n_px, bench.wfs_shape, bench.dm_shape) == (80, (80, 80), (11, 11))
    area = np.pi / 4 * 80**2 * (1 - 0.2**2)
    assert bench.pupil.sum() == pytest.approx(area, rel=0.01)


def test_boxes_are_the_lit_sub_apertures_in_order() -> None:
    bench = Bench(n_sub=6, obscuration=0.4)
    assert bench.boxes.dtype == np.int32
    assert len(bench.boxes) == bench.valid.sum()
    for y0, x0, height, width in bench.boxes:
        assert (height, width) == (8, 8)
        assert bench.pupil[y0 : y0 + height, x0 : x0 + width].mean() >= 0.5
    order = bench.boxes[:, 0] * 1000 + bench.boxes[:, 1]
    assert (np.diff(order) > 0).all()


def test_used_actuators_stand_at_corners_of_lit_sub_apertures() -> None:
    bench = Bench(n_sub=4, obscuration=0.0, min_flux=1.0)
    assert bench.valid.sum() == 4
    expected = np.zeros((5, 5), bool)
    expected[1:4, 1:4] = True
    np.testing.assert_array_equal(bench.dm_mask, expected)


def test_layers_share_the_turbulence() -> None:
    bench = Bench(n_sub=2, r0_m=0.1, layers=(Layer(3.0, 5.0, 0.0), Layer(1.0, 10.0, 90.0)))
    r0 = np.array([screen.r0_m for screen in bench.phase_screens])
    assert (r0 ** (-5 / 3)).sum() == pytest.approx(0.1 ** (-5 / 3))
    np.testing.assert_allclose(bench.streams()["wind"], [[200.0, 0.0], [0.0, 400.0]], atol=1e-3)
    um = bench.streams()["screens"]
    np.testing.assert_allclose(um[0], bench.phase_screens[0].screen * (0.5 / (2 * np.pi)), rtol=1e-5)


def test_weights_give_the_rise_even_where_the_pupil_ends() -> None:
    bench = Bench(n_sub=6)
    y, x = np.mgrid[: bench.n_px, : bench.n_px]
    tilted = 0.3 * x / 8 - 0.7 * y / 8 + 5.0
    products = (gradient_weights(bench.pupil, 6) * tilted).reshape(2, 6, 8, 6, 8).sum(axis=(2, 4))
    for found, rise in zip(products, (0.3, -0.7), strict=True):
        np.testing.assert_allclose(found[bench.valid], rise, atol=1e-4)


def test_a_sub_aperture_without_light_has_no_weight() -> None:
    assert not gradient_weights(np.zeros((8, 8)), 2).any()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"n_sub": 0}, "n_sub"),
        ({"pixels": 3}, "pixels"),
        ({"obscuration": 1.0}, "obscuration"),
        ({"subaperture_m": 0.0}, "subaperture_m"),
        ({"layers": ()}, "layers"),
        ({"layers": (Layer(0.0, 1.0, 1.0),)}, "layers"),
    ],
)
def test_bad_benches_are_refused(change: dict[str, Any], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        Bench(**change)


@pytest.mark.parametrize(("shape", "n_sub"), [((8, 9), 2), ((9, 9), 2), ((8,), 2), ((8, 8), 0)])
def test_pupils_that_cannot_be_cut_are_refused(shape: tuple[int, ...], n_sub: int) -> None:
    with pytest.raises(UsageError, match="cannot be cut"):
        gradient_weights(np.ones(shape), n_sub)


def test_a_loop_closes(frames: Any) -> None:
    bench = Bench()
    dm = np.zeros(bench.dm_shape, np.float32)
    camera = frames(shack_hartmann_camera, {"dm": dm, **bench.streams()})
    zero = np.zeros(2 * len(bench.boxes), np.float32)
    sensor = frames(
        centroids, {"pixels": camera["wfs"], "boxes": bench.boxes, "reference": zero}, threshold=103.0
    )

    def slopes(**params: Any) -> Any:
        camera.step(**params)
        return sensor.step()["slopes"].astype(float)

    used = np.flatnonzero(bench.dm_mask)
    # As with a calibration lamp: noise in the matrix would hide the waffle that a sensor does not see.
    camera.set(turbulence=0.0, photons=1e5)
    columns = []
    for actuator in used:
        pushed = []
        for sign in (1, -1):
            dm[:] = 0.0
            dm.flat[actuator] = 0.1 * sign
            pushed.append(slopes())
        columns.append((pushed[0] - pushed[1]) / 0.2)
    control = np.linalg.pinv(np.array(columns).T, rcond=0.07)
    dm[:] = 0.0
    reference = slopes()
    camera.set(turbulence=1.0, photons=2000.0)
    command, before, after, strehl = np.zeros(used.size), [], [], []
    for frame in range(1000):
        command = 0.995 * command - 0.4 * control @ (slopes() - reference)
        dm.flat[used] = command
        if frame >= 100:
            residual = camera["residual"]
            after.append(residual[0])
            strehl.append(residual[1])
            before.append(residual[2])
    assert np.mean(before) > 5 * np.mean(after)
    assert np.mean(strehl) > 0.85
    # Fitting error of a mirror with this pitch, for Gaussian actuators: 0.23 (d / r0)^(5/3) rad² and more.
    fitting_nm = 500 / (2 * np.pi) * np.sqrt(0.23 * (bench.subaperture_m / bench.r0_m) ** (5 / 3))
    assert fitting_nm < np.mean(after) < 2 * fitting_nm
