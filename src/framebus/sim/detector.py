"""A camera's detector: light to counts, with photon noise, amplification, read noise, a bias and saturation."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Annotated, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from framebus.errors import UsageError
from framebus.sim.compiled import Compiled
from framebus.sim.noise import RANDOM_WORDS, gamma, normal, photo_electrons, poisson, started
from framebus.unit import Array, In, Out, Range, State, unit

Floats: TypeAlias = npt.NDArray[np.float32]

FULL_SCALE = 65535.0
"""Largest count of a 16-bit camera."""


def expose(light: Any, wfs: Any, word: Any, read_noise: float, bias: float) -> Any:
    """Read a frame, one count per electron, and return the generator's next word. A helper for compiled units.

    Args:
        light: (ny, nx) float32, photons expected in each pixel; negative values and NaN count as none.
        wfs: (ny, nx) uint16, filled with counts from 0 to 65535.
        word: the generator, see ``noise.started``.
        read_noise: rms electrons per pixel.
        bias: counts of a dark pixel.
    """
    for y in range(light.shape[0]):
        for x in range(light.shape[1]):
            electrons, word = photo_electrons(word, np.float64(light[y, x]), read_noise)
            value = electrons + bias + 0.5
            # Written so that NaN, too, counts as nothing.
            if not value > 0.0:
                value = 0.0
            if value > FULL_SCALE:
                value = FULL_SCALE
            wfs[y, x] = np.uint16(value)
    return word


@unit(fastmath={"reassoc", "contract", "nsz", "arcp"})
def read_out(
    light: Annotated[In, Array(("ny", "nx"), dtype="float32"), "photons expected in each pixel"],
    frame: Annotated[Out, Array(("ny", "nx"), dtype="uint16"), "counts"],
    random: Annotated[State, Array((2,), dtype="uint64"), "of the noise"],
    *,
    photon_noise: Annotated[
        bool, "without it, electrons are what is expected, and amplification is exact"
    ] = True,
    quantum_efficiency: Annotated[float, Range(0.0, 1.0), "electrons per photon"] = 1.0,
    dark: Annotated[float, Range(0.0, 1e6), "electrons per pixel and frame without light"] = 0.0,
    em_gain: Annotated[
        float, Range(1.0, 1e5), "mean multiplication of an electron; 1: no such register"
    ] = 1.0,
    full_well: Annotated[float, Range(1.0, 1e9), "electrons that a pixel holds, before multiplication"] = 1e9,
    read_noise: Annotated[float, Range(0.0, 1e5), "rms electrons, after multiplication"] = 0.0,
    counts_per_electron: Annotated[float, Range(1e-6, 1e6), "after multiplication"] = 1.0,
    bias: Annotated[float, Range(0.0, 65535.0), "counts of a pixel without electrons"] = 0.0,
    bits: Annotated[int, Range(1, 16), "of the converter: the largest count is 2**bits - 1"] = 16,
    seed: Annotated[int, Range(0, 2**31 - 1), "of the noise; a new one starts it anew"] = 1,
) -> None:
    """Counts of one exposure. Light that is negative or NaN counts as none.

    Electrons are Poisson's number of ``quantum_efficiency`` · light + ``dark``, up to ``full_well``. A multiplying
    register makes of n electrons a gamma variable of shape n and mean n · ``em_gain``: with it the variance is twice
    that of the photons times the gain squared. M. Robbins and B. Hadwen, "The noise performance of electron
    multiplying charge-coupled devices", IEEE Trans. Electron Devices 50 (2003). Then come read noise and conversion
    to whole counts, which adds 1/12 to the variance.
    """
    word = started(random, seed)
    largest = 2.0**bits - 1.0
    # So many electrons and eight times their noise fill the well: the root of x + 8 sqrt(x) = full_well.
    safe = (math.sqrt(16.0 + full_well) - 4.0) ** 2
    at_once = photon_noise and em_gain <= 1.0
    for y in range(light.shape[0]):
        for x in range(light.shape[1]):
            expected = quantum_efficiency * light[y, x] + dark
            electrons = expected if expected > 0.0 else 0.0
            if at_once and electrons < safe:
                # Photon and read noise in one, as nothing happens between them.
                charge, word = photo_electrons(word, electrons, read_noise)
            else:
                charge, word = amplified(word, electrons, photon_noise, full_well, em_gain, read_noise)
            value = charge * counts_per_electron + bias + 0.5
            # Written so that NaN counts as nothing.
            if not value > 0.0:
                value = 0.0
            frame[y, x] = np.uint16(value if value < largest else largest)
    random[0] = word


def amplified(
    word: Any, expected: float, photon_noise: bool, full_well: float, em_gain: float, read_noise: float
) -> Any:
    """(charge, next word): electrons of one pixel, one step after the other."""
    electrons = expected
    if photon_noise:
        electrons, word = poisson(word, expected)
    electrons = min(electrons, full_well)
    if em_gain > 1.0 and electrons >= 1.0 and photon_noise:
        electrons, word = gamma(word, electrons)
    charge = electrons * em_gain
    if read_noise > 0.0:
        drawn, word = normal(word)
        charge += read_noise * drawn
    return charge, word


@dataclass(frozen=True)
class FrameDelay:
    """What comes too late, and what never comes.

    Attributes:
        frames: how late light is read, in frames; with a fraction, a frame has light of two.
        lost: share of frames that are lost, at random.
        lose_every: each frame whose number, from 1, is a multiple of this is lost; 0: none.

    Raises:
        UsageError: a number is out of its limits.
    """

    frames: float = 0.0
    lost: float = 0.0
    lose_every: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.frames <= 1000.0:
            raise UsageError(f"a delay of {self.frames} frames: use 0 to 1000")
        if not 0.0 <= self.lost < 1.0 or self.lose_every < 0 or self.lose_every == 1:
            raise UsageError(
                f"lost = {self.lost}, lose_every = {self.lose_every}: lost must be at least 0 and below 1, and "
                f"lose_every 0, or 2 or more"
            )


class Detector:
    """A detector with its delay. ``expose(light)`` is one exposure.

    Attributes:
        shape: (ny, nx) of its frames, uint16.
        frame: the newest frame.
        lost: how many frames were lost so far.
        exposures: how many there were, lost ones included.
    """

    def __init__(
        self, shape: tuple[int, int], delay: FrameDelay | None = None, *, seed: int = 1, **parameters: Any
    ) -> None:
        """Args.

        Args:
            shape: (ny, nx).
            delay: of its frames.
            seed: of all that is random; the same seed, light and parameters give the same frames.
            parameters: of ``read_out``, such as ``read_noise``.

        Raises:
            ParameterError: a parameter is unknown or out of its limits.
        """
        self.shape = shape
        self.delay = delay or FrameDelay()
        self.frame = np.zeros(shape, np.uint16)
        self.lost = self.exposures = 0
        self._light = np.zeros(shape, np.float32)
        arrays: dict[str, Any] = {
            "light": self._light,
            "frame": self.frame,
            "random": np.zeros(RANDOM_WORDS, np.uint64),
        }
        self._read = Compiled(read_out, arrays, seed=seed & 0x7FFFFFFF, **parameters)
        self._luck = np.random.default_rng((seed, len(fields(FrameDelay))))
        self._whole = math.floor(self.delay.frames)
        self._past = np.zeros((self._whole + 2 if self.delay.frames > 0.0 else 0, *shape), np.float32)

    def set(self, **parameters: Any) -> None:
        """Change parameters of ``read_out`` from the next frame on.

        Raises:
            ParameterError: one is unknown or out of its limits.
        """
        self._read.set(**parameters)

    def expose(self, light: npt.ArrayLike) -> bool:
        """Take the light of one frame, in photons per pixel, and read what is due; False if that frame is lost.

        Before there was light to be late, there is none.

        Raises:
            UsageError: the light has another shape.
        """
        given = np.asarray(light, dtype=np.float32)
        if given.shape != self.shape:
            raise UsageError(f"light of shape {given.shape} for a detector of shape {self.shape}")
        self._light[:] = self._late(given)
        self.exposures += 1
        self._read()
        delay = self.delay
        lost = bool(delay.lose_every) and self.exposures % delay.lose_every == 0
        if delay.lost > 0.0:
            lost |= bool(self._luck.random() < delay.lost)
        self.lost += lost
        return not lost

    def _late(self, light: Floats) -> Floats:
        """What is read when ``light`` comes in."""
        if not len(self._past):
            return light
        slots = len(self._past)
        self._past[self.exposures % slots] = light
        fraction = np.float32(self.delay.frames - self._whole)
        newer = self._past[(self.exposures - self._whole) % slots]
        older = self._past[(self.exposures - self._whole - 1) % slots]
        mixed: Floats = (1 - fraction) * newer + fraction * older
        return mixed
