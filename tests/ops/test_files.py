"""Frames in files: what is written comes back, and what cannot be written or read is told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from framebus.errors import DataError, NotFoundError, UsageError
from framebus.ops.files import fitting, read_frames, write_frames
from framebus.stream.datatypes import CODES

FITS_DTYPES = [dtype.name for dtype in CODES if dtype.kind != "c" and dtype.name != "float16"]
ALL_DTYPES = [dtype.name for dtype in CODES]


def of_dtype(dtype: str, shape: tuple[int, ...] = (3, 4)) -> np.ndarray:
    values = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    if values.dtype.kind in "iu":
        values.flat[:2] = np.iinfo(dtype).min, np.iinfo(dtype).max
    return values


@pytest.mark.parametrize("ending", [".fits", ".fits.gz"])
@pytest.mark.parametrize("dtype", FITS_DTYPES)
def test_every_type_comes_back_from_fits(dtype: str, ending: str, tmp_path: Path) -> None:
    data = of_dtype(dtype)
    assert write_frames(tmp_path / f"a{ending}", data, {}) == []
    back, keywords = read_frames(tmp_path / f"a{ending}")
    assert (back.tolist(), back.dtype, keywords) == (data.tolist(), data.dtype, {})


@pytest.mark.parametrize("dtype", FITS_DTYPES)
def test_a_tile_compressed_file_comes_back(dtype: str, tmp_path: Path) -> None:
    data = of_dtype(dtype, (32, 32))
    if data.dtype.kind == "f":
        data[:] = np.random.default_rng(1).normal(size=data.shape)  # many digits
    write_frames(tmp_path / "a.fits.fz", data, {"RATE": (5.0, "Hz")})
    back, keywords = read_frames(tmp_path / "a.fits.fz")
    assert (back.tolist(), back.dtype, keywords) == (data.tolist(), data.dtype, {"RATE": (5.0, "Hz")})


@pytest.mark.parametrize("dtype", ALL_DTYPES)
def test_every_type_comes_back_from_npy(dtype: str, tmp_path: Path) -> None:
    data = of_dtype(dtype)
    write_frames(tmp_path / "a.npy", data, {})
    back, _ = read_frames(tmp_path / "a.npy")
    assert (back.tolist(), back.dtype) == (data.tolist(), data.dtype)


@pytest.mark.parametrize("dtype", ["float16", "complex64", "complex128"])
def test_what_fits_has_not_is_refused(dtype: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=rf"FITS has no {dtype}; choose a name that ends in \.npy"):
        write_frames(tmp_path / "a.fits", of_dtype(dtype), {})
    assert list(tmp_path.iterdir()) == []


def test_keywords_come_back_and_those_about_the_file_do_not(tmp_path: Path) -> None:
    given: dict[str, tuple[int | float | str, str]] = {
        "FRATE": (1000.5, "[Hz] frames per second"),
        "N": (-3, ""),
        "CAM": ("böse\n", "who"),
        "longer_than_8": (7, "a long name"),
        "gain": (0.5, "small letters"),
        "at_count": (9, "would make units wait"),
        "FBCOUNT": (12, "count"),
        "NAXIS": (5, "of the file itself"),
        "WORST": (float("inf"), "no FITS number"),
    }
    assert write_frames(tmp_path / "a.fits", of_dtype("float32"), given) == ["NAXIS", "WORST"]
    _, keywords = read_frames(tmp_path / "a.fits")
    assert keywords == {
        "FRATE": (1000.5, "[Hz] frames per second"),
        "N": (-3, ""),
        "CAM": ("b\\xf6se\\n", "who"),
        "longer_than_8": (7, "a long name"),
        "gain": (0.5, "small letters"),
    }
    assert fits.getval(tmp_path / "a.fits", "FBCOUNT") == 12


def test_a_table_lies_behind_the_image(tmp_path: Path) -> None:
    columns = {"COUNT": np.array([3, 2**62]), "MISSED": np.array([0, 1])}
    write_frames(tmp_path / "a.fits", of_dtype("uint8"), {}, table=columns)
    table = fits.getdata(tmp_path / "a.fits", "FRAMES")
    assert {name: table[name].tolist() for name in ("COUNT", "MISSED")} == {
        "COUNT": [3, 2**62],
        "MISSED": [0, 1],
    }


@pytest.mark.parametrize("name", ["a.fits", "a.npy"])
def test_a_file_is_replaced_only_when_asked(name: str, tmp_path: Path) -> None:
    write_frames(tmp_path / name, np.zeros(2), {})
    with pytest.raises(UsageError, match=rf"{name} exists; choose another name, or add --overwrite"):
        write_frames(tmp_path / name, np.ones(2), {})
    assert read_frames(tmp_path / name)[0].tolist() == [0, 0]
    write_frames(tmp_path / name, np.ones(2), {}, overwrite=True)
    assert read_frames(tmp_path / name)[0].tolist() == [1, 1]
    assert [path.name for path in tmp_path.iterdir()] == [name], "nothing else is left"


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not tell a kind of file"):
        write_frames(tmp_path / "a.txt", np.zeros(2), {})
    with pytest.raises(UsageError, match="is no directory"):
        write_frames(tmp_path / "nowhere" / "a.fits", np.zeros(2), {})
    (tmp_path / "dir.npy").mkdir()
    with pytest.raises(UsageError, match="is a directory"):
        write_frames(tmp_path / "dir.npy", np.zeros(2), {}, overwrite=True)


def test_what_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no such file"):
        read_frames(tmp_path / "a.fits")
    with pytest.raises(UsageError, match="does not tell a kind of file"):
        read_frames(tmp_path / "a.txt")
    (tmp_path / "bad.fits").write_text("no FITS at all")
    with pytest.raises(
        DataError, match=r"bad\.fits cannot be read as FITS: No SIMPLE[^=]*; expected a whole file"
    ):
        read_frames(tmp_path / "bad.fits")
    (tmp_path / "bad.npy").write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(DataError, match=r"bad\.npy cannot be read"):
        read_frames(tmp_path / "bad.npy")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(
        DataError, match=r"objects\.npy cannot be read as \.npy: it holds Python's objects; expected"
    ):
        read_frames(tmp_path / "objects.npy")
    for name, array, said in [
        ("texts", np.array(["a"]), "its dtype is <U1"),
        ("scalar", np.array(1.0), r"its shape is \(\)"),
        ("empty", np.zeros((3, 0)), r"its shape is \(3, 0\)"),
    ]:
        np.save(tmp_path / f"{name}.npy", array)
        with pytest.raises(DataError, match=said):
            read_frames(tmp_path / f"{name}.npy")
    with (tmp_path / "archive.npy").open("wb") as file:
        np.savez(file, a=np.zeros(2))
    with pytest.raises(DataError, match="is an archive"):
        read_frames(tmp_path / "archive.npy")


@pytest.mark.parametrize("start", [b"PK\x03\x04", b"PK\x05\x06", b"\x80\x04", b""])
def test_an_npy_file_of_another_kind_is_told(start: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(start + b"no array")
    with pytest.raises(
        DataError, match=r"a\.npy cannot be read as \.npy: [^=]*; expected a whole file"
    ) as caught:
        read_frames(tmp_path / "a.npy")
    assert "pickle" not in str(caught.value)


@given(data=st.data())
def test_a_damaged_npy_file_is_told_whatever_is_wrong(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "a.npy"
    np.save(path, np.zeros((3, 4)))
    whole = bytearray(path.read_bytes())
    places = st.integers(0, len(whole) - 1)
    marks = st.sampled_from(b"()[]{}',:0129 \n\\\0\xff")
    for place, mark in data.draw(st.lists(st.tuples(places, marks), min_size=1, max_size=3)):
        whole[place] = mark
    path.write_bytes(whole[: data.draw(st.one_of(st.none(), places))])
    try:
        found, _ = read_frames(path)
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert found.dtype in CODES


def test_other_byte_orders_and_masks_are_converted(tmp_path: Path) -> None:
    np.save(tmp_path / "big.npy", np.array([1, 2], ">i2"))
    np.save(tmp_path / "mask.npy", np.array([True, False]))
    assert read_frames(tmp_path / "big.npy")[0].dtype == np.dtype("int16")
    assert read_frames(tmp_path / "mask.npy")[0].tolist() == [1, 0]


def test_keywords_that_a_stream_has_no_room_for() -> None:
    kept, left_out = fitting({"A": (1, ""), "B": ("a text of more than 16 bytes", ""), "C": ("x", "c" * 99)})
    assert (kept, left_out) == ({"A": (1, "")}, ["B", "C"])
