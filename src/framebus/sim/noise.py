"""Random numbers inside compiled units: uniform, normal and Poisson, reproducible by seed.

The generator is one 64-bit word, which functions take and give back: so it stays in a register, where an
array would be written and counted at each call. A unit keeps it as ``State``: see ``started``. No operation
overflows, so compiled and interpreted units draw the same numbers.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Words: TypeAlias = npt.NDArray[np.uint64]

RANDOM_WORDS = 2
"""Length of the ``random`` state."""

# Multiply with carry, multiplier A, base 2**32; D. B. Thomas, "The MWC64X random number generator" (2011).
_MULTIPLIER = np.uint64(4294883355)
_LOW_32 = np.uint64(0xFFFFFFFF)
_LOW_8 = np.uint64(0xFF)
_32_BITS = np.uint64(32)
_8_BITS = np.uint64(8)
_MASK_31 = 0x7FFFFFFF
_SEED_LOW = np.uint64(0x9E3779B9)
_PER_32_BITS = 2.0**-32
_PER_23_BITS = 2.0**-23
_HALF_RANGE = 2.0**23

# Ziggurat of 256 layers of equal area: start of the tail and area of a layer.
# G. Marsaglia and W. W. Tsang, "The ziggurat method for generating random variables", J. Stat. Soft. 5 (2000).
_TAIL = 3.6541528853610088
_AREA = 0.00492867323399

SMALL_MEAN = 20.0
"""Poisson means below this are drawn exactly, above as a normal of the same mean and variance."""


def _ziggurat() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Right edges of the layers, widest first, and the density at them."""
    edges = [_AREA / math.exp(-0.5 * _TAIL**2), _TAIL]
    while len(edges) < 256:
        edges.append(math.sqrt(-2.0 * math.log(_AREA / edges[-1] + math.exp(-0.5 * edges[-1] ** 2))))
    x = np.array([*edges, 0.0])
    return x, np.exp(-0.5 * x * x)


_EDGE, _DENSITY = _ziggurat()
_INVERSE = 1.0 / np.maximum(np.arange(101), 1)


def started(random: Words, seed: int) -> Any:
    """The generator's word to go on with: that kept in ``random``, or a new one.

    Args:
        random: ``uint64`` state of ``RANDOM_WORDS``: the word and the seed that it was started from. A new one
            is started when there is none yet or it came from another seed. Write the word back to
            ``random[0]`` when done.
        seed: only its low 31 bits count.
    """
    chosen = np.uint64(seed & _MASK_31)
    if random[0] == 0 or random[1] != chosen:
        random[1] = chosen
        word = (chosen << _32_BITS) | _SEED_LOW
        # A step moves each bit of the seed by about 32 places: a few of them make neighbours unlike.
        for _ in range(16):
            word = advanced(word)
        random[0] = word
    return random[0]


def advanced(word: Any) -> Any:
    """The word after ``word``."""
    return (word & _LOW_32) * _MULTIPLIER + (word >> _32_BITS)


def bits(word: Any) -> Any:
    """The 32 random bits of a word, as ``uint64``."""
    return (word & _LOW_32) ^ (word >> _32_BITS)


def uniform(word: Any) -> Any:
    """The float64 in (0, 1) of a word: both ends excluded, in steps of 2**-32."""
    return (np.float64(bits(word)) + 0.5) * _PER_32_BITS


def normal(word: Any) -> Any:
    """(x, next word): a float64 of mean 0 and variance 1, by the ziggurat.

    Layer and abscissa come from separate bits, which the published program does not do.
    """
    while True:
        word = advanced(word)
        drawn = bits(word)
        layer = np.int64(drawn & _LOW_8)
        side = (np.float64(drawn >> _8_BITS) - _HALF_RANGE + 0.5) * _PER_23_BITS
        x = side * _EDGE[layer]
        if abs(x) < _EDGE[layer + 1]:
            return x, word
        word = advanced(word)
        if layer == 0:
            # The tail, exactly: G. Marsaglia, "Generating a variable from the tail of the normal" (1964).
            beyond = -math.log(uniform(word)) / _TAIL
            word = advanced(word)
            while -2.0 * math.log(uniform(word)) <= beyond * beyond:
                word = advanced(word)
                beyond = -math.log(uniform(word)) / _TAIL
                word = advanced(word)
            return (_TAIL + beyond if side > 0.0 else -_TAIL - beyond), word
        height = _DENSITY[layer] + uniform(word) * (_DENSITY[layer + 1] - _DENSITY[layer])
        if height < math.exp(-0.5 * x * x):
            return x, word


def poisson_small(draw: float, mean: float) -> float:
    """The Poisson count, as float64, that a uniform ``draw`` means; 0 for a mean that is negative or NaN.

    For means up to ``SMALL_MEAN``. Inversion by sequential search: L. Devroye, "Non-uniform random variate
    generation" (1986), X.3.3.
    """
    # exp(-mean) >= 1 - mean: dark pixels are settled without the exponential.
    if draw < 1.0 - mean or not mean > 0.0:
        return 0.0
    term = math.exp(-mean)
    total = term
    k = 0
    while draw > total and k < 100:
        k += 1
        term *= mean * _INVERSE[k]
        total += term
    return np.float64(k)


def photo_electrons(word: Any, mean: float, read_noise: float) -> Any:
    """(electrons, next word): what a pixel that expects ``mean`` photons reads, as float64.

    Photon noise plus read noise (rms, electrons). A mean up to ``SMALL_MEAN`` gives an exact Poisson count plus a
    normal; above, one normal of variance mean + read_noise². A mean that is negative or NaN is no light.
    """
    electrons = mean
    sigma = read_noise
    if mean > SMALL_MEAN:
        sigma = math.sqrt(mean + read_noise * read_noise)
    else:
        word = advanced(word)
        electrons = poisson_small(uniform(word), mean)
    drawn, word = normal(word)
    return electrons + sigma * drawn, word


def poisson(word: Any, mean: float) -> Any:
    """(count, next word): a Poisson count as float64; above ``SMALL_MEAN`` a rounded normal of that variance."""
    if mean > SMALL_MEAN:
        drawn, word = normal(word)
        count = math.floor(mean + math.sqrt(mean) * drawn + 0.5)
        return (count if count > 0.0 else 0.0), word
    word = advanced(word)
    return poisson_small(uniform(word), mean), word


def gamma(word: Any, shape: float) -> Any:
    """(x, next word): a float64 of the gamma distribution of that shape, at least 1, and scale 1.

    G. Marsaglia and W. W. Tsang, "A simple method for generating gamma variables", ACM Trans. Math. Softw. 26 (2000).
    """
    d = shape - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        drawn, word = normal(word)
        v = 1.0 + c * drawn
        word = advanced(word)
        if v > 0.0:
            v = v * v * v
            if math.log(uniform(word)) < 0.5 * drawn * drawn + d - d * v + d * math.log(v):
                return d * v, word
