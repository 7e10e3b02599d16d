"""A loop in numbers: a controller against a disturbance with a delay, and spectra of what it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from framebus.unit import ArraySpec, FunctionUnit
from support import machine_code

Floats = NDArray[np.float64]
LONGEST = 10


class Controlling:
    """A controller with its arrays, called frame by frame as compiled code."""

    def __init__(
        self, unit: FunctionUnit, n: int, inputs: Mapping[str, Any] | None = None, **params: Any
    ) -> None:
        self.unit = unit
        given = dict(inputs or {})
        first, *others = [argument.name for argument in unit.inputs()]
        arrays = {first: np.zeros(n, "float32")}
        arrays |= {name: np.ascontiguousarray(given.get(name, np.zeros(n, "float32"))) for name in others}
        specs = unit.resolve({name: ArraySpec(a.shape, a.dtype) for name, a in arrays.items()})
        self.arrays = {
            name: arrays[name] if name in arrays else np.zeros(spec.shape, spec.dtype)
            for name, spec in specs.items()
        }
        self.first = first
        self.params = {p.name: p.default for p in unit.parameters} | params

    def __call__(self, error: NDArray[Any]) -> NDArray[np.float32]:
        self.arrays[self.first][...] = error
        machine_code.run(self.unit, list(self.arrays.values()), self.params)
        name = self.unit.outputs()[0].name
        return np.asarray(self.arrays[name])


def run_loop(
    step: Callable[[NDArray[Any]], NDArray[Any]],
    disturbance: Floats,
    delay: float,
    limit: Callable[[NDArray[Any]], NDArray[Any]] = lambda command: command,
) -> tuple[Floats, Floats]:
    """Errors and commands, (frames, n): error = disturbance + delayed command, linear between whole frames."""
    whole, frames = int(delay), len(disturbance)
    rest = delay - whole
    done = np.zeros((frames + LONGEST, disturbance.shape[1]))
    errors = np.zeros_like(disturbance)
    for k in range(frames):
        now = k + LONGEST
        errors[k] = disturbance[k] + (1 - rest) * done[now - whole] + rest * done[now - whole - 1]
        done[now] = limit(step(errors[k].astype("float32")))
    return errors, done[LONGEST:]


def spectrum(series: Floats, length: int) -> Floats:
    """Power at the frequencies of ``rfftfreq(length)``: Hann windows, half overlapping, averaged over all columns."""
    window = np.hanning(length)[:, None]
    parts = [series[k : k + length] for k in range(0, len(series) - length + 1, length // 2)]
    return np.asarray(
        np.mean([np.abs(np.fft.rfft(part * window, axis=0)) ** 2 for part in parts], axis=(0, 2))
    )
