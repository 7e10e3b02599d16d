"""From a frame to slopes: what 'framebus ao find' writes is what the sensors' units take."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from astropy.io import fits

from framebus import ao, sim
from support.commands import error, output
from support.run_unit import Bench


def simulated(kind: str, **table: float) -> sim.Simulator:
    content = {
        "telescope": {"diameter_m": 2.0, "pixels": 80, "obscuration": 0.2},
        "mirror": {"kind": "bilinear", "actuators": 11},
        "wfs": {"kind": kind, "photons": 2e6, **table},
        "detector": {"photon_noise": False, "bias": 100.0},
    }
    simulator = sim.Simulator(msgspec.convert(content, sim.Description))
    simulator.atmosphere.strength = 0.0
    return simulator


def tilted(simulator: sim.Simulator, rise_um: float) -> np.ndarray:
    """A frame with so much wavefront from the left edge to the right, less its bias."""
    ramp = np.tile(np.linspace(-0.5, 0.5, 11, dtype=np.float32) * np.float32(rise_um), (11, 1))
    frame = simulator.step(ramp)
    assert frame is not None
    return (frame - 100.0).astype(np.float32)


def test_sub_apertures_that_were_found_measure_a_tilt(tmp_path: Path) -> None:
    simulator = simulated("shack-hartmann", subapertures=10, pixels=12)
    fits.PrimaryHDU(tilted(simulator, 0.0)).writeto(tmp_path / "frame.fits")
    output(
        "ao", "find", "subapertures", str(tmp_path / "frame.fits"), "--output", str(tmp_path / "boxes.fits")
    )
    boxes = ao.load_boxes(tmp_path / "boxes.fits", simulator.wfs_shape)
    assert len(boxes) >= 60
    measured = []
    for rise_um in (0.0, 1.0):
        inputs = {
            "pixels": tilted(simulator, rise_um),
            "boxes": boxes,
            "reference": np.zeros(2 * len(boxes), np.float32),
        }
        bench = Bench(ao.centroids, inputs)
        bench.step()
        measured.append(bench["slopes"].reshape(2, -1).copy())
    moved = measured[1] - measured[0]
    table = simulator.description.wfs
    expected = 0.1 * table.spot_px / table.wavelength_um  # a tenth of the rise across each of ten
    assert np.median(moved[0]) == pytest.approx(expected, rel=0.1)
    assert np.abs(moved[1]).max() < 0.1 * expected


def test_pupils_that_were_found_measure_a_tilt(tmp_path: Path) -> None:
    simulator = simulated("pyramid", pixels=40, modulation=5.0)
    fits.PrimaryHDU(tilted(simulator, 0.0)).writeto(tmp_path / "frame.fits")
    output("ao", "find", "pupils", str(tmp_path / "frame.fits"), "--output", str(tmp_path / "pupils.fits"))
    pupils = ao.load_pupils(tmp_path / "pupils.fits", simulator.wfs_shape)
    measured = []
    for rise_um in (-0.3, 0.0, 0.3):
        inputs = {
            "frame": tilted(simulator, rise_um),
            "pupils": pupils,
            "reference": np.zeros(2 * pupils.shape[1], np.float32),
        }
        bench = Bench(ao.pyramid_slopes, inputs)
        bench.step()
        measured.append(bench["slopes"].reshape(2, -1).mean(axis=1))
    low, flat, high = np.array(measured)
    assert abs(flat).max() < 0.01
    assert high[0] > 0.02
    assert low[0] == pytest.approx(-high[0], rel=0.1)
    assert abs(high[1]) < 0.1 * high[0]


@pytest.mark.parametrize("name", ["scexao", "ao3k"])
def test_pupils_of_a_real_pyramid_make_slopes(shared_data: Path, tmp_path: Path, name: str) -> None:
    source = shared_data / name / "wfsref.fits"
    output("ao", "find", "pupils", str(source), "--output", str(tmp_path / "pupils.fits"))
    frame = np.asarray(fits.getdata(source), np.float32)
    pupils = ao.load_pupils(tmp_path / "pupils.fits", (frame.shape[0], frame.shape[1]))
    bench = Bench(
        ao.pyramid_slopes,
        {"frame": frame, "pupils": pupils, "reference": np.zeros(2 * pupils.shape[1], np.float32)},
    )
    bench.step()
    slopes = bench["slopes"].reshape(2, -1)
    assert np.isfinite(slopes).all()
    assert np.abs(slopes.mean(axis=1)).max() < 0.3  # the reference is a flat wavefront
    assert slopes.std() > 0.0


def test_boxes_of_a_real_frame_make_slopes(shared_data: Path, tmp_path: Path) -> None:
    source = shared_data / "shwfs" / "reference.fits"
    output("ao", "find", "subapertures", str(source), "--output", str(tmp_path / "boxes.fits"))
    boxes = ao.load_boxes(tmp_path / "boxes.fits")
    assert len(boxes) == 127
    assert fits.getheader(tmp_path / "boxes.fits")["FRAMEH"] > 0


def test_a_frame_below_its_dark_is_told(tmp_path: Path) -> None:
    simulator = simulated("pyramid", pixels=40, modulation=5.0)
    fits.PrimaryHDU(tilted(simulator, 0.0)).writeto(tmp_path / "frame.fits")
    fits.PrimaryHDU(np.full(simulator.wfs_shape, 1e6, np.float32)).writeto(tmp_path / "dark.fits")
    told = error(
        4, "ao", "find", "pupils", str(tmp_path / "frame.fits"), "--dark", str(tmp_path / "dark.fits")
    )
    assert "the frame lies below the dark" in told
