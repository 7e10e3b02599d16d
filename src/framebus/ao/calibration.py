"""The control matrix: an interaction matrix inverted by its singular values.

Matrices have one row per actuator, as instruments' response files have: an interaction matrix is
(n_actuators, n_measurements) and measurement = command @ interaction_matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.errors import DataError, UsageError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class ControlMatrix:
    """A truncated inverse of an interaction matrix.

    Attributes:
        matrix: float32 (n_actuators, n_measurements): command = matrix @ measurement.
        singular_values: float64, of the interaction matrix, all of them, the largest first.
        n_kept: how many modes the inverse uses.
        condition_number: largest over smallest singular value that is used.
        slopes_to_modes: float32 (n_kept, n_measurements): modes = slopes_to_modes @ measurement.
        modes_to_actuators: float32 (n_actuators, n_kept), orthonormal columns; matrix is
            modes_to_actuators @ slopes_to_modes.
    """

    matrix: NDArray[np.float32]
    singular_values: FloatArray
    n_kept: int
    condition_number: float
    slopes_to_modes: NDArray[np.float32]
    modes_to_actuators: NDArray[np.float32]


def control_matrix(
    interaction_matrix: ArrayLike, *, condition: float = 100.0, n_modes: int | None = None
) -> ControlMatrix:
    """Least-squares inverse of an interaction matrix by singular values, the weakest modes left out.

    Args:
        interaction_matrix: (n_actuators, n_measurements), one row per actuator.
        condition: modes whose singular value is below the largest one over this are left out.
        n_modes: at most so many modes, the strongest; ``None``: all that ``condition`` leaves.

    Raises:
        UsageError: not 2-D, ``condition`` below 1, or ``n_modes`` outside 1 to the number of singular values.
        DataError: a value is not finite, or all are zero.
    """
    response = np.asarray(interaction_matrix, dtype=np.float64)
    if response.ndim != 2 or response.size == 0:
        raise UsageError(
            f"the interaction matrix's shape is {response.shape}; expected (n_actuators, n_measurements)"
        )
    if not condition >= 1.0:
        raise UsageError(f"condition is {condition}; expected 1 or more")
    if n_modes is not None and not 1 <= n_modes <= min(response.shape):
        raise UsageError(f"n_modes is {n_modes}; expected 1 to {min(response.shape)}")
    bad = int((~np.isfinite(response)).any(axis=1).sum())
    if bad:
        raise DataError(
            f"the interaction matrix has values that are not finite, in the rows of {bad} actuators"
        )
    if not response.any():
        raise DataError("the interaction matrix is all zeros: no actuator moved the measurement")
    actuators, values, measurements = np.linalg.svd(response, full_matrices=False)
    kept = int((values >= values[0] / condition).sum())
    kept = kept if n_modes is None else min(kept, n_modes)
    to_modes = measurements[:kept] / values[:kept, None]
    to_actuators = actuators[:, :kept]
    return ControlMatrix(
        matrix=(to_actuators @ to_modes).astype(np.float32),
        singular_values=values,
        n_kept=kept,
        condition_number=float(values[0] / values[kept - 1]),
        slopes_to_modes=to_modes.astype(np.float32),
        modes_to_actuators=np.ascontiguousarray(to_actuators, dtype=np.float32),
    )
