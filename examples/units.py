"""Units in five minutes: declare, try, compile. Included piece by piece in docs/units.md."""

# -- declare
from typing import Annotated

import numpy as np

import framebus as fb
from framebus.errors import BindingError
from framebus.unit import Array, ArraySpec, Range


@fb.unit
def reconstruct(
    slopes: Annotated[fb.In, Array(("n_slopes",), dtype="float32")],
    control_matrix: Annotated[fb.In, Array(("n_modes", "n_slopes"), dtype="float32")],
    modes: Annotated[fb.Out, Array(("n_modes",), dtype="float32")],
    *,
    gain: Annotated[float, Range(0.0, 2.0), "loop gain"] = 1.0,
) -> None:
    """Modes = gain * control_matrix @ slopes."""
    for mode in range(control_matrix.shape[0]):
        total = np.float32(0)
        for slope in range(slopes.size):
            total += control_matrix[mode, slope] * slopes[slope]
        modes[mode] = gain * total


# -- end of declare

# -- try
slopes = np.array([1, 2, 3], "float32")
control_matrix = np.array([[1, 0, 0], [0, 1, 1]], "float32")
modes = np.zeros(2, "float32")

reconstruct(slopes, control_matrix, modes, gain=0.5)  # in the interpreter, where a debugger can step
print(modes)
reconstruct.jit(slopes, control_matrix, modes, gain=2.0)  # the machine code that the loop will run
print(modes)
# -- end of try

# -- resolve
inputs = {
    "slopes": ArraySpec((3,), np.dtype("float32")),
    "control_matrix": ArraySpec((2, 3), np.dtype("float32")),
}
print(reconstruct.resolve(inputs)["modes"])

inputs["control_matrix"] = ArraySpec((2, 4), np.dtype("float32"))
try:
    reconstruct.resolve(inputs)
except BindingError as error:
    print(error)
# -- end of resolve


# -- shapes
@fb.unit
def bin2(image: fb.In, binned: fb.Out) -> None:
    """Sums of 2 by 2 pixels; an odd last row or column is left out."""
    for y in range(binned.shape[0]):
        for x in range(binned.shape[1]):
            binned[y, x] = image[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].sum()


@bin2.shapes
def binned_shape(image: ArraySpec) -> dict[str, tuple[tuple[int, int], str]]:
    """Half of the image in each direction."""
    height, width = image.shape
    return {"binned": ((height // 2, width // 2), "float32")}


# -- end of shapes


# -- state
@fb.unit
def moving_mean(image: fb.In, mean: fb.Out, total: fb.State, *, weight: float = 0.1) -> int:
    """Exponential moving mean; what is not finite ends it."""
    for i in range(image.size):
        if not np.isfinite(image.flat[i]):
            return 1  # an error: the frame is not published, and the unit ends
    for i in range(image.size):
        total.flat[i] += weight * (image.flat[i] - total.flat[i])
        mean.flat[i] = total.flat[i]
    return 0


# -- end of state


# -- plain
@fb.unit(compiled=False)
def spectrum(signal: fb.In, power: fb.Out, *, window: str = "hann") -> None:
    """Power spectrum with SciPy, which only the interpreter can call."""
    from scipy.signal import periodogram

    power[: signal.size // 2 + 1] = periodogram(signal, window=window)[1]


# -- end of plain
