"""Streams from FITS files: found by name, read as they are, bad files named."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from framebus.errors import DataError, NameFormatError, NotFoundError
from framebus.stream.conf import find_conf, load_conf

fits: Any = pytest.importorskip("astropy.io.fits", reason="needs astropy (the extra framebus[fits])")

TYPES = "uint8 int8 uint16 int16 uint32 int32 uint64 int64 float32 float64".split()


def test_find_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "shmim.dm.fits").touch()
    (tmp_path / "conf" / "shmim.folder.fits").mkdir()
    assert find_conf("dm", tmp_path / "conf") == tmp_path / "conf" / "shmim.dm.fits"
    assert find_conf("folder", tmp_path / "conf") is None
    assert find_conf("wfs", tmp_path / "conf") is None
    assert find_conf("wfs", tmp_path / "nowhere") is None
    with monkeypatch.context() as here:
        here.chdir(tmp_path)
        assert find_conf("dm") == Path("conf/shmim.dm.fits")
    with pytest.raises(NameFormatError):
        find_conf("../dm")


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(5,), (3, 4), (2, 3, 4)])
def test_every_type_comes_back(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    data = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    if np.issubdtype(data.dtype, np.integer):
        data.flat[:2] = np.iinfo(dtype).min, np.iinfo(dtype).max
    fits.writeto(path, data)
    image, keywords = load_conf(path)
    np.testing.assert_array_equal(image, data)
    assert (image.dtype, image.dtype.isnative) == (data.dtype, True)
    assert image.flags.c_contiguous
    assert image.flags.writeable
    assert keywords == {}


def test_keywords_that_describe_the_image_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    header = fits.Header()
    header["FRATE"] = (1000.0, "[Hz] frame rate")
    header["NMODES"] = 188
    header["MODE"] = ("closed", "state of the loop")
    header["LASER"] = (True, "on")
    header["PHASE"] = 1 + 2j
    header["NOTHING"] = None
    header["HIERARCH A very long name"] = 7
    header["COMMENT"] = "not a value"
    header["HISTORY"] = "not a value either"
    fits.writeto(path, np.zeros((2, 2), "uint16"), header, checksum=True)
    assert load_conf(path)[1] == {
        "FRATE": (1000.0, "[Hz] frame rate"),
        "NMODES": (188, ""),
        "MODE": ("closed", "state of the loop"),
        "LASER": (1, "on"),
        "PHASE": ("(1+2j)", ""),
        "A very long name": (7, ""),
    }
    assert type(load_conf(path)[1]["LASER"][0]) is int


def test_scaled_pixels_come_as_physical_values(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    hdu = fits.PrimaryHDU(np.array([1.0, 2.0, 3.0]))
    hdu.scale("int16", bscale=0.5, bzero=1.0)
    hdu.writeto(path)
    image, keywords = load_conf(path)
    np.testing.assert_array_equal(image, [1.0, 2.0, 3.0])
    assert keywords == {}


@pytest.mark.parametrize("kind", ["ImageHDU", "CompImageHDU"])
def test_the_first_image_of_an_extension(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    table = fits.BinTableHDU.from_columns([fits.Column("x", "J", array=np.arange(3))])
    data = np.arange(12, dtype="int16").reshape(3, 4)
    first = getattr(fits, kind)(data, name="first")
    first.header["GAIN"] = (0.5, "loop gain")
    fits.HDUList([fits.PrimaryHDU(), table, first, fits.ImageHDU(-data)]).writeto(path)
    image, keywords = load_conf(path)
    np.testing.assert_array_equal(image, data)
    assert keywords == {"GAIN": (0.5, "loop gain")}


def test_measured_files(shared_data: Path) -> None:
    image, _ = load_conf(shared_data / "kalao" / "respM.fits")
    assert image.shape[0] == 144
    assert load_conf(shared_data / "ao3k" / "respM.fits.fz")[0].shape[0] == 188


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.fits cannot be read"):
        load_conf(tmp_path / "nowhere.fits")


@pytest.mark.parametrize(
    "content", [b"", b"SIMPLE", b"no FITS at all" * 300, b"\x00" * 2880, b"\x1f\x8bgarbage"]
)
def test_not_fits(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "bad.fits"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.fits"):
        load_conf(path)


def test_no_image(tmp_path: Path) -> None:
    path = tmp_path / "empty.fits"
    fits.PrimaryHDU().writeto(path)
    with pytest.raises(DataError, match=r"empty\.fits holds no image"):
        load_conf(path)


def test_an_empty_image(tmp_path: Path) -> None:
    path = tmp_path / "zero.fits"
    fits.writeto(path, np.zeros((0, 3), "float32"))
    with pytest.raises(DataError, match=r"zero\.fits: the image is empty"):
        load_conf(path)


def test_too_many_axes(tmp_path: Path) -> None:
    path = tmp_path / "deep.fits"
    fits.writeto(path, np.zeros((1, 2, 2, 2), "float32"))
    with pytest.raises(DataError, match=r"deep\.fits.*\(1, 2, 2, 2\).*at most 3 axes"):
        load_conf(path)


@pytest.mark.parametrize("keep", [2880, 2881, 2880 + 4000])
def test_a_truncated_file(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "short.fits"
    fits.writeto(path, np.zeros((100, 100), "float32"))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"short\.fits"):
        load_conf(path)


def test_a_wrong_checksum(tmp_path: Path) -> None:
    path = tmp_path / "flipped.fits"
    fits.writeto(path, np.zeros((10, 10), "float32"), checksum=True)
    content = bytearray(path.read_bytes())
    content[3000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"flipped\.fits.*[Cc]hecksum verification failed"):
        load_conf(path)


@pytest.mark.parametrize("compressed", [False, True])
def test_damage_gives_an_image_or_names_the_file(compressed: bool, tmp_path: Path) -> None:
    path = tmp_path / "damaged.fits"
    image = np.arange(64, dtype="int16").reshape(8, 8)
    header = fits.Header([("GAIN", 0.5, "loop gain")])
    if compressed:
        fits.CompImageHDU(image, header).writeto(path)
    else:
        fits.writeto(path, image, header)
    good = path.read_bytes()

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(32, 126)), min_size=1, max_size=4))
    def damage(changes: list[tuple[int, int]]) -> None:
        content = bytearray(good)
        for place, value in changes:
            content[place] = value
        path.write_bytes(content)
        try:
            read, keywords = load_conf(path)
        except DataError as error:
            message = str(error)
        else:
            message = str(path)
            assert 1 <= read.ndim <= 3
            assert read.size
            assert read.dtype.isnative
            assert all(isinstance(value, (int, float, str)) for value, _ in keywords.values())
        assert "damaged.fits" in message

    damage()


def test_without_astropy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.fits"
    fits.writeto(path, np.zeros(3))
    monkeypatch.setitem(sys.modules, "astropy.io", None)
    with pytest.raises(NotFoundError, match=r"pip install 'framebus\[fits\]'"):
        load_conf(path)
