"""One image in a FITS file, read and written with every error told."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framebus.errors import DataError, NotFoundError


def read_image(path: str | PathLike[str]) -> tuple[NDArray[Any], Mapping[str, Any]]:
    """The first image of a FITS file, plain or compressed, and its header.

    Raises:
        NotFoundError: there is no such file.
        DataError: it cannot be read, holds no image, or one with values that are not finite.
    """
    from astropy.io import fits

    place = Path(path)
    if not place.is_file():
        raise NotFoundError(f"{place}: there is no such file")
    try:
        # The file is opened here, because astropy leaves one open that it cannot read; its warnings are about style,
        # what is really missing raises below.
        with (
            warnings.catch_warnings(action="ignore"),
            place.open("rb") as file,
            fits.open(file, memmap=False) as hdus,
        ):
            found: Any = next(((h.data, h.header) for h in hdus if h.is_image and h.data is not None), None)
            data = None if found is None else np.ascontiguousarray(found[0])
            header = {} if found is None else dict(found[1])
    except Exception as error:  # a damaged file makes astropy, zlib and NumPy raise nearly anything
        raise DataError(f"{place}: it cannot be read as FITS: {type(error).__name__}: {error}") from error
    if data is None or data.size == 0:
        raise DataError(f"{place}: it holds no image; expected one")
    bad = int((~np.isfinite(data)).sum())
    if bad:
        raise DataError(
            f"{place}: {bad} of its {data.size} values are not finite; expected numbers throughout"
        )
    return data, header


def write_image(path: str | PathLike[str], data: NDArray[Any], header: Mapping[str, Any]) -> None:
    """Write a FITS file with one image, in place of what is there.

    Raises:
        OSError: it cannot be written.
    """
    from astropy.io import fits

    hdu = fits.PrimaryHDU(data)
    hdu.header.update(header)
    place = Path(path)
    fresh = place.with_name(
        f".{place.name}.new.fits"
    )  # whoever reads meanwhile finds the old or the new one, whole
    try:
        hdu.writeto(fresh, overwrite=True)
        fresh.replace(place)
    finally:
        fresh.unlink(missing_ok=True)
