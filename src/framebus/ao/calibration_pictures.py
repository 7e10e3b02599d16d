"""Calibrations as pictures. Needs matplotlib, which ``framebus[ao]`` brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from framebus.ao.pupils import Pupils
from framebus.ao.registration import Registration
from framebus.ao.sampling import FloatArray
from framebus.ao.subapertures import Subapertures

DOUBTFUL, FOUND = "#d62728", "#17becf"


def draw_maps(path: str | PathLike[str], title: str, maps: Mapping[str, ArrayLike]) -> None:
    """Write images (2-D) or curves (1-D) side by side, colours from the 0.5th to the 99.5th percentile.

    Raises:
        OSError: the file cannot be written.
    """
    figure, axes = _figure(title, len(maps))
    for place, (name, values) in zip(axes, maps.items(), strict=True):
        array = np.squeeze(np.asarray(values, dtype=np.float64))
        if array.ndim == 2:
            _image(figure, place, array)
        else:
            place.plot(array.ravel(), ".", ms=3)
            place.grid(alpha=0.25)
        place.set_title(name)
    figure.savefig(path, dpi=110)


def draw_subapertures(path: str | PathLike[str], frame: ArrayLike, found: Subapertures, title: str) -> None:
    """Write the frame with the boxes of its sub-apertures, doubtful ones in red with their number.

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib.patches import Rectangle

    figure, (place,) = _figure(title, 1)
    _image(figure, place, np.asarray(frame, np.float64))
    doubtful = {doubt.index for doubt in found.doubtful}
    for k, (y, x, height, width) in enumerate(found.boxes.tolist()):
        colour = DOUBTFUL if k in doubtful else FOUND
        place.add_patch(Rectangle((x - 0.5, y - 0.5), width, height, fill=False, color=colour, lw=0.8))
        if k in doubtful:
            place.annotate(str(k), (x, y), color=colour, fontsize=8)
    figure.savefig(path, dpi=110)


def draw_pupils(path: str | PathLike[str], frame: ArrayLike, found: Pupils, title: str) -> None:
    """Write the frame with its pupils' circles, and beside it the pixels they have in common.

    Raises:
        OSError: the file cannot be written.
    """
    from matplotlib.patches import Circle

    figure, (place, masks) = _figure(title, 2)
    _image(figure, place, np.asarray(frame, np.float64))
    for (y, x), radius in zip(found.centres, found.radii, strict=True):
        place.add_patch(Circle((x, y), radius, fill=False, color=FOUND))
        place.plot([x], [y], "+", color=FOUND)
        if found.inner:
            place.add_patch(Circle((x, y), found.inner, fill=False, color=FOUND, ls=":"))
    _image(figure, masks, found.mask.any(axis=0).astype(np.float64))
    masks.set_title(f"{int(found.mask[0].sum())} pixels of each pupil")
    figure.savefig(path, dpi=110)


def draw_registration(
    path: str | PathLike[str], found: Registration, subapertures: ArrayLike, title: str
) -> None:
    """Write where actuators were found on the sub-apertures, where the map has them, and the doubtful ones.

    Raises:
        OSError: the file cannot be written.
    """
    figure, (place,) = _figure(title, 1)
    spots = np.asarray(subapertures, np.float64)
    mapped = found.places - found.residual
    doubtful = [doubt.index for doubt in found.doubtful]
    place.plot(spots[:, 1], spots[:, 0], "s", color="0.85", ms=7, label="sub-apertures")
    place.plot(mapped[:, 1], mapped[:, 0], "+", color="0.3", label="actuators, by the map")
    place.plot(found.places[:, 1], found.places[:, 0], ".", color=FOUND, label="as found")
    place.plot(found.places[doubtful, 1], found.places[doubtful, 0], "x", color=DOUBTFUL, label="doubtful")
    place.set_aspect("equal")
    place.invert_yaxis()
    place.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.savefig(path, dpi=110)


def draw_response(
    path: str | PathLike[str], matrix: ArrayLike, signal_to_noise: FloatArray, title: str
) -> None:
    """Write an interaction matrix and the signal to noise of its rows.

    Raises:
        OSError: the file cannot be written.
    """
    figure, (place, curve) = _figure(title, 2)
    values = np.asarray(matrix, np.float64)
    limit = float(np.percentile(np.abs(values), 99.9)) or 1.0
    shown = place.imshow(values, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto", interpolation="none")
    figure.colorbar(shown, ax=place)
    place.set_xlabel("measurement")
    place.set_ylabel("actuator or mode")
    finite = np.where(np.isfinite(signal_to_noise) & (signal_to_noise > 0), signal_to_noise, np.nan)
    curve.plot(finite, ".", color="#1f4e79")
    if np.isfinite(finite).any():
        curve.set_yscale("log")
    curve.set_xlabel("actuator or mode")
    curve.set_ylabel("signal to noise")
    curve.grid(alpha=0.25)
    figure.savefig(path, dpi=110)


def draw_curve(
    path: str | PathLike[str], x: ArrayLike, y: ArrayLike, labels: Sequence[str], title: str
) -> None:
    """Write one curve; ``labels`` are those of its axes, x then y.

    Raises:
        OSError: the file cannot be written.
    """
    figure, (place,) = _figure(title, 1)
    place.plot(np.asarray(x), np.asarray(y), "o-", color="#1f4e79")
    place.set_xlabel(labels[0])
    place.set_ylabel(labels[1])
    place.grid(alpha=0.25)
    figure.savefig(path, dpi=110)


def _figure(title: str, n: int) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(1.0 + 5.5 * n, 5.4), layout="constrained")
    figure.suptitle(title, fontsize=11)
    return figure, list(figure.subplots(1, n, squeeze=False)[0])


def _image(figure: Any, place: Any, array: Any) -> None:
    low, high = np.percentile(array, [0.5, 99.5])
    shown = place.imshow(array, cmap="inferno", vmin=low, vmax=high if high > low else low + 1.0)
    figure.colorbar(shown, ax=place, shrink=0.8)
