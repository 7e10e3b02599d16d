"""Frames in files: FITS with a stream's keywords as header cards, and NumPy's ``.npy``, which holds the data alone."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import DataError, NotFoundError, UsageError
from framebus.stream.conf import Keywords, is_structural, load_conf, reason_of
from framebus.stream.datatypes import CODES
from framebus.stream.files import printable, replacing
from framebus.stream.keywords import fits as fits_a_stream

__all__ = [
    "FITS_NAMES",
    "NPY_NAMES",
    "check_new",
    "check_there",
    "check_writable",
    "fitting",
    "kind_of",
    "read_frames",
    "write_frames",
]

FilePath: TypeAlias = str | os.PathLike[str]

FITS_NAMES = (".fits", ".fit", ".fits.gz", ".fits.fz")
NPY_NAMES = (".npy",)
_MOST_AXES = 4
"""Of a file: frames of three axes, one after the other."""

_NO_FITS = ("float16", "complex64", "complex128")
# What these files say about themselves; in a stream it would soon be wrong. ``at_count`` would make units wait.
_OWN = frozenset("FBSTREAM FBCOUNT FBACQ FBWRITE FBMISSED ORIGIN DATE DATE-OBS AT_COUNT".split())


def kind_of(path: FilePath) -> str:
    """What kind of file a name stands for: ``fits`` or ``npy``.

    Raises:
        UsageError: neither.
    """
    name = Path(path).name.lower()
    for kind, endings in (("fits", FITS_NAMES), ("npy", NPY_NAMES)):
        if name.endswith(endings):
            return kind
    raise UsageError(
        f"{path}: the name does not tell a kind of file; expected one that ends in"
        f" {', '.join((*FITS_NAMES, *NPY_NAMES))}"
    )


def read_frames(path: FilePath) -> tuple[npt.NDArray[Any], Keywords]:
    """The array in a file, and its keywords.

    Args:
        path: ``.fits`` (plain or compressed; its first image), or ``.npy``.

    Returns:
        The array, 1 to 4 axes, C-contiguous, of a dtype that streams hold (bool becomes uint8), in native byte order;
        and the header's keywords with their comments, without those that describe the file.

    Raises:
        UsageError: the name is of neither kind of file.
        NotFoundError: there is no such file, or astropy is not installed.
        DataError: it is damaged, or holds what no stream can.
    """
    kind = kind_of(path)
    file = check_there(path)
    if kind == "npy":
        return _read_npy(file), {}
    data, keywords = load_conf(file, most_axes=_MOST_AXES)
    return data, {key: pair for key, pair in keywords.items() if key.upper() not in _OWN}


def check_there(path: FilePath) -> Path:
    """The path of a file that is there. Raises NotFoundError."""
    file = Path(path)
    if not file.is_file():
        raise NotFoundError(f"{file}: there is no such file")
    return file


def _read_npy(path: Path) -> npt.NDArray[Any]:
    try:
        with path.open("rb") as file:  # NumPy would leave a damaged one open
            if not file.peek(6).startswith((b"\x93NUMPY", b"PK")):
                raise ValueError("it does not begin as one")
            data = np.load(file, allow_pickle=False)
    except OSError:
        raise
    except Exception as error:
        # Of a damaged header NumPy hands on what its tokenizer raises, zipfile, and others.
        what = "it holds Python's objects" if "allow_pickle" in str(error) else reason_of(error)
        raise DataError(
            f"{path} cannot be read as .npy: {what}; expected a whole file with numbers"
        ) from error
    if not isinstance(data, np.ndarray):
        raise DataError(f"{path} is an archive of arrays; expected one array in a .npy file")
    native = np.dtype(np.uint8) if data.dtype.kind == "b" else data.dtype.newbyteorder("=")
    if native not in CODES:
        raise DataError(f"{path}: its dtype is {data.dtype}; expected one of {', '.join(map(str, CODES))}")
    if not 1 <= data.ndim <= _MOST_AXES or data.size == 0:
        raise DataError(
            f"{path}: its shape is {data.shape}; expected 1 to {_MOST_AXES} axes that are not empty"
        )
    return np.array(data, dtype=native, order="C")


def fitting(keywords: Keywords) -> tuple[Keywords, list[str]]:
    """The keywords that a stream has room for, and the names of the others."""
    kept = {key: pair for key, pair in keywords.items() if fits_a_stream(key, *pair)}
    return kept, sorted(set(keywords) - set(kept))


def check_new(path: FilePath, overwrite: bool) -> Path:
    """Refuse a file that must not be written, before anything is measured for it.

    Raises:
        UsageError: it exists and is not to be overwritten, it is a directory, or its directory does not exist.
    """
    file = Path(path)
    if file.is_dir():
        raise UsageError(f"{file} is a directory; expected the name of a file")
    if file.exists() and not overwrite:
        raise UsageError(
            f"{file} exists; choose another name, or add --overwrite (in Python: overwrite=True)"
        )
    if not file.parent.is_dir():
        raise UsageError(f"{file.parent} is no directory; make it first")
    return file


def check_writable(path: FilePath, dtype: npt.DTypeLike, overwrite: bool = False) -> Path:
    """Refuse a file that ``write_frames`` would refuse, before anything is measured for it.

    Args:
        path: its name says which kind of file it is.
        dtype: of the array that it will hold.
        overwrite: a file that is there will be replaced.

    Raises:
        UsageError: as ``check_new``; or FITS has no such dtype, or the name is of neither kind of file.
        NotFoundError: astropy, which FITS needs, is not installed.
    """
    kind = kind_of(path)
    file = check_new(path, overwrite)
    if kind == "fits":
        wanted = np.dtype(dtype)
        if wanted.name in _NO_FITS:
            raise UsageError(f"{file}: FITS has no {wanted}; choose a name that ends in .npy")
        _astropy_fits(file)
    return file


def write_frames(
    path: FilePath,
    data: npt.NDArray[Any],
    keywords: Mapping[str, tuple[int | float | str, str]],
    *,
    overwrite: bool = False,
    table: Mapping[str, npt.NDArray[np.int64]] | None = None,
) -> list[str]:
    """Write an array into a file; whoever reads meanwhile finds the old file or the new one, whole.

    Args:
        path: its name says which kind of file it is.
        data: the array.
        keywords: name to (value, comment), for the header. Names of more than 8 characters, or with small
            letters, become HIERARCH cards. A ``.npy`` file has no place for them.
        overwrite: replace a file that is there.
        table: columns of int64 by their names, for a table ``FRAMES`` behind the image, in FITS only.

    Returns:
        Names of the keywords that a FITS header cannot hold: infinities, and names that describe the file itself.

    Raises:
        UsageError, NotFoundError: as ``check_writable``.
        OSError: the file cannot be written.
    """
    file = check_writable(path, data.dtype, overwrite)
    with replacing(file) as draft:  # its ending tells astropy whether to compress
        if kind_of(file) == "fits":
            return _write_fits(draft, data, keywords, table)
        with draft.open("wb") as opened:
            np.save(opened, data)
    return []


def _astropy_fits(path: Path) -> ModuleType:
    try:
        from astropy.io import fits
    except ImportError as error:
        raise NotFoundError(
            f"{path} cannot be written: astropy is not installed; install the extra: pip install 'framebus[fits]'"
        ) from error
    module: ModuleType = fits
    return module


def _write_fits(
    path: Path,
    data: npt.NDArray[Any],
    keywords: Mapping[str, tuple[int | float | str, str]],
    table: Mapping[str, npt.NDArray[np.int64]] | None,
) -> list[str]:
    fits = _astropy_fits(path)
    compressed = path.name.lower().endswith(".fz")
    if compressed:
        # Rice's code, the usual one, holds whole numbers of up to 32 bits; of fractions it would drop digits.
        small = data.dtype.kind in "iu" and data.dtype.itemsize <= 4
        exactly = {} if small else {"compression_type": "GZIP_2", "quantize_level": 0.0}
        image = fits.CompImageHDU(data, **exactly)
    else:
        image = fits.PrimaryHDU(data)
    left_out = []
    with warnings.catch_warnings(action="ignore"):  # of comments that are cut, and names that become HIERARCH
        image.header["ORIGIN"] = ("framebus", "program that wrote this file")
        for name, (value, comment) in keywords.items():
            if not _writable(name, value):
                left_out.append(name)
                continue
            shown = printable(value) if isinstance(value, str) else value
            # So the name keeps its length, and its small letters.
            key = name if len(name) <= 8 and name.upper() == name else f"HIERARCH {name}"
            try:
                image.header.append(fits.Card(key, shown, printable(comment)), end=True)
            except ValueError:  # a name out of characters that FITS has not
                left_out.append(name)
        parts = [fits.PrimaryHDU(), image] if compressed else [image]
        if table is not None:
            columns = [fits.Column(name, "K", array=column) for name, column in table.items()]
            parts.append(fits.BinTableHDU.from_columns(columns, name="FRAMES"))
        fits.HDUList(parts).writeto(path, overwrite=True)
    return left_out


def _writable(name: str, value: int | float | str) -> bool:
    if is_structural(name.upper()):
        return False
    return not isinstance(value, float) or math.isfinite(value)
