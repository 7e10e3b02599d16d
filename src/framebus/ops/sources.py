"""Streams out of nothing, at a rate: the units ``clock``, ``noise`` and ``whole_noise``."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np

from framebus.unit.arrays import Array, Out, State
from framebus.unit.declare import unit
from framebus.unit.parameters import Range

# Multiply with carry; D. B. Thomas, "The MWC64X random number generator" (2011).
_MULTIPLIER = np.uint64(4294883355)
_LOW_32 = np.uint64(0xFFFFFFFF)
_32_BITS = np.uint64(32)
_1_BIT = np.uint64(1)
_SEED_STEP = np.uint64(0x9E3779B9)
_MIX_1, _MIX_2 = np.uint64(0x85EBCA6B), np.uint64(0xC2B2AE35)
_PER_32_BITS = 2.0**-32


@unit
def clock(
    ticks: Annotated[Out, Array((1,), dtype="int64"), "how many there were, this one included"],
) -> None:
    """Ticks = 1, 2, 3 ...: one for each period of the loop that it runs in."""
    ticks[0] += 1


@unit
def noise(
    frame: Annotated[Out, Array(..., dtype=("float32", "float64"))],
    random: Annotated[
        State, Array((2,), dtype="uint64"), "the generator's word, and the seed that it began with"
    ],
    *,
    mean: Annotated[float, "mean of the values"] = 0.0,
    sigma: Annotated[float, Range(0.0, None), "their standard deviation"] = 1.0,
    uniform: Annotated[bool, "evenly spread instead of normal"] = False,
    seed: Annotated[int, Range(0, 2**31), "the same one gives the same frames"] = 0,
) -> None:
    """Frame = random values of that mean and standard deviation, independent of one another."""
    values = frame.reshape(-1)
    word = begun(random, seed)
    for i in range(values.size):
        word, value = drawn(word, uniform)
        values[i] = mean + sigma * value
    random[0] = word


@unit
def whole_noise(
    frame: Annotated[Out, Array(..., dtype=("uint8", "int8", "uint16", "int16", "uint32", "int32"))],
    random: Annotated[
        State, Array((2,), dtype="uint64"), "the generator's word, and the seed that it began with"
    ],
    *,
    mean: Annotated[float, "mean of the values"] = 100.0,
    sigma: Annotated[float, Range(0.0, None), "their standard deviation"] = 10.0,
    uniform: Annotated[bool, "evenly spread instead of normal"] = False,
    seed: Annotated[int, Range(0, 2**31), "the same one gives the same frames"] = 0,
) -> None:
    """As ``noise``, rounded to whole numbers; what the dtype cannot hold becomes its lowest or highest value."""
    values = frame.reshape(-1)
    lowest, highest = float(np.iinfo(frame.dtype).min), float(np.iinfo(frame.dtype).max)
    word = begun(random, seed)
    for i in range(values.size):
        word, value = drawn(word, uniform)
        values[i] = np.int64(min(max(np.rint(mean + sigma * value), lowest), highest))
    random[0] = word


def begun(random: Any, seed: Any) -> Any:
    """The generator's word to go on with; a new one for a new seed."""
    mark = np.uint64(seed) + np.uint64(1)
    if random[1] != mark:
        random[1] = mark
        random[0] = mixed(mark) | (mixed(mark + _SEED_STEP) >> _1_BIT) << _32_BITS
    return random[0]


def mixed(number: Any) -> Any:
    """32 bits that have nothing to do with those of the number beside it; the end of A. Appleby's MurmurHash3."""
    word = number & _LOW_32
    word = ((word ^ (word >> np.uint64(16))) * _MIX_1) & _LOW_32
    word = ((word ^ (word >> np.uint64(13))) * _MIX_2) & _LOW_32
    return word ^ (word >> np.uint64(16))


def drawn(word: Any, uniform: Any) -> Any:
    """The next word, and a value of mean 0 and standard deviation 1 made of it.

    Normal values as by G. E. P. Box and M. E. Muller, Ann. Math. Stat. 29 (1958) 610.
    """
    word = _MULTIPLIER * (word & _LOW_32) + (word >> _32_BITS)
    first = (np.float64((word ^ (word >> _32_BITS)) & _LOW_32) + 0.5) * _PER_32_BITS
    if uniform:
        return word, (first - 0.5) * math.sqrt(12.0)
    word = _MULTIPLIER * (word & _LOW_32) + (word >> _32_BITS)
    second = np.float64((word ^ (word >> _32_BITS)) & _LOW_32) * _PER_32_BITS
    return word, math.sqrt(-2.0 * math.log(first)) * math.cos(2.0 * math.pi * second)
