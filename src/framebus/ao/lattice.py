"""The regular grid that sub-apertures lie on: square or hexagonal, its pitch and rotation, and what is missing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.ao.sampling import FloatArray
from framebus.ao.subapertures import Doubt
from framebus.errors import DataError, UsageError

if TYPE_CHECKING:
    from scipy.spatial import KDTree

Kind = Literal["square", "hexagonal"]


@dataclass(frozen=True)
class Lattice:
    """A grid through points.

    Attributes:
        kind: ``"square"`` or ``"hexagonal"``.
        origin: float64 (2,): y, x of the point with index (0, 0), the one nearest to the middle.
        basis: float64 (2, 2): rows are the steps (y, x) of the two indices; a point is origin + index @ basis.
        pitch: mean length of a step, in the points' units.
        rotation_deg: of the grid, from +x towards +y, within ±45° for a square grid, ±30° for a hexagonal one.
        index: intp (n, 2): each point's place in the grid.
        residual: float64 (n, 2): how far each point is from its place, y and x.
        missing: float64 (m, 2): places within the grid, surrounded by points, where there is none.
        doubtful: points that do not fit.
    """

    kind: Kind
    origin: FloatArray
    basis: FloatArray
    pitch: float
    rotation_deg: float
    index: NDArray[np.intp]
    residual: FloatArray
    missing: FloatArray
    doubtful: tuple[Doubt, ...]

    @property
    def rms(self) -> float:
        """Root mean square distance of the points from their places."""
        return float(np.sqrt(np.mean(np.sum(self.residual**2, axis=1))))


def find_lattice(centres: ArrayLike) -> Lattice:
    """Find the grid that points lie on.

    Steps between next neighbours, turned to a common direction by their fourth and sixth harmonic, tell square from
    hexagonal and give the rotation; indices then spread from the point in the middle from neighbour to neighbour, so
    that slow distortion does no harm; a least-squares fit gives origin and steps.

    Args:
        centres: (n, 2) of y and x, 4 points or more.

    Raises:
        UsageError: of another shape, or fewer points.
        DataError: the points are on no such grid.
    """
    points = np.asarray(centres, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) < 4 or not np.isfinite(points).all():
        raise UsageError(
            f"the centres' shape is {points.shape}; expected 4 or more finite points (n, 2) of y and x"
        )
    from scipy.spatial import KDTree

    tree = KDTree(points)
    apart = np.asarray(tree.query(points, k=2)[0])
    pitch = float(np.median(apart[:, 1]))
    pairs = tree.query_pairs(1.2 * pitch, output_type="ndarray")
    steps = points[pairs[:, 1]] - points[pairs[:, 0]]
    angle = np.arctan2(steps[:, 0], steps[:, 1])
    order = {fold: complex(np.mean(np.exp(1j * fold * angle))) if len(steps) else 0j for fold in (4, 6)}
    agreed = {fold: abs(value) for fold, value in order.items()}
    fold = 4 if agreed[4] > agreed[6] else 6
    if agreed[fold] < 0.5 or not pitch > 0.0:
        raise DataError(
            f"the points are on no grid: their steps agree to {agreed[4]:.2f} with a square one and to "
            f"{agreed[6]:.2f} with a hexagonal one, expected 0.5 or more; see which spots are none"
        )
    turn = float(np.angle(order[fold])) / fold
    pitch = float(np.median(np.hypot(*steps.T)))
    second = turn + 2.0 * np.pi / fold
    basis = pitch * np.array([[np.sin(second), np.cos(second)], [np.sin(turn), np.cos(turn)]])
    index, reached = _spread(points, basis, tree)
    origin, basis = _fitted(points[reached], index[reached])
    index[~reached] = np.rint(np.linalg.solve(basis.T, (points[~reached] - origin).T).T)
    residual = points - origin - index @ basis
    lengths = np.hypot(*basis.T)
    return Lattice(
        kind="square" if fold == 4 else "hexagonal",
        origin=origin,
        basis=basis,
        pitch=float(lengths.mean()),
        rotation_deg=float(np.degrees(np.arctan2(basis[1, 0], basis[1, 1]))),
        index=index,
        residual=residual,
        missing=_holes(index, fold) @ basis + origin,
        doubtful=_doubts(index, residual, float(lengths.mean())),
    )


def _spread(
    points: FloatArray, basis: FloatArray, tree: KDTree
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Indices from neighbour to neighbour, beginning in the middle; and which points were reached."""
    pitch = float(np.hypot(*basis.T).mean())
    near: list[list[int]] = [tree.query_ball_point(point, 1.25 * pitch) for point in points]
    start = int(np.argmin(np.hypot(*(points - points.mean(axis=0)).T)))
    index = np.zeros((len(points), 2), np.intp)
    reached = np.zeros(len(points), bool)
    reached[start] = True
    queue = [start]
    for here in queue:
        for there in near[here]:
            if reached[there]:
                continue
            exact = np.linalg.solve(basis.T, points[there] - points[here])
            step = np.rint(exact).astype(np.intp)
            if np.hypot(*((exact - step) @ basis)) < 0.3 * pitch and step.any():
                index[there], reached[there] = index[here] + step, True
                queue.append(there)
    return index, reached


def _fitted(points: FloatArray, index: NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
    design = np.hstack([np.ones((len(index), 1)), index])
    if np.linalg.matrix_rank(design) < 3:
        raise DataError("the points are in one line; a grid needs two directions")
    found = np.linalg.lstsq(design, points, rcond=None)[0]
    return np.asarray(found[0]), np.asarray(found[1:])


def _holes(index: NDArray[np.intp], fold: int) -> FloatArray:
    """Places where no point is, with points at all of their neighbours but one at most."""
    steps = [(0, 1), (1, 0), (0, -1), (-1, 0)] + ([(1, -1), (-1, 1)] if fold == 6 else [])
    have = set(map(tuple, index.tolist()))
    empty = {(a + da, b + db) for a, b in have for da, db in steps} - have
    holes = [
        at for at in sorted(empty) if sum((at[0] + a, at[1] + b) in have for a, b in steps) >= len(steps) - 1
    ]
    return np.array(holes, np.float64).reshape(-1, 2)


def _doubts(index: NDArray[np.intp], residual: FloatArray, pitch: float) -> tuple[Doubt, ...]:
    away = np.hypot(*residual.T) / pitch
    seen: dict[tuple[int, ...], int] = {}
    found = []
    for k, place in enumerate(map(tuple, index.tolist())):
        if away[k] > 0.25:
            found.append(Doubt(k, f"it is {away[k]:.2f} pitches off the grid"))
        elif place in seen:
            found.append(Doubt(k, f"it shares its place in the grid with {seen[place]}"))
        seen.setdefault(place, k)
    return tuple(found)
