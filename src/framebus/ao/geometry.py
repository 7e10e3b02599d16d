"""Where a wavefront sensor's measurements lie on its detector; ``geometry_files`` keeps it in files.

Boxes, int32 (n, 4), are the sub-apertures of a Shack-Hartmann sensor; pupils, int32 (4, n), the flat (C order)
indices of the four pupil images of a pyramid: top left, top right, bottom left, bottom right, each pixel of one at
the same place in the pupil as those of the others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.errors import DataError, UsageError

Indices = NDArray[np.int32]
Shape = tuple[int, int]
IMAGES = ("top left", "top right", "bottom left", "bottom right")


def check_boxes(boxes: ArrayLike, frame_shape: Shape | None = None) -> Indices:
    """``boxes`` as int32 (n, 4).

    Args:
        boxes: whole numbers (n, 4): y0, x0, height, width.
        frame_shape: each box must have a pixel in a frame of this height and width.

    Raises:
        DataError: says what is wrong with which box.
    """
    places = np.asarray(boxes)
    if places.ndim != 2 or places.shape[1] != 4 or len(places) == 0:
        raise DataError(f"boxes have shape {places.shape}; expected (n, 4): y0, x0, height, width")
    whole = _whole("boxes", places)
    empty = (whole[:, 2:] < 1).any(axis=1)
    if empty.any():
        k = int(np.flatnonzero(empty)[0])
        raise DataError(f"box {k} is {whole[k].tolist()}; expected a height and width of 1 or more")
    if frame_shape is not None:
        end = whole[:, :2] + whole[:, 2:]
        outside = (end <= 0).any(axis=1) | (whole[:, :2] >= frame_shape).any(axis=1)
        if outside.any():
            k = int(np.flatnonzero(outside)[0])
            raise DataError(
                f"box {k} is {whole[k].tolist()}, outside the frame of {tuple(frame_shape)}; expected at least one "
                f"pixel in it ({int(outside.sum())} boxes have none)"
            )
    return whole.astype(np.int32)


def check_pupils(pupils: ArrayLike, frame_shape: Shape) -> Indices:
    """``pupils`` as int32 (4, n).

    Args:
        pupils: whole numbers (4, n), flat indices; or masks (4, height, width), true where a pupil image is.
        frame_shape: height and width of the frame.

    Raises:
        DataError: they have another shape, an index lies outside the frame or comes twice, or the four images are not
            of one form, merely moved against one another.
    """
    given = np.asarray(pupils)
    if given.ndim == 3:
        given = _from_masks(given, frame_shape)
    if given.ndim != 2 or given.shape[0] != 4 or given.shape[1] == 0:
        raise DataError(
            f"pupils have shape {given.shape}; expected (4, n) indices or (4, height, width) masks of four images"
        )
    whole = _whole("pupils", given)
    outside = (whole < 0) | (whole >= frame_shape[0] * frame_shape[1])
    if outside.any():
        raise DataError(
            f"{int(outside.sum())} indices of the pupils lie outside the frame of {tuple(frame_shape)}, such as "
            f"{int(whole[outside][0])}; expected 0 to {frame_shape[0] * frame_shape[1] - 1}"
        )
    if len(np.unique(whole)) < whole.size:
        raise DataError("some pixels are in the pupils twice; expected each in one image, once")
    y, x = np.divmod(whole, frame_shape[1])
    for k in range(1, 4):
        dy, dx = y[k] - y[0], x[k] - x[0]
        differ = (dy != dy[0]) | (dx != dx[0])
        if differ.any():
            raise DataError(
                f"the {IMAGES[k]} pupil has another form than the {IMAGES[0]} one ({int(differ.sum())} of {dy.size} "
                "pixels); expected the same one, moved, with its pixels in the same order"
            )
    return whole.astype(np.int32)


def circular_pupils(
    frame_shape: Shape, centres: ArrayLike, diameter: float, obscuration: float = 0.0
) -> Indices:
    """Pupils that are discs: the pixels whose middle is within ``diameter`` / 2 of the centre, int32 (4, n).

    All four get one form; each centre is rounded to where that form can lie.

    Args:
        frame_shape: height and width of the frame.
        centres: (4, 2): y, x of the images, top left, top right, bottom left, bottom right; pixels.
        diameter: pixels.
        obscuration: diameter of the hole in the middle, as a share of ``diameter``: 0 to 1.

    Raises:
        UsageError: an argument has the wrong shape or range, or leaves no pixel.
        DataError: an image leaves the frame, or two overlap.
    """
    middles = np.asarray(centres, dtype=np.float64)
    if middles.shape != (4, 2) or not np.isfinite(middles).all():
        raise UsageError(
            f"the centres have shape {middles.shape}; expected y, x of four images: (4, 2), finite"
        )
    if not (1.0 <= diameter < np.inf and 0.0 <= obscuration < 1.0):
        raise UsageError(
            f"diameter {diameter} and obscuration {obscuration}; expected 1 pixel or more, and a share from 0 to 1"
        )
    side = int(np.ceil(diameter))
    axis = np.arange(side) - (side - 1) / 2
    radius = np.hypot(axis[:, None], axis)
    y, x = np.nonzero((radius <= diameter / 2) & (radius >= obscuration * diameter / 2))
    if y.size == 0:
        raise UsageError(f"a disc of {diameter} pixels with a hole of {obscuration} holds no pixel")
    corner = np.rint(middles - (side - 1) / 2).astype(np.int64)
    rows, columns = corner[:, :1] + y, corner[:, 1:] + x
    if (
        min(rows.min(), columns.min()) < 0
        or (rows >= frame_shape[0]).any()
        or (columns >= frame_shape[1]).any()
    ):
        raise DataError(
            f"a disc of {diameter} pixels about {middles.tolist()} leaves the frame of {frame_shape}"
        )
    return check_pupils(rows * frame_shape[1] + columns, frame_shape)


def _whole(what: str, values: NDArray[Any]) -> NDArray[np.int64]:
    """Numbers that int32 holds without rounding."""
    limit = np.iinfo(np.int32)
    number = np.issubdtype(values.dtype, np.number) and not np.iscomplexobj(values)
    if not number or not ((values >= limit.min) & (values <= limit.max) & (values == np.floor(values))).all():
        raise DataError(f"{what} hold {values.dtype} that are no 32-bit whole numbers; expected pixels")
    return values.astype(np.int64)


def _from_masks(masks: NDArray[Any], frame_shape: Shape) -> NDArray[np.int64]:
    if masks.shape != (4, *frame_shape):
        raise DataError(
            f"masks of pupils have shape {masks.shape}, expected {(4, *frame_shape)}, one per image"
        )
    chosen = [np.flatnonzero(mask) for mask in masks]
    sizes = [len(indices) for indices in chosen]
    if len(set(sizes)) > 1:
        raise DataError(
            f"the pupils have {sizes} pixels ({', '.join(IMAGES)}); expected the same number, 1 or more"
        )
    return np.array(chosen, dtype=np.int64)
