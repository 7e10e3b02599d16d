"""Mean and variance of a stream while it runs, numerically stable; and the rms of each frame.

Sums are kept in float64 and as deviations from the mean, so that a small variance over a large level is right.
An element that is not finite is left out of its own statistics.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from framebus.unit import SKIP, Array, ArraySpec, In, Out, Range, State, unit

FLOATS = ("float32", "float64")


@unit
def exponential_statistics(
    values: Annotated[In, Array(..., dtype=FLOATS), "any shape"],
    mean: Annotated[Out, Array(..., dtype="float32"), "exponential mean of each element"],
    variance: Annotated[Out, Array(..., dtype="float32"), "exponential variance of each element"],
    means: Annotated[State, Array(("size",), dtype="float64"), "mean, in full precision"],
    variances: Annotated[State, Array(("size",), dtype="float64"), "variance, in full precision"],
    counts: Annotated[State, Array(("size",), dtype="float64"), "finite values so far"],
    *,
    frames: Annotated[float, Range(1.0, None), "time constant in frames"] = 100.0,
) -> None:
    """Mean m += a d, variance v = (1 - a) (v + a d^2), with d = value - m and a = max(1 / frames, 1 / n).

    n counts the values of the element so far, so that the beginning is a plain mean and not drawn to the first
    frame. Element by element, in the shape of ``values``. Source: T. Finch, "Incremental calculation of weighted mean
    and variance", University of Cambridge (2009).
    """
    source, to_mean, to_variance = values.reshape(-1), mean.reshape(-1), variance.reshape(-1)
    least = 1.0 / max(frames, 1.0)
    for i in range(source.size):
        # No branches: they would keep the loop from vectorising. A share of 0 leaves everything as it is.
        value = np.float64(source[i])
        good = np.isfinite(value)
        counts[i] += 1.0 if good else 0.0
        share = max(least, 1.0 / max(counts[i], 1.0)) if good else 0.0
        difference = value - means[i] if good else 0.0
        means[i] += share * difference
        variances[i] = (1.0 - share) * (variances[i] + share * difference * difference)
        to_mean[i] = _finite32(means[i])
        to_variance[i] = _finite32(variances[i])


@exponential_statistics.shapes
def _exponential_shapes(values: ArraySpec) -> dict[str, Any]:
    size = (int(np.prod(values.shape)),)
    return dict.fromkeys(("mean", "variance"), (values.shape, "float32")) | dict.fromkeys(
        ("means", "variances", "counts"), (size, "float64")
    )


@unit
def block_statistics(
    values: Annotated[In, Array(..., dtype=FLOATS), "any shape"],
    mean: Annotated[Out, Array(..., dtype="float32"), "mean of each element over the block"],
    variance: Annotated[Out, Array(..., dtype="float32"), "variance of each element over the block"],
    means: Annotated[State, Array(("size",), dtype="float64"), "mean so far"],
    squares: Annotated[State, Array(("size",), dtype="float64"), "sum of squared deviations so far"],
    counts: Annotated[State, Array(("size",), dtype="float64"), "finite values so far"],
    progress: Annotated[State, Array((1,), dtype="int64"), "frames of this block so far"],
    *,
    frames: Annotated[int, Range(1, None), "frames of a block"] = 100,
) -> int:
    """Mean and variance (about it, over n - 1) of every ``frames`` frames; published once for each block.

    For one value the variance is 0, and an element that was never finite in a block has mean and variance 0.
    Source: B. P. Welford, "Note on a method for calculating corrected sums of squares and products", Technometrics 4
    (1962) 419.
    """
    source, to_mean, to_variance = values.reshape(-1), mean.reshape(-1), variance.reshape(-1)
    if progress[0] == 0:
        for i in range(source.size):
            means[i], squares[i], counts[i] = 0.0, 0.0, 0.0
    for i in range(source.size):
        value = np.float64(source[i])
        good = np.isfinite(value)
        counts[i] += 1.0 if good else 0.0
        difference = value - means[i] if good else 0.0
        means[i] += difference / max(counts[i], 1.0)
        squares[i] += difference * (value - means[i]) if good else 0.0
    progress[0] += 1
    if progress[0] < frames:
        return SKIP
    progress[0] = 0
    for i in range(source.size):
        to_mean[i] = _finite32(means[i])
        to_variance[i] = _finite32(squares[i] / max(counts[i] - 1.0, 1.0))
    return 0


@block_statistics.shapes
def _block_shapes(values: ArraySpec) -> dict[str, Any]:
    size = (int(np.prod(values.shape)),)
    return dict.fromkeys(("mean", "variance"), (values.shape, "float32")) | dict.fromkeys(
        ("means", "squares", "counts"), (size, "float64")
    )


@unit(fastmath={"reassoc", "contract", "nsz"})
def frame_rms(
    values: Annotated[In, Array(..., dtype=FLOATS), "any shape: residuals, slopes, commands"],
    rms: Annotated[Out, Array((1,), dtype="float32"), "in the units of ``values``"],
    *,
    about_mean: Annotated[bool, "take the frame's mean out first, as piston is"] = False,
) -> None:
    """Rms = sqrt(mean(x^2)) over the elements of a frame, or sqrt(mean((x - mean(x))^2)).

    What is not finite is left out; without any element that is, it reads 0.
    """
    source = values.reshape(-1)
    nothing = source.dtype.type(0)
    count, middle = 0.0, 0.0
    # Not isfinite(), which is always true where sums may be reordered: see ``intensities``.
    for i in range(source.size):
        value = source[i]
        good = value * nothing == nothing
        count += 1.0 if good else 0.0
        middle += np.float64(value if good else nothing)
    middle = middle / max(count, 1.0) if about_mean else 0.0
    total = 0.0
    for i in range(source.size):
        value = source[i]
        difference = np.float64(value) - middle if value * nothing == nothing else 0.0
        total += difference * difference
    rms[0] = _finite32(np.sqrt(total / max(count, 1.0)))


def _finite32(value: Any) -> Any:
    """As float32; 0 where that is not finite."""
    short = np.float32(value)
    return short if np.isfinite(short) else np.float32(0.0)
