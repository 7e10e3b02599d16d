"""FITS files of calibrations: named images with a header that says how they were made."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.errors import DataError, NotFoundError, UsageError
from framebus.stream.files import printable, replacing

HeaderValue: TypeAlias = "str | int | float | bool"
Header: TypeAlias = Mapping[str, tuple[HeaderValue, str]]
"""Keyword of at most 8 characters: value and comment."""


def read_fits(
    path: str | PathLike[str], *, finite: bool = True
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The header of a FITS file's first part, and all its images by name.

    Args:
        path: the file, plain or compressed.
        finite: refuse images with values that are not finite.

    Returns:
        The header's keywords with their values, and the images in native byte order: the first part is ``"PRIMARY"``
        unless it has an EXTNAME, the others have theirs in capitals, or ``"IMAGE<n>"`` by their place.

    Raises:
        NotFoundError: no such file.
        DataError: it cannot be read as FITS, holds no image, or an image has values that are not finite.
    """
    from astropy.io import fits

    file = Path(path)
    if not file.is_file():
        raise NotFoundError(f"{file}: no such file; expected a FITS file")
    try:
        # Opened here, because astropy leaves a file open that it cannot read. Its warnings are about style; what is
        # really missing raises.
        with (
            warnings.catch_warnings(action="ignore"),
            file.open("rb") as opened,
            fits.open(opened, memmap=False) as hdus,
        ):
            header = {str(key): value for key, value in hdus[0].header.items() if key and key != "COMMENT"}
            images = {
                (hdu.name or f"IMAGE{k}").upper(): np.ascontiguousarray(hdu.data).astype(
                    hdu.data.dtype.newbyteorder("=")
                )
                for k, hdu in enumerate(hdus)
                if hdu.is_image and hdu.data is not None and hdu.data.size
            }
    except Exception as error:  # a damaged file makes astropy, zlib and NumPy raise nearly anything
        raise DataError(f"{file}: it cannot be read as FITS: {type(error).__name__}: {error}") from error
    if not images:
        raise DataError(f"{file}: it holds no image; expected one")
    for name, image in images.items() if finite else ():
        bad = int((~np.isfinite(image)).sum())
        if bad:
            raise DataError(f"{file}: {bad} of the {image.size} values of {name} are not finite")
    return header, images


def read_image(path: str | PathLike[str], ndim: int | None = None) -> NDArray[np.float64]:
    """The first image of a FITS file, float64.

    Args:
        path: the file.
        ndim: how many axes it must have; any when ``None``.

    Raises:
        NotFoundError: no such file.
        DataError: as ``read_fits``, or the image has another number of axes.
    """
    image = next(iter(read_fits(path)[1].values())).astype(np.float64)
    if ndim is not None and image.ndim != ndim:
        raise DataError(f"{path}: its shape is {image.shape}; expected {ndim} axes")
    return image


def write_fits(
    path: str | PathLike[str],
    primary: ArrayLike,
    header: Header,
    extensions: Mapping[str, ArrayLike] | None = None,
) -> None:
    """Write a FITS file at once: the file has either its old content or all of the new.

    Args:
        path: the file; what is there is replaced.
        primary: image of the first part.
        header: its keywords with values and comments.
        extensions: further images by their EXTNAME.

    Raises:
        UsageError: the name does not end in ``.fits``.
        OSError: the file cannot be written.
    """
    from astropy.io import fits

    file = Path(path)
    if file.suffix != ".fits":
        raise UsageError(f"{file}: expected a name that ends in .fits")
    first = fits.PrimaryHDU(np.asarray(primary))
    first.header["ORIGIN"] = ("framebus", "program that wrote this file")
    for key, (value, comment) in header.items():
        first.header[key] = (printable(value) if isinstance(value, str) else value, printable(comment))
    others = [fits.ImageHDU(np.asarray(image), name=name) for name, image in (extensions or {}).items()]
    # A long value may leave no room for all of its comment, which astropy cuts with a warning.
    with replacing(file) as draft, warnings.catch_warnings(action="ignore"):
        fits.HDUList([first, *others]).writeto(draft, overwrite=True)
