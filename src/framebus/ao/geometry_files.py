"""Sub-apertures and pupils in calibration files: what was found in a frame, and what units take from it.

A file is one of ``calibration_files``, of kind ``"subapertures"`` or ``"pupils"``. Its first image is what the units
take, ``boxes`` or ``pupils``; the cards FRAMEH and FRAMEW tell the height and width of the frames that it is for. Files
of others need neither: an image (n, 4) is taken for boxes, (4, n) for indices of pupils, (4, height, width) for masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.calibration_files import Cards, load_calibration, save_calibration
from framebus.ao.geometry import Indices, Shape, check_boxes, check_pupils
from framebus.ao.pupils import Pupils
from framebus.ao.subapertures import Subapertures
from framebus.errors import DataError

PathName = str | PathLike[str]
ARRAYS = {"subapertures": "boxes", "pupils": "pupils"}
"""Kind of a file, and what its first array is named."""


def save_boxes(
    path: PathName,
    boxes: Subapertures | ArrayLike,
    frame_shape: Shape,
    cards: Cards | None = None,
    *,
    doubts: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Write sub-apertures. Of those that were found, also the arrays centres, flux and doubtful (their indices).

    Args:
        path: the file.
        boxes: what ``find_subapertures`` gave; or whole numbers (n, 4): y0, x0, height, width.
        frame_shape: height and width of the frames that they are for.
        cards: further cards of the header.
        doubts: what a person should look at, after what is doubtful about single ones.
        overwrite: replace a file that is there.

    Raises:
        DataError: as ``check_boxes``.
        UsageError, OSError: as ``save_calibration``.
    """
    found, places = (boxes, boxes.boxes) if isinstance(boxes, Subapertures) else (None, boxes)
    arrays: dict[str, Any] = {"boxes": check_boxes(places, frame_shape)}
    told = _frame_cards(frame_shape)
    if found is not None:
        # FITS has no empty images.
        doubtful = np.array([doubt.index for doubt in found.doubtful] or [-1], np.int32)
        arrays |= {"centres": found.centres, "flux": found.flux, "doubtful": doubtful}
        doubts = [*(doubt.reason for doubt in found.doubtful), *doubts]
        told |= {
            "PITCH": (found.pitch, "distance of neighbours, pixels"),
            "BACKGND": (found.background, "level between the spots"),
            "NOISE": (found.noise, "scatter about it"),
        }
    save_calibration(
        path, "subapertures", arrays, told | dict(cards or {}), doubts=doubts, overwrite=overwrite
    )


def load_boxes(path: PathName, frame_shape: Shape | None = None) -> Indices:
    """Sub-apertures of a calibration file, int32 (n, 4), for the ``boxes`` of Shack-Hartmann units.

    Args:
        path: the file.
        frame_shape: height and width of the frames that they are for; if the file tells its own, both must agree.

    Raises:
        NotFoundError: there is no such file.
        DataError: it cannot be read, holds something else, or does not fit; the message names the file.
    """
    data, shape = _load(path, "subapertures", frame_shape)
    try:
        return check_boxes(data, shape)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def save_pupils(
    path: PathName,
    pupils: Pupils | ArrayLike,
    frame_shape: Shape,
    cards: Cards | None = None,
    *,
    doubts: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Write a pyramid's pupils: arrays pupils (4, n), valid (4 n,), mask (4, height, width).

    Of those that were found, also centres, radii, shifts and flux.

    Args:
        path: the file.
        pupils: what ``find_pupils`` gave; or indices (4, n), or masks (4, height, width).
        frame_shape: height and width of the frames that they are for.
        cards: further cards of the header.
        doubts: what a person should look at, after what is doubtful about the pupils themselves.
        overwrite: replace a file that is there.

    Raises:
        DataError: as ``check_pupils``.
        UsageError, OSError: as ``save_calibration``.
    """
    found, places = (pupils, pupils.mask) if isinstance(pupils, Pupils) else (None, pupils)
    indices = check_pupils(places, frame_shape)
    mask = np.zeros((4, frame_shape[0] * frame_shape[1]), bool)
    np.put_along_axis(mask, indices, True, axis=1)
    arrays: dict[str, Any] = {
        "pupils": indices,
        "valid": indices.reshape(-1),
        "mask": mask.reshape(4, *frame_shape),
    }
    told = _frame_cards(frame_shape)
    if found is not None:
        arrays |= {
            "centres": found.centres,
            "radii": found.radii,
            "shifts": found.shifts.astype(np.int32),
            "flux": found.flux,
        }
        doubts = [*found.doubtful, *doubts]
        told |= {
            "RADIUS": (found.radius, "of the pupils, pixels"),
            "INNER": (found.inner, "radius of the central obscuration, pixels"),
        }
    save_calibration(path, "pupils", arrays, told | dict(cards or {}), doubts=doubts, overwrite=overwrite)


def load_pupils(path: PathName, frame_shape: Shape | None = None) -> Indices:
    """Pupil images of a calibration file, int32 (4, n), for the ``pupils`` of ``pyramid_slopes``.

    Args:
        path: the file.
        frame_shape: as for ``load_boxes``; needed for indices in a file that does not tell it.

    Raises:
        NotFoundError: there is no such file.
        DataError: it cannot be read, holds something else, or does not fit; the message names the file.
    """
    data, shape = _load(path, "pupils", frame_shape)
    if shape is None and data.ndim == 3:
        shape = (data.shape[1], data.shape[2])
    if shape is None:
        raise DataError(f"{path}: it does not tell the frame's shape (FRAMEH, FRAMEW); give frame_shape")
    try:
        return check_pupils(data, shape)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _frame_cards(frame_shape: Shape) -> dict[str, Any]:
    return {
        "FRAMEH": (int(frame_shape[0]), "height of the detector's frame, pixels"),
        "FRAMEW": (int(frame_shape[1]), "width of the detector's frame, pixels"),
    }


def _load(path: PathName, kind: str, frame_shape: Shape | None) -> tuple[NDArray[Any], Shape | None]:
    """The array that units take, and the frame's shape if the file or the caller tells it."""
    file = load_calibration(path)
    if file.kind not in ("", kind):
        raise DataError(f"{path}: it is a {file.kind} file; expected {kind} of 'framebus ao find {kind}'")
    data = file.array(ARRAYS[kind]) if file.kind else next(iter(file.arrays.values()))
    bad = int((~np.isfinite(data)).sum())
    if bad:
        raise DataError(
            f"{path}: {bad} of its {data.size} values are not finite; expected numbers throughout"
        )
    told = (file.header.get("FRAMEH"), file.header.get("FRAMEW"))
    if told == (None, None):
        return data, frame_shape
    if not all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in told):
        raise DataError(
            f"{path}: FRAMEH and FRAMEW are {told}; expected the frame's height and width, above 0"
        )
    if frame_shape is not None and told != tuple(frame_shape):
        raise DataError(f"{path}: it is for frames of {told}, expected {tuple(frame_shape)}")
    return data, (int(told[0] or 0), int(told[1] or 0))
