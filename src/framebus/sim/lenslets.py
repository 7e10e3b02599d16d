"""Spots of a Shack-Hartmann sensor by diffraction.

Each lenslet's field is taken to its focal plane by the two small matrix products that a Fourier transform is when only
a few points of it are wanted: R. Soummer et al., "Fast computation of Lyot-style coronagraph propagation", Opt.
Express 15 (2007). A row of lenslets goes through them at once, so that all inner loops are long. Light of one lenslet
in the box of another is left out, as behind a field stop.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError
from framebus.unit import Array, ArraySpec, In, Out, State, unit

Floats: TypeAlias = npt.NDArray[np.float32]


def transform(width: int, pixels: int, spot_px: float, oversampling: int = 0) -> Floats:
    """Real and imaginary part of the transform along one axis: (2, pixels · oversampling, width) float32.

    It keeps light: the squares of all that it gives, over the whole period of the transform, add up to those of what it
    takes.

    Args:
        width: points of the wavefront across a lenslet.
        pixels: camera pixels across a lenslet's box.
        spot_px: wavelength / lenslet size, in pixels.
        oversampling: points per pixel over which it collects light; 0: as many as make 4 per wavelength / size.

    Raises:
        UsageError: a number is below 1, or the box is wider than the period of the transform, which is ``width``
            times wavelength / lenslet size.
    """
    if width < 1 or pixels < 1 or oversampling < 0 or not (spot_px > 0.0 and math.isfinite(spot_px)):
        raise UsageError(f"width = {width}, pixels = {pixels}, spot_px = {spot_px}: they must be positive")
    if pixels > width * spot_px:
        raise UsageError(
            f"a box of {pixels} pixels is {pixels / spot_px:.3g} wavelengths / lenslet size wide, but {width} points "
            f"of wavefront across a lenslet tell only {width}; use more points of wavefront, fewer pixels, or a larger "
            f"spot_px"
        )
    each = oversampling or max(1, math.ceil(4.0 / spot_px))
    count = pixels * each
    per_sample = 1.0 / (spot_px * each * width)
    at = np.arange(count) - 0.5 * (count - 1)
    point = np.arange(width) - 0.5 * (width - 1)
    kernel = np.exp(-2j * np.pi * per_sample * np.outer(at, point)) * math.sqrt(per_sample)
    return np.ascontiguousarray([kernel.real, kernel.imag], dtype=np.float32)


@unit(fastmath={"reassoc", "contract", "nsz"})
def diffraction_spots(
    wavefront: Annotated[In, Array(("n_px", "n_px"), dtype="float32"), "µm"],
    amplitude: Annotated[In, Array(("n_px", "n_px"), dtype="float32"), "of the light in the pupil"],
    matrix: Annotated[In, Array((2, "n_focus", "width"), dtype="float32"), "``transform``"],
    span: Annotated[
        In, Array(("n_sub", 2), dtype="int32"), "first lit lenslet of each row, and the end of them"
    ],
    field: Annotated[State, Array((2, "width", "n_px"), dtype="float32"), "work space"],
    half: Annotated[State, Array((2, "n_px"), dtype="float32"), "work space: transformed along y"],
    turned: Annotated[State, Array((2, "width", "n_row"), dtype="float32"), "work space: [x][y', lenslet]"],
    focus: Annotated[State, Array((2, "n_row"), dtype="float32"), "work space: [y', lenslet] at one x'"],
    light: Annotated[
        Out, Array(("n_cam", "n_cam"), dtype="float32"), "filled: squared amplitude in each pixel"
    ],
    *,
    waves_per_um: Annotated[float, "1 / wavelength"] = 1.0,
) -> None:
    """The light of all lenslets on the camera."""
    n_focus, width = matrix.shape[1], matrix.shape[2]
    n_sub = span.shape[0]
    pixels = light.shape[0] // n_sub
    each = n_focus // pixels
    light[:] = np.float32(0.0)
    for row in range(n_sub):
        first, count = span[row, 0], span[row, 1] - span[row, 0]
        if count > 0:
            start, length = first * width, count * width
            for y in range(width):
                top = row * width + y
                fields(
                    wavefront[top, start : start + length],
                    amplitude[top, start : start + length],
                    np.float32(waves_per_um),
                    field[0, y, :length],
                    field[1, y, :length],
                )
            along_y(matrix, field, half, turned, length, count)
            along_x(matrix, turned, focus, light, row * pixels, first * pixels, pixels, each, count)


@diffraction_spots.shapes
def _shapes(matrix: ArraySpec, span: ArraySpec) -> dict[str, Any]:
    row = matrix.shape[1] * span.shape[0]
    return {"turned": ((2, matrix.shape[2], row), "float32"), "focus": ((2, row), "float32")}


def fields(wavefront: Any, amplitude: Any, waves_per_um: Any, real: Any, imaginary: Any) -> None:
    """Amplitude · exp(2πi · waves) of a run of points. A wavefront that is not finite is dark.

    Sine and cosine by their series within an eighth of a turn, to 3e-7, and the quarter turn that is left: so the
    loop is one of vector instructions.
    """
    quarter = np.float32(0.25)
    for x in range(real.size):
        t = wavefront[x] * waves_per_um
        quarters = np.floor(t * np.float32(4.0) + np.float32(0.5))
        a = (t - quarters * quarter) * np.float32(6.2831853)
        square = a * a
        s = np.float32(2.7557319e-6) * square - np.float32(1.9841270e-4)
        s = (s * square + np.float32(8.3333333e-3)) * square - np.float32(0.16666667)
        s = (s * square + np.float32(1.0)) * a
        c = np.float32(2.4801587e-5) * square - np.float32(1.3888889e-3)
        c = (c * square + np.float32(4.1666667e-2)) * square - np.float32(0.5)
        c = c * square + np.float32(1.0)
        rest = quarters - np.float32(4.0) * np.floor(quarters * quarter)
        odd = rest == np.float32(1.0) or rest == np.float32(3.0)
        cosine = s if odd else c
        sine = c if odd else s
        cosine = -cosine if rest == np.float32(1.0) or rest == np.float32(2.0) else cosine
        sine = -sine if rest >= np.float32(2.0) else sine
        seen = amplitude[x] if abs(t) < np.float32(1e6) else np.float32(0.0)
        real[x] = seen * cosine if seen != np.float32(0.0) else np.float32(0.0)
        imaginary[x] = seen * sine if seen != np.float32(0.0) else np.float32(0.0)


def along_y(matrix: Any, field: Any, half: Any, turned: Any, length: Any, count: Any) -> None:
    """Transform a row of lenslets along y, and put it in the order that the transform along x wants."""
    n_focus, width = matrix.shape[1], matrix.shape[2]
    real, imaginary = half[0, :length], half[1, :length]
    for at in range(n_focus):
        for x in range(length):
            real[x] = np.float32(0.0)
            imaginary[x] = np.float32(0.0)
        for y in range(width):
            c, s = matrix[0, at, y], matrix[1, at, y]
            a, b = field[0, y, :length], field[1, y, :length]
            for x in range(length):
                real[x] += c * a[x] - s * b[x]
                imaginary[x] += c * b[x] + s * a[x]
        base = at * count
        for i in range(count):
            for x in range(width):
                turned[0, x, base + i] = real[i * width + x]
                turned[1, x, base + i] = imaginary[i * width + x]


def along_x(
    matrix: Any, turned: Any, focus: Any, light: Any, top: Any, left: Any, pixels: Any, each: Any, count: Any
) -> None:
    """Transform along x, square, and collect in the camera's pixels."""
    n_focus, width = matrix.shape[1], matrix.shape[2]
    length = n_focus * count
    real, imaginary = focus[0, :length], focus[1, :length]
    for at in range(n_focus):
        for k in range(length):
            real[k] = np.float32(0.0)
            imaginary[k] = np.float32(0.0)
        for x in range(width):
            c, s = matrix[0, at, x], matrix[1, at, x]
            a, b = turned[0, x, :length], turned[1, x, :length]
            for k in range(length):
                real[k] += c * a[k] - s * b[k]
                imaginary[k] += c * b[k] + s * a[k]
        for k in range(length):
            real[k] = real[k] * real[k] + imaginary[k] * imaginary[k]
        column = left + at // each
        for y in range(n_focus):
            line = light[top + y // each]
            for i in range(count):
                line[column + i * pixels] += real[y * count + i]


def lit_spans(flux: npt.ArrayLike) -> npt.NDArray[np.int32]:
    """First lit lenslet of each row and the end of the lit ones: (n_sub, 2) int32; ``flux`` is (n_sub, n_sub)."""
    lit = np.asarray(flux) > 0
    first = lit.argmax(axis=1)
    end = lit.shape[1] - lit[:, ::-1].argmax(axis=1)
    some = lit.any(axis=1)
    return np.stack([np.where(some, first, 0), np.where(some, end, 0)], axis=1).astype(np.int32)
