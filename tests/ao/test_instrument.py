from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from numpy.typing import NDArray

from framebus.ao import Instrument, control_matrix, load_instrument
from framebus.errors import DataError, NotFoundError, UsageError

RNG = np.random.default_rng(6)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A small instrument: 6 actuators of 3 x 3, a sensor of 4 x 5."""
    save(tmp_path / "respM.fits", RNG.normal(size=(6, 4, 5)))
    save(tmp_path / "DMmaskCTRL.fits", np.array([[0, 1, 0], [1, 1, 1], [0, 1, 1]]))
    save(tmp_path / "WFSmask.fits", np.arange(20).reshape(4, 5) % 2)
    save(tmp_path / "wfsref.fits", np.full((4, 5), 0.5))
    save(tmp_path / "wfsdark.fits", np.full((4, 5), 100))
    save(tmp_path / "influence.fits", RNG.random((6, 7, 8)))
    (tmp_path / "notes.txt").write_text("ignored")
    return tmp_path


def save(path: Path, data: NDArray[Any]) -> None:
    fits.PrimaryHDU(np.asarray(data, dtype=np.float32)).writeto(path, overwrite=True)


def test_everything_is_read(directory: Path) -> None:
    found = load_instrument(directory)
    assert found.name == directory.name
    assert (found.n_actuators, found.n_measurements, found.sensor_shape) == (6, 20, (4, 5))
    assert found.response.dtype == np.float32
    np.testing.assert_array_equal(found.response, fits.getdata(directory / "respM.fits").reshape(6, 20))
    assert found.valid.tolist() == list(range(1, 20, 2))
    assert found.valid.dtype == np.int32
    assert (found.reference == 0.5).all()
    assert (found.dark == 100).all()
    assert found.influence is not None
    assert found.influence.shape == (6, 7, 8)
    assert found.dm_mask.sum() == 6
    np.testing.assert_array_equal(
        found.dm_map([1, 2, 3, 4, 5, 6], fill=-1), [[-1, 1, -1], [2, 3, 4], [-1, 5, 6]]
    )
    assert found.controlled.all()


def test_only_the_response_is_needed(directory: Path) -> None:
    for path in directory.iterdir():
        if path.name != "respM.fits":
            path.unlink()
    found = load_instrument(str(directory))
    assert found.wfs_mask.all()
    assert found.wfs_mask.shape == (4, 5)
    assert not found.reference.any()
    assert not found.dark.any()
    assert found.influence is None
    assert found.dm_map(range(6)).tolist() == [[0, 1, 2, 3, 4, 5]]


def test_a_mask_as_large_as_the_command_says_which_actuators_are_controlled(directory: Path) -> None:
    save(directory / "DMmaskCTRL.fits", np.array([[1, 0, 1], [1, 1, 1]]))
    found = load_instrument(directory)
    assert found.controlled.tolist() == [True, False, True, True, True, True]
    assert found.dm_map(range(6)).tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize("ending", [".fits.gz", ".fits.fz"])
def test_compressed_files_are_read(directory: Path, ending: str) -> None:
    plain = load_instrument(directory)
    data = fits.getdata(directory / "respM.fits")
    (directory / "respM.fits").unlink()
    hdu = (
        fits.PrimaryHDU(data) if ending == ".fits.gz" else fits.CompImageHDU(data, compression_type="GZIP_2")
    )
    hdu.writeto(directory / f"respM{ending}")
    np.testing.assert_array_equal(load_instrument(directory).response, plain.response)


def test_kalao(shared_data: Path) -> None:
    found = load_instrument(shared_data / "kalao")
    assert isinstance(found, Instrument)
    assert (found.n_actuators, found.sensor_shape) == (144, (11, 22))
    assert found.dm_mask.shape == (12, 12)
    assert found.controlled.sum() == 138
    assert found.valid.size == 184
    assert found.dm_map(np.arange(144))[3, 4] == 40
    assert control_matrix(found.response, condition=30).n_kept > 100


def test_ao3k(shared_data: Path) -> None:
    found = load_instrument(shared_data / "ao3k")
    assert (found.n_actuators, found.sensor_shape) == (188, (160, 160))
    assert found.wfs_mask.all()
    assert found.reference.any()
    assert found.dark.mean() == pytest.approx(395, abs=30)
    assert found.influence is not None
    assert found.influence.shape == (188, 50, 50)
    assert np.isfinite(found.response).all()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="absent: no such directory"):
        load_instrument(tmp_path / "absent")
    with pytest.raises(NotFoundError, match=r"respM\.fits\.fz"):
        load_instrument(tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("respM", np.ones(6), r"\(6,\); expected actuators first"),
        ("respM", np.zeros((6, 4, 5)), "all zeros"),
        ("respM", np.full((6, 4, 5), np.nan), "120 of the 120 values of PRIMARY are not finite"),
        ("respM", np.ones((6, 5, 4)), r"\(4, 5\), expected \(5, 4\), the sensor's shape"),
        ("WFSmask", np.ones((4, 4)), r"\(4, 4\), expected \(4, 5\)"),
        ("WFSmask", np.zeros((4, 5)), "all zeros"),
        ("wfsref", np.ones((20,)), r"\(20,\), expected \(4, 5\)"),
        ("wfsref", np.full((4, 5), np.inf), "not finite"),
        ("wfsdark", np.ones((1, 4, 5)), r"\(1, 4, 5\), expected \(4, 5\)"),
        ("DMmaskCTRL", np.ones((3, 3)), r"\(3, 3\), 9 elements, 9 of them set; expected 6"),
        ("DMmaskCTRL", np.ones(6), "expected two axes"),
        ("DMmaskCTRL", np.zeros((2, 3)), "all zeros"),
        ("influence", np.ones((5, 7, 8)), r"\(5, 7, 8\), expected \(6, height, width\)"),
        ("influence", np.ones((6, 7)), r"expected \(6, height, width\)"),
    ],
)
def test_a_file_that_does_not_fit_is_named(
    directory: Path, name: str, data: NDArray[Any], message: str
) -> None:
    save(directory / f"{name}.fits", data)
    with pytest.raises(DataError, match=message) as caught:
        load_instrument(directory)
    assert str(directory) in str(caught.value)


def test_damaged_files_are_named(directory: Path) -> None:
    path = directory / "wfsref.fits"
    whole = path.read_bytes()
    for content in (b"", b"this is no FITS file", whole[:2900], bytes(2880) + whole[2880:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"wfsref\.fits"):
            load_instrument(directory)


def test_a_file_without_an_image_is_named(directory: Path) -> None:
    fits.PrimaryHDU().writeto(directory / "wfsref.fits", overwrite=True)
    with pytest.raises(DataError, match="holds no image"):
        load_instrument(directory)


def test_a_damaged_compressed_file_is_named(directory: Path, shared_data: Path) -> None:
    (directory / "respM.fits").unlink()
    path = directory / "respM.fits.fz"
    shutil.copyfile(shared_data / "ao3k" / "respM.fits.fz", path)
    content = bytearray(path.read_bytes())
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"respM\.fits\.fz"):
        load_instrument(directory)


def test_a_map_wants_one_value_per_actuator(directory: Path) -> None:
    with pytest.raises(UsageError, match="has 6 values; this one has 9"):
        load_instrument(directory).dm_map(np.zeros(9))
