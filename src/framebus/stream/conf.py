"""Streams from ``./conf/shmim.<name>.fits``, where a stream that is not in memory is looked up.

Reading needs astropy, which loads only when a file is read.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import DataError, NotFoundError
from framebus.stream.names import check_name

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["Keywords", "find_conf", "is_structural", "load_conf", "reason_of"]

Keywords: TypeAlias = dict[str, tuple[int | float | str, str]]
"""Keyword name to (value, comment)."""

_DTYPES = "uint8 int8 uint16 int16 uint32 int32 uint64 int64 float32 float64".split()
_MAX_AXES = 3
# What describes the file rather than the image; NAXIS1 and its like are matched by is_structural().
_STRUCTURAL = frozenset(
    "SIMPLE XTENSION BITPIX NAXIS EXTEND PCOUNT GCOUNT GROUPS BSCALE BZERO BLANK CHECKSUM DATASUM INHERIT EXTNAME"
    " EXTVER EXTLEVEL LONGSTRN CONTINUE COMMENT HISTORY END".split()
)


def find_conf(name: str, directory: Path = Path("conf")) -> Path | None:
    """Path of ``<directory>/shmim.<name>.fits`` if that file exists, else None.

    Raises:
        NameFormatError: no stream may be called ``name``.
    """
    path = directory / f"shmim.{check_name(name)}.fits"
    return path if path.is_file() else None


def load_conf(path: Path, *, most_axes: int = _MAX_AXES) -> tuple[npt.NDArray[Any], Keywords]:
    """Read the first image of a FITS file (the primary one, or an extension, compressed or not).

    Args:
        path: the file.
        most_axes: how many axes the image may have; a stream's frame has at most 3.

    Returns:
        The image, its axes in NumPy's order, native byte order, C-contiguous, of the file's own dtype (after
        BZERO and BSCALE); and the header's keywords with a value, apart from those that describe the file itself.
        Logical values become 0 or 1. Names, texts and comments are as long as FITS allows, which may be longer
        than a stream's keyword.

    Raises:
        NotFoundError: astropy is not installed.
        DataError: the file cannot be read, is no FITS file, is truncated, damaged or not what its checksum says,
            or holds no image that a stream can hold; the message names the file.
    """
    fits = _astropy_fits(path)
    try:
        # Opened here, as astropy leaves a file that it refuses open. The filters are process-wide; a warning of
        # another thread that goes astray in that moment does no harm.
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", category=fits.verify.AstropyUserWarning)  # oddities of the header
            warnings.filterwarnings("error", message="File may have been truncated")
            warnings.filterwarnings("error", message="(Checksum|Datasum) verification failed")
            with fits.open(file, memmap=False, checksum=True) as hdus:
                for hdu in hdus:
                    header = hdu.header.copy()  # before .data, which rewrites BITPIX and BZERO
                    if hdu.is_image and header.get("NAXIS", 0) > 0:
                        return _check_image(hdu.data, path, most_axes), _keywords(header)
    except DataError:
        raise
    # astropy lets through whatever its parsers and decompressors meet in a damaged file.
    except Exception as error:
        raise DataError(
            f"{path} cannot be read as FITS: {reason_of(error)}; expected a whole file with an image"
        ) from error
    raise DataError(f"{path} holds no image; expected one in the primary HDU or in an image extension")


def reason_of(error: Exception) -> str:
    """What a library says about a file, without the sentences in which it advises arguments of its functions."""
    sentences = re.split(r"(?<=[.;]) +", str(error))
    kept = " ".join(each for each in sentences if not re.search(r"\w=", each))
    return kept.rstrip(".;") or type(error).__name__


def _astropy_fits(path: Path) -> ModuleType:
    try:
        from astropy.io import fits
    except ImportError as error:
        raise NotFoundError(
            f"{path} cannot be read: astropy is not installed; install the extra: pip install 'framebus[fits]'"
        ) from error
    module: ModuleType = fits
    return module


def _check_image(data: npt.NDArray[Any] | None, path: Path, most_axes: int) -> npt.NDArray[Any]:
    if data is None or data.size == 0:
        raise DataError(f"{path}: the image is empty; expected 1 to {most_axes} axes of 1 or more pixels")
    if data.ndim > most_axes:
        raise DataError(f"{path}: the image has shape {data.shape}; a stream has at most {_MAX_AXES} axes")
    native = data.dtype.newbyteorder("=")
    if native.name not in _DTYPES:
        raise DataError(f"{path}: the image has dtype {native.name}; expected one of {', '.join(_DTYPES)}")
    return np.array(data, dtype=native, order="C")


def _keywords(header: Any) -> Keywords:
    found: Keywords = {}
    for card in header.cards:
        name = str(card.keyword)
        value = card.value
        if not name or is_structural(name):
            continue
        if isinstance(value, (bool, np.bool_)):
            value = int(value)
        elif isinstance(value, complex):
            value = str(value)
        if isinstance(value, (int, float, str)):  # a keyword without a value is left out
            found[name] = (value, str(card.comment))
    return found


def is_structural(name: str) -> bool:
    """Whether a FITS keyword describes the file rather than the image."""
    return name in _STRUCTURAL or (name.startswith("NAXIS") and name[5:].isdigit())
