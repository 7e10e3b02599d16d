"""A real instrument from a directory of FITS files: its response matrix, masks, reference and dark."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.fits_files import read_fits
from framebus.errors import DataError, NotFoundError, UsageError

ENDINGS = (".fits", ".fits.fz", ".fits.gz")
"""Endings that a file of an instrument may have; the first that exists is read."""


@dataclass(frozen=True)
class Instrument:
    """What a measured instrument is; arrays are C-contiguous.

    Attributes:
        path: the directory.
        response: float32 (n_actuators, n_measurements): measurement = command @ response.
        sensor_shape: shape of the sensor; its elements in C order are the measurements.
        wfs_mask: bool, sensor_shape: elements that are used; all without a file.
        reference: float32, sensor_shape: measurement of a flat wavefront; zeros without a file.
        dark: float32, sensor_shape; zeros without a file.
        dm_mask: bool, 2-D: actuators that are controlled; without a file one row, all true.
        actuators: intp (n_actuators,): the element of ``dm_mask`` (C order) at which each actuator sits.
        influence: float32 (n_actuators, height, width), the surface that each actuator makes; ``None`` without a file.
    """

    path: Path
    response: NDArray[np.float32]
    sensor_shape: tuple[int, ...]
    wfs_mask: NDArray[np.bool_]
    reference: NDArray[np.float32]
    dark: NDArray[np.float32]
    dm_mask: NDArray[np.bool_]
    actuators: NDArray[np.intp]
    influence: NDArray[np.float32] | None

    @property
    def name(self) -> str:
        """The directory's name."""
        return self.path.name

    @property
    def n_actuators(self) -> int:
        """How many actuators the response has."""
        return int(self.response.shape[0])

    @property
    def n_measurements(self) -> int:
        """How many elements the sensor has, used or not."""
        return int(self.response.shape[1])

    @property
    def controlled(self) -> NDArray[np.bool_]:
        """Bool (n_actuators,): actuators that ``dm_mask`` lets the loop use."""
        return np.asarray(self.dm_mask.ravel()[self.actuators])

    @property
    def valid(self) -> NDArray[np.int32]:
        """Int32: C-order indices of the sensor's used elements, as the ``intensities`` unit takes them."""
        return np.flatnonzero(self.wfs_mask).astype(np.int32)

    def dm_map(self, command: ArrayLike, fill: float = 0.0) -> NDArray[np.float32]:
        """A command as a picture in the shape of ``dm_mask``; ``fill`` where there is no actuator.

        Raises:
            UsageError: the command has not one value per actuator.
        """
        values = np.asarray(command, dtype=np.float32)
        if values.size != self.n_actuators:
            raise UsageError(
                f"a command of {self.name} has {self.n_actuators} values; this one has {values.size}"
            )
        picture = np.full(self.dm_mask.shape, fill, np.float32)
        picture.ravel()[self.actuators] = values.ravel()
        return picture


def load_instrument(directory: str | PathLike[str]) -> Instrument:
    """Read an instrument's directory.

    It holds ``respM`` (actuators first, then the sensor's axes) and, where they exist, ``wfsref``, ``wfsdark``,
    ``WFSmask`` (the sensor's shape), ``DMmaskCTRL`` (2-D: either as many elements as actuators, or as many
    nonzero ones) and ``influence`` (actuators, height, width), each with ending ``.fits``, ``.fits.fz`` or
    ``.fits.gz``. Other files are ignored.

    Raises:
        NotFoundError: no such directory, or no response matrix in it.
        DataError: a file cannot be read, is empty, has values that are not finite, or does not fit the others;
            the message names the file, what was found and what was expected.
    """
    path = Path(directory)
    if not path.is_dir():
        raise NotFoundError(f"{path}: no such directory; expected one with respM{'|'.join(ENDINGS)}")
    found = _find(path, "respM")
    if found is None:
        raise NotFoundError(
            f"{path}: it has no response matrix; expected respM.fits, respM.fits.fz or respM.fits.gz"
        )
    response = _read(found)
    if response.ndim < 2:
        raise DataError(
            f"{found}: its shape is {response.shape}; expected actuators first, then the sensor's axes"
        )
    if not response.any():
        raise DataError(f"{found}: it is all zeros; expected the sensor's response to every actuator")
    n_actuators, *axes = response.shape
    sensor_shape = tuple(axes)
    wfs_mask = _optional(path, "WFSmask", sensor_shape)
    reference = _optional(path, "wfsref", sensor_shape)
    dark = _optional(path, "wfsdark", sensor_shape)
    dm_mask, actuators = _dm_layout(path, n_actuators)
    return Instrument(
        path=path.resolve(),
        response=response.reshape(n_actuators, -1),
        sensor_shape=sensor_shape,
        wfs_mask=np.ones(sensor_shape, bool) if wfs_mask is None else _as_mask(path, "WFSmask", wfs_mask),
        reference=np.zeros(sensor_shape, np.float32) if reference is None else reference,
        dark=np.zeros(sensor_shape, np.float32) if dark is None else dark,
        dm_mask=dm_mask,
        actuators=actuators,
        influence=_influence(path, n_actuators),
    )


def _find(directory: Path, name: str) -> Path | None:
    return next((path for ending in ENDINGS if (path := directory / f"{name}{ending}").is_file()), None)


def _read(path: Path) -> NDArray[np.float32]:
    first = next(iter(read_fits(path)[1].values()))
    return np.ascontiguousarray(first, dtype=np.float32)


def _optional(directory: Path, name: str, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    path = _find(directory, name)
    if path is None:
        return None
    data = _read(path)
    if data.shape != shape:
        raise DataError(f"{path}: its shape is {data.shape}, expected {shape}, the sensor's shape in respM")
    return data


def _as_mask(directory: Path, name: str, values: NDArray[np.float32]) -> NDArray[np.bool_]:
    if not values.any():
        raise DataError(
            f"{_find(directory, name)}: it is all zeros; expected a mask with at least one element set"
        )
    return np.not_equal(values, 0)


def _dm_layout(directory: Path, n_actuators: int) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
    """Mask of the controlled actuators, and where in it each one sits."""
    path = _find(directory, "DMmaskCTRL")
    if path is None:
        return np.ones((1, n_actuators), bool), np.arange(n_actuators)
    values = _read(path)
    if values.ndim != 2:
        raise DataError(f"{path}: its shape is {values.shape}, expected two axes: the DM's rows and columns")
    mask = _as_mask(directory, "DMmaskCTRL", values)
    if mask.size == n_actuators:
        return mask, np.arange(n_actuators)
    if mask.sum() == n_actuators:
        return mask, np.flatnonzero(mask)
    raise DataError(
        f"{path}: its shape is {mask.shape}, {mask.size} elements, {int(mask.sum())} of them set; expected "
        f"{n_actuators} of either, the number of actuators in respM"
    )


def _influence(directory: Path, n_actuators: int) -> NDArray[np.float32] | None:
    path = _find(directory, "influence")
    if path is None:
        return None
    data = _read(path)
    if data.ndim != 3 or data.shape[0] != n_actuators:
        raise DataError(
            f"{path}: its shape is {data.shape}, expected ({n_actuators}, height, width): one per actuator"
        )
    return data
