from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from framebus.ao.fits_files import read_fits, read_image, write_fits
from framebus.errors import DataError, NotFoundError, UsageError


@settings(max_examples=25)
@given(
    arrays(
        st.sampled_from(["float64", "float32", "int32"]),
        array_shapes(max_dims=3),
        elements=st.integers(-99, 99),
    ),
    st.text("abcdefgh =/", min_size=1, max_size=200),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    image: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    text: str,
) -> None:
    path = tmp_path_factory.getbasetemp() / "image.fits"
    write_fits(path, image, {"TEXT": (text, "a comment " * 5), "NUMBER": (1.5, "")}, {"OTHER": image + 1})
    header, images = read_fits(path)
    assert header["TEXT"].rstrip() == text.rstrip()
    assert header["NUMBER"] == 1.5
    assert list(images) == ["PRIMARY", "OTHER"]
    np.testing.assert_array_equal(images["PRIMARY"], image)
    np.testing.assert_array_equal(images["OTHER"], image + 1)
    assert images["PRIMARY"].dtype == image.dtype
    assert read_image(path).dtype == np.float64
    assert list(path.parent.glob(".image.fits.*")) == []


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.fits"
    write_fits(path, np.ones(3), {})

    def refuse(source: object, target: object) -> None:
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(OSError, match="no space"):
            write_fits(path, np.zeros(3), {})
    np.testing.assert_array_equal(read_image(path), np.ones(3))
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(OSError, match="gone"):
        write_fits(tmp_path / "gone" / "a.fits", np.ones(3), {})
    with pytest.raises(UsageError, match=r"ends in \.fits"):
        write_fits(tmp_path / "a.txt", np.ones(3), {})


def test_text_that_a_header_cannot_hold_is_escaped(tmp_path: Path) -> None:
    write_fits(tmp_path / "a.fits", np.ones(3), {"SOURCE": ("Zürich\n.fits", "")})
    assert read_fits(tmp_path / "a.fits")[0]["SOURCE"] == r"Z\xfcrich\n.fits"


def test_files_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        read_fits(tmp_path / "none.fits")
    fits.HDUList([fits.PrimaryHDU()]).writeto(tmp_path / "empty.fits")
    with pytest.raises(DataError, match="holds no image"):
        read_fits(tmp_path / "empty.fits")
    write_fits(tmp_path / "a.fits", np.ones((2, 3)), {}, {"BAD": [1.0, np.inf]})
    with pytest.raises(DataError, match="1 of the 2 values of BAD"):
        read_fits(tmp_path / "a.fits")
    write_fits(tmp_path / "b.fits", np.ones((2, 3)), {})
    with pytest.raises(DataError, match=r"shape is \(2, 3\); expected 3 axes"):
        read_image(tmp_path / "b.fits", ndim=3)
    whole = (tmp_path / "b.fits").read_bytes()
    (tmp_path / "c.fits").write_bytes(whole[:2890])
    with pytest.raises(DataError, match=r"c\.fits"):
        read_fits(tmp_path / "c.fits")
