from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

import framebus
from framebus.ao.calibration_files import (
    load_calibration,
    save_calibration,
    span_cards,
)
from framebus.ao.sampling import Span
from framebus.errors import DataError, NotFoundError, UsageError


def test_a_file_says_what_was_measured_from_which_frames_and_by_what(tmp_path: Path) -> None:
    path = tmp_path / "dark.fits"
    level = np.arange(12, dtype=np.float32).reshape(3, 4)
    span = Span("wfs", 11, 20, 1_700_000_000_000_000_000, 1_700_000_001_000_000_000, 10, 2)
    cards: Any = {"NFRAMES": (10, "frames"), "BROKEN": float("nan"), **span_cards([span])}
    save_calibration(path, "dark", {"level": level, "hot": level > 10}, cards, doubts=["a" * 100])
    with fits.open(path, checksum=True) as hdus:  # a wrong checksum would warn
        header = hdus[0].header
        assert (header["KIND"], header["NFRAMES"], header["STREAM1"]) == ("dark", 10, "wfs")
        assert header["CREATOR"] == f"framebus {framebus.__version__}"
        assert (header["CNTBEG1"], header["CNTEND1"], header["NREAD1"], header["MISSED1"]) == (11, 20, 10, 2)
        assert header["TBEG1"] == "2023-11-14T22:13:20.000000"
        assert "BROKEN" not in header
        assert header["DOUBT1"] == "a" * 100
    file = load_calibration(path, "dark")
    np.testing.assert_array_equal(file.array("level"), level)
    np.testing.assert_array_equal(file.array("hot"), level > 10)
    assert file.array("level").dtype == np.float32
    with pytest.raises(DataError, match="no array 'noise', only level, hot; it is a dark file"):
        file.array("noise")
    assert list(tmp_path.iterdir()) == [path]


def test_files_are_not_overwritten_unless_allowed(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    save_calibration(path, "dark", {"level": np.zeros(3)})
    with pytest.raises(UsageError, match="exists; choose another name"):
        save_calibration(path, "dark", {"level": np.ones(3)})
    save_calibration(path, "dark", {"level": np.ones(3)}, overwrite=True)
    assert load_calibration(path).array("level")[0] == 1.0
    with pytest.raises(UsageError, match="at least one array"):
        save_calibration(tmp_path / "b.fits", "dark", {})
    with pytest.raises(UsageError, match="'too long a name' is no FITS keyword"):
        save_calibration(tmp_path / "b.fits", "dark", {"x": np.zeros(1)}, {"too long a name": 1})


def test_texts_that_a_header_cannot_hold_are_escaped(tmp_path: Path) -> None:
    path = tmp_path / "a.fits"
    save_calibration(path, "dark", {"level": np.zeros(3)}, {"STEP": ("2 µm", "größer")}, doubts=["σ is 3"])
    header = load_calibration(path).header
    assert (header["STEP"], header["DOUBT1"]) == (r"2 \xb5m", r"\u03c3 is 3")
    assert fits.getheader(path).comments["STEP"] == r"gr\xf6\xdfer"


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such file"):
        load_calibration(tmp_path / "none.fits")
    bad = tmp_path / "bad.fits"
    bad.write_bytes(b"nothing of the kind" * 300)
    with pytest.raises(DataError, match="cannot be read as FITS"):
        load_calibration(bad)
    empty = tmp_path / "empty.fits"
    fits.PrimaryHDU().writeto(empty)
    with pytest.raises(DataError, match="holds no image"):
        load_calibration(empty)
    foreign = tmp_path / "foreign.fits"
    fits.PrimaryHDU(np.zeros(3)).writeto(foreign)
    with pytest.raises(DataError, match="it is a foreign file; expected a dark of 'framebus ao dark'"):
        load_calibration(foreign, "dark")
    assert load_calibration(foreign).kind == ""
