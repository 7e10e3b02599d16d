"""How good the correction is: residual wavefront error and the Strehl ratio it leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from framebus.errors import DataError, UsageError


def residual_rms(phase: ArrayLike, mask: ArrayLike | None = None) -> float:
    """Root mean square of ``phase`` about its mean (piston is no error), in the units of ``phase``.

    Args:
        phase: wavefront, any shape; usually radians.
        mask: which elements count, in the shape of ``phase``; all when ``None``.

    Raises:
        UsageError: the mask has another shape or leaves nothing.
        DataError: a value that counts is not finite.
    """
    values: NDArray[np.float64] = np.asarray(phase, dtype=np.float64)
    if mask is not None:
        chosen = np.asarray(mask).astype(bool)
        if chosen.shape != values.shape:
            raise UsageError(
                f"the mask's shape is {chosen.shape}, expected {values.shape}, that of the phase"
            )
        values = values[chosen]
    if values.size == 0:
        raise UsageError("no element of the phase counts; the mask must leave at least one")
    if not np.isfinite(values).all():
        raise DataError("the phase has values that are not finite; leave those elements out with a mask")
    return float(values.std())


def strehl_ratio(rms: ArrayLike) -> Any:
    """Strehl ratio of a residual of ``rms`` radians: exp(-rms ** 2), the extended Maréchal approximation.

    Good to a few per cent below about 2 rad. Source: V. N. Mahajan, "Strehl ratio for primary aberrations in
    terms of their aberration variance", J. Opt. Soc. Am. 73 (1983) 860.

    Args:
        rms: root mean square of the wavefront without piston, radians at the wavelength of interest; a number
            or an array.

    Returns:
        A float for a number, else an array of that shape.

    Raises:
        UsageError: a value is negative or NaN.
    """
    values = np.asarray(rms, dtype=np.float64)
    if not (values >= 0).all():
        raise UsageError(f"rms is {rms!r}; expected radians, 0 or more")
    ratio = np.exp(-np.square(values))
    return float(ratio) if values.ndim == 0 else ratio
