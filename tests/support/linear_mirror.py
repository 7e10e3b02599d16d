"""A mirror and a sensor that calibrations can be tried on: linear, with a known response, delay and noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class LinearMirror:
    """Functions in place of streams: a measurement is reference + response of the command ``delay`` frames ago.

    For a delay of n + f frames, frame k + n shows (1 - f) of the step to a command sent after frame k, and the
    next all of it.
    """

    def __init__(
        self,
        *,
        n_actuators: int = 6,
        n_measurements: int = 10,
        delay: float = 1.0,
        noise: float = 0.0,
        seed: int = 8,
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.response = np.random.default_rng(7).normal(size=(n_actuators, n_measurements))
        self.delay, self.noise = delay, noise
        self.sent: list[Array] = []
        self.held: list[Array] = []
        self.n_frames = 0

    def poke(self, command: Array) -> None:
        self.sent.append(np.array(command, np.float64))

    def _at(self, back: int) -> Array:
        """The command that was in force after the frame ``back`` before the next one."""
        if back > len(self.held):
            return np.zeros(len(self.response))
        return self.held[-back]

    def measure(self) -> Array:
        self.held.append(self.sent[-1] if self.sent else np.zeros(len(self.response)))
        self.n_frames += 1
        whole = int(self.delay)
        part = self.delay - whole
        seen = (1 - part) * self._at(whole) + part * self._at(whole + 1)
        return np.asarray(
            3.0 + seen @ self.response + self.noise * self.rng.normal(size=self.response.shape[1])
        )
