"""Moving von Kármán turbulence: periodic phase screens, and the kernel that looks at them through a window.

Frozen flow: a screen is made once and slides over the pupil with the wind. Periodic screens never end, so a
simulation runs as long as one likes at a fixed cost per frame.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError

Floats: TypeAlias = npt.NDArray[np.float32]

R0_WAVELENGTH_M = 500e-9
"""Wavelength at which r0 is given, as is usual for seeing."""

_PSD = 0.022895587108555
"""Coefficient of the von Kármán phase spectrum, in rad²: Γ(11/6)² / (2 π^(11/3)) (24/5 Γ(6/5))^(5/6)."""
_LOW_CELLS = 4
"""Frequencies of fewer cycles per screen than this get the power of their whole cell."""
_CELL_POINTS = 33


def spectrum(frequency_per_m: npt.ArrayLike, r0_m: float, outer_scale_m: float) -> npt.NDArray[np.float64]:
    """Von Kármán's phase spectrum Φ(f) = 0.0229 r0^(-5/3) (f² + 1/L0²)^(-11/6), in rad² m².

    Args:
        frequency_per_m: spatial frequency, cycles per metre, any shape.
        r0_m: Fried parameter at the wavelength of the phase.
        outer_scale_m: L0.
    """
    f2 = np.square(np.asarray(frequency_per_m, dtype=np.float64)) + outer_scale_m**-2
    return np.asarray(_PSD * r0_m ** (-5 / 3) * f2 ** (-11 / 6))


def structure_function(
    separation_m: npt.ArrayLike, r0_m: float, outer_scale_m: float
) -> npt.NDArray[np.float64]:
    """Von Kármán's phase structure function D(r) = <(φ(x + r) - φ(x))²>, in rad².

    The Hankel transform of ``spectrum``: R. Conan, "Mean-square residual error of a wavefront after
    propagation through atmospheric turbulence and after correction with Zernike polynomials", JOSA A 25 (2008).

    Args:
        separation_m: r >= 0, any shape.
        r0_m: Fried parameter at the wavelength of the phase.
        outer_scale_m: L0.
    """
    from scipy.special import gamma, kv

    r = np.asarray(separation_m, dtype=np.float64)
    u = 2 * np.pi * np.where(r > 0, r, 1.0) / outer_scale_m
    scale = 2 ** (1 / 6) * gamma(11 / 6) / np.pi ** (8 / 3) * (24 / 5 * gamma(6 / 5)) ** (5 / 6)
    shape = gamma(5 / 6) / 2 ** (1 / 6) - u ** (5 / 6) * kv(5 / 6, u)
    return np.where(r > 0, scale * (outer_scale_m / r0_m) ** (5 / 3) * shape, 0.0)


def mode_powers(size: int, pixel_m: float, r0_m: float, outer_scale_m: float) -> npt.NDArray[np.float64]:
    """Variance of each Fourier mode of a periodic screen, in rad²: shape (size, size // 2 + 1), as ``rfft2``.

    Two corrections make the structure function right from one pixel to about an eighth of the screen:

    - Power above the Nyquist frequency is folded back, as sampling points of a real wavefront would.
    - A mode of long period stands for its whole cell of frequencies. Over separations that are short beside
      the screen the structure function grows as power times frequency squared, so the cell's integral of
      f² Φ is kept; that of the cell at zero frequency goes to the four modes next to it. So the screen stays
      periodic, which adding subharmonics would not allow.
    """
    step = 1 / (size * pixel_m)
    fy = np.fft.fftfreq(size, pixel_m)[:, None]
    fx = np.fft.rfftfreq(size, pixel_m)[None, :]
    power = np.zeros((size, size // 2 + 1))
    for alias_y in (-1, 0, 1):
        for alias_x in (-1, 0, 1):
            frequency = np.hypot(fy + alias_y / pixel_m, fx + alias_x / pixel_m)
            power += spectrum(frequency, r0_m, outer_scale_m)
    power *= step**2
    offsets = (np.arange(_CELL_POINTS) - _CELL_POINTS // 2) / _CELL_POINTS
    centre = 0.0
    for ky in range(1 - _LOW_CELLS, _LOW_CELLS):
        for kx in range(_LOW_CELLS):
            f = step * np.hypot(ky + offsets[:, None], kx + offsets[None, :])
            slope = float(np.mean(f**2 * spectrum(f, r0_m, outer_scale_m)))
            if ky or kx:
                power[ky, kx] = slope / (ky**2 + kx**2)
            else:
                centre = slope
    power[0, 0] = 0.0
    # Per mode: two of the four share the variance of tip, two that of tilt.
    power[[1, -1], 0] += centre / 4
    power[0, 1] += centre / 4
    return power


def periodic_screen(
    size: int, pixel_m: float, r0_m: float, outer_scale_m: float, seed: int | Sequence[int]
) -> Floats:
    """A periodic von Kármán phase screen of mean zero: (size, size) float32, in rad.

    White noise filtered by the square root of ``mode_powers``.

    Raises:
        UsageError: ``size`` is below 16, or a length is not positive and finite.
    """
    if size < 16:
        raise UsageError(f"a screen of {size} pixels is too small; use at least 16")
    for name, length in (("pixel_m", pixel_m), ("r0_m", r0_m), ("outer_scale_m", outer_scale_m)):
        if not (length > 0 and math.isfinite(length)):
            raise UsageError(f"{name} = {length} must be positive and finite, in metres")
    noise = np.random.default_rng(seed).standard_normal((size, size), dtype=np.float32)
    amplitude = size * np.sqrt(mode_powers(size, pixel_m, r0_m, outer_scale_m))
    screen: Floats = np.fft.irfft2(np.fft.rfft2(noise) * amplitude, s=(size, size)).astype(np.float32)
    return screen


@dataclass(frozen=True)
class PhaseScreen:
    """One layer of turbulence in frozen flow, seen through a window of ``shape`` pixels.

    Attributes:
        shape: (ny, nx) of the window, in pixels.
        pixel_m: length of a pixel.
        r0_m: Fried parameter of this layer at 500 nm.
        outer_scale_m: L0.
        wind_speed_m_s: speed with which the pattern moves over the window.
        wind_direction_deg: where it moves to: 0 towards +x, 90 towards +y.
        wavelength_m: of the phase; the wavefront in metres is the same at all wavelengths.
        size: pixels on a side of the periodic screen. The structure function holds up to ``size / 8``.
        seed: the same seed makes the same screen.
        screen: the (size, size) float32 screen, in rad.

    Raises:
        UsageError: the window is larger than the screen, or a length is not positive and finite.
    """

    shape: tuple[int, int]
    pixel_m: float
    r0_m: float = 0.15
    outer_scale_m: float = 25.0
    wind_speed_m_s: float = 10.0
    wind_direction_deg: float = 0.0
    wavelength_m: float = R0_WAVELENGTH_M
    size: int = 1024
    seed: int | Sequence[int] = 0
    screen: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if min(self.shape) < 1 or max(self.shape) > self.size:
            raise UsageError(
                f"window {self.shape} does not fit in a screen of {self.size}×{self.size} pixels"
            )
        if not (self.wavelength_m > 0 and math.isfinite(self.wavelength_m)):
            raise UsageError(f"wavelength_m = {self.wavelength_m} must be positive and finite")
        if not (math.isfinite(self.wind_speed_m_s) and math.isfinite(self.wind_direction_deg)):
            raise UsageError("the wind's speed and direction must be finite")
        screen = periodic_screen(self.size, self.pixel_m, self.r0_m, self.outer_scale_m, self.seed)
        # Phase goes as 1 / wavelength for one and the same wavefront: that is r0 ~ wavelength^(6/5).
        screen *= np.float32(R0_WAVELENGTH_M / self.wavelength_m)
        object.__setattr__(self, "screen", screen)

    @property
    def velocity_px_s(self) -> tuple[float, float]:
        """(x, y) motion of the pattern over the window, in pixels per second."""
        angle = math.radians(self.wind_direction_deg)
        speed = self.wind_speed_m_s / self.pixel_m
        return speed * math.cos(angle), speed * math.sin(angle)

    def at(self, t_s: float) -> Floats:
        """The phase in the window at a time: (ny, nx) float32, in rad. Follows ``flow`` to rounding."""
        vx, vy = self.velocity_px_s
        return window(self.screen, self.shape, -vx * t_s, -vy * t_s)


def total_phase(layers: Sequence[PhaseScreen], t_s: float) -> Floats:
    """The sum of several layers at a time: (ny, nx) float32, in rad.

    Raises:
        UsageError: there is no layer, or their windows differ.
    """
    if len({layer.shape for layer in layers}) != 1:
        raise UsageError("layers must be one or more, all with the same window")
    total: Floats = np.sum([layer.at(t_s) for layer in layers], axis=0)
    return total


def window(screen: Floats, shape: tuple[int, int], x_px: float, y_px: float) -> Floats:
    """The part of a periodic ``screen`` that starts at (x_px, y_px), interpolated as by ``flow``: float32."""
    (ny, nx), (rows, columns) = shape, screen.shape
    x0, y0 = math.floor(x_px), math.floor(y_px)
    at_y = (y0 - 1 + np.arange(ny + 3)) % rows
    at_x = (x0 - 1 + np.arange(nx + 3)) % columns
    block = screen[np.ix_(at_y, at_x)]
    wy, wx = cubic_weights(y_px - y0), cubic_weights(x_px - x0)
    tall = np.sum([np.float32(w) * block[k : k + ny] for k, w in enumerate(wy)], axis=0)
    seen: Floats = np.sum([np.float32(w) * tall[:, k : k + nx] for k, w in enumerate(wx)], axis=0)
    return seen


def cubic_weights(fraction: float) -> tuple[float, float, float, float]:
    """Weights of samples -1, 0, 1, 2 for the value at 0 <= fraction < 1.

    The interpolating cubic with slopes from central differences: R. Keys, "Cubic convolution interpolation for
    digital image processing", IEEE Trans. ASSP 29 (1981), a = -1/2. Linear interpolation would smooth the
    screen by an amount that comes and goes with each pixel of wind.
    """
    f = fraction
    return (
        ((2.0 - f) * f - 1.0) * f * 0.5,
        ((3.0 * f - 5.0) * f * f + 2.0) * 0.5,
        ((4.0 - 3.0 * f) * f + 1.0) * f * 0.5,
        (f - 1.0) * f * f * 0.5,
    )


def wrapped(position: float, size: int) -> float:
    """``position`` modulo ``size``, in [0, size); 0 if it is not finite."""
    inside = position - math.floor(position / size) * size if math.isfinite(position) else 0.0
    return inside if 0.0 <= inside < size else 0.0


def flow(screen: Any, out: Any, x_px: float, y_px: float, gain: float) -> None:
    """Add gain times the window of a periodic ``screen`` that starts at (x_px, y_px) to ``out``.

    A helper for compiled units. Any screen of at least one pixel and any offset, NaN too, are safe.

    Args:
        screen: (rows, columns) float32, periodic.
        out: (ny, nx) float32.
        x_px: column of the screen that is seen at column 0 of ``out``, with a fraction.
        y_px: the same for rows.
        gain: factor on the screen.
    """
    rows, columns = screen.shape
    ny, nx = out.shape
    x, y = wrapped(x_px, columns), wrapped(y_px, rows)
    x0, y0 = int(x), int(y)
    a, b, c, d = cubic_weights(x - x0)
    wx = (np.float32(a), np.float32(b), np.float32(c), np.float32(d))
    a, b, c, d = cubic_weights(y - y0)
    wy = (np.float32(gain * a), np.float32(gain * b), np.float32(gain * c), np.float32(gain * d))
    for j in range(ny):
        row = (y0 + j) % rows
        above = screen[(row + rows - 1) % rows]
        here = screen[row]
        below = screen[(row + 1) % rows]
        beyond = screen[(row + 2) % rows]
        done = 0
        while done < nx:
            first = (x0 + done + columns - 1) % columns
            length = min(nx - done, columns - 3 - first)
            if length > 0:
                last = first + length + 3
                part = out[j, done : done + length]
                _add_run(above[first:last], wy[0], wx, part)
                _add_run(here[first:last], wy[1], wx, part)
                _add_run(below[first:last], wy[2], wx, part)
                _add_run(beyond[first:last], wy[3], wx, part)
                done += length
            else:
                # The four columns lie across the seam of the period.
                value = out[j, done]
                for k in range(4):
                    at = (first + k) % columns
                    tall = wy[0] * above[at] + wy[1] * here[at] + wy[2] * below[at] + wy[3] * beyond[at]
                    value += wx[k] * tall
                out[j, done] = value
                done += 1


def _add_run(source: Any, weight: Any, wx: Any, out: Any) -> None:
    """Add the four-tap combination of a row's run, times ``weight``, to ``out``; source is 3 longer than out."""
    a, b, c, d = weight * wx[0], weight * wx[1], weight * wx[2], weight * wx[3]
    for i in range(out.size):
        out[i] += a * source[i] + b * source[i + 1] + c * source[i + 2] + d * source[i + 3]
