"""From camera pixels to light, and light as a measurement of its own.

``calibrate`` takes dark and flat out of a frame, ``normalise`` divides it by its light; ``intensities`` makes a
measurement vector straight from pixels, as pyramid sensors are used.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from framebus.errors import BindingError
from framebus.unit import Array, ArraySpec, In, Out, Range, unit

PIXEL_DTYPES = (
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float32",
    "float64",
)
"""What a camera may deliver; computed with as float32."""


@unit
def calibrate(
    raw: Annotated[In, Array(..., dtype=PIXEL_DTYPES), "camera frame"],
    dark: Annotated[In, Array(..., dtype="float32"), "dark frame, counts"],
    gain: Annotated[In, Array(..., dtype="float32"), "1 / flat field; 0 marks a bad pixel"],
    pixels: Annotated[Out, Array(..., dtype="float32"), "calibrated frame"],
) -> None:
    """Pixels = (raw - dark) * gain; a pixel whose gain is 0, or whose result is not finite, is 0.

    All four arrays have the shape of ``raw``. ``gain_map`` makes the gain from a flat field.
    """
    source = raw.reshape(-1)
    offset = dark.reshape(-1)
    factor = gain.reshape(-1)
    target = pixels.reshape(-1)
    for i in range(target.size):
        value = (np.float32(source[i]) - offset[i]) * factor[i]
        target[i] = value if np.isfinite(value) else np.float32(0.0)


@calibrate.shapes
def _calibrate_shapes(raw: ArraySpec, dark: ArraySpec, gain: ArraySpec) -> dict[str, Any]:
    for name, spec in (("dark", dark), ("gain", gain)):
        if spec.shape != raw.shape:
            raise BindingError(
                f"unit 'calibrate', argument {name!r}: its shape is {spec.shape}, expected {raw.shape}, that of 'raw'"
            )
    return {"pixels": (raw.shape, "float32")}


@unit(fastmath={"reassoc", "contract", "nsz", "arcp"})
def normalise(
    frame: Annotated[In, Array(..., dtype=PIXEL_DTYPES), "calibrated or raw frame, any shape"],
    mask: Annotated[
        In, Array(..., dtype="float32"), "weight of every pixel, in the frame's shape; 0 leaves it out"
    ],
    pixels: Annotated[Out, Array(..., dtype="float32"), "normalised frame"],
    *,
    level: Annotated[float, "sum of the result"] = 1.0,
    min_flux: Annotated[float, Range(0.0, None), "light that a frame needs"] = 0.0,
) -> None:
    """Pixels = level * frame * mask / sum(frame * mask): the same light in every frame, whatever the sky does.

    A pixel that is not finite, or whose weight is not, counts as dark. A frame whose light is not above
    ``min_flux``, or not finite, becomes all zeros.
    """
    source = frame.reshape(-1)
    weight = mask.reshape(-1)
    target = pixels.reshape(-1)
    zero = np.float32(0.0)
    total = zero
    for i in range(target.size):
        value = np.float32(source[i]) * weight[i]
        value = value if value * zero == zero else zero
        target[i] = value
        total += value
    good = total > np.float32(min_flux) and total < np.float32(np.inf)
    scale = np.float32(level) / total if good else zero
    for i in range(target.size):
        value = target[i] * scale
        target[i] = value if value * zero == zero else zero


@normalise.shapes
def _normalise_shapes(frame: ArraySpec, mask: ArraySpec) -> dict[str, Any]:
    if mask.shape != frame.shape:
        raise BindingError(
            f"unit 'normalise', argument 'mask': its shape is {mask.shape}, expected {frame.shape}, that of 'frame'"
        )
    return {"pixels": (frame.shape, "float32")}


@unit(fastmath={"reassoc", "contract", "nsz", "arcp"})
def intensities(
    frame: Annotated[In, Array(..., dtype=PIXEL_DTYPES), "calibrated or raw frame, any shape"],
    valid: Annotated[
        In, Array(("n_valid",), dtype="int32"), "flat (C order) index of every pixel that is used"
    ],
    reference: Annotated[In, Array(("n_valid",), dtype="float32"), "measurement that is to read zero"],
    measurement: Annotated[Out, Array(("n_valid",), dtype="float32")],
    *,
    normalise: Annotated[
        bool, "divide by the sum of the valid pixels before subtracting the reference"
    ] = False,
    min_flux: Annotated[float, Range(0.0, None), "sum that a frame needs when normalised"] = 0.0,
) -> None:
    """Measurement = frame[valid] (/ their sum) - reference: the pixels themselves, as pyramid sensors are used.

    With ``normalise`` the reference must have been divided by its own sum too, and a frame whose sum is not
    above ``min_flux``, or not finite, measures nothing: it reads all zeros, so that an integrator behind it
    only leaks. An index outside the frame counts as a dark pixel; a pixel that is not finite, or whose reference
    is not, reads zero.
    """
    source = frame.reshape(-1)
    size = np.uint32(min(source.size, 0x7FFFFFFF))
    zero = np.float32(0.0)
    scale = np.float32(1.0)
    if normalise:
        total = zero
        for i in range(measurement.size):
            index = unsigned(valid[i])
            total += np.float32(source[index]) if index < size else zero
        if not (total > np.float32(min_flux) and total < np.float32(np.inf)):
            measurement[:] = zero
            return
        scale = np.float32(1.0) / total
    for i in range(measurement.size):
        index = unsigned(valid[i])
        light = np.float32(source[index]) if index < size else zero
        value = light * scale - reference[i]
        # Infinity and NaN times 0 are NaN. Not isfinite(), which is value - value == 0 to Numba: where sums may be
        # reordered that is always true.
        measurement[i] = value if value * zero == zero else zero


def unsigned(index: Any) -> Any:
    """``index`` as an unsigned number: a negative one is then too large as well, and one comparison finds both."""
    return np.uint32(np.int64(index) & 0xFFFFFFFF)
