"""Calibrations in FITS files: arrays with headers that say what was measured, from which frames, how and by what."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from framebus.ao.fits_files import read_fits
from framebus.ao.sampling import Span
from framebus.errors import DataError, UsageError
from framebus.stream.files import printable, replacing

Value: TypeAlias = str | int | float | bool
Cards: TypeAlias = Mapping[str, Value | tuple[Value, str]]


@dataclass(frozen=True)
class CalibrationFile:
    """A calibration that was read.

    Attributes:
        path: the file.
        kind: what was measured: ``"dark"``, ``"flat"``, ``"response"`` ...
        arrays: by name; the first is the file's primary image.
        header: all cards of the primary header.
    """

    path: Path
    kind: str
    arrays: dict[str, NDArray[Any]]
    header: dict[str, Any]

    def array(self, name: str) -> NDArray[Any]:
        """The array of that name.

        Raises:
            DataError: the file has none.
        """
        if name not in self.arrays:
            raise DataError(
                f"{self.path}: it has no array {name!r}, only {', '.join(self.arrays)}; it is a {self.kind} file"
            )
        return self.arrays[name]


def span_cards(spans: Sequence[Span]) -> dict[str, tuple[Value, str]]:
    """Header cards that say which frames of which streams were read."""
    cards: dict[str, tuple[Value, str]] = {}
    for k, span in enumerate(spans, 1):
        cards |= {
            f"STREAM{k}": (span.stream, "stream that was read"),
            f"CNTBEG{k}": (span.first_count, "count of its first frame"),
            f"CNTEND{k}": (span.last_count, "count of its last frame"),
            f"NREAD{k}": (span.n_read, "frames read"),
            f"MISSED{k}": (span.missed, "frames missed in between"),
        }
        for name, ns in (("TBEG", span.first_ns), ("TEND", span.last_ns)):
            if ns:
                moment = datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="microseconds")
                cards[f"{name}{k}"] = (moment.removesuffix("+00:00"), "UTC of that frame")
    return cards


def save_calibration(
    path: str | PathLike[str],
    kind: str,
    arrays: Mapping[str, Any],
    cards: Cards | None = None,
    *,
    doubts: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Write a calibration. The file appears whole or not at all.

    Args:
        path: the file.
        kind: what was measured.
        arrays: by name, the most important first; bool becomes uint8.
        cards: further cards of the header: a value, or a value and its comment. A float that is not finite is left out.
        doubts: what a person should look at; cards DOUBT1 ...
        overwrite: replace a file that is there.

    Raises:
        UsageError: the file exists, no array is given, or a card's name is no FITS keyword.
        OSError: the file cannot be written.
    """
    from astropy.io import fits

    target = Path(path)
    if target.exists() and not overwrite:
        raise UsageError(f"{target} exists; choose another name, or allow to overwrite it")
    if not arrays:
        raise UsageError("a calibration needs at least one array")
    header = fits.Header()
    now = datetime.now(UTC).isoformat(timespec="seconds").removesuffix("+00:00")
    named: dict[str, Any] = {
        "KIND": (kind, "what was measured"),
        "DATE": (now, "UTC at which this file was written"),
        "CREATOR": (f"framebus {version('framebus')}", "software"),
        **dict(cards or {}),
        "NDOUBTS": (len(doubts), "cards DOUBT1 ... tell what to look at"),
        **{f"DOUBT{k}": text for k, text in enumerate(doubts[:999], 1)},
    }
    for name, value in named.items():
        if re.fullmatch(r"[A-Z0-9_-]{1,8}", name) is None:
            raise UsageError(f"{name!r} is no FITS keyword; expected up to 8 of A-Z, 0-9, _ and -")
        bare, comment = value if isinstance(value, tuple) else (value, "")
        if isinstance(bare, float) and not np.isfinite(bare):
            continue
        shown = printable(bare) if isinstance(bare, str) else bare
        # A comment that does not fit beside a text would be cut with a warning.
        header[name] = shown if isinstance(shown, str) and len(shown) > 30 else (shown, printable(comment))
    hdus = fits.HDUList()
    for name, array in arrays.items():
        data = np.asarray(array)
        data = data.astype(np.uint8) if data.dtype == bool else data
        hdu = fits.PrimaryHDU(data, header) if not hdus else fits.ImageHDU(data)
        hdu.header["EXTNAME"] = name.upper()
        hdus.append(hdu)
    with replacing(target) as draft:
        hdus.writeto(draft, overwrite=True, checksum=True)


def load_calibration(path: str | PathLike[str], kind: str | None = None) -> CalibrationFile:
    """Read a calibration; also a FITS file of another program, whose kind is ``""`` and whose arrays have its names.

    Args:
        path: the file.
        kind: what it must be; anything when ``None``.

    Raises:
        NotFoundError: no such file.
        DataError: it is no FITS file, damaged, without an image, or of another kind.
    """
    source = Path(path)
    header, images = read_fits(source, finite=False)
    arrays = {name.lower(): image for name, image in images.items()}
    found = str(header.get("KIND", ""))
    if kind is not None and found != kind:
        raise DataError(
            f"{source}: it is a {found or 'foreign'} file; expected a {kind} of 'framebus ao {kind}'"
        )
    return CalibrationFile(source, found, arrays, header)
