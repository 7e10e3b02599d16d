"""A camera's detector: light to counts, with photon noise, read noise, a bias and saturation."""

from __future__ import annotations

from typing import Any

import numpy as np

from framebus.sim.noise import photo_electrons

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
