"""How a mirror's actuators lie on a sensor's sub-apertures: shift, rotation, magnification and parity."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.sampling import FloatArray
from framebus.ao.subapertures import Doubt
from framebus.errors import DataError, UsageError


@dataclass(frozen=True)
class Registration:
    """The map from actuators to the sensor: place = centre + (actuator - middle of the actuators) @ matrix.

    Attributes:
        matrix: float64 (2, 2), rows are the steps (y, x) on the sensor of one actuator down and one across.
        centre: float64 (2,): y, x on the sensor of the middle of the actuators.
        shift: float64 (2,): ``centre`` less the middle of the sub-apertures.
        rotation_deg: of the actuators' grid on the sensor, from +x towards +y; after the flip if parity is -1.
        magnification: float64 (2,): sensor units per actuator step, down and across.
        skew_deg: by how much the two directions are off a right angle.
        parity: 1, or -1 if the mirror is seen flipped; the flip is taken to be that of the down direction.
        places: float64 (n_actuators, 2): where each actuator was found, y and x; NaN where it was not.
        residual: float64 (n_actuators, 2): places less the map; NaN likewise.
        rms: root mean square distance of the found places from the map.
        doubtful: actuators to look at.
    """

    matrix: FloatArray
    centre: FloatArray
    shift: FloatArray
    rotation_deg: float
    magnification: FloatArray
    skew_deg: float
    parity: int
    places: FloatArray
    residual: FloatArray
    rms: float
    doubtful: tuple[Doubt, ...]


def find_registration(
    response: ArrayLike,
    actuators: ArrayLike,
    subapertures: ArrayLike,
    *,
    min_response: float = 0.2,
    max_residual: float = 0.3,
) -> Registration:
    """Find where actuators lie on the sensor from their responses: an interaction matrix, or a few pokes.

    The light of each response, squared and summed over a sub-aperture's measurements, gives a first place. For slopes
    it is refined by fitting the gradient of a Gaussian, whose truncation at the pupil's edge does no harm; for
    other sensors (a pyramid's four intensities) a Gaussian is fitted to what moves. A linear map through the
    places, those that stand out left out, is the registration.

    Args:
        response: (n_actuators, k n_sub): measurements in k blocks of one per sub-aperture; two blocks are slopes, x
            and then y. Rows may be any subset of the actuators.
        actuators: (n_actuators, 2) of y, x in the mirror's grid, in actuators.
        subapertures: (n_sub, 2) of y, x on the sensor, in any unit; all results have it.
        min_response: actuators whose response has less of the usual rms are not used.
        max_residual: actuators further off the map, in sub-aperture pitches, are doubtful.

    Raises:
        UsageError: shapes that do not fit.
        DataError: nothing responds, too few actuators respond for a map, or they lie in one line.
    """
    rows, grid, spots, blocks = _checked(response, actuators, subapertures)
    from scipy.spatial import KDTree

    pitch = float(np.median(np.asarray(KDTree(spots).query(spots, k=2)[0])[:, 1]))
    energy = np.sum(rows.reshape(len(rows), blocks, len(spots)) ** 2, axis=1)
    strength = np.sqrt(energy.sum(axis=1))
    if not strength.any():
        raise DataError("no actuator moves the sensor; measure the response first, with the light on")
    used = np.flatnonzero(strength > min_response * np.median(strength[strength > 0]))
    places = np.full((len(rows), 2), np.nan)
    for k in used:
        start = _first_place(energy[k], spots, pitch)
        places[k] = _refined(rows[k].reshape(blocks, -1), energy[k], spots, pitch, start)
    # A place far out of the sensor says that the fit ran away.
    outside = (places < spots.min(axis=0) - 1.5 * pitch).any(axis=1) | (
        places > spots.max(axis=0) + 1.5 * pitch
    ).any(axis=1)
    places[outside] = np.nan
    middle = 0.5 * (grid.min(axis=0) + grid.max(axis=0))
    found = np.flatnonzero(np.isfinite(places).all(axis=1))
    centre, matrix = _map(grid[found] - middle, places[found], pitch)
    residual = places - centre - (grid - middle) @ matrix
    away = np.hypot(*residual.T) / pitch
    good = away <= max_residual
    rms = float(np.sqrt(np.nanmean(np.sum(residual[good] ** 2, axis=1)))) if good.any() else float("nan")
    doubts = [Doubt(int(k), "it hardly moves the sensor") for k in np.setdiff1d(np.arange(len(rows)), used)]
    doubts += [Doubt(int(k), "its place lies outside of the sensor") for k in np.flatnonzero(outside)]
    doubts += [
        Doubt(int(k), f"it is {away[k]:.2f} sub-apertures from where the map has it")
        for k in np.flatnonzero(away > max_residual)
    ]
    parity = 1 if np.linalg.det(matrix) > 0 else -1
    down, across = matrix * np.array([[parity], [1]])
    turn = np.degrees(np.arctan2(across[0], across[1]))
    turn_down = np.degrees(np.arctan2(-down[1], down[0]))
    skew = (turn_down - turn + 180.0) % 360.0 - 180.0
    return Registration(
        matrix=matrix,
        centre=centre,
        shift=centre - 0.5 * (spots.min(axis=0) + spots.max(axis=0)),
        rotation_deg=float((turn + 0.5 * skew + 180.0) % 360.0 - 180.0),
        magnification=np.hypot(*matrix.T),
        skew_deg=float(skew),
        parity=parity,
        places=places,
        residual=residual,
        rms=rms,
        doubtful=tuple(sorted(doubts, key=lambda doubt: doubt.index)),
    )


def _checked(
    response: ArrayLike, actuators: ArrayLike, subapertures: ArrayLike
) -> tuple[FloatArray, FloatArray, FloatArray, int]:
    rows = np.asarray(response, np.float64)
    grid, spots = np.asarray(actuators, np.float64), np.asarray(subapertures, np.float64)
    for name, array in (("actuators", grid), ("subapertures", spots)):
        if array.ndim != 2 or array.shape[1] != 2 or len(array) < 3 or not np.isfinite(array).all():
            raise UsageError(
                f"the shape of {name!r} is {array.shape}; expected 3 or more finite places (n, 2) of y, x"
            )
    if rows.ndim != 2 or len(rows) != len(grid) or rows.shape[1] % len(spots):
        raise UsageError(
            f"the response's shape is {rows.shape}; expected ({len(grid)}, k x {len(spots)}): a row per actuator, a "
            f"column per measurement of each sub-aperture"
        )
    if not np.isfinite(rows).all():
        raise DataError("the response has values that are not finite; measure those actuators anew")
    return rows, grid, spots, rows.shape[1] // len(spots)


def _first_place(energy: FloatArray, spots: FloatArray, pitch: float) -> FloatArray:
    """Centre of gravity of the squared energy within three pitches of the brightest neighbourhood."""
    near = np.hypot(*(spots[:, None] - spots[None]).transpose(2, 0, 1)) < 1.5 * pitch
    middle = spots[np.argmax(near @ energy)]
    weight = energy**2 * (np.hypot(*(spots - middle).T) < 3.0 * pitch)
    return np.asarray(weight @ spots / weight.sum())


def _refined(
    row: FloatArray, energy: FloatArray, spots: FloatArray, pitch: float, start: FloatArray
) -> FloatArray:
    """The place at which the model fits best; its strengths, linear, are solved for in every step."""
    from scipy.optimize import least_squares

    close = np.hypot(*(spots - start).T) < 4.5 * pitch
    scale = float(np.abs(row).max())

    def left(values: NDArray[Any]) -> FloatArray:
        y, x = (spots[close] - start).T / pitch - values[:2, None]
        bell = np.exp(-0.5 * (y**2 + x**2) / values[2] ** 2)
        if len(row) == 2:
            return (
                np.concatenate([_unexplained(row[0][close], x * bell), _unexplained(row[1][close], y * bell)])
                / scale
            )
        return _unexplained(np.sqrt(energy[close]), bell) / scale

    bounds = ([-2.0, -2.0, 0.3], [2.0, 2.0, 3.0])
    fitted = least_squares(left, [0.0, 0.0, 0.8], bounds=bounds, xtol=1e-6, ftol=1e-8)
    return np.asarray(start + pitch * fitted.x[:2])


def _unexplained(values: FloatArray, model: FloatArray) -> FloatArray:
    power = float(model @ model)
    return values - (float(model @ values) / power if power > 0 else 0.0) * model


def _map(grid: FloatArray, places: FloatArray, pitch: float) -> tuple[FloatArray, FloatArray]:
    """Least squares, with less and less weight for what stands out."""
    design = np.hstack([np.ones((len(grid), 1)), grid])
    if len(grid) < 3 or np.linalg.matrix_rank(design) < 3:
        raise DataError(
            f"{len(grid)} actuators were found on the sensor; a map needs three or more that are not in one line"
        )
    weight = np.ones(len(grid))
    found = np.zeros((3, 2))
    for _ in range(30):  # iteratively reweighted least squares with Cauchy's weights
        root = np.sqrt(weight)[:, None]
        found = np.linalg.lstsq(design * root, places * root, rcond=None)[0]
        off = np.hypot(*(places - design @ found).T)
        scatter = max(1.4826 * float(np.median(off)), 0.02 * pitch)
        weight = 1.0 / (1.0 + (off / (2.0 * scatter)) ** 2)
    matrix = found[1:]
    if abs(np.linalg.det(matrix)) < 1e-3 * pitch**2:
        raise DataError("the actuators' places on the sensor are all in one line; is the response right?")
    return found[0], matrix
