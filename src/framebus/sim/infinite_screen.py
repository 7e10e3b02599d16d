"""Turbulence without end: von Kármán screens that grow a row or a column at a time where the wind comes from.

The method is that of F. Assémat, R. Wilson, E. Gendron, "Method for simulating infinitely long and non stationary phase
screens with optimized memory storage", Opt. Express 14 (2006): a new line is the best prediction from lines that are
there, plus noise of the covariance that the prediction lacks. Predicted is, as D. Fried and T. Clark, "Extruding
Kolmogorov-type phase screen ribbons", JOSA A 25 (2008), advise, not from the two nearest lines alone but also from a
thinning net of points behind them, without which the structure function falls short of theory at long separations.

A screen lives in a square that is a ring along both axes: a new line takes the place of the one that the wind has
carried out at the other side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError
from framebus.sim.noise import RANDOM_WORDS, normal, started
from framebus.sim.turbulence import periodic_screen
from framebus.unit import Array, In, Out, State, unit

Floats: TypeAlias = npt.NDArray[np.float32]
Doubles: TypeAlias = npt.NDArray[np.float64]

MARGIN = 2
"""Pixels before the window that its interpolation reaches; one more behind it."""
TAPS = 6
_PLACES = np.arange(TAPS) - MARGIN
_FULL_LINES = 2
_LARGEST_START = 4096


def covariance(separation: npt.ArrayLike, outer_scale: float) -> Doubles:
    """Von Kármán's phase covariance for r0 = 1, in rad²: any shape; lengths in units of r0.

    Source: as ``turbulence.structure_function``, which is twice its fall from 0.
    """
    from scipy.special import gamma, kv

    r = np.asarray(separation, dtype=np.float64)
    scale = gamma(11 / 6) / (2 ** (5 / 6) * np.pi ** (8 / 3)) * (24 / 5 * gamma(6 / 5)) ** (5 / 6)
    u = 2 * np.pi * np.where(r > 0, r, 1.0) / outer_scale
    shape = np.where(r > 0, u ** (5 / 6) * kv(5 / 6, u), gamma(5 / 6) / 2 ** (1 / 6))
    return np.asarray(scale * outer_scale ** (5 / 3) * shape)


def stencil(size: int) -> npt.NDArray[np.int32]:
    """Points from which a line of ``size`` pixels is predicted: (n, 2) int32 of lines behind it and place along it.

    The two nearest lines whole; behind them lines 2, 4, 8 ... further, with as many pixels between their points.
    """
    points = [(line, at) for line in range(1, _FULL_LINES + 1) for at in range(size)]
    line, step = _FULL_LINES, 2
    while line + step < size:
        line += step
        across = np.linspace(0, size - 1, max(2, (size - 1) // step + 1)).round().astype(int)
        points += [(line, int(at)) for at in np.unique(across)]
        step *= 2
    if points[-1][0] < size - 1:
        points += [(size - 1, at) for at in sorted({0, size // 2, size - 1})]
    return np.array(points, dtype=np.int32)


@dataclass(frozen=True)
class Growth:
    """How a screen grows: line = ``predict`` · points + ``spread`` · white noise, for r0 = 1.

    Attributes:
        points: (n_points, 2) int32, see ``stencil``.
        predict: (size, n_points) float32.
        spread: (size, size) float32; its product with its transpose is the covariance that the prediction lacks.
    """

    points: npt.NDArray[np.int32]
    predict: Floats
    spread: Floats

    @classmethod
    def of(cls, size: int, pixel: float, outer_scale: float) -> Growth:
        """Growth of screens of ``size`` pixels. Lengths are in units of r0.

        Raises:
            UsageError: the outer scale is so many pixels that no prediction can be computed.
        """
        points = stencil(size)
        along = np.stack([np.zeros(size), np.arange(size)], axis=1)
        place = np.vstack([along, points]) * pixel
        offset = place[:, None, :] - place[None, :, :]
        known = covariance(np.hypot(offset[..., 0], offset[..., 1]), outer_scale)
        new, cross, old = known[:size, :size], known[:size, size:], known[size:, size:]
        try:
            predict = np.linalg.solve(old, cross.T).T
            lacking = new - predict @ cross.T
            power, modes = np.linalg.eigh(0.5 * (lacking + lacking.T))
        except np.linalg.LinAlgError:
            power, predict, modes = np.array([-1.0]), new, new
        if not power.min() > 0.0:
            raise UsageError(
                f"an outer scale of {outer_scale / pixel:.3g} pixels is too long for a screen of {size} pixels that "
                f"grows; use a shorter outer_scale_m or larger pixels"
            )
        spread = modes * np.sqrt(power)
        return cls(
            points, np.ascontiguousarray(predict, np.float32), np.ascontiguousarray(spread, np.float32)
        )


def first_screens(size: int, pixel_m: float, outer_scale_m: float, seeds: Sequence[Sequence[int]]) -> Floats:
    """What screens are before they grow: (n, size, size) float32, in rad for r0 = 1 m.

    A corner of a periodic screen that is eight times larger, or of 4096 pixels if that is less.

    Raises:
        UsageError: a length is not positive and finite.
    """
    across = max(size, min(8 * size, _LARGEST_START))
    corners = [
        periodic_screen(max(16, across), pixel_m, 1.0, outer_scale_m, seed)[:size, :size] for seed in seeds
    ]
    return np.ascontiguousarray(corners, dtype=np.float32)


def tap_weights(fractions: npt.ArrayLike) -> Floats:
    """Weights of samples -2 ... 3 for the values at 0 <= fraction < 1: (..., 6) float32 for fractions of any shape.

    Lanczos' kernel of three lobes, made exact for straight lines. Of a von Kármán screen it keeps the structure
    function within 2 % from two pixels on, wherever between pixels; shorter kernels smooth more.
    """
    fraction = np.asarray(fractions, dtype=np.float64)[..., None]
    # On a sample the kernel is 0 / 0.
    x = np.pi * (np.maximum(fraction, 1e-9) - _PLACES)
    weights = np.sin(x) * np.sin(x / 3.0) / (x * x)
    weights /= weights.sum(axis=-1, keepdims=True)
    off = weights @ _PLACES - fraction[..., 0]
    weights[..., MARGIN] += off
    weights[..., MARGIN + 1] -= off
    return np.asarray(weights, dtype=np.float32)


@unit(fastmath={"reassoc", "contract", "nsz"})
def blow(
    points: Annotated[In, Array(("n_points", 2), dtype="int32"), "of ``Growth``"],
    predict: Annotated[In, Array(("size", "n_points"), dtype="float32"), "of ``Growth``"],
    spread: Annotated[In, Array(("size", "size"), dtype="float32"), "of ``Growth``"],
    lines: Annotated[In, Array(("n_layers", 2), dtype="int64"), "lines to add, along y and x"],
    taps: Annotated[In, Array(("n_layers", 2, 6), dtype="float32"), "``tap_weights`` along y and x"],
    gains: Annotated[
        In, Array(("n_layers",), dtype="float32"), "from rad for r0 = 1 m to the wavefront's unit"
    ],
    screens: Annotated[State, Array(("n_layers", "size", "size"), dtype="float32"), "rings along both axes"],
    origin: Annotated[State, Array(("n_layers", 2), dtype="int64"), "row and column that come first"],
    random: Annotated[State, Array(("n_layers", 2), dtype="uint64"), "of the noise"],
    known: Annotated[State, Array(("n_points",), dtype="float32"), "work space"],
    noise: Annotated[State, Array(("size",), dtype="float32"), "work space"],
    line: Annotated[State, Array((2, "size"), dtype="float32"), "work space"],
    wavefront: Annotated[Out, Array(("n_px", "n_px"), dtype="float32"), "filled; size - 5 pixels across"],
) -> None:
    """Let all screens grow by ``lines`` (below 0: at the low end), and add up what the window sees of them."""
    wavefront[:] = np.float32(0.0)
    for layer in range(screens.shape[0]):
        screen = screens[layer]
        for axis in range(2):
            wanted = lines[layer, axis]
            for _ in range(abs(wanted)):
                random[layer, 0] = grow(
                    screen,
                    origin[layer],
                    axis,
                    wanted > 0,
                    points,
                    predict,
                    spread,
                    known,
                    noise,
                    random[layer, 0],
                )
        see(screen, origin[layer], taps[layer], gains[layer], line, wavefront)


def grow(
    screen: Any,
    origin: Any,
    axis: int,
    upwards: Any,
    points: Any,
    predict: Any,
    spread: Any,
    known: Any,
    noise: Any,
    word: Any,
) -> Any:
    """Add one line to a screen, in place of that at the other end; returns the generator's next word."""
    size = screen.shape[0]
    first, side = origin[axis], origin[1 - axis]
    if upwards:
        new, step = first, -1
        origin[axis] = (first + 1) % size
    else:
        new, step = (first + size - 1) % size, 1
        origin[axis] = new
    # Relative to a value of its own: small differences of large numbers would lose digits.
    start = (new + step + size) % size
    level = screen[start, side] if axis == 0 else screen[side, start]
    for k in range(points.shape[0]):
        at = (new + step * points[k, 0] + size) % size
        along = (side + points[k, 1]) % size
        known[k] = (screen[at, along] if axis == 0 else screen[along, at]) - level
    for i in range(size):
        drawn, word = normal(word)
        noise[i] = np.float32(drawn)
    for i in range(size):
        weights, mixing = predict[i], spread[i]
        value = np.float32(0.0)
        share = np.float32(0.0)
        for k in range(weights.size):
            value += weights[k] * known[k]
            share += weights[k]
        for k in range(mixing.size):
            value += mixing[k] * noise[k]
        value += share * level
        along = (side + i) % size
        if axis == 0:
            screen[new, along] = value
        else:
            screen[along, new] = value
    return word


def see(screen: Any, origin: Any, taps: Any, gain: Any, line: Any, wavefront: Any) -> None:
    """Add what the window sees of a screen to ``wavefront``, interpolated."""
    size = screen.shape[0]
    n_px = wavefront.shape[0]
    top, left = origin[0], origin[1]
    tall, turned = line[0], line[1]
    w = taps[0]
    u = taps[1]
    for j in range(n_px):
        a, b, c = screen[(top + j) % size], screen[(top + j + 1) % size], screen[(top + j + 2) % size]
        d, e, f = screen[(top + j + 3) % size], screen[(top + j + 4) % size], screen[(top + j + 5) % size]
        for x in range(size):
            tall[x] = gain * (
                w[0] * a[x] + w[1] * b[x] + w[2] * c[x] + w[3] * d[x] + w[4] * e[x] + w[5] * f[x]
            )
        for x in range(size - left):
            turned[x] = tall[left + x]
        for x in range(left):
            turned[size - left + x] = tall[x]
        out = wavefront[j]
        for x in range(n_px):
            out[x] += (
                u[0] * turned[x]
                + u[1] * turned[x + 1]
                + u[2] * turned[x + 2]
                + u[3] * turned[x + 3]
                + u[4] * turned[x + 4]
                + u[5] * turned[x + 5]
            )


@dataclass
class Position:
    """Where the window stands between pixels, for each layer: (n_layers, 2) of y and x, from 0 to 1."""

    fraction: Doubles

    def move(self, pixels: Doubles) -> npt.NDArray[np.int64]:
        """Move by (n_layers, 2) pixels; returns the whole lines that were passed, to be added by ``blow``."""
        place = self.fraction + pixels
        whole = np.floor(place)
        self.fraction = place - whole
        return np.asarray(whole, dtype=np.int64)


def started_words(n_layers: int, seed: int) -> npt.NDArray[np.uint64]:
    """Generators of ``n_layers`` layers, (n_layers, 2) uint64, each from a seed of its own."""
    words = np.zeros((n_layers, RANDOM_WORDS), dtype=np.uint64)
    seeds = np.random.SeedSequence((seed, n_layers)).generate_state(n_layers)
    for layer in range(n_layers):
        started(words[layer], int(seeds[layer]))
    return words
